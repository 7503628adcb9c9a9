"""SignCLIP: the published outputs, and what batches, padding and lengths must not change."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from safetensors.torch import load_file  # noqa: E402

import seasign  # noqa: E402
from seasign.models.features import LEGS, hide, select  # noqa: E402
from seasign.models.signclip import Shape, SignClip, interpolate_positions  # noqa: E402
from seasign.models.signclip_embedder import LAYOUTS, SignClipEmbedder, Words, features, measure  # noqa: E402
from seasign.types import Sign  # noqa: E402

GOLDEN = Path(__file__).parent / "golden" / "signclip_tiny"
POSE = Path(__file__).parents[2] / "shared" / "golden" / "signclip_tiny" / "pose"  # shared data
CONFIG = json.loads((GOLDEN / "config.json").read_text())
TINY = {
    "hidden": 64, "heads": 4, "intermediate": 96, "video_layers": 2, "text_layers": 3, "vocabulary": 157,
    "separators": (2, 3), "max_frames": 32, "max_tokens": 16,
}  # fmt: skip


def tiny(**changes):
    shape = Shape(**TINY | changes)
    tensors = load_file(GOLDEN / "model.safetensors")
    if shape.projection:
        tensors |= load_file(GOLDEN / "projection.safetensors")
    if shape.video_positions != 512:
        tensors = interpolate_positions(tensors, shape.video_positions)
    model = SignClip(shape).eval()
    model.load_state_dict(tensors)
    return model


def read(case):
    return np.load(GOLDEN / f"case_{case}.npz")


@pytest.fixture(scope="module")
def case_a():
    return np.load(GOLDEN / "case_a_32x16.npz")


def clips_of(case):
    return [frames[:length] for frames, length in zip(case["vfeats"], case["video_lengths"], strict=True)]


def tokens_of(case):
    return [row[2 : mask.sum() - 1].tolist() for row, mask in zip(case["caps"], case["cmasks"], strict=True)]


def test_case_a_is_as_published(case_a):
    model = tiny()
    np.testing.assert_allclose(model.embed_clips(clips_of(case_a)), case_a["pooled_video"], atol=2e-5)
    np.testing.assert_allclose(model.embed_tokens(tokens_of(case_a)), case_a["pooled_text"], atol=2e-5)


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
    texts = tokens_of(read("c_256x64") if model.shape.max_tokens == 64 else case_a)
    if model.shape.max_frames >= 40:
        clips[4] = case_a["clip4_untruncated"]
    video, text = model.embed_clips(clips), model.embed_tokens(texts)
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
    np.testing.assert_allclose(tiny().embed_clips(clips), expected["pooled_single"], atol=2e-5)
    padded = np.concatenate([clips[0], np.zeros((11, 609), np.float32)])  # what the published helper makes of it
    np.testing.assert_allclose(tiny().embed_clips([padded, clips[1]]), expected["pooled_demo_batch"], atol=2e-5)


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
    return SignClipEmbedder(model, words, LAYOUTS["reduced-face"], 256, "tiny", **changes)


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
    np.testing.assert_allclose(features(chosen.xyz, body), expected["features_all"], atol=1e-5)
    expected, texts = read("i_end_to_end"), json.loads((GOLDEN / "case_i_texts.json").read_text())
    video = embedder().signs(poses, [Sign(0, poses.duration)])
    np.testing.assert_allclose(video.vectors, expected["pooled_video"], atol=2e-5)
    words = embedder().towers.embed_tokens([embedder().words.tokens(text) for text in texts])
    np.testing.assert_allclose(words, expected["pooled_text"], atol=2e-5)
    np.testing.assert_allclose((words @ video.vectors.T)[:, 0], expected["scores"], atol=1e-4)
