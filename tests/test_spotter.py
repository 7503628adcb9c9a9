"""The spotters' networks: padding takes part in nothing, sizes are as said, and what agrees is found where it is."""

import json
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

import safetensors.torch  # noqa: E402

from seasign import checkpoints  # noqa: E402
from seasign.formats.disk import write_text  # noqa: E402
from seasign.models.features import HANDS  # noqa: E402
from seasign.models.spotter import PHASES, TEMPI, Shape, Spotter, bent, greatest, lines, pad  # noqa: E402
from seasign.models.spotter_inputs import (  # noqa: E402
    LANDMARKS,
    PUBLISHED,
    SPREAD,
    Inputs,
    PoseSpotter,
    _parts,
    look,
    places,
)
from seasign.spotting import Spotter as Protocol  # noqa: E402
from seasign.spotting import spot  # noqa: E402
from seasign.synthesis import synthesize_signs  # noqa: E402
from seasign.training.concatenation import concatenate  # noqa: E402
from seasign.types import InputError  # noqa: E402

SMALL = Shape(channels=(2, 3, 4), width=16, layers=1, heads=2, inner=8, longest=128)
SHAPES = {
    "published": SMALL,
    "1-D": replace(SMALL, convolution="1d"),
    "contrast": replace(SMALL, head="contrast"),
    "frames": replace(SMALL, head="frames"),
    "compared": replace(SMALL, head="frames", layers=0, compare=4),
    "all": replace(SMALL, head="frames", layers=1, compare=4, times=2),
}


def network(shape, seed=0):
    torch.manual_seed(seed)
    made = Spotter(shape).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.requires_grad and parameter.ndim:
                parameter.add_(0.05 * torch.randn_like(parameter))  # what is 0 at first counts, too
    return made


def frames(count, seed):
    return np.random.default_rng(seed).normal(size=(count, len(LANDMARKS), 2)).astype(np.float32)


# --- The network ------------------------------------------------------------------------------------------------------


@settings(max_examples=10, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 30)), min_size=2, max_size=4),
    st.sampled_from(sorted(SHAPES)),
    st.floats(-3, 3),
)
def test_a_batch_equals_its_members_whatever_stands_in_the_padding(sizes, name, padding):
    made = network(SHAPES[name])
    pairs = [(frames(a, 2 * k), frames(b, 2 * k + 1)) for k, (a, b) in enumerate(sizes)]
    query, sentence, lengths = pad(pairs)
    for k, (a, b) in enumerate(sizes):
        query[k, a:], sentence[k, b:] = padding, padding
    with torch.inference_mode():
        together = made(query, sentence, lengths)
        for k, pair in enumerate(pairs):
            alone = made(*pad([pair]))
            torch.testing.assert_close(together.presence[k], alone.presence[0], rtol=1e-4, atol=1e-4)
            if alone.frames is not None:
                torch.testing.assert_close(together.frames[k, : sizes[k][1]], alone.frames[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", SHAPES)
def test_what_is_said_depends_on_query_and_sentence(name):
    made = network(SHAPES[name])
    query, other, sentence = frames(6, 0), frames(6, 1), frames(20, 2)
    asked = made.presence_logit(query, sentence)
    assert asked != made.presence_logit(other, sentence)
    assert asked != made.presence_logit(query, sentence[::-1].copy())
    assert made.frame_logits(query, sentence).shape == (20,)


def test_the_published_one_has_the_sizes_that_are_said():
    made = Spotter()
    assert [tuple(layer.weight.shape) for layer in made.tokens.convolutions] == [
        (32, 1, 3, 2), (64, 32, 3, 1), (128, 64, 3, 1),
    ]  # fmt: skip
    assert made.tokens.out.weight.shape == (256, 128 * 44)  # 50 points, less 2 with every kernel
    assert (len(made.encoder.layers.layers), made.encoder.layers.layers[0].self_attn.num_heads) == (4, 8)
    assert made.encoder.positions.shape == (1024, 256)
    assert made.encoder.types.shape == (2, 256)
    assert len(LANDMARKS) == 21 + 21 + 8
    assert made.inputs == PUBLISHED


def test_query_and_sentence_are_told_apart_by_positions_and_types():
    made = network(SMALL)
    query, sentence = frames(6, 0), frames(6, 1)
    with torch.no_grad():
        before = made.presence_logit(query, sentence), made.presence_logit(sentence, query)
        made.encoder.positions.zero_()
        made.encoder.types.zero_()
        after = made.presence_logit(query, sentence), made.presence_logit(sentence, query)
    assert before[0] != pytest.approx(before[1], abs=1e-4)
    assert after[0] == pytest.approx(after[1], abs=1e-4)


def test_what_is_longer_than_the_positions_is_refused():
    with pytest.raises(InputError, match="140 frames together, where this spotter reads 126"):
        network(SMALL).presence_logit(frames(10, 0), frames(130, 1))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"layers": 0}, "that says whether needs layers"),
        ({"compare": 4}, "that says whether needs layers, and compares no frames"),
        ({"head": "frames", "layers": 0}, "that says where needs layers, or compares"),
        ({"heads": 3}, "3 heads do not divide a width of 16"),
    ],
)
def test_shapes_that_say_nothing_are_refused(change, what):
    with pytest.raises(ValueError, match=what):
        Spotter(replace(SMALL, **change))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(0, 4), st.floats(0.2, 15), st.integers(0, 99))
