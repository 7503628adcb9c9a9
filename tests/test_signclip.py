"""SignCLIP: the published outputs, and what batches, padding and lengths must not change."""

import argparse
import json
import subprocess
import sys
from collections import OrderedDict
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from safetensors.torch import load_file  # noqa: E402

import seasign  # noqa: E402
from commands import run  # noqa: E402
from seasign import checkpoints  # noqa: E402
from seasign.models.batches import in_batches, packed  # noqa: E402
from seasign.models.features import LEGS, hide, in_widths, measure, select  # noqa: E402
from seasign.models.signclip import Shape, SignClip, interpolate_positions  # noqa: E402
from seasign.models.signclip_embedder import (  # noqa: E402
    LAYOUTS,
    Inputs,
    SignClipEmbedder,
    Words,
    check_tags,
    read_vocabulary,
)
from seasign.models.signclip_onnx import OnnxTowers, export  # noqa: E402
from seasign.types import InputError, InputWarning, Poses, Sign  # noqa: E402

GOLDEN = Path(__file__).parent / "golden" / "signclip_tiny"
POSE = Path(__file__).parents[2] / "shared" / "golden" / "signclip_tiny" / "pose"  # shared data
SEGMENTER = Path(__file__).parents[2] / "shared" / "models" / "segmenter-2023" / "weights.safetensors"  # shared data
TINY = {
    "hidden": 64, "heads": 4, "intermediate": 96, "video_layers": 2, "text_layers": 3, "vocabulary": 157,
}  # fmt: skip


def tiny(max_frames=32, max_tokens=16, **changes):
    shape = Shape(**TINY | changes)
    tensors = load_file(GOLDEN / "model.safetensors")
    if shape.projection:
        tensors |= load_file(GOLDEN / "projection.safetensors")
    if shape.video_positions != 512:
        tensors = interpolate_positions(tensors, shape.video_positions)
    model = SignClip(shape, Inputs(max_frames=max_frames, max_tokens=max_tokens, separators=(2, 3))).eval()
    model.load_state_dict(tensors)
    return model


def read(case):
    return np.load(GOLDEN / f"case_{case}.npz")


@pytest.fixture(scope="module")
def case_a():
    return np.load(GOLDEN / "case_a_32x16.npz")


def clips_of(case):
    return [frames[:length] for frames, length in zip(case["vfeats"], case["video_lengths"], strict=True)]


def clip_vectors(model, clips):
    return in_batches(model.clip_vectors, [clip[: model.inputs.max_frames] for clip in clips])


def text_vectors(model, texts):
    (cls, sep), most = model.inputs.separators, model.inputs.max_tokens - 3
    return in_batches(model.text_vectors, [np.array([cls, *text[:most], sep]) for text in texts])


def tokens_of(case):
    return [row[2 : mask.sum() - 1].tolist() for row, mask in zip(case["caps"], case["cmasks"], strict=True)]


def test_case_a_is_as_published(case_a):
    model = tiny()
    np.testing.assert_allclose(clip_vectors(model, clips_of(case_a)), case_a["pooled_video"], atol=2e-5)
    np.testing.assert_allclose(text_vectors(model, tokens_of(case_a)), case_a["pooled_text"], atol=2e-5)


@pytest.mark.parametrize(
    ("case", "changes"),
    [
        ("b_64x16", {"max_frames": 64}),
        ("c_256x64", {"max_frames": 256, "max_tokens": 64}),
        ("d_2046x64_interpolated", {"max_frames": 2046, "max_tokens": 64, "video_positions": 2048}),
        ("g_projection_plain", {"projection": "plain"}),
        ("g_projection_l2", {"projection": "l2"}),
    ],
)
def test_the_context_and_the_heads_change_the_vectors_as_published(case, changes, case_a):
    model, expected = tiny(**changes), read(case)
    clips = clips_of(case_a)
    texts = tokens_of(read("c_256x64") if model.inputs.max_tokens == 64 else case_a)
    if model.inputs.max_frames >= 40:
        clips[4] = case_a["clip4_untruncated"]
    video, text = clip_vectors(model, clips), text_vectors(model, texts)
    np.testing.assert_allclose(video, expected["pooled_video"], atol=2e-5)
    np.testing.assert_allclose(text, expected["pooled_text"], atol=2e-5)
    if "similarity_v2t" in expected:
        np.testing.assert_allclose(video @ text.T, expected["similarity_v2t"], atol=1e-4)


