import re
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seasign.decoding import Argmax, Decoded, Decoder, Likeliest, SemiMarkov, Threshold, pace, units
from seasign.types import InputError, Span

GOLDEN = Path(__file__).parent / "golden"
DECODERS = [Argmax(), Argmax(split=False), Threshold(), Likeliest(), SemiMarkov()]


def frames(decoded, fps=25):
    """Spans back in frames: first, and one past the last."""
    edges = [(span.start * fps, span.end * fps) for span in decoded.spans]
    np.testing.assert_allclose(edges, np.rint(edges), atol=1e-9)
    return [(round(start), round(end)) for start, end in edges]


def load(model, clip):
    with np.load(GOLDEN / model / f"decoding_{clip}.npz") as arrays:
        return dict(arrays)


def certain(letters):
    return np.eye(3)[["BIO".index(letter) for letter in letters]]


def percent(*rows):
    return np.array(rows) / 100


def read(letters, decoder):
    return frames(decoder.decode(certain(letters), Fraction(25)))


@st.composite
def random_tags(draw):
    """Whole percents of few kinds, so that they often equal each other and the thresholds."""
    rows = draw(st.lists(st.tuples(*[st.integers(0, 6)] * 3).filter(any), min_size=1, max_size=40))
    counts = np.array(rows, dtype=float)
    return np.rint(100 * counts / counts.sum(axis=1, keepdims=True)) / 100


# --- Golden -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clip", ["example", "dgs_sentence_25fps"])
@pytest.mark.parametrize(
    ("head", "name", "decoder", "hips"),
    [
        ("sign", "b60_o50", Threshold(0.6, 0.5), ""),
        ("sign", "b60_o50", Threshold(0.6, 0.5), "_hips0"),
        ("sign", "b30_o50", Threshold(0.3, 0.5), ""),
        ("sign", "b50_o50", Threshold(0.5, 0.5), ""),
        ("sentence", "b90_o90", Threshold(0.9, 0.9), ""),
        ("sentence", "b90_o90", Threshold(0.9, 0.9), "_hips0"),
        ("sign", "likeliest", Likeliest(), ""),
        ("sentence", "likeliest", Likeliest(), ""),
    ],
)
def test_golden_segments_of_2023(clip, head, name, decoder, hips):
    golden = load("segmenter-2023", clip)
    tags = np.exp(golden[f"logp_{head}{hips}"])[:, [1, 2, 0]]
    segments = golden[f"seg_{head}_{name}{hips}"]
    assert frames(decoder.decode(tags, Fraction(25))) == [(a, min(b + 1, len(tags))) for a, b in segments.tolist()]
    published = type(decoder)(**vars(decoder) | {"compat": "published"}).decode(tags, Fraction(25))
    assert [[span.start, span.end] for span in published.spans] == (segments * 40 / 1000).tolist()


def test_the_golden_phrases_of_the_example_are_a_fallback_and_its_signs_are_not():
    golden = load("segmenter-2023", "example")
    assert Threshold(0.9, 0.9).decode(np.exp(golden["logp_sentence"])[:, [1, 2, 0]], Fraction(30)).fallback
    assert not Threshold(0.6, 0.5).decode(np.exp(golden["logp_sign"])[:, [1, 2, 0]], Fraction(30)).fallback


@pytest.mark.parametrize(("name", "shortest"), [("likeliest", 0), ("likeliest_min3", 3)])
def test_golden_segments_of_2026(name, shortest):
    golden = load("segmenter-2026", "random_weights")
    unknown, outside, begins, inside = np.exp(golden["t300_logp_sign"]).T
    tags = np.column_stack([begins, inside, np.maximum(unknown, outside)])
    decoded = Argmax(split=False, shortest=shortest).decode(tags, Fraction(25))
    assert frames(decoded) == [(a, b + 1) for a, b in golden[f"t300_seg_sign_{name}"].tolist()]


# --- Against a scan frame by frame ------------------------------------------------------------------------------------


