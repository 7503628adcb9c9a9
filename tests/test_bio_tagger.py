import json
import warnings
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from planted import holistic
from seasign.alignment import align
from seasign.decoding import Likeliest, Threshold
from seasign.formats import pose
from seasign.models.features import BODY, HANDS, HIPS, SHOULDERS, hide
from seasign.segmentation import Segmenter, choose_decoder, find_phrases, find_signs, phrases, segment
from seasign.types import Cue, InputError, InputWarning

torch = pytest.importorskip("torch")

from seasign.models import bio_tagger  # noqa: E402
from seasign.models.bio_tagger import BioTagger, Settings  # noqa: E402

POINTS = BODY + HANDS
SHARED = Path(__file__).parents[2] / "shared"
E4S = Settings(flow=True, hands=True, depth=4)
SMALL = Settings(depth=2, width=8)


def make(settings=SMALL, seed=0):
    torch.manual_seed(seed)
    return BioTagger(settings).eval()


@pytest.fixture(scope="module")
def e1():
    path = SHARED / "models" / "segmenter-2023" / "weights.safetensors"
    if not path.exists():
        pytest.skip("needs shared data")
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return BioTagger.from_checkpoint(file.metadata(), {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118


CLIPS = [("dgs_example", "example"), ("dgs_sentence_1248862", "dgs_sentence_25fps")]


def golden(clip, name):
    poses = pose.read(SHARED / "data" / "poses" / f"{clip}.pose")
    return poses, np.load(SHARED / "models" / "segmenter-2023" / f"golden_{name}.npz")


def as_published(tagger, poses, **changes):
    """A tagger that leaves 30 fps as they are."""
    other = BioTagger(replace(tagger.settings, fps=None if poses.fps == 30 else Fraction(25), **changes))
    other.load_state_dict(tagger.state_dict())
    return other


# --- As published ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("clip", "name"), CLIPS)
@pytest.mark.parametrize(("hips", "suffix"), [("keep", ""), ("zero", "_hips0")])
def test_log_probabilities_are_the_published_ones(e1, clip, name, hips, suffix):
    poses, expected = golden(clip, name)
    tags = as_published(e1, poses, hips=hips).tag(poses)
    for found, head in (tags.signs, "sign"), (tags.phrases, "sentence"):
        np.testing.assert_allclose(np.log(found), expected[f"logp_{head}{suffix}"][:, [1, 2, 0]], atol=1e-5)


@pytest.mark.parametrize(("clip", "name"), CLIPS)
@pytest.mark.parametrize(
    ("head", "read", "decoder", "hips", "suffix"),
    [
        ("sign", "b60_o50", Threshold(0.6, 0.5), "keep", ""),
        ("sign", "b60_o50", Threshold(0.6, 0.5), "zero", "_hips0"),
        ("sign", "b30_o50", Threshold(0.3, 0.5), "keep", ""),
        ("sign", "b50_o50", Threshold(0.5, 0.5), "keep", ""),
        ("sign", "likeliest", Likeliest(), "keep", ""),
        ("sentence", "b90_o90", Threshold(0.9, 0.9), "keep", ""),
        ("sentence", "b90_o90", Threshold(0.9, 0.9), "zero", "_hips0"),
        ("sentence", "likeliest", Likeliest(), "keep", ""),
    ],
)
def test_signs_and_phrases_are_the_published_ones(e1, clip, name, head, read, decoder, hips, suffix):
    poses, expected = golden(clip, name)
    tagger = as_published(e1, poses, hips=hips)
    tags = tagger.tag(poses)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)  # the phrases of the example are a fallback
        spans = segment(poses, tagger, decoder=decoder) if head == "sign" else find_phrases(tags, (), decoder)
    frames = [(round(span.start * tags.fps), round(span.end * tags.fps)) for span in spans]
    ranges = expected[f"seg_{head}_{read}{suffix}"].tolist()
    assert frames == [(first, min(last + 1, len(tags.signs))) for first, last in ranges]


def test_the_input_of_the_largest_networks_is_the_published_one():
    if not (SHARED / "data").exists():
        pytest.skip("needs shared data")
    poses, expected = golden(*CLIPS[0])
    seen = BioTagger(replace(E4S, fps=None)).prepare(poses)
    expected = expected["input_e4"].reshape(len(seen), 468)
    np.testing.assert_allclose(seen, expected, rtol=1e-4, atol=1e-4)  # hands from the side reach 729


def test_a_published_network_says_how_its_loss_weighed_the_classes(e1):
    weights = e1.settings.weights
    np.testing.assert_allclose(weights["signs"], [24.46, 4.494, 1.358], rtol=1e-3)
    np.testing.assert_allclose(weights["phrases"], [135.2, 2.348, 1.765], rtol=1e-3)


def test_subtitles_are_aligned_by_a_published_network(e1):
    poses, _ = golden(*CLIPS[0])
    signs = segment(poses, e1, purpose="alignment")
    assert [(sign.start, sign.end) for sign in signs] == [(0.44, 1.04), (1.04, 1.96), (1.96, 3.16)]
    cues = [Cue(0.3, 1.0, "what is"), Cue(1.1, 3.0, "your name")]
    found = align(poses, cues, segmenter=e1, lag=(0, 0))
    assert found.runs == (signs[:1], signs[1:])
    assert segment(poses, e1) != signs  # for annotation they are read in another way


# --- The network ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "size", "parameters"),
    [
        (Settings(), 225, 454_662),  # E1
        (Settings(depth=4), 225, 1_640_454),  # E1s
        (Settings(flow=True), 300, 473_862),
        (E4S, 468, 1_702_662),
    ],
)
def test_depth_and_input_are_read_off_the_tensors(settings, size, parameters):
    tagger = make(settings)
    found = BioTagger.from_checkpoint({}, tagger.state_dict())
    assert found.settings == settings
    assert found.pose_projection.in_features == size
    assert sum(tensor.numel() for tensor in found.parameters()) == parameters
    assert not found.training
    poses = holistic(1, frames=9)
    np.testing.assert_array_equal(found.tag(poses).signs, tagger.tag(poses).signs)