def test_stretched_positions_are_as_published():
    expected = read("d_2046x64_interpolated")
    table = tiny(max_frames=2046, video_positions=2048).video_encoder.bert.embeddings.position_embeddings.weight
    np.testing.assert_allclose(table[:40].detach(), expected["position_embeddings_first40"], atol=1e-6)
    np.testing.assert_allclose(table[-4:].detach(), expected["position_embeddings_last4"], atol=1e-6)


def test_a_clip_does_not_depend_on_its_neighbours_in_the_batch():
    clips, expected = [read("e_wrapper_batch")[name] for name in ("clip0", "clip1")], read("e_wrapper_batch")
    np.testing.assert_allclose(clip_vectors(tiny(), clips), expected["pooled_single"], atol=2e-5)
    padded = np.concatenate([clips[0], np.zeros((11, 609), np.float32)])  # what the published helper makes of it
    np.testing.assert_allclose(clip_vectors(tiny(), [padded, clips[1]]), expected["pooled_demo_batch"], atol=2e-5)


def test_gradients_of_the_published_loss_are_as_published(case_a):
    model, expected = tiny(), read("f_loss")
    frames, there = torch.tensor(case_a["vfeats"][:6]), torch.tensor(case_a["vmasks"][:6])
    tokens, mask = torch.tensor(case_a["caps"][:6]), torch.tensor(case_a["cmasks"][:6])
    drop = [0, *range(2, tokens.shape[1])]
    score = model.clips(frames, there) @ model.texts(tokens[:, drop], mask[:, drop]).T
    target = torch.arange(6)
    loss = torch.nn.functional.cross_entropy(score, target) + torch.nn.functional.cross_entropy(score.T, target)
    loss.backward()
    assert loss.item() == pytest.approx(float(expected["loss"]), abs=1e-5)
    gradients = dict(model.named_parameters())
    for name in [key for key in expected if key.startswith("grad/")]:
        found = gradients[name.removeprefix("grad/")].grad[..., : expected[name].shape[-1]].numpy()
        np.testing.assert_allclose(found, expected[name], atol=2e-5, err_msg=name)
    total = torch.stack([p.grad.square().sum() for p in model.parameters() if p.grad is not None]).sum().sqrt()
    assert total.item() == pytest.approx(float(expected["grad_norm_total"]), rel=1e-4)
    assert all(p.grad is None for name, p in model.named_parameters() if "pooler" in name)


def test_the_full_size_has_the_published_names_and_shapes():
    published = json.loads((GOLDEN / "full_size_keys.json").read_text())["tensors"]
    with torch.device("meta"):
        tensors = SignClip().state_dict()
    assert {name: list(tensor.shape) for name, tensor in tensors.items()} == published
    assert sum(tensor.numel() for tensor in tensors.values()) == 217_681_152


# From poses and words -------------------------------------------------------------------------------------------------


def embedder(**changes):
    words = Words((GOLDEN / "vocab.txt").read_text().splitlines())
    model = tiny(max_frames=256, max_tokens=64)
    return SignClipEmbedder(model, words, "tiny", replace(model.inputs, **changes))


@pytest.mark.parametrize("text", json.loads((GOLDEN / "texts.json").read_text()), ids=lambda text: text["text"])
def test_words_are_cut_as_published(text):
    assert Words((GOLDEN / "vocab.txt").read_text().splitlines()).tokens(text["text"]) == text["ids"]


