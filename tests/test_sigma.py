"""Sigma: the released forward and losses to the digit; and ours, in which every mechanism does what it says."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from safetensors.torch import load_file  # noqa: E402
from transformers import MT5ForConditionalGeneration  # noqa: E402

from seasign.models import pose_encoder  # noqa: E402
from seasign.models.frame_tokens import PartTokens  # noqa: E402
from seasign.models.mt5 import narrow, untie  # noqa: E402
from seasign.models.sigma import Meeting, Seen, Shape, Sigma, run  # noqa: E402
from seasign.models.sigma_alignment import pool, word_scores, words_of  # noqa: E402
from seasign.models.sigma_translator import Inputs  # noqa: E402
from seasign.training.contrast import infonce  # noqa: E402
from seasign.types import InputError  # noqa: E402

GOLDEN = Path(__file__).parent / "golden" / "sigma"
JOINTS = {"body": 9, "left": 21, "right": 21, "face": 18}
SMALL = Shape(width=16, key=8, heads=2, inner=24, layers=3, decoder_layers=2, vocabulary=30, fused=2)


def read(name):
    return {key: torch.from_numpy(value) for key, value in np.load(GOLDEN / name).items()}


def parts(width):
    return PartTokens(pose_encoder.Shape(joint=4, spatial=(6, 8), temporal=1, kernel=3, features=width))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Sigma(SMALL, parts(12), Inputs(prefix=(5, 6))).eval()


def clips(count=3, frames=9, seed=0):
    rng = np.random.default_rng(seed)
    return {
        part: torch.from_numpy(rng.uniform(-1, 1, (count, frames, joints, 3)).astype(np.float32))
        for part, joints in JOINTS.items()
    }


def all_there(count, steps):
    return torch.ones(count, steps, dtype=torch.bool)


@pytest.fixture
def released():
    """The network of the golden file; its sentences come as vectors."""
    shape = Shape(
        width=32, key=8, heads=4, inner=48, layers=4, decoder_layers=1, vocabulary=80, fused=3, compat="sigma"
    )
    made = Sigma(shape, parts(32), Inputs())
    weights = load_file(GOLDEN / "early_fusion_tiny.safetensors")
    own = made.state_dict()
    for name, tensor in weights.items():
        for theirs, ours in (
            ("ef.vis_encrd.", "mt5.encoder."),
            ("ef.txt_encrd.", "text_encoder."),
            ("ef.x_cross_attn.cross_att.", "meeting."),
        ):
            if name.startswith(theirs) and (ours != "text_encoder." or "embed_tokens" not in name):
                assert own[ours + name.removeprefix(theirs)].shape == tensor.shape
                own[ours + name.removeprefix(theirs)] = tensor
    own["vision_first"], own["text_first"] = (weights[f"ef.{side}_cls_token"][0, 0] for side in ("vis", "txt"))
    made.load_state_dict(own)
    return made.eval()


@torch.no_grad()
def test_both_meet_as_in_the_released_code(released):
    golden = read("early_fusion_tiny.npz")
    frames = golden["ef_vis_embeds"]
    first = released.vision_first.expand(len(frames), 1, -1)
    there = torch.cat((torch.ones(len(frames), 1), golden["ef_vis_mask"]), dim=1) > 0
    texts = golden["ef_txt_inputs_embeds"]
    vision = released.early(Seen(torch.cat((first, frames), dim=1), there, 1))
    text = released.early(Seen(texts, all_there(*texts.shape[:2]), 1), text=True)
    vision, text = released.fuse(vision, text)
    torch.testing.assert_close(vision.states, golden["ef_vis_out"], atol=1e-4, rtol=0)
    torch.testing.assert_close(text.states, golden["ef_txt_out"], atol=1e-4, rtol=0)
    torch.testing.assert_close(released.text_first.expand(3, -1), texts[:, 0])


@torch.no_grad()
def test_attention_both_ways_is_as_in_the_released_code(released):
    golden = read("early_fusion_tiny.npz")
    vision, text = (
        Seen(states, all_there(*states.shape[:2]), 1) for states in (golden["xattn_vis_in"], golden["xattn_txt_in"])
    )
    vision, text = released.meeting(vision, text)
    torch.testing.assert_close(vision.states, golden["xattn_vis_out"], atol=1e-4, rtol=0)
    torch.testing.assert_close(text.states, golden["xattn_txt_out"], atol=1e-4, rtol=0)


ROWS = {"row_max": "max", "row_avg": "average", "row_topk_avg": "top-third", "row_softmax_weighted": "softmax"}
SCORES = {
    "sum": "sum",
    "average": "average",
    "logsumexp": "logsumexp",
    "softmax": "softmax",
    "var_reduced": "var",
}


def loss_of(kind, scores, back):
    """Half of "infonce"; "KLLoss" has softened targets, and no entropy of theirs."""
    if kind != "KLLoss":
        return float(infonce(scores, torch.eye(len(scores)) > 0, back)) / 2
    wanted = (10 * torch.eye(len(scores))).softmax(dim=1)
    return float(infonce(scores, wanted, back)) / 2 - float(torch.special.entr(wanted).sum(dim=1).mean())


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("row", ROWS)
def test_alignment_by_words_is_as_in_the_released_code(row, score):
    golden = read("hal_losses.npz")
    expected = json.loads((GOLDEN / "sigma_expected.json").read_text())["losses_hal"]
    vision, text = golden["vis"], golden["txt"]
    found = word_scores(
        vision,
        text,
        all_there(*vision.shape[:2]),
        all_there(*text.shape[:2]),
        row=ROWS[row],
        score=SCORES[score],
    )
    for name, scores in ("s2t", found[0]), ("t2s", found[1].T):
        torch.testing.assert_close(scores, golden[f"{name}_{row}_{score}"], rtol=1e-5, atol=1e-6)
    for kind in "NLLLoss", "CELoss", "KLLoss":
        assert loss_of(kind, *found) == pytest.approx(expected[f"local/{row}/{score}/{kind}"], rel=1e-5)


@pytest.mark.parametrize("scale", ["0.0000", "2.6593"])
def test_alignment_as_wholes_is_as_in_the_released_code_when_nothing_is_normalized(scale):
    golden = read("hal_losses.npz")
    expected = json.loads((GOLDEN / "sigma_expected.json").read_text())["losses_hal"]
    sharpness = math.exp(math.log(1 / 0.07) if scale != "0.0000" else 0)
    scores = sharpness * golden["gvis"] @ golden["gtxt"].T
    for kind in "NLLLoss", "CELoss", "KLLoss":
        assert loss_of(kind, scores, None) == pytest.approx(expected[f"global/{kind}/logit_scale={scale}"], rel=1e-5)


@pytest.mark.parametrize("how", ["max", "average", "top-third", "softmax", "sum", "logsumexp", "var"])
def test_what_is_not_there_is_not_pooled(how):
    values = torch.randn(4, 7, generator=torch.Generator().manual_seed(0))
    there = torch.tensor([[True] * 5 + [False] * 2, [True] + [False] * 6, [True] * 7, [False, True] * 3 + [False]])
    found = pool(values, there, how)
    for value, row, kept in zip(found, values, there, strict=True):
        alone = row[kept]
        torch.testing.assert_close(value, pool(alone, all_there(1, len(alone))[0], how))


def test_words_are_the_means_of_their_pieces():
    pieces = torch.randn(2, 4, 3)
    words, there = words_of(pieces, torch.tensor([[0, 0, 1, -1], [-1, 0, -1, -1]]))
    torch.testing.assert_close(words[0, 0], pieces[0, :2].mean(dim=0))
    torch.testing.assert_close(words[0, 1], pieces[0, 2])
    torch.testing.assert_close(words[1, 0], pieces[1, 1])
    assert there.tolist() == [[True, True], [True, False]]


# Ours


@torch.no_grad()
def test_an_encoder_is_run_as_transformers_runs_it(network):
    ids = torch.tensor([[7, 8, 9, 1], [4, 1, 0, 0]])
    expected = network.mt5.encoder(input_ids=ids, attention_mask=(ids != 0).long()).last_hidden_state
    seen = run(network.mt5.encoder, Seen(network.mt5.shared(ids), ids != 0, 0), 0, SMALL.layers)
    torch.testing.assert_close(seen.states[ids != 0], expected[ids != 0], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_an_mt5_of_fewer_pieces_says_the_same_of_them():
    torch.manual_seed(0)
    whole = untie(MT5ForConditionalGeneration(SMALL.mt5)).eval()
    kept = [0, 1, 2, 7, 9, 20]
    ids = torch.tensor([[3, 5, 4, 1]])  # of those
    expected = whole(input_ids=torch.tensor(kept)[ids], decoder_input_ids=torch.tensor([[0, 7]])).logits[..., kept]
    few = narrow(whole, kept)
    torch.testing.assert_close(few(input_ids=ids, decoder_input_ids=torch.tensor([[0, 3]])).logits, expected)
    assert few.lm_head.weight.data_ptr() != few.shared.weight.data_ptr()


def test_weights_of_pieces_for_frames_and_of_frames_for_pieces_add_up_to_one():
    torch.manual_seed(0)
    shape = Shape(width=8, key=4, heads=2, dropout=0.0, fused=1)
    meeting = Meeting(shape).eval()
    with torch.no_grad():
        meeting.v.weight.zero_()
        meeting.v.weight[0, 0] = 1  # a constant comes through whole
        meeting.norms[0].weight.fill_(1)
    frames, pieces = torch.ones(1, 5, 8), torch.ones(1, 3, 8)
    there = torch.tensor([[True, True, True, False, False]])
    vision, text = meeting(Seen(frames, there, 1), Seen(pieces, torch.tensor([[True, True, False]]), 1))
    gain = meeting.o.weight[:, 0]
    torch.testing.assert_close(vision.states[0, 0], 1 + gain)
    torch.testing.assert_close(text.states[0, 0], 1 + gain)
    torch.testing.assert_close(text.states[0, 1], 1 + gain)


def states(network, looked, there, ids):
    """All that losses are made of."""
    vision, text = network.early(network.enter(looked, there)), network.early(network.enter_text(ids), text=True)
    fused = network.fuse(vision, text)
    apart = network.late(vision), network.late(text, text=True)
    return {
        "vision": apart[0].parts[0],
        "vision whole": apart[0].whole,
        "text": apart[1].parts[0],
        "text whole": apart[1].whole,
        "fused vision": fused[0].parts[0],
        "fused text": fused[1].parts[0],
        "match": network.match(fused[1]),
        "language": network.language(apart[0], ids, 0.2)[None],
    }


@torch.no_grad()
def test_padding_changes_nothing(network):
    ids = torch.tensor([[7, 8, 9, 1], [4, 5, 6, 1], [2, 3, 4, 1]])
    alone = states(network, clips(), all_there(3, 9), ids)
    padded = {part: torch.cat((own, torch.full_like(own[:, :4], 9.0)), dim=1) for part, own in clips().items()}
    there = torch.cat((all_there(3, 9), ~all_there(3, 4)), dim=1)
    beside = states(network, padded, there, torch.nn.functional.pad(ids, (0, 3)))
    for name, expected in alone.items():
        found = beside[name][:, : expected.shape[1]] if expected.ndim == 3 else beside[name]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


@torch.no_grad()
def test_what_claims_to_see_the_skeletons_changes_with_them_and_what_does_not_stays(network):
    ids = torch.tensor([[7, 8, 9, 1], [4, 5, 6, 1], [2, 3, 4, 1]])
    one, other = (states(network, clips(seed=seed), all_there(3, 9), ids) for seed in (0, 1))
    for name in one:
        same = torch.allclose(one[name], other[name], atol=1e-6)
        assert same == (name in ("text", "text whole")), name


@torch.no_grad()
def test_the_released_meeting_lets_padding_of_sentences_in(released):
    """Which is why `compat` is no default."""
    ids = torch.tensor([[7, 8, 9, 1]])
    vision = Seen(torch.randn(1, 5, 32), all_there(1, 5), 1)
    short, long = (
        released.fuse(vision, released.enter_text(torch.nn.functional.pad(ids, (0, more))))[0].states for more in (0, 3)
    )
    assert not torch.allclose(short, long, atol=1e-3)


@torch.no_grad()
def test_the_probability_is_that_of_the_sentence_and_no_beam_finds_a_likelier_one_than_all_of_them(network):
    seen = network.late(network.early(network.enter(clips(2), all_there(2, 9))))
    ids, sure = network.generate(seen, beams=4, most=6)
    for row, probability in zip(ids, sure, strict=True):
        kept = row[row != 0]
        assert 0 < float(probability) < 1
        assert len(kept) <= 6
    one = Seen(seen.states[:1], seen.there[:1], seen.first)
    own = ids[:1][:, ids[0] != 0]
    loss = network.language(one, own, 0.0)
    assert float(sure[0]) == pytest.approx(math.exp(-float(loss)), rel=1e-4)


@torch.no_grad()
def test_a_checkpoint_makes_the_same_network_again(network):
    config = json.loads(json.dumps(network.config))
    again = Sigma.from_checkpoint(config, network.tensors)
    ids = torch.tensor([[7, 8, 9, 1], [4, 5, 6, 1], [2, 3, 4, 1]])
    for one, other in zip(
        states(network, clips(), all_there(3, 9), ids).values(),
        states(again, clips(), all_there(3, 9), ids).values(),
        strict=True,
    ):
        torch.testing.assert_close(one, other)
    assert again.inputs == network.inputs


@torch.no_grad()
def test_without_text_it_translates_as_before(network):
    seen = network.late(network.early(network.enter(clips(), all_there(3, 9))))
    without = network.without_text()
    assert not any("text" in name or "meeting" in name for name in without.tensors)
    again = Sigma.from_checkpoint(json.loads(json.dumps(without.config)), without.tensors)
    looked = {part: own.numpy() for part, own in clips().items()}
    found = again.say([{part: own[clip] for part, own in looked.items()} for clip in range(3)], beams=2, most=5)
    ids, sure = network.generate(seen, beams=2, most=5)
    assert [one for one, _ in found] == ids.tolist()
    assert [two for _, two in found] == pytest.approx(sure.tolist(), rel=1e-4)


def test_what_makes_no_network_is_refused(network):
    config = json.loads(json.dumps(network.config))
    for wrong, words in (
        ({"shape": {"width": 16, "height": 3}}, "make no Sigma"),
        ({"shape": config["shape"] | {"fused": 9}}, "fused = 9 of 3 layers"),
        ({"frames": {"kind": "smell", "shape": {}}}, "'smell'"),
    ):
        with pytest.raises(InputError, match=words):
            Sigma.from_checkpoint(config | wrong, network.tensors)
    with pytest.raises(InputError, match="text_first is missing"):
        Sigma.from_checkpoint(config, {name: own for name, own in network.tensors.items() if name != "text_first"})
    with pytest.raises(InputError, match="feed_forward_proj is relu"):
        Shape.of(type(SMALL.mt5)(feed_forward_proj="relu"))


@pytest.mark.parametrize("claimed", [{"vocabulary": 10**12}, {"width": 10**9}])
def test_a_config_that_claims_more_than_the_tensors_hold_is_refused_before_it_is_made(network, claimed):
    config = json.loads(json.dumps(network.config))
    with pytest.raises(
        InputError, match=r"mt5\.shared\.weight is 30 x 16, where in this Sigma it is \d+ x \d+: it bel"
    ):
        Sigma.from_checkpoint(config | {"shape": config["shape"] | claimed}, network.tensors)


@pytest.mark.parametrize("padded", [False, True])
def test_where_both_meet_attention_is_scaled(padded):
    torch.manual_seed(0)
    meeting = Meeting(Shape(width=8, key=4, heads=2, dropout=0.0, fused=1)).eval()
    frames, pieces, there = torch.randn(2, 5, 8), torch.randn(2, 3, 8), all_there(2, 3)
    there[0, 2] = not padded
    vision, _ = meeting(Seen(frames, all_there(2, 5), 1), Seen(pieces, there, 1))
    one, other = (norm(own) for norm, own in zip(meeting.norms, (frames, pieces), strict=True))
    query, key, value = (
        layer(own).unflatten(2, (2, 4)).transpose(1, 2)
        for layer, own in ((meeting.q, one), (meeting.k, other), (meeting.v, other))
    )
    attended = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=there[:, None, None])
    torch.testing.assert_close(vision.states, frames + meeting.o(attended.transpose(1, 2).flatten(2)))
