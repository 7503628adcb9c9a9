"""The network of 2026: goldens of the published code; on random weights, its plain statement in `bench/taggers.py`."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402
from taggers import plain  # noqa: E402
from torch import nn  # noqa: E402

from seasign.decoding import Argmax  # noqa: E402
from seasign.formats import read_poses  # noqa: E402
from seasign.models import features, unet_tagger  # noqa: E402
from seasign.models.unet_tagger import (  # noqa: E402
    Attention,
    Convolution,
    Fourier,
    Settings,
    Transposed,
    UnetTagger,
    bilinear,
    three,
)
from seasign.segmentation import Segmenter, segment  # noqa: E402
from seasign.synthesis import synthesize  # noqa: E402
from seasign.types import InputError, InputWarning  # noqa: E402

SHARED = Path(__file__).parents[2] / "shared"  # shared data
GOLDEN = SHARED / "models" / "segmenter-2026-arch"
shared = pytest.mark.skipif(not GOLDEN.exists(), reason="no shared data")
PUBLISHED = {
    name: tuple(map(tuple, rows)) if name != "points" else tuple(rows)
    for name, rows in features.statistics_2026().items()
}
FULL = Settings(**PUBLISHED)
SMALL = replace(FULL, hidden_dim=16, encoder_depth=2, attn_nhead=2, num_frames=64)
FPS = Fraction(25)
OURS = [2, 3, 1, 0]  # UNK, O, B, I -> B, I, O, UNK


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tagger(settings=SMALL):
    """Random weights, and batch norms that have seen something."""
    torch.manual_seed(0)
    model = UnetTagger(settings).eval()
    for name, tensor in model.state_dict().items():
        if name.endswith("running_mean"):
            nn.init.normal_(tensor, std=0.3)
        elif name.endswith("running_var"):
            nn.init.uniform_(tensor, 0.5, 2)
        elif "_layers" in name and name.endswith((".1.weight", ".1.bias")):
            nn.init.normal_(tensor, mean=0.7, std=0.3)
    return model


def numbers(frames, seed=0):
    return np.random.default_rng(seed).normal(size=(frames, 50, 6)).astype(np.float32)


def oracle(model, x, fps=FPS):
    """Log-probabilities in the published way, and in our order."""
    timestamps = torch.arange(len(x)) / float(fps)
    settings = model.settings
    found = plain(model.state_dict(), torch.from_numpy(x), timestamps, settings.attn_nhead, settings.num_frames)
    return torch.stack(found)[..., OURS].numpy()


@pytest.fixture(scope="module")
def poses():
    flat = synthesize(3, duration=12.0).poses
    depth = np.random.default_rng(3).normal(0, 1, flat.xyz.shape[:2])
    return replace(flat, xyz=np.dstack([flat.xyz[..., :2], flat.xyz[..., 2] + depth]).astype(np.float32))


# --- Goldens of the published code ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def golden():
    return np.load(GOLDEN / "golden.npz")


@pytest.fixture(scope="module")
def published():
    config = json.loads((GOLDEN / "config.json").read_text()) | PUBLISHED
    return UnetTagger.from_checkpoint(config, load_file(GOLDEN / "random_weights.safetensors"))


@shared
def test_the_statistics_are_those_of_the_golden(golden):
    assert PUBLISHED["points"] == tuple(name.replace("/", ".") for name in golden["point_names"])
    np.testing.assert_allclose(PUBLISHED["mean"], golden["norm_mean"], rtol=1e-7)
    np.testing.assert_allclose(PUBLISHED["std"], golden["norm_std"], rtol=1e-7)


@shared
def test_preprocessing_is_that_of_the_golden(golden, published):
    x = published.prepare(read_poses(SHARED / "data" / "poses" / "dgs_example.pose"))
    np.testing.assert_allclose(x[..., :3], golden["input"][..., :3], atol=1e-4, rtol=0)
    steps = np.diff(np.arange(len(x), dtype=np.float32) / 30)  # the published time has 32 bits
    velocity = x[1:, :, 3:] / 30 / steps[:, None, None]
    np.testing.assert_allclose(velocity, golden["input"][1:, :, 3:], atol=30 * 1e-5, rtol=0)
    np.testing.assert_allclose(x[..., 3:], golden["input"][..., 3:], atol=30 * 1e-5, rtol=1e-5)


@shared
@pytest.mark.parametrize("case", ["one chunk", "three chunks, the last one padded"])
def test_log_probabilities_are_those_of_the_golden(golden, published, case):
    prefix, x, seconds, fps = {
        "one chunk": ("t100", golden["input"][:100], golden["t100_input_timestamps"], 30),
        "three chunks, the last one padded": ("t300", golden["t300_input"], golden["t300_timestamps"], 25),
    }[case]
    expected = np.stack([golden[f"{prefix}_logp_{head}"] for head in ("sign", "sentence")])
    with torch.no_grad():
        trained = published(torch.from_numpy(x)[None], torch.from_numpy(seconds)[None])
    stated = plain(published.state_dict(), torch.from_numpy(x), torch.from_numpy(seconds), 4, 128)
    np.testing.assert_allclose(published.infer(x, Fraction(fps)), expected[..., OURS], atol=1e-4, rtol=0)
    np.testing.assert_allclose(torch.cat(trained), expected[..., OURS], atol=1e-4, rtol=0)
    np.testing.assert_allclose(torch.stack(stated), expected, atol=1e-4, rtol=0)


@shared
@pytest.mark.parametrize(("shortest", "name"), [(0, "t300_seg_sign_likeliest"), (3, "t300_seg_sign_likeliest_min3")])
def test_segments_are_those_of_the_golden(golden, published, shortest, name):
    tags = three(published.infer(golden["t300_input"], FPS))[0]
    spans = Argmax(split=False, shortest=shortest).decode(tags, FPS).spans
    assert [[round(span.start * 25), round(span.end * 25) - 1] for span in spans] == golden[name].tolist()


@shared
def test_the_decoder_is_the_published_one(golden, published, monkeypatch):
    assert set(published.decoders.values()) == {Argmax(split=False, shortest=3)}
    monkeypatch.setattr(published, "prepare", lambda poses: golden["t300_input"])
    poses = replace(synthesize(0, duration=12.0).poses, fps=FPS)
    assert len(segment(poses, published)) == len(golden["t300_seg_sign_likeliest_min3"])


# --- The network ------------------------------------------------------------------------------------------------------


def table(hidden=384):
    """The tensors of the published file."""
    joints = [(16, 6, 5), (32, 16, 11), (64, 32, 21)]
    time = [(16, 1, 5), (32, 16, 11), (64, 32, 21), (128, 64, 21)]
    shapes = {}
    for block, layers, points in ((0, joints, 50), (2, time, hidden)):
        rows = [("encoder", number, shape, shape[0]) for number, shape in enumerate(layers)]
        rows += [("decoder", number, shape, shape[1]) for number, shape in enumerate(layers[::-1])]
        for way, number, shape, out in rows:
            name = f"frame_cnn.{block}.{way}_layers.{number}"
            shapes |= {f"{name}.0.weight": shape, f"{name}.0.bias": (out,), f"{name}.1.num_batches_tracked": ()}
            shapes |= {f"{name}.1.{one}": (out,) for one in ("weight", "bias", "running_mean", "running_var")}
        shapes |= {f"frame_cnn.{block}.fc.weight": (hidden, points), f"frame_cnn.{block}.fc.bias": (hidden,)}
    shapes["input_norm.weight"] = (hidden,)
    for number in range(4):
        name = f"encoder_attn.{number}"
        shapes |= {f"{name}.inv_freq": (24,), f"{name}.norm1.weight": (hidden,), f"{name}.norm2.weight": (hidden,)}
        shapes |= {f"{name}.qkv.weight": (3 * hidden, hidden), f"{name}.out_proj.weight": (hidden, hidden)}
        shapes |= {f"{name}.ffn.0.weight": (2 * hidden, hidden), f"{name}.ffn.0.bias": (2 * hidden,)}
        shapes |= {f"{name}.ffn.3.weight": (hidden, 2 * hidden), f"{name}.ffn.3.bias": (hidden,)}
    for head in ("sign", "sentence"):
        name = f"{head}_bio_head.net"
        shapes |= {f"{name}.0.weight": (hidden, hidden), f"{name}.0.bias": (hidden,)}
        shapes |= {f"{name}.2.weight": (4, hidden), f"{name}.2.bias": (4,)}
    return shapes


def test_the_full_size_has_the_published_tensors():
    model = UnetTagger(FULL)
    assert {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()} == table()
    assert len(table()) == 147
    assert sum(parameter.numel() for parameter in model.parameters()) == 5_734_141


@pytest.mark.parametrize("frames", [1, 2, 3, 7, 8, 9, 16, 23, 63, 64, 65, 100, 127, 128, 129, 200])
def test_training_and_inference_give_what_the_published_way_gives(frames):
    model, x = tagger(), numbers(frames)
    expected = oracle(model, x)
    with torch.no_grad():
        trained = torch.cat(model(torch.from_numpy(x)[None], torch.arange(frames)[None] / 25))
    np.testing.assert_allclose(trained, expected, atol=1e-5, rtol=0)
    np.testing.assert_allclose(model.infer(x, FPS), expected, atol=1e-5, rtol=0)
    assert np.ptp(expected, axis=0).max() > 0.01 or frames == 1, "the network says something"


@pytest.mark.parametrize("frames", [449, 454])
@pytest.mark.parametrize(("stretch", "threads"), [(64, 1), (192, 1), (64, 3)])
def test_stretches_change_nothing(monkeypatch, frames, stretch, threads):
    model, x = tagger(), numbers(frames)
    torch.set_num_threads(threads)
    monkeypatch.setattr(unet_tagger, "STRETCH", stretch)
    monkeypatch.setattr(unet_tagger, "SIDE_BY_SIDE", 7)
    np.testing.assert_allclose(model.infer(x, FPS), oracle(model, x), atol=1e-5, rtol=0)
    assert torch.get_num_threads() == threads


def test_convolutions_reach_as_far_as_stretches_are_widened():
    model = tagger().double()
    x = torch.from_numpy(numbers(500)).double()[None]
    changed = x.clone()
    changed[:, 250] += 3
    with torch.no_grad():
        seen = (model.frame_cnn(changed) != model.frame_cnn(x)).any(dim=2)[0].nonzero()
    reach = max(250 - seen.min(), seen.max() - 250)
    assert unet_tagger.REACH - unet_tagger.GRID < reach <= unet_tagger.REACH


def test_a_smaller_reach_would_show(monkeypatch):
    model, x = tagger(), numbers(450)
    monkeypatch.setattr(unet_tagger, "STRETCH", 64)
    monkeypatch.setattr(unet_tagger, "REACH", 64)
    assert np.abs(model.infer(x, FPS) - oracle(model, x)).max() > 1e-5


@pytest.mark.parametrize("kind", [Convolution, Transposed])
@pytest.mark.parametrize(("frames", "kernel"), [(1, 21), (2, 21), (21, 21), (44, 21), (45, 21), (301, 21), (90, 5)])
def test_short_fourier_transforms_convolve(kind, frames, kernel):
    torch.manual_seed(0)
    direct = kind(6, 4, kernel, 2, kernel // 2)
    x = torch.randn(1, 6, frames, 3)
    with torch.no_grad():
        torch.testing.assert_close(Fourier(direct)(x), direct(x), atol=1e-5, rtol=0)


def test_the_bilinear_form_is_the_circular_correlation():
    d, g, e = bilinear(12)
    x, w = torch.randn(2, 12, dtype=torch.float64)
    expected = [sum(w[i] * x[(t + i) % 12] for i in range(12)) for t in range(12)]
    torch.testing.assert_close(e @ ((d @ x) * (g @ w)), torch.stack(expected))
    assert len(d) == len(g) == 2 + 3 * 5


def test_attention_stays_within_its_chunk():
    model = tagger()
    x, seconds = torch.randn(1, 128, 16), torch.arange(128)[None] / 25
    changed = x.clone()
    changed[:, 64:] += 1
    with torch.no_grad():
        before, after = (torch.cat(model.attend(one, seconds, True), dim=2)[0] for one in (x, changed))
    assert torch.equal(before[:64], after[:64])
    assert not torch.isclose(before[64:], after[64:]).all(dim=1).any()


def test_a_last_chunk_attends_to_what_fills_it_up_and_a_single_one_has_nothing_of_it():
    model = tagger()
    x, seconds = torch.randn(1, 20, 16), torch.arange(20)[None] / 25
    with torch.no_grad():
        alone = torch.cat(model.attend(x, seconds, False), dim=2)
        filled = torch.cat(model.attend(x, seconds, True), dim=2)
        x, seconds = nn.functional.pad(model.input_norm(x), (0, 0, 0, 44)), nn.functional.pad(seconds, (0, 44))
        for layer in model.encoder_attn:
            x = layer(x, seconds)
        expected = torch.cat([model.sign_bio_head(x), model.sentence_bio_head(x)], dim=2)[:, :20]
    torch.testing.assert_close(filled, expected)
    assert (filled - alone).abs().max() > 1e-4


def test_attention_knows_differences_in_time_alone():
    torch.manual_seed(0)
    layer, x = Attention(16, 2, 32, 0.1).eval(), torch.randn(1, 30, 16)
    seconds = torch.arange(30, dtype=torch.float64)[None] / 25
    with torch.no_grad():
        torch.testing.assert_close(layer(x, seconds + 3600), layer(x, seconds), atol=1e-5, rtol=0)
        assert (layer(x, seconds / 2) - layer(x, seconds)).abs().max() > 1e-3


def test_stored_frequencies_count_and_not_the_formula():
    model, x = tagger(), numbers(50)
    before = model.infer(x, FPS)
    for layer in model.encoder_attn:
        layer.inv_freq *= 1.3
    np.testing.assert_allclose(model.infer(x, FPS), oracle(model, x), atol=1e-5, rtol=0)
    assert np.abs(model.infer(x, FPS) - before).max() > 1e-5


def test_every_parameter_learns():
    model = tagger().train()
    found = model(torch.from_numpy(numbers(80)).view(2, 40, 50, 6), torch.arange(40).expand(2, -1) / 25)
    sum(one[..., 2].mean() for one in found).backward()
    silent = [name for name, parameter in model.named_parameters() if not parameter.grad.abs().max() > 0]
    biases = [name for name in silent if not name.endswith("_layers.0.bias") and ".0.bias" in name and "cnn" in name]
    assert silent == biases, "only biases before a batch norm may not matter"


def test_tagging_leaves_the_network_as_it_is():
    model = tagger().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.infer(numbers(70), FPS)
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_sixteen_bits_on_a_gpu_are_near():
    model, x = tagger(FULL), numbers(3000)
    expected = np.exp(oracle(model, x))
    found = np.exp(model.to("cuda").infer(x, FPS))
    assert np.abs(found - expected).max() < 0.03


# --- Poses -> what the network sees -----------------------------------------------------------------------------------


def test_features_are_what_the_specification_says_frame_by_frame(poses):
    model, x = tagger(), tagger().prepare(poses)
    place = {name: number for number, name in enumerate(poses.landmarks)}
    point = {name: number for number, name in enumerate(model.settings.points)}
    left, right = (poses.xyz[:, place[f"POSE_LANDMARKS.{side}_SHOULDER"]].astype(float) for side in ("LEFT", "RIGHT"))
    both = ~np.isnan(left + right).any(axis=1)
    center = ((left + right) / 2)[both].mean(axis=0)
    width = np.linalg.norm(left - right, axis=1)[both].mean()
    mean, std = np.array(FULL.mean), np.array(FULL.std)
    for frame in range(0, len(x), 37):
        for name, number in point.items():
            value = (poses.xyz[frame, place[name]] - center) / width
            if "_HAND_" in name:
                value -= (poses.xyz[frame, place[f"{name.split('.')[0]}.WRIST"]] - center) / width
            value = np.nan_to_num((value - mean[number]) / std[number])
            expected = 0 if name in features.HIPS else value
            np.testing.assert_allclose(x[frame, number, :3], expected, rtol=1e-3, atol=2e-3)
    np.testing.assert_allclose(x[1:, :, 3:], np.diff(x[..., :3].astype(float), axis=0) * 25, rtol=1e-3, atol=1e-2)
    assert not x[0, :, 3:].any()
    hidden = [point[name] for name in (*features.HIPS, "LEFT_HAND_LANDMARKS.WRIST", "RIGHT_HAND_LANDMARKS.WRIST")]
    assert not x[:, hidden].any()


def test_the_order_of_landmarks_and_others_beside_them_do_not_matter(poses):
    order = np.random.default_rng(0).permutation(len(poses.landmarks))
    other = replace(
        poses,
        xyz=np.concatenate([poses.xyz[:, order], poses.xyz[:, :1]], axis=1),
        confidence=np.concatenate([poses.confidence[:, order], poses.confidence[:, :1]], axis=1),
        landmarks=(*(poses.landmarks[number] for number in order), "FACE_LANDMARKS.0"),
    )
    np.testing.assert_array_equal(tagger().prepare(other), tagger().prepare(poses))


def test_missing_landmarks_are_zero_and_a_whole_hand_may_be(poses):
    xyz = poses.xyz.copy()
    hand = [number for number, name in enumerate(poses.landmarks) if name.startswith("LEFT_HAND")]
    xyz[:, hand] = np.nan
    xyz[40] = np.nan
    with pytest.warns(InputWarning, match="none of 300 frames shows the left hand"):
        x = tagger().prepare(replace(poses, xyz=xyz))
    assert np.isfinite(x).all()
    assert not x[:, 8:29].any()
    assert not x[40, :, :3].any()
    assert x[41, :, 3:].any(), "a landmark that comes back has a velocity, as published"


def test_features_leave_the_poses_as_they_are(poses):
    before = poses.xyz.copy()
    tagger().prepare(poses)
    np.testing.assert_array_equal(poses.xyz, before)


# --- Tags -------------------------------------------------------------------------------------------------------------


def test_tags_are_probabilities_at_the_rate_of_the_poses(poses):
    model, poses = tagger(), replace(poses, fps=Fraction(24000, 1001))
    assert isinstance(model, Segmenter)
    tags = model.tag(poses)
    assert tags.fps == Fraction(24000, 1001)
    for one in (tags.signs, tags.phrases):
        assert one.shape == (len(poses.xyz), 3)
        np.testing.assert_allclose(one.sum(axis=1), 1)
    signs, phrases = model.infer(model.prepare(poses), poses.fps)
    assert not np.array_equal(signs, phrases)
    np.testing.assert_array_equal(tags.signs, three(signs))


def test_a_frame_is_a_sign_exactly_where_it_is_one_by_four_classes():
    logits = np.random.default_rng(0).normal(size=(2000, 4), scale=2)
    logp = (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)
    np.testing.assert_array_equal(three(logp).argmax(axis=1), np.minimum(logp.argmax(axis=1), 2))
    assert (logp.argmax(axis=1) == 3).any()


def test_no_frames_are_refused(poses):
    with pytest.raises(InputError, match="no frames"):
        tagger().tag(replace(poses, xyz=poses.xyz[:0], confidence=poses.confidence[:0]))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("LEFT_HAND", "RIGHT_HAND"), "none of 300 frames shows a hand: there is no signing to find"),
        (("POSE_LANDMARKS.LEFT_SHOULDER",), "none of 300 frames shows both shoulders"),
        (("",), "none of 300 frames shows a hand"),
    ],
)
def test_poses_that_never_show_what_is_needed_are_refused(poses, names, message):
    xyz = poses.xyz.copy()
    xyz[:, [number for number, name in enumerate(poses.landmarks) if name.startswith(names)]] = np.nan
    with pytest.raises(InputError, match=message) as error:
        tagger().tag(replace(poses, xyz=xyz))
    assert "\n" not in str(error.value)


def test_poses_without_hands_are_refused_by_name(poses):
    with pytest.raises(InputError, match="no LEFT_HAND_LANDMARKS and no RIGHT_HAND_LANDMARKS"):
        tagger().tag(features.select(poses, features.BODY))


# --- Checkpoints ------------------------------------------------------------------------------------------------------


def test_a_checkpoint_comes_back_as_it_was():
    model = tagger()
    again = UnetTagger.from_checkpoint(json.loads(json.dumps(model.config)), model.state_dict())
    assert again.settings == model.settings
    np.testing.assert_array_equal(again.infer(numbers(60), FPS), model.infer(numbers(60), FPS))


def test_sixteen_bits_are_read_into_thirty_two():
    model = tagger()
    stored = {name: one.bfloat16() if one.is_floating_point() else one for name, one in model.state_dict().items()}
    again = UnetTagger.from_checkpoint(model.config, stored)
    assert not again.training
    for name, tensor in again.state_dict().items():
        assert tensor.dtype == (torch.float32 if tensor.is_floating_point() else torch.int64)
        assert torch.equal(tensor, stored[name].to(tensor.dtype)), "not recomputed, the frequencies neither"
    assert not torch.equal(again.encoder_attn[0].inv_freq, model.encoder_attn[0].inv_freq)


def without(name):
    return lambda config, tensors: config.pop(name)


def with_(**settings):
    return lambda config, tensors: config.update(settings)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (without("mean"), "the config has no 'mean'; it should be three numbers for every point"),
        (without("points"), "the config has no 'points'; it should be a list of landmarks"),
        (with_(points="face"), "'points' is face; it should be a list of landmarks"),
        (with_(hidden_dim="16"), "'hidden_dim' is 16; it should be a whole number"),
        (with_(num_frames=0), "'num_frames' is 0; it should be a whole number from 1 on"),
        (with_(encoder_depth=True), "'encoder_depth' is True"),
        (with_(attn_dropout=2), "'attn_dropout' is 2; it should be a number from 0 to 1"),
        (
            with_(hidden_dim=32),
            "is 16 x 50, where the settings .* ask for 32 x 50: it belongs to another network",
        ),
        (with_(encoder_depth=3), "encoder_attn.2.inv_freq is missing, where the settings .* ask for 4"),
        (with_(encoder_depth=1), "encoder_attn.1.inv_freq is 4, where the settings .* ask for missing"),
        (with_(attn_nhead=4), "encoder_attn.0.inv_freq is 4, where the settings .* ask for 2"),
        (with_(attn_nhead=3), "3 heads for 16 numbers, which do not divide"),
        (with_(pose_dims=[50, 3]), r"names 50 points and says that pose_dims is \[50, 3\]: known is \[50, 6\]"),
        (with_(pose_dims=[178, 6]), r"names 50 points and says that pose_dims is \[178, 6\]"),
        (with_(num_classes=3), "num_classes is 3: known are UNK, O, B, I"),
        (with_(points=FULL.points[2:]), "names no POSE_LANDMARKS.RIGHT_SHOULDER among its points"),
        (with_(points=FULL.points[:9]), "names no LEFT_HAND_LANDMARKS.THUMB_CMC among its points"),
        (with_(mean=FULL.mean[:9]), "has 50 points, and rows of 'mean' for 9"),
        (with_(std=[[1, 1]] * 50), "'std' is .* it should be three numbers for every point"),
        (with_(std=[[float("nan")] * 3] * 50), "'std' is .* it should be three numbers for every point"),
        (lambda config, tensors: tensors.pop("input_norm.weight"), "input_norm.weight is missing, where"),
        (lambda config, tensors: tensors.update(more=torch.zeros(2, 3)), "more is 2 x 3, where .* ask for missing"),
        (
            lambda config, tensors: tensors["sign_bio_head.net.0.weight"].fill_(float("nan")),
            "sign_bio_head.net.0.weight has values that are not finite: the file is damaged",
        ),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_with_one_line(break_it, message):
    model = tagger()
    config, tensors = dict(model.config), {name: one.clone() for name, one in model.state_dict().items()}
    break_it(config, tensors)
    with pytest.raises(InputError, match=message) as error:
        UnetTagger.from_checkpoint(config, tensors)
    assert "\n" not in str(error.value)


def test_a_deviation_of_nothing_counts_as_one(poses):
    model = tagger()
    other, one = (tagger(replace(SMALL, std=((value,) * 3,) * 50)) for value in (0.0, 1.0))
    np.testing.assert_array_equal(other.prepare(poses), one.prepare(poses))
    assert not np.array_equal(one.prepare(poses), model.prepare(poses))