@pytest.mark.skipif(not POSE.exists(), reason="no shared data")
def test_a_pose_file_gives_the_published_features_and_vectors():
    poses = seasign.read_poses(POSE / "house.pose")
    expected = np.load(POSE / "house_preprocessed.npz")
    chosen = hide(select(poses, LAYOUTS["reduced-face"]), LEGS)
    body = measure(chosen.xyz, chosen.landmarks)
    np.testing.assert_allclose(body[0], expected["center_xyz"], atol=1e-4)
    assert body[1] == pytest.approx(float(expected["mean_shoulder_distance"]), abs=1e-4)
    (clip,) = in_widths(chosen.xyz, chosen.landmarks, [(0, len(chosen.xyz))])
    np.testing.assert_allclose(np.nan_to_num(clip).reshape(len(clip), -1), expected["features_all"], atol=1e-5)
    expected, texts = read("i_end_to_end"), json.loads((GOLDEN / "case_i_texts.json").read_text())
    video = embedder().signs(poses, [Sign(0, poses.duration)])
    np.testing.assert_allclose(video.vectors, expected["pooled_video"], atol=2e-5)
    words = embedder(tags=None).text(texts).vectors
    np.testing.assert_allclose(words, expected["pooled_text"], atol=2e-5)
    np.testing.assert_allclose((words @ video.vectors.T)[:, 0], expected["scores"], atol=1e-4)


def moving(frames, seed=0, layout="reduced-face"):
    """Somebody of about 100 pixels between the shoulders, who moves at random."""
    rng = np.random.default_rng(seed)
    xyz = rng.normal(0, (30, 30, 0.1), (frames, len(LAYOUTS[layout]), 3)).astype(np.float32)
    for name, x in (("RIGHT", 100), ("LEFT", 200)):
        xyz[:, LAYOUTS[layout].index(f"POSE_LANDMARKS.{name}_SHOULDER")] = (x, 150, 0)
    return Poses(xyz, np.ones(xyz.shape[:2], np.float32), Fraction(25), LAYOUTS[layout])


@given(st.lists(st.integers(1, 60), min_size=1, max_size=9))
@settings(deadline=None, max_examples=4)
def test_a_batch_equals_its_members_one_by_one(lengths):
    rng = np.random.default_rng(len(lengths))
    clips = [rng.normal(size=(length, 609)).astype(np.float32) for length in lengths]
    texts = [rng.integers(5, 157, length).tolist() for length in lengths]
    model = tiny(max_frames=64, max_tokens=64)
    for embed, items in ((clip_vectors, clips), (text_vectors, texts)):
        alone = np.concatenate([embed(model, [item]) for item in items])
        np.testing.assert_allclose(embed(model, items), alone, atol=1e-5)


