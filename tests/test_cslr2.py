"""CSLR2: the published outputs, losses and gradients, and padding that changes nothing."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from seasign.models.cslr2 import Cslr2, Norm, Shape, hn_nce, match, pad  # noqa: E402

GOLDEN = Path(__file__).parent / "golden" / "cslr2"
FORWARD = np.load(GOLDEN / "cslr2_tiny_forward.npz")
LOSSES = json.loads((GOLDEN / "hn_nce.json").read_text())
PAIRS = np.load(GOLDEN / "hn_nce.npz")


def tiny(compat=None):
    shape = Shape(features=32, inner=64, heads=4, layers=2, text=24, joint=16, classes=40, compat=compat)
    model = Cslr2(shape).eval()
    model.load_state_dict(load_file(GOLDEN / "cslr2_tiny.safetensors"))
    return model


def features():
    return torch.tensor(FORWARD["video_features"]), torch.tensor(FORWARD["lengths"])


def close(found, expected, **tolerance):
    np.testing.assert_allclose(found.detach().numpy(), expected, **{"atol": 1e-5} | tolerance)


def test_the_whole_model_is_as_published_padding_included():
    model = tiny("cslr2")
    seen = model(*features())
    close(model.video_encoder(features()[0]), FORWARD["encoder_out"])
    close(seen.steps, FORWARD["video_tokens"])
    close(seen.sequence, FORWARD["sequence_max"])
    close(model.video_encoder.generator.proj(seen.encoded), FORWARD["logits"])
    close(model.sentences(torch.tensor(FORWARD["text_embeddings"])), FORWARD["sentence"])
    words = model.words(torch.tensor(FORWARD["word_embeddings"]))
    close(words, FORWARD["words"])
    close(torch.stack([match(steps, words) for steps in seen.steps]), FORWARD["nn_softmax_temp0.05"])


@pytest.mark.parametrize("clip", range(3))
def test_a_clip_in_a_batch_is_as_published_alone(clip):
    seen = tiny()(*features())
    length = int(FORWARD["lengths"][clip])
    close(seen.sequence[clip], FORWARD[f"single_sequence_{clip}"][0])
    close(seen.steps[clip, :length], FORWARD[f"single_video_tokens_{clip}"][0])


def test_padding_changes_nothing_however_much_there_is():
    model, (_, lengths) = tiny(), features()
    clips = [torch.tensor(FORWARD["video_features"][i, :length]) for i, length in enumerate(lengths.tolist())]
    frames, lengths = pad(clips)
    noise = torch.nn.functional.pad(frames, (0, 0, 0, 9), value=7.0)
    close(model(noise, lengths).sequence, model(frames, lengths).sequence.detach().numpy())


def test_the_full_size_has_the_published_number_of_parameters():
    with torch.device("meta"):
        model = Cslr2()
    encoder = sum(p.numel() for p in model.video_encoder.parameters())
    assert encoder == 39_774_201
    heads = sum(p.numel() for name, p in model.named_parameters() if "_ll." in name)
    assert heads == 918_528


@pytest.mark.parametrize("case", LOSSES, ids=lambda case: f"{case['B']} pairs, beta {case['beta']}")
def test_the_loss_and_its_gradients_are_as_published(case):
    i = case["idx"]
    videos, texts = (torch.tensor(PAIRS[f"{kind}{i}"], dtype=torch.float64, requires_grad=True) for kind in "vt")
    labels = torch.tensor(PAIRS[f"labels{i}"]) if f"labels{i}" in PAIRS else None
    settings = {"alpha": case["alpha"], "beta": case["beta"], "temperature": case["tau"]}
    loss = hn_nce(videos, texts, labels, **settings, compat="cslr2")
    assert loss.item() == pytest.approx(case["loss_code_float64"], rel=1e-5)
    assert hn_nce(videos, texts, labels, **settings).item() == pytest.approx(
        case["loss_row_normalised_float64"], rel=1e-5
    )
    loss.backward()
    if i:  # the published gradients of two pairs are off, as the loss is: sums less diagonals in single precision
        close(videos.grad, PAIRS[f"grad_v{i}"], rtol=1e-3, atol=1e-5)
        close(texts.grad, PAIRS[f"grad_t{i}"], rtol=1e-3, atol=1e-5)


def test_without_weights_the_loss_is_info_nce():
    for case in LOSSES:
        i = case["idx"]
        if f"labels{i}" not in PAIRS and case["alpha"] == 1:
            videos, texts = (torch.tensor(PAIRS[f"{kind}{i}"], dtype=torch.float64) for kind in "vt")
            assert hn_nce(videos, texts, beta=0.0, temperature=case["tau"]).item() == pytest.approx(
                case["info_nce_float64"], rel=1e-6
            )


def test_the_loss_is_a_number_where_a_row_has_no_negatives_or_hardly_any():
    vectors = torch.nn.functional.normalize(torch.randn(4, 8, generator=torch.manual_seed(0)), dim=1).requires_grad_()
    for labels in (torch.zeros(4, dtype=torch.long), torch.tensor([0, 0, 0, 1])):
        loss = hn_nce(vectors, vectors.detach(), labels)
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(vectors.grad).all()


def test_a_norm_is_that_of_the_published_formula():
    x = torch.randn(3, 5, 7, generator=torch.manual_seed(0), dtype=torch.float64)
    norm = Norm(7).double()
    torch.nn.init.normal_(norm.a_2)
    expected = norm.a_2 * (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-6) + norm.b_2
    torch.testing.assert_close(norm(x), expected)