def test_the_weights_of_the_loss_may_be_tensors_or_a_note():
    tagger = make()
    tensors = tagger.state_dict() | {
        "sign_loss_function.weight": torch.tensor([1.0, 2.0, 3.0]),  # O, B, I
        "sentence_loss_function.weight": torch.tensor([4.0, 5.0, 6.0]),
    }
    noted = {"sign_loss_weight": "[1, 2, 3]", "sentence_loss_weight": "[4, 5, 6]"}
    for found in (
        BioTagger.from_checkpoint({}, tensors),
        BioTagger.from_checkpoint(noted, tagger.state_dict()),
    ):
        assert found.settings.weights == {"signs": (2, 3, 1), "phrases": (5, 6, 4)}
        assert found.state_dict().keys() == tagger.state_dict().keys()


@pytest.mark.parametrize(
    "settings",
    [SMALL, replace(SMALL, hips="zero", fps=Fraction(30000, 1001), flow=True, weights={"signs": (3.0, 2.0, 1.0)})],
)
def test_a_config_says_all_that_tensors_do_not(settings):
    tagger = make(settings)
    config = json.loads(json.dumps(tagger.config))
    assert BioTagger.from_checkpoint(config, tagger.state_dict()).settings == settings
    some = replace(settings, points=SHOULDERS + HANDS, fps=None)  # unlike any published one
    config = json.loads(json.dumps(make(some).config))
    assert BioTagger.from_checkpoint(config, make(some).state_dict()).settings == some


def test_tags_are_probabilities_of_b_i_and_o_at_the_rate_of_the_network():
    tagger = make()
    assert isinstance(tagger, Segmenter)
    poses = holistic(2, frames=61, fps=30)
    tags = tagger.tag(poses)
    assert tags.fps == 25
    assert tags.signs.shape == tags.phrases.shape == (51, 3)  # frames 0 .. 60 of 30 per second
    for probabilities in tags.signs, tags.phrases:
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    with torch.no_grad():
        tagger.sign_bio_head.bias += torch.tensor([50.0, 0, 0])  # O comes first in the network
        tagger.sentence_bio_head.bias += torch.tensor([0.0, 50, 0])
    tags = tagger.tag(poses)
    assert (tags.signs.argmax(axis=1) == 2).all()
    assert (tags.phrases.argmax(axis=1) == 0).all()


def test_signs_for_annotation_and_for_alignment_and_phrases_are_read_in_three_ways():
    tagger = make()
    assert choose_decoder(tagger, "alignment") == Threshold(0.3, 0.5)
    assert choose_decoder(tagger, "phrases") == Threshold(0.9, 0.9)
    tags = tagger.tag(holistic(2, frames=50))
    annotated = find_signs(tags, choose_decoder(tagger, "annotation"))
    with pytest.warns(InputWarning, match="no frame looks like the start of a phrase"):
        found = find_phrases(tags, annotated, choose_decoder(tagger, "phrases"))
    assert found != phrases(annotated)