@given(st.lists(st.integers(1, 300), max_size=60))
def test_batches_hold_everything_once_and_little_padding(lengths):
    batches = list(packed(lengths, most=400))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        each = [lengths[i] for i in batch]
        assert len(each) == 1 or max(each) * len(each) <= 400
        assert max(each) - min(each) <= max(2, max(each) // 10)


def test_texts_that_come_again_are_embedded_once():
    seen = []

    class Counting:
        def text_vectors(self, tokens, there):
            seen.extend(tokens)
            return np.ones((len(tokens), 4), np.float32)

        clip_vectors = text_vectors

    found = replace(embedder(), towers=Counting()).text(["house", "sun", "house", "", "sun"])
    assert found.vectors.shape == (5, 4)
    assert len(seen) == 3


def test_a_sign_of_one_frame_and_an_empty_text_have_vectors():
    poses = moving(10)
    assert np.isfinite(embedder().signs(poses, [Sign(0.1, 0.1), Sign(0.36, 9.0)]).vectors).all()
    assert np.isfinite(embedder().text([""]).vectors).all()
    assert embedder().signs(poses, []).vectors.shape[0] == 0


def test_a_sign_is_embedded_as_a_clip_of_its_frames_alone():
    poses = moving(50)
    part = replace(poses, xyz=poses.xyz[10:30], confidence=poses.confidence[10:30])
    (whole,) = embedder().signs(poses, [Sign(0.4, 1.2)]).vectors
    (alone,) = embedder().signs(part, [Sign(0, 0.8)]).vectors
    np.testing.assert_allclose(whole, alone, atol=1e-5)


def test_a_sign_without_shoulders_is_measured_by_all_poses():
    poses = moving(50)
    xyz = poses.xyz.copy()
    shoulders = [LAYOUTS["reduced-face"].index(f"POSE_LANDMARKS.{side}_SHOULDER") for side in ("LEFT", "RIGHT")]
    xyz[10:30, shoulders[0]] = np.nan
    assert np.isfinite(embedder().signs(replace(poses, xyz=xyz), [Sign(0.4, 1.2)]).vectors).all()


def test_zeros_as_frames_give_other_vectors_on_purpose():
    poses, signs = moving(50), [Sign(0, 0.4), Sign(0.4, 2.0)]
    short, long = embedder(zero_pad_as_frames=32).signs(poses, signs).vectors
    plain, same = embedder().signs(poses, signs).vectors
    assert np.abs(short - plain).max() > 0.01
    np.testing.assert_allclose(long, same, atol=1e-5)


def test_what_the_model_cannot_look_at_is_said():
    poses = moving(300)
    with pytest.warns(InputWarning, match="1 of 1 signs are longer than the 256 frames"):
        embedder().signs(poses, [Sign(0, 12)])
    with pytest.raises(InputError, match="is no number of pixels"):
        embedder().signs(replace(poses, xyz=poses.xyz / 640), [Sign(0, 1)])
    nobody = poses.xyz.copy()
    nobody[:, LAYOUTS["reduced-face"].index("POSE_LANDMARKS.LEFT_SHOULDER")] = np.nan
    with pytest.raises(InputError, match="no frame shows both shoulders"):
        embedder().signs(replace(poses, xyz=nobody), [Sign(0, 1)])
    with pytest.raises(InputError, match="no FACE_LANDMARKS"):
        embedder().signs(moving(9, layout="body-and-hands"), [Sign(0, 1)])
    with pytest.raises(InputError, match=r"max_frames 511 needs 513 positions"):
        tiny(max_frames=511)
    with pytest.raises(InputError, match=r"vocab.txt: 157 tokens, but the model has 28996"):
        Words.read(GOLDEN / "vocab.txt", 28_996, Inputs())


def test_tags_have_other_names_and_unknown_ones_are_warned_of():
    assert check_tags("en", "lis") == ("en", "ise")
    with pytest.warns(InputWarning, match="no released model has seen the language tag 'xxx'"):
        check_tags("en", "xxx")


# Checkpoints ----------------------------------------------------------------------------------------------------------


def published(folder, *, exact=True, drop=(), add=None, config=True):
    """A file as fairseq saved it, of the tiny model: wrapper's prefix, namespaces and Adam's state around it."""
    weights = load_file(GOLDEN / "model.safetensors")
    if exact:  # as after training in 16 bits
        weights = {name: tensor.half().float() for name, tensor in weights.items()}
    weights |= {
        f"{tower}.embeddings.position_ids": torch.arange(512)[None] for tower in ("video_encoder.bert", "text_encoder")
    }
    weights = {f"mmmodel.{name}": tensor for name, tensor in weights.items() if name not in drop} | (add or {})
    checkpoint = {
        "args": None,
        "cfg": {"task": argparse.Namespace(taskconfig="retri.yaml"), "common": {"fp16": True}},
        "model": OrderedDict(weights),
        "criterion": None,
        "optimizer_history": [{"num_updates": 10, "optimizer_name": "FP16Optimizer"}],
        "task_state": {},
        "extra_state": {"metrics": OrderedDict(), "best": np.float64(1.5)},
        "last_optimizer_state": {"state": {0: {"exp_avg": torch.zeros(64, 609)}}},
    }
    folder.mkdir(exist_ok=True)
    torch.save(checkpoint, folder / "checkpoint_best.pt")
    if config:
        settings = {"heads": 4, "max_frames": 256, "max_tokens": 64, "licence": "ours"}
        (folder / "config.json").write_text(json.dumps(settings))
    return folder / "checkpoint_best.pt"


VOCABULARY = GOLDEN / "vocab.txt"


@pytest.mark.parametrize("trim", [False, True])
def test_a_published_file_becomes_a_checkpoint_that_embeds_the_same(tmp_path, case_a, trim):
    file = published(tmp_path / "given")
    config = checkpoints.convert(file, tmp_path / "out", vocabulary=VOCABULARY, trim=trim)
    assert sorted(it.name for it in (tmp_path / "out").iterdir()) == ["config.json", "vocab.txt", "weights.safetensors"]
    assert (config["model"], config["separators"], config["licence"]) == ("signclip", [2, 3], "ours")
    assert config["provenance"]["files"].keys() == {"vocab.txt", "weights.safetensors"}
    kept = load_file(tmp_path / "out" / "weights.safetensors")
    assert {tensor.dtype for tensor in kept.values()} == {torch.float16}
    assert len(kept) == (100 - 4 if trim else 100)
    found = checkpoints.load_embedder(tmp_path / "out")
    assert found.towers.shape.trimmed == trim
    assert found.space == f"signclip:{checkpoints.verify(tmp_path / 'out')[:12]}"
    assert found.inputs == Inputs(separators=(2, 3))
    exact = tiny(max_frames=256, max_tokens=64)
    exact.load_state_dict({name: tensor.half().float() for name, tensor in exact.state_dict().items()})
    poses, signs, texts = moving(60), [Sign(0, 0.6), Sign(0.6, 2.0)], ["house", "the sun"]
    same = SignClipEmbedder(exact, found.words, "same", found.inputs)
    np.testing.assert_allclose(found.signs(poses, signs).vectors, same.signs(poses, signs).vectors, atol=2e-6)
    np.testing.assert_allclose(found.text(texts).vectors, same.text(texts).vectors, atol=2e-6)


SHORT = {"max_frames": 32, "max_tokens": 16}


def test_what_16_bits_cannot_hold_stays_as_it_is(tmp_path, case_a):
    file = published(tmp_path / "given", exact=False)
    with pytest.warns(InputWarning, match=r"\d+ of 100 tensors, such as text_encoder.*, are not exact in 16 bits"):
        checkpoints.convert(
            file, tmp_path / "out", vocabulary=VOCABULARY, settings={"max_frames": 32, "max_tokens": 16}
        )
    towers = checkpoints.load(tmp_path / "out").towers
    np.testing.assert_allclose(clip_vectors(towers, clips_of(case_a)), case_a["pooled_video"], atol=2e-5)
    np.testing.assert_allclose(text_vectors(towers, tokens_of(case_a)), case_a["pooled_text"], atol=2e-5)


def test_switches_of_a_checkpoint_reproduce_published_vectors_in_spaces_of_their_own(tmp_path, case_a):
    file, spaces = published(tmp_path / "given", exact=False), set()
    switches = {"interpolate_positions": True, "max_frames": 2046}
    kinds = {"plain": {}, "long": switches, "padded": {"zero_pad_as_frames": 20, "max_frames": 32}}
    for name, changes in kinds.items():
        with pytest.warns(InputWarning, match="not exact"):
            checkpoints.convert(file, tmp_path / name, vocabulary=VOCABULARY, settings=changes)
        spaces.add(checkpoints.load(tmp_path / name).space)
    assert len(spaces) == 3
    clips = clips_of(case_a)
    clips[4] = case_a["clip4_untruncated"]
    found = clip_vectors(checkpoints.load(tmp_path / "long").towers, clips)
    np.testing.assert_allclose(found, read("d_2046x64_interpolated")["pooled_video"], atol=2e-5)
    with pytest.raises(
        InputError, match=r"max_frames 2046 needs 2048 positions, and there are 512.*interpolate_positions"
    ):
        checkpoints.convert(file, tmp_path / "short", vocabulary=VOCABULARY, settings={"max_frames": 2046})
    assert not (tmp_path / "short").exists()


def test_a_converted_network_says_its_own_config(tmp_path):
    config = checkpoints.convert(published(tmp_path / "given"), tmp_path / "out", vocabulary=VOCABULARY)
    network = checkpoints.load(tmp_path / "out").towers
    assert json.loads(json.dumps(network.config)).items() <= config.items()
    again = SignClip.from_checkpoint(network.config, network.state_dict())
    assert (again.shape, again.inputs) == (network.shape, network.inputs)


def test_a_file_that_says_nothing_gets_the_settings_of_the_published_one_that_it_is(tmp_path):
    file = published(tmp_path / "given", config=False)
    with pytest.warns(InputWarning, match="does not say how many frames and tokens"):
        config = checkpoints.convert(file, tmp_path / "out", vocabulary=VOCABULARY)
    assert (config["max_frames"], config["heads"], config["licence"]) == (256, 1, None)
    known = checkpoints.PUBLISHED["signclip-bsl"]
    config = checkpoints.convert(file, tmp_path / "out", vocabulary=VOCABULARY, known=known, settings={"heads": 4})
    assert (config["max_frames"], config["max_tokens"], config["tags"]) == (32, 32, ["en", "bfi"])
    assert "not stated" in config["licence"]
    assert checkpoints.load(tmp_path / "out").space.endswith(",max_frames=32")


FIRST, LINEAR = (f"video_encoder.videomlp.linear{number}.weight" for number in (1, 2))
WORDS = "text_encoder.embeddings.word_embeddings.weight"


@pytest.mark.parametrize(
    ("change", "settings", "says"),
    [
        ({"drop": [LINEAR]}, {}, rf"the tensor {LINEAR} is missing, where in SignCLIP it is 64 x 64"),
        ({"add": {"mmmodel.seg_embeddings.weight": torch.ones(2, 64)}}, {}, "where in SignCLIP it is missing"),
        ({"add": {f"mmmodel.{LINEAR}": torch.ones(64, 63)}}, {}, r"linear2.weight is 64 x 63, where"),
        ({"add": {f"mmmodel.{LINEAR}": torch.full((64, 64), torch.nan)}}, {}, "values that are not finite"),
        ({"drop": [WORDS]}, {}, "tensors of a network that is not known"),
        ({}, {"heads": 5}, "'heads' is 5, which does not divide 64"),
        ({}, {"projection": "l2"}, "'projection' is 'l2', and the network has none"),
        ({}, {"max_frames": "many"}, "'max_frames' is 'many'; it should be a whole number"),
        ({}, {"landmarks": "hands"}, "names 42 landmarks, and the network takes 609 numbers"),
        ({}, {"landmarks": "all"}, "'landmarks' is 'all'; it should be"),
        ({"add": {f"mmmodel.{FIRST}": torch.ones(64, 600)}}, {}, "takes 600 numbers per frame; known are 609"),
    ],
)  # fmt: skip
def test_a_network_that_is_not_signclip_is_not_taken_for_it(tmp_path, change, settings, says):
    file = published(tmp_path / "given", **change)
    with pytest.raises(InputError, match=says) as refused:
        checkpoints.convert(file, tmp_path / "out", vocabulary=VOCABULARY, settings=settings)
    assert "\n" not in str(refused.value)
    assert sorted(it.name for it in tmp_path.iterdir()) == ["given"]


def vocabulary(path, change):
    path.write_text("\n".join(change(VOCABULARY.read_text().splitlines())) + "\n")
    return path


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (lambda folder: None, "give the vocabulary of its tokens too"),
        (lambda folder: vocabulary(folder / "v.txt", lambda tokens: tokens[:-1]), "156 tokens, but the model has 157"),
        (lambda folder: vocabulary(folder / "v.txt", lambda lines: lines[:2] + lines[3:]), r"there is no \[CLS\] in"),
        (lambda folder: GOLDEN / "model.safetensors", "not text"),
    ],
)  # fmt: skip
def test_a_vocabulary_of_another_model_is_refused(tmp_path, given, says):
    file, words = published(tmp_path / "given"), given(tmp_path / "given")
    with pytest.raises(InputError, match=says):
        checkpoints.convert(file, tmp_path / "out", vocabulary=words)
    assert sorted(it.name for it in tmp_path.iterdir()) == ["given"]