def test_the_greatest_mean_over_a_window_by_brute_force(count, padding, window, seed):
    logits = np.random.default_rng(seed).normal(size=count)
    wide = min(max(1, round(float(torch.tensor(window).round()))), count)
    expected = max(logits[start : start + wide].mean() for start in range(count - wide + 1))
    row = torch.tensor([[*logits, *[9.0] * padding]])
    there = torch.tensor([[True] * count + [False] * padding])
    assert float(greatest(row, there, torch.tensor([window]))) == pytest.approx(expected)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 12), st.integers(2, 25), st.integers(0, 5), st.integers(0, 99))
def test_lines_by_brute_force(size, count, padding, seed):
    rng = np.random.default_rng(seed)
    cosines = np.zeros((count + padding, PHASES))
    cosines[:count] = rng.uniform(-1, 1, (count, PHASES))
    phase = (np.arange(PHASES) + 0.5) / PHASES
    there = torch.arange(count + padding)[None] < count
    found = lines(torch.tensor(cosines)[None], torch.tensor(phase), torch.tensor([size]), there)[0].numpy()
    for number, tempo in enumerate(TEMPI):
        ahead = (phase - 0.5) * tempo * size
        middle = np.array([
            np.mean([np.interp(at, np.arange(-1, count + 1), [0, *cosines[:count, k], 0], 0, 0)
                     for k, at in enumerate(frame + ahead)])
            for frame in range(count)
        ])  # fmt: skip
        np.testing.assert_allclose(found[:count, 3 * number], middle, atol=1e-6)
        for wide, column in ((1, 3 * number + 1), (3, 3 * number + 2)):
            for frame in range(count):
                at = frame + wide * ahead
                sure = at[abs(at - np.floor(at) - 0.5) > 1e-3]  # which frame is nearest is no matter of rounding
                near, maybe = np.rint(sure), np.rint([at - 1e-3, at + 1e-3])
                near, maybe = (rows.astype(int).clip(0, count - 1).ravel() for rows in (near, maybe))
                assert found[frame, column] >= middle[near].max(initial=-9) - 1e-6
                assert found[frame, column] <= middle[maybe].max() + 1e-6


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40), st.integers(1, 25), st.integers(0, 5), st.integers(0, 99))
def test_bent_cosines_by_brute_force(size, count, padding, seed):
    cosines = np.full((count + padding, PHASES), 9.0)
    cosines[:count] = np.random.default_rng(seed).uniform(-1, 1, (count, PHASES))
    there = torch.arange(count + padding)[None] < count
    found = bent(torch.tensor(cosines)[None], torch.tensor([size]), there)[0].numpy()
    slack = max(1, round(size / 12))
    for frame in range(count):
        near = {min(max(frame + step, 0), count - 1) for step in (-slack, 0, slack)}
        np.testing.assert_allclose(found[frame], cosines[sorted(near)].max(axis=0))