@pytest.mark.parametrize("settings", [SMALL, replace(E4S, width=16)])
@pytest.mark.parametrize("chunk", [1, 7, 40, 100])
def test_a_long_file_says_what_one_pass_says(monkeypatch, settings, chunk):
    tagger, poses = make(settings), holistic(3, frames=40)
    with torch.inference_mode():
        whole = tagger(torch.from_numpy(tagger.prepare(poses))[None])
    monkeypatch.setattr(bio_tagger, "CHUNK", chunk)
    tags = tagger.tag(poses)
    np.testing.assert_allclose(tags.signs, whole.signs[0].exp(), atol=1e-6)
    np.testing.assert_allclose(tags.phrases, whole.phrases[0].exp(), atol=1e-6)


def test_a_padded_batch_says_what_its_members_say():
    tagger = make(E4S)
    members = [torch.from_numpy(tagger.prepare(holistic(seed, frames=10 + 7 * seed))) for seed in range(3)]
    lengths = torch.tensor([len(member) for member in members])
    batch = torch.nn.utils.rnn.pad_sequence(members, batch_first=True, padding_value=9.0)
    with torch.inference_mode():
        together = tagger(batch, lengths)
        for number, member in enumerate(members):
            for found, alone in zip(together, tagger(member[None]), strict=True):
                np.testing.assert_allclose(found[number, : len(member)], alone[0], atol=1e-5)
        assert together.signs.shape == (3, 24, 3)


def test_a_few_steps_of_training_fit_a_batch():
    tagger = make()
    frames, lengths = torch.randn(2, 12, 225), torch.tensor([12, 8])
    labels = torch.arange(24).reshape(2, 12) % 3
    optimizer = torch.optim.Adam(tagger.parameters(), 0.02)
    losses = []
    for _ in range(40):
        said = tagger(frames, lengths)
        loss = sum(torch.nn.functional.nll_loss(head.flatten(0, 1), labels.flatten()) for head in said)
        optimizer.zero_grad()
        loss.backward()
        assert all(parameter.grad is not None for parameter in tagger.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_the_number_of_threads_is_left_as_it_was():
    tagger, before = make(), torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        tagger.tag(holistic(0))
        assert torch.get_num_threads() == 3
        with pytest.raises(InputError):
            tagger.tag(holistic(0, frames=0))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


# --- What it looks at -----------------------------------------------------------------------------------------------


def test_hips_are_kept_unless_they_are_to_be_hidden():
    poses = holistic(4)
    keeping, hiding = make(), make(replace(SMALL, hips="zero"))
    assert not np.allclose(keeping.tag(poses).signs, hiding.tag(poses).signs, atol=1e-6)
    np.testing.assert_array_equal(keeping.tag(hide(poses, HIPS)).signs, hiding.tag(poses).signs)


def test_legs_the_face_and_the_order_of_the_landmarks_say_nothing():
    poses, tagger = holistic(4), make(E4S)
    expected = tagger.tag(poses).signs
    knees = [name for name in POINTS if "KNEE" in name]
    np.testing.assert_array_equal(tagger.tag(hide(poses, knees)).signs, expected)
    face = holistic(5, landmarks=(*POINTS[::-1], "FACE_LANDMARKS.0"))
    face.xyz[:, :-1], face.confidence[:, :-1] = poses.xyz[:, ::-1], poses.confidence[:, ::-1]
    np.testing.assert_array_equal(tagger.tag(face).signs, expected)


def test_numbers_are_those_of_the_points_flow_and_hands_in_turn():
    poses = holistic(6, frames=4)
    seen = make(E4S).prepare(poses).reshape(4, 117, 4)
    plain = make().prepare(poses).reshape(4, 75, 3)
    np.testing.assert_array_equal(seen[:, :75, :3], plain)
    np.testing.assert_array_equal(make(Settings(flow=True)).prepare(poses).reshape(4, 75, 4), seen[:, :75])
    assert not seen[0, :, 3].any()
    assert not seen[:, [75, 96], :3].any()  # wrists of the turned hands
    assert seen[:, 75:, :3].any()
    assert np.isfinite(seen).all()


# --- What is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("poses", "message"),
    [
        (holistic(0, frames=0), "the poses have no frames"),
        (holistic(0, landmarks=BODY), "no LEFT_HAND_LANDMARKS and no RIGHT_HAND_LANDMARKS"),
        (holistic(0, landmarks=HANDS), "no POSE_LANDMARKS"),
        (holistic(0, landmarks=("pose_keypoints_2d.Nose",)), "they have pose_keypoints_2d"),
        (hide(holistic(0), POINTS), "none of 20 frames shows a hand"),
        (hide(holistic(0), HANDS), "none of 20 frames shows a hand"),
        (hide(holistic(0), SHOULDERS), "none of 20 frames shows both shoulders"),
    ],
)
def test_poses_that_show_no_signer_are_refused(poses, message):
    with pytest.raises(InputError, match=message):
        make().tag(poses)