def test_a_checkpoint_whose_vocabulary_was_changed_is_not_loaded(tmp_path):
    checkpoints.convert(published(tmp_path / "given"), tmp_path / "out", vocabulary=VOCABULARY)
    there = tmp_path / "out" / "vocab.txt"
    vocabulary(there, lambda tokens: [*tokens[:2], "house", "[CLS]", *tokens[4:-1], "[SEP]"])
    with pytest.raises(InputError, match=r"vocab.txt: token 2 is 'house', where the model has \[CLS\]"):
        checkpoints.load(tmp_path / "out")
    with pytest.raises(InputError, match="changed since it was written"):
        checkpoints.verify(tmp_path / "out")
    there.unlink()
    with pytest.raises(InputError, match=r"vocab.txt: missing; put the vocabulary"):
        checkpoints.load(tmp_path / "out")
    with pytest.raises(InputError, match="a bare file lacks the vocabulary"):
        checkpoints.load(tmp_path / "out" / "weights.safetensors")


def test_lines_of_a_vocabulary_end_where_those_of_bert_end(tmp_path):
    odd = ["[UNK]", "[CLS]", "[SEP]", "\x85", "\u2028", "a"]
    (tmp_path / "vocab.txt").write_text("\n".join(odd) + "\n", encoding="utf-8")
    assert read_vocabulary(tmp_path / "vocab.txt", 6) == odd