def scan(tags, above, below, out, begins):
    """The published scan as the specification tells it, a frame at a time, with ends included."""
    q = [[int(np.rint(100 * p)) for p in row] for row in tags]
    segments, start, passed = [], None, False
    if not any(begins(*row) for row in q):
        for t, (_, i, _) in enumerate(q):
            if start is None and i > 50:
                start = t
            elif start is not None and i < 50:
                segments.append((start, t - 1))
                start = None
        return segments + ([(start, len(q) - 1)] if start is not None else [])
    for t, row in enumerate(q):
        if start is None:
            if above(*row):
                start = t
        elif not passed:
            passed = below(*row)
        elif above(*row) or out(*row):
            segments.append((start, t - 1))
            start, passed = None if out(*row) else t, False
    return segments + ([(start, len(q))] if start is not None else [])


@given(random_tags(), st.integers(0, 100), st.integers(0, 100))
def test_threshold_is_the_published_scan(tags, b, o):
    expected = scan(tags, lambda p, *_: p > b, lambda p, *_: p < b, lambda *q: q[2] > o, lambda p, *_: p >= b)
    decoded = Threshold(b / 100, o / 100).decode(tags, Fraction(25))
    assert frames(decoded) == [(start, min(end + 1, len(tags))) for start, end in expected]
    assert decoded.fallback == (np.rint(100 * tags[:, 0]) < b).all()
    published = Threshold(b / 100, o / 100, compat="published").decode(tags, Fraction(25)).spans
    assert [(span.start * 1000, span.end * 1000) for span in published] == [(40 * a, 40 * z) for a, z in expected]


@given(random_tags())
def test_likeliest_is_the_published_scan_with_the_other_tags_as_thresholds(tags):
    expected = scan(
        tags,
        lambda b, i, o: b > max(i, o),
        lambda b, i, o: b < max(i, o),
        lambda b, i, o: o > max(b, i),
        lambda b, i, o: b >= 50,
    )
    decoded = Likeliest().decode(tags, Fraction(25))
    assert frames(decoded) == [(start, min(end + 1, len(tags))) for start, end in expected]
    assert decoded.fallback == (np.rint(100 * tags[:, 0]) < 50).all()


@given(random_tags(), st.booleans(), st.integers(0, 4), st.integers(0, 4))
def test_argmax_is_a_walk_along_the_letters(tags, split, shortest, bridge):
    letters = "".join("BIO"[k] for k in tags.argmax(axis=1))
    rests = re.finditer("(?<=[BI])O+(?=[BI])", letters)
    for rest in [rest for rest in rests if len(rest[0]) <= bridge]:
        letters = letters[: rest.start()] + "I" * len(rest[0]) + letters[rest.end() :]
    expected, start = [], None
    for t, (before, now) in enumerate(zip("O" + letters, letters + "O", strict=True)):
        begins = now != "O" and (before == "O" or (split and now == "B" and before != "B"))
        if start is not None and (begins or now == "O"):
            expected.append((start, t))
            start = None
        if begins:
            start = t
    decoded = Argmax(split, shortest, bridge).decode(tags, Fraction(25))
    assert frames(decoded) == [(a, z) for a, z in expected if z - a >= shortest]
    assert not decoded.fallback


@pytest.mark.parametrize("decoder", [Threshold(), Threshold(0.6, 0.5, "published"), Likeliest()])
def test_the_scan_does_not_look_ahead_from_every_frame(decoder):
    tags = np.random.default_rng(0).dirichlet([1, 2, 2], 90_000)
    start = time.process_time()
    decoder.decode(tags, Fraction(25))
    assert time.process_time() - start < 10  # an hour: half a second, and minutes where it does


# --- Units and rests, against all there are ---------------------------------------------------------------------------


def divisions(frames, longest):
    """Every way to divide frames into rests (None) and units (frames inside and first, frames)."""
    if frames == 0:
        yield []
        return
    for tail in divisions(frames - 1, longest):
        yield [None, *tail]
    for length in range(1, min(frames, longest) + 1):
        for tail in divisions(frames - length, longest):
            for inner in range(1, length + 1):
                yield [(inner, length), *tail]


def worth(division, begin, inside, after, rest, prior):
    total, at = 0.0, 0
    for part in division:
        if part is None:
            total += rest[at]
            at += 1
        else:
            inner, length = part
            total += begin[at] + sum(inside[at + 1 : at + inner]) + sum(after[at + inner : at + length])
            total += prior[length - 1]
            at += length
    return total


def as_division(found, frames):
    division, at = [], 0
    for start, inner, end in found:
        division += [None] * (start - at) + [(inner - start, end - start)]
        at = end
    return division + [None] * (frames - at)