def planted(count=3, seed=0):
    """Signs joined, and an example of each from another hand of the same words."""
    made = synthesize_signs(count, 2, seed=seed)
    poses, signs = concatenate([one for one in made if one is not None][::2], seed)
    return made[1::2], poses, signs


def test_a_comparison_that_has_learned_nothing_finds_signs_of_made_up_signers():
    torch.manual_seed(0)
    made = Spotter(SHAPES["compared"]).eval()
    examples, poses, signs = planted(5)
    spotter = PoseSpotter(made, replace(made.inputs, fps=Fraction(25)), (0.0, 1.0))
    assert isinstance(spotter, Protocol)
    for (example, sign), true in zip(examples, signs, strict=True):
        first, stop = (round(edge * 25) for edge in (sign.start, sign.end))
        query = replace(example, xyz=example.xyz[first:stop], confidence=example.confidence[first:stop])
        best = spot((query,), poses, spotter=spotter, best=1)[0]
        assert min(best.end, true.end) - max(best.start, true.start) > 0.5 * true.duration, true.gloss
        assert 0 <= best.probability <= 1


# --- What stands before and behind it ---------------------------------------------------------------------------------


class Stub:
    """A network that says what it is told of the first number of every frame."""

    def __init__(self, scale=1.0):
        self.scale, self.asked = scale, []

    def frame_logits(self, query, frames):
        self.asked.append(len(frames))
        return (self.scale * frames[:, 0, 0]).astype(np.float32)

    def presence_logit(self, query, frames):
        return float(self.scale * len(query) + frames[:, 0, 0].max())


def test_frames_without_hands_at_both_ends_are_skipped_and_those_between_are_not():
    ((poses, _),) = synthesize_signs(1, 1)
    hands = [column for column, name in enumerate(poses.landmarks) if name in HANDS]
    xyz = poses.xyz.copy()
    xyz[:7, hands], xyz[-5:, hands], xyz[20:23, hands] = np.nan, np.nan, np.nan
    for fps, first, count in ((25, 7, len(xyz) - 12), (5, 2, None)):
        seen = look(replace(poses, xyz=xyz), Inputs(Fraction(fps)))
        assert seen.first == first
        assert count is None or len(seen.frames) == count
    assert (look(replace(poses, xyz=xyz), PUBLISHED).frames[13:16, :42] == 0).all()
    xyz[:, hands] = np.nan
    with pytest.raises(InputError, match=r"the query: none of \d+ frames shows a hand"):
        look(replace(poses, xyz=xyz), PUBLISHED, "the query")