def test_an_embedder_is_no_segmenter_and_the_other_way_round(tmp_path):
    checkpoints.convert(published(tmp_path / "given"), tmp_path / "out", vocabulary=VOCABULARY)
    with pytest.raises(InputError, match="embeds signs and text, and finds no signs"):
        checkpoints.load_segmenter(tmp_path / "out")
    tagger = checkpoints.load_segmenter(SEGMENTER) if SEGMENTER.exists() else None
    if tagger is not None:
        with pytest.raises(InputError, match="finds signs, and embeds none"):
            checkpoints.load_embedder(SEGMENTER)


def test_the_command_converts_and_says_what_is_wrong_in_one_line(tmp_path):
    file = published(tmp_path / "given")
    arguments = ("checkpoints", "convert", file, "-o", tmp_path / "out")
    failed = run(*arguments)
    assert failed.exit_code == 1
    assert failed.stderr.count("\n") == 1
    assert "--vocabulary vocab.txt" in failed.stderr
    done = run(*arguments, "--as", "signclip-bsl", "--tags", "en,bsl", "--max-frames", 40, "--vocabulary", VOCABULARY)
    assert done.exit_code == 0, done.stderr
    assert "signclip, 284,512 parameters" in done.stdout
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["max_frames"], config["max_tokens"], config["tags"]) == (40, 64, ["en", "bfi"])
    pulled = run("checkpoints", "pull", "signclip-bsl")
    assert pulled.exit_code == 1
    assert "bobsl_finetune_checkpoint_best.pt" in pulled.stderr
    assert "convert FILE -o FOLDER --as signclip-bsl --vocabulary vocab.txt" in pulled.stderr