def test_a_hand_that_is_missing_all_along_is_said():
    poses = hide(holistic(0, frames=20_000, lost=0), [name for name in HANDS if name.startswith("LEFT")])
    with pytest.warns(InputWarning, match="none of 20000 frames shows the left hand"):
        tags = make(replace(E4S, width=8, depth=1)).tag(poses)
    assert np.isfinite(tags.signs).all()


def test_one_frame_is_enough():
    poses = holistic(0, frames=1, lost=0)
    assert make(E4S).tag(poses).signs.shape == (1, 3)
    assert isinstance(segment(poses, make()), tuple)


@pytest.mark.parametrize("size", [224, 609, 75])
def test_a_network_of_unknown_input_is_refused_by_name(size):
    tensors = make().state_dict() | {"pose_projection.weight": torch.zeros(8, size)}
    with pytest.raises(InputError, match=rf"takes {size} numbers per frame; known are 225 \(E1, E1s\), 300 \(E3\)"):
        BioTagger.from_checkpoint({}, tensors)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flow": True}, r"pose_projection\.weight is 8 x 225, where the settings .* ask for 8 x 300"),
        ({"points": list(POINTS[:-1])}, r"ask for 8 x 222"),
        ({"depth": 1}, r"encoder\.weight_ih_l1 is 16 x 8, where .* ask for missing"),
        ({"depth": 3}, r"encoder\.weight_ih_l2 is missing"),
        ({"width": 16}, r"pose_projection\.weight is 8 x 225"),
        ({"width": 7}, "'width' is 7; it should be an even number"),
        ({"hips": "gone"}, "'hips' is 'gone'"),
        ({"fps": "0"}, "'fps' is '0'"),
        ({"fps": "fast"}, "'fps' is 'fast'"),
        ({"flow": 1}, "'flow' is 1"),
        ({"weights": {"signs": [1, 2]}}, "'weights' is"),
        ({"points": "all"}, "'points' is 'all'"),
        ({"points": list(BODY), "hands": True}, r"names no LEFT_HAND_LANDMARKS\.WRIST among its points"),
        ({"points": list(HANDS)}, r"names no POSE_LANDMARKS\.RIGHT_SHOULDER"),
    ],
)
def test_a_config_that_disagrees_with_its_tensors_is_refused(changes, message):
    tagger = make()
    with pytest.raises(InputError, match=message):
        BioTagger.from_checkpoint(tagger.config | changes, tagger.state_dict())


@pytest.mark.parametrize(
    ("config", "tensors"),
    [
        ({}, {}),
        ({}, {"pose_projection.weight": torch.zeros(8)}),
        ({"sign_loss_weight": "[1, 2"}, {"pose_projection.weight": torch.zeros(8, 225)}),
        ({"sign_loss_weight": 7}, {"pose_projection.weight": torch.zeros(8, 225)}),
        ({"sign_loss_weight": '["a", "b", "c"]'}, {"pose_projection.weight": torch.zeros(8, 225)}),
    ],
)
def test_a_published_file_that_is_none_is_refused_in_a_line(config, tensors):
    with pytest.raises(InputError, match="of no network of 2023"):
        BioTagger.from_checkpoint(config, tensors)


def test_a_config_that_is_not_whole_is_refused():
    tagger = make()
    config = {name: value for name, value in tagger.config.items() if name != "hips"}
    with pytest.raises(InputError, match="the config has no 'hips'; it should be"):
        BioTagger.from_checkpoint(config, tagger.state_dict())


def test_damaged_tensors_are_refused():
    tensors = dict(make().state_dict())
    tensors["sign_bio_head.bias"] = torch.tensor([0.0, float("nan"), 0.0])
    with pytest.raises(InputError, match=r"sign_bio_head\.bias has values that are not finite"):
        BioTagger.from_checkpoint({}, tensors)
    del tensors["sign_bio_head.bias"]
    with pytest.raises(InputError, match=r"sign_bio_head\.bias is missing"):
        BioTagger.from_checkpoint({}, tensors)