def test_the_size_and_the_place_of_the_signer_do_not_count():
    ((poses, _),) = synthesize_signs(1, 1)
    other = replace(poses, xyz=2 * poses.xyz + np.float32([100, 50, 0]))
    np.testing.assert_allclose(look(poses, PUBLISHED).frames, look(other, PUBLISHED).frames, atol=1e-4)
    wrists = look(poses, Inputs(wrists=True)).frames
    assert (wrists[:, [0, 21]] == 0).all()
    assert abs(wrists[:, :42]).max() < 0.6 < abs(look(poses, PUBLISHED).frames[:, :42]).max()


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4000), st.sampled_from([12, 25, 50]))
def test_parts_give_every_frame_once_with_what_is_around_it(count, fps):
    owned = []
    for part, own in _parts(count, Fraction(fps)):
        rows = np.arange(count)[part]
        owned += rows[own].tolist()
        assert rows[own][0] - rows[0] in (0, 2.5 * fps // 1) or rows[0] == 0
        assert len(rows) <= 25 * fps + fps
    assert owned == list(range(count))


def test_a_long_video_is_looked_at_in_parts_and_several_examples_by_their_mean():
    made = synthesize_signs(12, 1)
    poses, _ = concatenate([*made, *made, *made], 0)
    examples = tuple(example for example, _ in made[:2])
    network = Stub()
    assert PoseSpotter(network, PUBLISHED, (0.0, 1.0)).candidates(examples, poses)
    assert len(network.asked) > 2
    one = [PoseSpotter(Stub(), PUBLISHED, (0.0, 1.0)).presence((example,), poses) for example in examples]
    assert PoseSpotter(Stub(), PUBLISHED, (0.0, 1.0)).presence(examples, poses) == pytest.approx(np.mean(one))


def test_words_are_refused():
    ((poses, _),) = synthesize_signs(1, 1)
    with pytest.raises(InputError, match="knows no words, and 'house' is one"):
        PoseSpotter(Stub(), PUBLISHED, (0.0, 1.0)).candidates("house", poses)


@settings(max_examples=20, deadline=None)
@given(st.integers(8, 20), st.integers(5, 60), st.integers(5, 40), st.floats(1, 6))
def test_a_place_that_stands_out_is_read_as_it_is(length, before, after, height):
    logits = np.full(before + length + after, -height)
    logits[before : before + length] = height
    found = max(places(logits, length / 25, Fraction(25), first=3), key=lambda each: each.score)
    assert (found.start, found.end) == pytest.approx(((3 + before) / 25, (3 + before + length) / 25))
    assert found.score == pytest.approx(height)


def test_of_places_as_high_the_one_as_long_as_the_query_is_better():
    logits = np.full(100, -4.0)
    logits[10:30], logits[60:64] = 4.0, 4.0
    found = {(round(each.start * 25), round(each.end * 25)): each.score for each in places(logits, 0.8, Fraction(25))}
    assert found[10, 30] == pytest.approx(4.0)
    assert found[60, 64] == pytest.approx(4.0 - np.log(4 / 20) ** 2 / (2 * SPREAD**2))


def test_frames_that_all_say_the_same_are_no_error():
    assert isinstance(places(np.zeros(10), 0.4, Fraction(25)), tuple)


# --- Checkpoints ------------------------------------------------------------------------------------------------------


def write(folder: Path, made, **about):
    folder.mkdir(exist_ok=True)
    safetensors.torch.save_file(made.state_dict(), folder / "weights.safetensors")
    write_text(folder / "config.json", json.dumps(made.config | about))


@pytest.mark.parametrize("name", SHAPES)
def test_a_checkpoint_says_what_the_network_said(tmp_path, name):
    made = network(SHAPES[name])
    write(tmp_path / "it", made, calibration=[-1.0, 2.0], threshold=0.25)
    loaded = checkpoints.load(tmp_path / "it")
    assert isinstance(loaded, PoseSpotter)
    assert isinstance(loaded, Protocol)
    assert loaded.calibration == (-1.0, 2.0)
    assert loaded.inputs.threshold == 0.25
    assert loaded.inputs.fps == made.inputs.fps
    assert asdict(loaded.network.shape) == asdict(made.shape)
    query, sentence = frames(5, 0), frames(14, 1)
    found, said = loaded.network.frame_logits(query, sentence), made.frame_logits(query, sentence)
    np.testing.assert_allclose(found, said, atol=1e-6)


def test_a_checkpoint_that_knows_nothing_of_scores_states_no_probability(tmp_path):
    write(tmp_path / "it", network(SMALL))
    assert json.loads((tmp_path / "it" / "config.json").read_text())["calibration"] == [None, None]
    assert np.isnan(checkpoints.load(tmp_path / "it").calibration).all()


@pytest.mark.parametrize(
    ("about", "what"),
    [
        ({"shape": {"depth": 3}}, "its settings make no spotter"),
        ({"calibration": [1.0]}, "its settings make no spotter"),
        ({"fps": "0/0"}, "its settings make no spotter"),
        ({"shape": asdict(replace(SMALL, width=32))}, "the tensor .* where in this spotter it is"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path, about, what):
    write(tmp_path / "it", network(SMALL), **about)
    with pytest.raises(InputError, match=what):
        checkpoints.load(tmp_path / "it")


def test_it_is_no_segmenter_and_no_embedder(tmp_path):
    write(tmp_path / "it", network(SMALL))
    for load in checkpoints.load_segmenter, checkpoints.load_embedder:
        with pytest.raises(InputError):
            load(tmp_path / "it")