def test_tags_that_are_no_codes_of_languages_are_refused():
    for tags in (("en", "<bfi>"), ("", "bfi"), ("english", "bfi")):
        with pytest.raises(InputError, match="are not codes of languages"):
            check_tags(*tags)
    assert check_tags(" EN", "gss-cy") == ("en", "gss-cy")


# Exported -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the exporter, about itself
def test_exported_towers_give_the_same_vectors_without_torch(tmp_path, case_a, monkeypatch):
    pytest.importorskip("onnxscript")
    model = tiny()
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # checks of shapes would make them constant
    export(model, tmp_path)
    towers = OnnxTowers(tmp_path, threads=1)
    for length in (1, 9, 32):
        clips = [clip[:length] for clip in clips_of(case_a)]
        expected = clip_vectors(model, clips)
        np.testing.assert_allclose(in_batches(towers.clip_vectors, clips), expected, atol=1e-4)
    texts = [np.array([2, *text, 3]) for text in tokens_of(case_a)]
    np.testing.assert_allclose(in_batches(towers.text_vectors, texts), case_a["pooled_text"], atol=1e-4)
    code = (
        "import sys, pathlib; from seasign.models.signclip_onnx import OnnxTowers; "
        "OnnxTowers(pathlib.Path(sys.argv[1])); print('torch' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