@given(st.integers(1, 7), st.integers(1, 4), st.integers(0, 2**32 - 1), st.booleans())
def test_units_are_the_best_of_all_divisions(frames, longest, seed, resting):
    rng = np.random.default_rng(seed)
    begin, inside, after, rest = rng.normal(size=(4, frames))
    prior = rng.normal(size=longest)
    prior[rng.random(longest) < 0.2] = -np.inf
    if not resting:
        rest[:], prior[0] = -np.inf, 0
    scores = begin, inside, after, rest, prior
    best = max(worth(division, *scores) for division in divisions(frames, longest))
    found = as_division(units(*scores), frames)
    assert worth(found, *scores) == pytest.approx(best)


@given(random_tags())
def test_semi_markov_finds_the_tagging_that_it_promises(tags):
    tags = tags[:7]
    decoder = SemiMarkov(m=0.1, s=0.4, longest=0.16, weight=0.7, shares=(0.1, 0.3, 0.6))
    prior = pace(4, Fraction(25), 0.1, 0.4)
    np.testing.assert_allclose(prior, [-(np.log(k / 25 / 0.1) ** 2) / 0.32 for k in range(1, 5)])
    seen = 0.7 * np.log(np.maximum(tags, 1e-9) / [0.1, 0.3, 0.6])
    scores = seen[:, 0], seen[:, 1], seen[:, 2], seen[:, 2], prior
    worths = {}
    for division in divisions(len(tags), 4):
        starts = np.cumsum([0, *(part[1] if part else 1 for part in division)])
        signs = tuple((int(at), int(at + part[0])) for at, part in zip(starts, division, strict=False) if part)
        worths[signs] = max(worth(division, *scores), worths.get(signs, -np.inf))
    assert worths[tuple(frames(decoder.decode(tags, Fraction(25))))] == pytest.approx(max(worths.values()))


def test_without_evidence_semi_markov_keeps_pace():
    decoded = SemiMarkov(m=0.41, weight=0).decode(np.full((100, 3), 1 / 3), Fraction(25))
    assert frames(decoded) == []  # rests cost nothing
    decoded = SemiMarkov(m=0.4, shares=(1, 1, 1e9)).decode(np.full((100, 3), 1 / 3), Fraction(25))
    assert frames(decoded) == [(10 * k, 10 * k + 10) for k in range(10)]


def test_semi_markov_needs_less_evidence_for_a_start_in_pace():
    tags = np.tile([0.05, 0.9, 0.05], (30, 1))
    tags[[0, 10, 13, 20]] = [0.6, 0.35, 0.05]
    assert frames(SemiMarkov(m=0.4, s=0.3).decode(tags, Fraction(25))) == [(0, 10), (10, 20), (20, 30)]


def test_semi_markov_does_not_mind_a_rest():
    tags = certain("OOOOO" + "BIIIIIIIIO" + "BIIIIIIOOO" + 200 * "O" + "BIII" + "OO")
    assert frames(SemiMarkov().decode(tags, Fraction(25))) == [(5, 14), (15, 22), (225, 229)]


def test_shares_are_of_any_scale_and_make_rare_tags_count():
    tags = np.random.default_rng(0).dirichlet([1, 3, 3], 200)
    read = [SemiMarkov(shares=shares).decode(tags, Fraction(25)) for shares in [(1, 1, 1), (7, 7, 7), (0.1, 1, 1)]]
    assert read[0] == read[1]
    assert len(read[2].spans) > len(read[0].spans)


@pytest.mark.parametrize("clip", ["example", "dgs_sentence_25fps"])
def test_semi_markov_finds_the_same_signs_at_any_rate(clip):
    tags = np.exp(load("segmenter-2023", clip)["logp_sign"])[:, [1, 2, 0]]
    once, twice = (SemiMarkov().decode(np.repeat(tags, k, axis=0), Fraction(25 * k)).spans for k in (1, 2))
    assert len(once) == len(twice) > 4
    for a, b in zip(once, twice, strict=True):
        assert (a.start, a.end) == pytest.approx((b.start, b.end), abs=0.081)


@pytest.mark.parametrize(
    "wrong", [{"m": 0.0}, {"s": -1.0}, {"longest": 0.0}, {"weight": -0.1}, {"shares": (1.0, 0.0, 1.0)}]
)
def test_settings_of_semi_markov_are_positive(wrong):
    with pytest.raises(InputError, match="above 0"):
        SemiMarkov(**wrong)


def test_semi_markov_reads_thousands_of_frames_a_second():
    tags = np.random.default_rng(0).dirichlet([1, 2, 2], 20_000)
    start = time.process_time()
    SemiMarkov().decode(tags, Fraction(25))
    assert time.process_time() - start < 10  # 20,000 frames: less than a second


# --- One case each ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("decoder", DECODERS)
def test_decoders_are_decoders(decoder):
    assert isinstance(decoder, Decoder)


@pytest.mark.parametrize("decoder", DECODERS)
def test_tags_of_no_frame_hold_no_sign(decoder):
    assert decoder.decode(np.zeros((0, 3)), Fraction(25)).spans == ()


@pytest.mark.parametrize("decoder", DECODERS)
def test_half_open_times_of_certain_tags(decoder):
    assert decoder.decode(certain("OBIIO"), Fraction(30000, 1001)) == Decoded(
        (Span(float(Fraction(1001, 30000)), float(Fraction(4004, 30000))),)
    )


def test_argmax_begins_at_a_run_of_b_and_at_i_after_o():
    assert read("BBIBOIIBI", Argmax()) == [(0, 3), (3, 4), (5, 7), (7, 9)]
    assert read("BBIBOIIBI", Argmax(split=False)) == [(0, 4), (5, 9)]


def test_argmax_bridges_before_it_drops():
    assert read("OBIOOIOBOOO", Argmax()) == [(1, 3), (5, 6), (7, 8)]
    assert read("OBIOOIOBOOO", Argmax(shortest=2)) == [(1, 3)]
    assert read("OBIOOIOBOOO", Argmax(shortest=2, bridge=1)) == [(1, 3), (5, 7)]
    assert read("OBIOOIOBOOO", Argmax(bridge=2)) == [(1, 7), (7, 8)]
    assert read("OBIOOIOBOOO", Argmax(split=False, bridge=2)) == [(1, 8)]


def test_o_is_not_looked_at_in_the_frame_in_which_b_falls():
    tags = percent([90, 10, 0], [0, 0, 100], [0, 100, 0], [0, 0, 100], [0, 0, 100])
    assert frames(Threshold().decode(tags, Fraction(25))) == [(0, 3)]


def test_a_likely_o_keeps_b_from_starting_the_next_sign():
    tags = percent([60, 40, 0], [0, 100, 0], [35, 0, 65], [0, 100, 0])
    assert frames(Threshold(0.3, 0.5).decode(tags, Fraction(25))) == [(0, 2)]
    assert frames(Threshold(0.3, 0.7).decode(tags, Fraction(25))) == [(0, 2), (2, 4)]


def test_a_probability_that_equals_its_threshold_after_rounding_is_neither_above_nor_below():
    tags = percent([30.4, 69.6, 0], [31, 69, 0], [29.6, 70.4, 0], [0, 100, 0], [0, 49.5, 50.5])
    assert frames(Threshold(0.3, 0.5).decode(tags, Fraction(25))) == [(1, 5)]
    assert frames(Threshold(0.3, 0.49).decode(tags, Fraction(25))) == [(1, 4)]


def test_without_a_start_runs_of_likely_i_are_signs_and_the_result_says_so():
    tags = percent([0, 51, 49], [0, 50, 50], [20, 49, 31], [29, 51, 20], [0, 52, 48])
    assert Threshold(0.3).decode(tags, Fraction(25)) == Decoded((Span(0, 2 / 25), Span(3 / 25, 5 / 25)), fallback=True)
    published = Threshold(0.3, compat="published").decode(tags, Fraction(25))
    assert published == Decoded((Span(0, 0.04), Span(0.12, 0.16)), fallback=True)


def test_published_times_are_whole_milliseconds_a_frame_short_but_for_a_sign_open_at_the_end():
    decoded = Threshold(compat="published").decode(certain("OBIBIBI"), Fraction(24))
    assert decoded.spans == (Span(0.041, 0.083), Span(0.125, 0.166), Span(0.208, 0.291))


@pytest.mark.parametrize("thresholds", [(30, 0.5), (0.3, 50), (-0.1, 0.5), (float("nan"), 0.5)])
def test_thresholds_are_probabilities(thresholds):
    with pytest.raises(InputError, match=r"between 0 and 1"):
        Threshold(*thresholds)
