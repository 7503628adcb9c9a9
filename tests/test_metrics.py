import doctest
import gzip
import json
import math
import random
import time
import warnings
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from seasign.metrics import (
    THRESHOLDS,
    Counts,
    Found,
    count_cues,
    count_runs,
    cut_evenly,
    evaluate,
    evaluate_baselines,
    evaluate_drops,
    evaluate_signs,
    find_dropped,
    match,
    prepare_cues,
)
from seasign.metrics.subtitles import _pair_by_text
from seasign.types import Cue, InputError, InputWarning, Span

HERE = Path(__file__).parent
GOLDENS = json.loads(gzip.decompress((HERE / "golden" / "sea_eval_public.json.gz").read_bytes()))["cases"]
MARK = " {CSLR_EXCLUDED}"


def cue(start, end, text="a", id=None):
    return Cue(start, end, text, id)


def lines(*spans):
    """Cues that say 0, 1, 2 ..."""
    return [cue(start, end, str(i)) for i, (start, end) in enumerate(spans)]


def measured(counts):
    """What the raster below counts too."""
    return counts.frames, counts.correct_frames, counts.sentences, counts.tp, counts.fp, counts.fn


# --- The published protocol -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("compat", ["sea", None])
@pytest.mark.parametrize("case", GOLDENS, ids=lambda case: case["id"])
def test_evaluate_reproduces_the_published_numbers(case, compat):
    sides = [
        {
            video["id"]: [Cue(start / 1000, end / 1000, text) for start, end, text in video[side]]
            for video in case["videos"]
        }
        for side in ("gt", "pred")
    ]
    result = evaluate(
        *sides,
        fps={video["id"]: video["fps"] for video in case["videos"]},
        shift_start=case["shift_start"],
        shift_end=case["shift_end"],
        compat=compat,
    )
    for video in case["videos"]:
        counts, expected = result.per_file[video["id"]], video["expected"]
        numbers = [expected[name] for name in ("frames", "correct_frames", "sentences")]
        assert measured(counts) == (*numbers, *(tuple(expected[name]) for name in ("tp", "fp", "fn")))
        assert sum(counts.start_offsets) == pytest.approx(expected["sum_start"], abs=1e-6)
        assert sum(counts.end_offsets) == pytest.approx(expected["sum_end"], abs=1e-6)
        assert sum(map(abs, counts.start_offsets)) == pytest.approx(expected["sum_abs_start"], abs=1e-6)
        assert sum(map(abs, counts.end_offsets)) == pytest.approx(expected["sum_abs_end"], abs=1e-6)

    found = result.as_json()
    for side in "start", "end":
        for kind in "mean", "median":
            found[f"{kind}_{side}"] = found[f"{kind}_{side}_offset"]
            found[f"{kind}_{side}_abs"] = found[f"{kind}_abs_{side}_offset"]
    found |= {name: found["counts"][name] for name in ("frames", "sentences")}
    printed = {name: float(f"{found[name]:.2f}") for name in case["expected"]}
    assert printed == case["expected"]


# --- Against frames, one by one -------------------------------------------------------------------------------------


def painted(spans, fps, limit):
    frames = [None] * round(fps * limit)
    for label, start, end in spans:
        first, last = (round(fps * max(0.0, min(time, limit))) for time in (start, end))
        for frame in range(first, last):
            frames[frame] = label
    return frames


def runs(frames):
    """{label: ...} of maximal runs as sets of frames, in order of time."""
    found, before = [], None
    for frame, label in enumerate(frames):
        if label is not None and label == before:
            found[-1][1].add(frame)
        elif label is not None:
            found.append((label, {frame}))
        before = label
    return found


def raster(reference, estimate, fps):
    """Label, start, end on both sides -> the published counts, straight from their description."""
    limit = reference[-1][2] + 10
    truth, guess = painted(reference, fps, limit), painted(estimate, fps, limit)
    true_runs, guessed_runs = runs(truth), runs(guess)
    tp = []
    for threshold in THRESHOLDS:
        hit = set()
        for label, frames in guessed_runs:
            scores = [len(frames & others) / len(frames | others) if own == label else 0.0 for own, others in true_runs]
            if scores and max(scores) >= threshold:
                hit.add(scores.index(max(scores)))
        tp.append(len(hit))
    correct = sum(a == b for a, b in zip(truth, guess, strict=True))
    return (
        len(truth),
        correct,
        len(reference),
        tuple(tp),
        tuple(len(guessed_runs) - hits for hits in tp),
        tuple(len(true_runs) - hits for hits in tp),
    )


@st.composite
def spans(draw):
    """A span on a grid of milliseconds, or of 20 ms, where 25 fps meets half frames; maybe reversed or negative."""
    step = draw(st.sampled_from([1, 20]))
    start = draw(st.integers(-1500 // step, 9000 // step))
    length = draw(st.integers(-800 // step, 7000 // step))
    return start * step / 1000, (start + length) * step / 1000


@st.composite
def episodes(draw):
    """Reference and estimate, which may lack cues and hold others; every text says who is who."""
    kinds = st.sampled_from(["plain"] * 6 + ["bracket", "marked", "half bracket", "dropped", "new"])
    reference, estimate = [], []
    for i, kind in enumerate(draw(st.lists(kinds, max_size=8).flatmap(lambda some: st.permutations(["plain", *some])))):
        text = {"bracket": f"[{i}]", "half bracket": f"[{i}"}.get(kind, str(i))
        if kind != "new":
            reference.append(Cue(*draw(spans()), text))
        if kind != "dropped":
            estimate.append(Cue(*draw(spans()), text + (MARK if kind == "marked" else "")))
    return reference, estimate


rates = st.sampled_from([24, 25, 50, 12.5, Fraction(24000, 1001), Fraction(30000, 1001)])


@settings(max_examples=200)
@given(episodes(), rates, st.sampled_from([0.0, 0.5, -0.34]), st.sampled_from([0.0, 1.0]))
def test_evaluate_counts_what_a_raster_of_frames_counts(episode, fps, shift_start, shift_end):
    reference, estimate = episode
    named = [cue.text.removesuffix(MARK) for cue in estimate]
    if len(reference) == len(estimate):  # by position
        named = [cue.text for cue in reference]
    marked = {name for name, cue in zip(named, estimate, strict=True) if MARK in cue.text}
    brackets = {cue.text for cue in reference if cue.text.endswith("]")}
    out = brackets | marked
    true_spans = [(cue.text, cue.start, cue.end) for cue in reference if cue.text not in out]
    own_spans = [
        (name, cue.start + shift_start, cue.end + shift_end)
        for name, cue in zip(named, estimate, strict=True)
        if name not in out
    ]
    assume(true_spans)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        counts = evaluate(reference, estimate, fps=fps, shift_start=shift_start, shift_end=shift_end).pooled
    assert measured(counts) == raster(true_spans, own_spans, float(fps))

    truth = {name: (start, end) for name, start, end in true_spans}
    pairs = [(truth[name], (start, end)) for name, start, end in own_spans if name in truth]
    assert counts.start_offsets == tuple(true[0] - own[0] for true, own in pairs)
    assert counts.end_offsets == tuple(true[1] - own[1] for true, own in pairs)
    assert counts.hits == tuple(sum(agree(true, own, threshold) for true, own in pairs) for threshold in THRESHOLDS)
    assert (counts.missing, counts.extra) == (len(truth) - len(pairs), len(own_spans) - len(pairs))
    assert counts.reversed == sum(end <= start for _, start, end in own_spans)
    assert counts.excluded_brackets == len(brackets)
    assert counts.sentences + counts.excluded_brackets + counts.excluded_marked == len(reference)
    assert counts.estimated + counts.excluded_estimates == len(estimate)


def agree(true, own, threshold):
    common = min(true[1], own[1]) - max(true[0], own[0])
    return common > 0 and common / (true[1] - true[0] + own[1] - own[0] - common) >= threshold - 1e-9


@given(episodes(), st.sampled_from([24, 25, 50]))
def test_the_default_is_the_published_protocol_where_cues_are_equally_many(episode, fps):
    reference, estimate = episode[0], (episode[1] + episode[0])[: len(episode[0])]
    results = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        for compat in None, "sea":
            try:
                results.append(evaluate(reference, estimate, fps=fps, compat=compat))
            except InputError as error:
                results.append(str(error))
    assert results[0] == results[1]


def test_hundreds_of_cues_over_each_other_are_painted_in_the_order_of_the_file():
    draw = random.Random(5)
    lengths = [300.0] * 5 + [90.0] * 15 + [20.0] * 30 + [5.0] * 100 + [1.0] * 150  # the short ones cut the long ones up
    reference = [(i, start := draw.randrange(2500) / 5, start + length) for i, length in enumerate(lengths)]
    reference.append((300, 500.0, 501.0))
    estimate = [(i, start + draw.uniform(-0.4, 0.4), end + draw.uniform(-0.4, 0.4)) for i, start, end in reference]
    (starts, ends), (own_starts, own_ends) = (np.array(side, dtype=float).T[1:] for side in (reference, estimate))
    counts = count_cues(prepare_cues(starts, ends, 25.0), own_starts, own_ends)
    assert measured(counts) == raster(reference, estimate, 25.0)
    assert counts.tp[2] > 100
    assert counts.tp[2] + counts.fn[2] > 301


def test_a_run_answers_for_its_best_true_run_and_a_true_run_is_hit_once():
    cut = lines((0, 10), (2, 3))  # 0 0 1 0 0 0 0 0 0 0
    counts = evaluate(cut, lines((1, 10), (12, 13))).pooled  # its run meets 1 of 2 and 7 of 7 seconds of 0
    assert (counts.tp, counts.fp, counts.fn) == ((1, 1, 1), (1, 1, 1), (2, 2, 2))
    counts = evaluate(lines((0, 10), (12, 13)), lines((0, 10), (4, 5))).pooled  # 0 0 0 0 1 0 0 0 0 0
    assert (counts.tp, counts.fp, counts.fn) == ((1, 1, 1), (2, 2, 2), (1, 1, 1))


# --- Properties -----------------------------------------------------------------------------------------------------

apart = st.lists(
    st.tuples(st.integers(1, 60), st.integers(1, 200)), min_size=1, max_size=12
)  # a pause and a cue, in frames of 40 ms


def laid_out(steps):
    time, result = 0, []
    for i, (pause, length) in enumerate(steps):
        result.append(Cue((time + pause) * 40 / 1000, (time + pause + length) * 40 / 1000, str(i)))
        time += pause + length
    return result


@given(apart)
def test_a_perfect_estimate_scores_100_everywhere(steps):
    cues = laid_out(steps)
    counts = evaluate(cues, cues).pooled
    assert counts.frame_accuracy == 100
    for scores in counts.f1, counts.precision, counts.recall, counts.cue_f1, counts.cue_precision, counts.cue_recall:
        assert scores == dict.fromkeys(THRESHOLDS, 100)
    assert set(counts.offsets.values()) == {0}


@given(apart, st.data(), st.integers(1, 500))
def test_moving_both_sides_by_the_same_time_changes_the_background_only(steps, data, seconds):
    reference = laid_out(steps)
    estimate = [replace(own, start=own.start + data.draw(st.integers(0, 90)) * 40 / 1000) for own in reference]
    here = evaluate(reference, estimate).pooled
    there = evaluate(
        *(
            [replace(own, start=own.start + seconds, end=own.end + seconds) for own in side]
            for side in (reference, estimate)
        )
    ).pooled
    assert (there.tp, there.fp, there.fn, there.hits) == (here.tp, here.fp, here.fn, here.hits)
    assert there.frames - here.frames == there.correct_frames - here.correct_frames == 25 * seconds


@given(st.integers(0, 3_600_000))
def test_a_span_that_just_reaches_the_threshold_is_a_hit_at_any_time(start):
    reference = [cue(start / 1000, (start + 200) / 1000)]
    counts = [evaluate(reference, [cue(start / 1000, (start + length) / 1000)]).pooled for length in (20, 50, 100)]
    assert [own.hits for own in counts] == [(1, 0, 0), (1, 1, 0), (1, 1, 1)]


def test_every_cue_is_measured_or_counted_as_excluded():
    reference = [*lines((1, 2), (3, 4)), cue(5, 6, "[music]")]
    estimate = [
        reference[0],
        cue(3, 4, "1" + MARK),
        cue(5, 6, "[music]" + MARK),
        cue(7, 8, "new" + MARK),
        cue(9, 10, "[new]"),
    ]
    counts = evaluate(reference, estimate).pooled
    assert (counts.sentences, counts.excluded_brackets, counts.excluded_marked) == (1, 1, 1)
    assert (counts.estimated, counts.excluded_estimates) == (1, 4)
    assert counts.f1[0.5] == counts.cue_f1[0.5] == 100


@given(apart, st.data())
def test_a_cue_that_is_dropped_emptied_or_reversed_costs_its_hit(steps, data):
    reference = laid_out(steps)
    i = data.draw(st.integers(0, len(reference) - 1))
    own = reference[i]
    worse = {
        "dropped": [],
        "emptied": [replace(own, end=own.start)],
        "reversed": [replace(own, start=own.end, end=own.start)],
    }
    for kind, instead in worse.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InputWarning)
            counts = evaluate(reference, [*reference[:i], *instead, *reference[i + 1 :]]).pooled
        n = len(reference)
        assert counts.hits == (n - 1,) * 3, kind
        assert counts.estimated == n - (kind == "dropped")
        assert counts.cue_f1[0.5] == pytest.approx(200 * (n - 1) / (n + counts.estimated))
        assert (counts.missing, counts.reversed) == ((1, 0) if kind == "dropped" else (0, 1))


def test_the_published_precision_hides_what_the_cue_precision_shows():
    reference = lines((1, 2), (3, 4), (5, 6), (7, 8))
    counts = evaluate(reference, lines((1, 2), (3, 4), (6, 5), (7, 7))).pooled
    assert counts.precision[0.5] == 100
    assert counts.cue_precision[0.5] == 50
    assert counts.reversed == 2


@settings(max_examples=200)
@given(episodes(), rates, st.data())
def test_many_estimates_painted_on_one_axis_count_like_each_alone(episode, fps, data):
    reference, estimate = episode
    rows = [[Cue(*data.draw(spans()), cue.text) for cue in estimate] for _ in range(3)]
    cues, measured = match(reference, estimate)
    assume(cues)
    prepared = prepare_cues(*np.array([(cue.start, cue.end) for cue in cues], float).T, float(fps))
    times = np.array([[(row[j].start, row[j].end) for j, _ in measured] for row in rows], float).reshape(3, -1, 2)
    own = np.array([i for _, i in measured], int)
    found = [count_runs(prepared, times[..., 0], times[..., 1], own, threshold).tolist() for threshold in THRESHOLDS]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        alone = [evaluate(reference, row, fps=fps).pooled for row in rows]
    assert found == [[list(counts.ratio(f"f1@{t:.2f}")) for counts in alone] for t in THRESHOLDS]


@settings(max_examples=25)
@given(st.lists(episodes(), min_size=2, max_size=4))
def test_pooled_counts_are_the_sum_of_the_files(several):
    several = [
        (reference, [replace(own, text=own.text.removesuffix(MARK)) for own in estimate])
        for reference, estimate in several
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        result = evaluate(
            {str(i): side[0] for i, side in enumerate(several)}, {str(i): side[1] for i, side in enumerate(several)}
        )
        alone = [evaluate(*sides).pooled for sides in several]
    assert list(result.per_file.values()) == alone
    assert result.pooled.frames == sum(counts.frames for counts in alone)
    assert result.pooled.tp == tuple(sum(counts.tp[k] for counts in alone) for k in range(3))
    assert result.pooled.hits == tuple(sum(counts.hits[k] for counts in alone) for k in range(3))
    assert result.pooled.end_offsets == tuple(offset for counts in alone for offset in counts.end_offsets)
    assert result.pooled == sum(alone, Counts())


# --- Who is paired with whom ----------------------------------------------------------------------------------------


def test_unequal_numbers_are_paired_by_id():
    reference = [cue(1, 2, "Yes.", "x"), cue(3, 4, "Yes.", "y"), cue(5, 6, "Yes.", "z")]
    estimate = [cue(5, 6, "Yes.", "z"), cue(1, 2, "Yes.", "x")]
    with pytest.warns(
        InputWarning, match="3 cues in the reference, 2 in the estimate: 2 paired by id or text, 1 missing"
    ):
        counts = evaluate(reference, estimate).pooled
    assert counts.hits == (2, 2, 2)
    with pytest.warns(InputWarning, match="2 paired by position, 1 missing"):
        assert evaluate(reference, estimate, compat="sea").pooled.hits == (0, 0, 0)


def test_ids_that_were_counted_anew_are_not_trusted():
    reference = [cue(1, 2, "One.", "1"), cue(3, 4, "Two.", "2"), cue(5, 6, "Three.", "3")]
    estimate = [cue(3, 4, "Two.", "1"), cue(5, 6, "Three.", "2")]
    with pytest.warns(InputWarning, match="2 paired by id or text, 1 missing, 0 extra"):
        assert evaluate(reference, estimate).pooled.hits == (2, 2, 2)


def test_ids_are_trusted_where_texts_were_edited():
    reference = [cue(1, 2, "One.", "1"), cue(3, 4, "Two.", "2"), cue(5, 6, "Three.", "3")]
    estimate = [cue(3, 4, "Zwei.", "2"), cue(5, 6, "Drei.", "3")]
    with pytest.warns(InputWarning) as caught:
        counts = evaluate(reference, estimate).pooled
    assert counts.hits == (2, 2, 2)
    assert counts.different_texts == 2
    assert "episode: 2 of 2 pairs of cues say different things" in str(caught[1].message)


@pytest.mark.parametrize("ids", ["xxy xy", "xyz xx", "xy- x", "--- xy"], ids=str.split)
def test_ids_that_are_missing_or_not_unique_pair_nothing(ids):
    reference, estimate = (
        [cue(i, i + 1, language + str(i), None if id == "-" else id) for i, id in enumerate(side)]
        for language, side in zip(("en", "de"), ids.split(), strict=True)
    )
    with pytest.warns(InputWarning, match=": 0 paired by id or text"):
        assert evaluate(reference, estimate).pooled.missing == 3


def test_equal_texts_are_paired_with_the_nearest_in_time_whatever_their_line_breaks():
    reference = [cue(1, 2, "Yes,\nindeed."), cue(20, 21, "Yes,\nindeed."), cue(40, 41, "Yes,\nindeed.")]
    with pytest.warns(InputWarning, match="2 missing"):
        counts = evaluate(reference, [cue(20.5, 21.2, "Yes, indeed.")]).pooled
    assert counts.start_offsets == (-0.5,)


def test_more_pairs_far_away_beat_fewer_near_by():
    reference = [cue(at, at + 1, text) for at, text in enumerate("abcxyz")]
    estimate = [cue(at, at + 1, text) for text, at in (("x", 3), ("y", 4), ("a", 900), ("b", 901), ("c", 902))]
    with pytest.warns(InputWarning, match=": 3 paired by id or text"):
        assert evaluate(reference, estimate).pooled.start_offsets == (-900, -900, -900)


said = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 60)), max_size=7)


@given(said, said)
def test_pairing_by_text_pairs_as_many_as_can_be_wherever_they_are(reference, estimate):
    assume(reference and len(reference) != len(estimate))

    def most(a, b):
        if not a or not b:
            return 0
        return max(most(a[1:], b), most(a, b[1:]), (a[0] == b[0]) + most(a[1:], b[1:]))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        counts = evaluate(*([cue(at, at + 1, text) for text, at in side] for side in (reference, estimate))).pooled
    assert counts.different_texts == 0
    pairs = most(*([text for text, _ in side] for side in (reference, estimate)))
    assert counts.sentences - counts.missing == counts.estimated - counts.extra == pairs


def test_a_cue_that_was_dropped_costs_itself_where_the_published_protocol_loses_all_behind_it():
    reference = lines((1, 2), (3, 4), (5, 6), (7, 8))
    with pytest.warns(InputWarning, match="1 missing"):
        assert evaluate(reference, reference[1:]).pooled.f1[0.5] == pytest.approx(600 / 7)
    with pytest.warns(InputWarning):
        assert evaluate(reference, reference[1:], compat="sea").pooled.f1[0.5] == 0


def test_half_a_bracket_is_paired_by_position_in_the_published_protocol():
    reference = [cue(1, 2, "One."), cue(3, 4, "[Two."), cue(5, 6, "Three.")]
    estimate = [reference[0], reference[2]]
    with pytest.warns(InputWarning):
        assert evaluate(reference, estimate, compat="sea").pooled.f1[0.5] == pytest.approx(40)
    with pytest.warns(InputWarning):
        assert evaluate(reference, estimate).pooled.f1[0.5] == pytest.approx(80)


def test_cues_in_another_order_are_paired_by_position_with_a_warning():
    reference = lines((1, 2), (3, 4), (5, 6))
    with pytest.warns(InputWarning, match="episode: 3 of 3 pairs of cues say different things"):
        counts = evaluate(reference, [*reference[1:], reference[0]]).pooled
    assert counts.different_texts == 3


# --- Cues that are not signed ---------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=8))
def test_drops_are_scored_by_what_both_sides_say_and_no_time(cues):
    reference = [cue(-i, i, f"[{i}]" if silent else f"[{i}") for i, (silent, _) in enumerate(cues)]
    found = evaluate_drops(reference, [i for i, (_, dropped) in enumerate(cues) if dropped])
    tp, fp, fn = (cues.count(kind) for kind in ((True, True), (False, True), (True, False)))
    assert found == Found(tp, tp + fn, tp + fp)
    for score, part, whole in (
        (found.precision, tp, tp + fp),
        (found.recall, tp, tp + fn),
        (found.f1, 2 * tp, 2 * tp + fp + fn),
    ):
        assert score == pytest.approx(100 * part / whole) if whole else math.isnan(score)


@given(st.lists(st.sampled_from(["kept", "marked", "left out"]), max_size=6))
def test_dropped_cues_are_found_by_mark_or_absence(fates):
    reference = [cue(i, i + 1, f"[{i}]" if i % 2 else str(i)) for i in range(len(fates))]
    estimate = [
        replace(own, start=own.start + 40, text="[not signed] " * (fate == "marked") + own.text)
        for own, fate in zip(reference, fates, strict=True)
        if fate != "left out"
    ]
    assert find_dropped(reference, estimate) == {i for i, fate in enumerate(fates) if fate != "kept"}


def test_a_marked_cue_still_says_the_same():
    reference = [cue(0, 1, "One."), cue(2, 3, "Two."), cue(4, 5, "Three.")]
    marked = [replace(own, text=f"[not signed] {own.text}") for own in reference]
    assert evaluate(reference, marked).pooled.different_texts == 0
    with pytest.warns(InputWarning, match="2 paired by id or text, 1 missing"):
        assert evaluate(reference, marked[1:]).pooled.hits == (2, 2, 2)


@pytest.mark.parametrize("compat", ["sea", None])
def test_evaluate_counts_drops_beside_the_times(compat):
    reference = [cue(0, 1, "[music]"), cue(2, 3, "One."), cue(4, 5, "[applause]"), cue(6, 7, "Two.")]
    marked = [replace(own, text=f"[not signed] {own.text}") if i < 2 else own for i, own in enumerate(reference)]
    counts = evaluate(reference, marked, compat=compat).pooled
    assert counts.drops == evaluate_drops(reference, find_dropped(reference, marked)) == Found(1, 2, 2)
    assert (counts.ratio("drop_precision"), counts.ratio("drop_recall"), counts.ratio("drop_f1")) == (
        (1, 2),
        (1, 2),
        (2, 4),
    )
    assert counts.hits == (2, 2, 2)


def test_a_cue_that_was_left_out_is_dropped_and_a_file_that_was_left_out_says_nothing():
    reference = [cue(0, 1, "[music]"), cue(2, 3, "One."), cue(4, 5, "Two.")]
    with pytest.warns(InputWarning):
        result = evaluate({"a": reference, "b": reference}, {"a": reference[2:]})
    assert result.per_file["a"].drops == Found(1, 1, 2)
    assert result.per_file["b"].drops == Found(0, 1, 0)
    assert (result.as_json()["drop_precision"], result.as_json()["drop_recall"]) == (50, 50)
    assert result.per_file["b"].as_json()["drop_precision"] is None


def test_a_drop_that_is_no_cue_of_the_reference_is_refused():
    with pytest.raises(InputError, match="there are 1 cues, and none has the index 1"):
        evaluate_drops([cue(0, 1)], {0, 1})


# --- Baselines ------------------------------------------------------------------------------------------------------


def test_baselines_know_the_lag_of_each_episode_and_drop_nothing():
    reference = {"a": [cue(4 * i, 4 * i + 3, f"{i}") for i in range(9)], "b": [cue(0, 1, "[music]"), cue(2, 4, "One.")]}
    late = {"a": (2.0, 2.5), "b": (-7.0, -7.0), "c": (0.0, 0.0)}
    delivered = {
        stem: [cue(own.start + by[0], own.end + by[1], own.text) for own in reference.get(stem, reference["b"])]
        for stem, by in late.items()
    }
    with pytest.warns(InputWarning, match="^as delivered: c: no reference") as said:
        found = evaluate_baselines(reference, delivered, fps=50)
    assert len(said) == 1
    assert list(found) == ["delivered", "lag_only", "joined"]
    assert found["delivered"].per_file == evaluate(reference, {s: delivered[s] for s in "ab"}, fps=50).per_file
    assert found["lag_only"].pooled.cue_f1[0.5] == 100
    assert found["lag_only"].pooled.offsets["median_abs_end_offset"] == pytest.approx(0)
    assert found["joined"].per_file["a"].start_offsets == pytest.approx((0, *[0.5] * 8))  # gaps of .5 delivered
    assert found["lag_only"].pooled.dropped == 0


def test_the_baselines_of_one_episode_are_those_of_an_episode():
    reference = [cue(0, 1, "One."), cue(2, 4, "Two."), cue(9, 9, "[music]")]
    delivered = [cue(own.start + 3, own.end + 3, own.text) for own in reference]
    found = evaluate_baselines(reference, delivered)
    assert [found[name].pooled.cue_f1[0.5] for name in ("delivered", "lag_only")] == [0, 100]
    assert found["lag_only"].per_file == {}


# --- Files, rates and bad input -------------------------------------------------------------------------------------


def test_a_file_that_was_not_estimated_counts_as_missed_and_is_reported():
    cues = lines((1, 2), (3, 4))
    with pytest.warns(InputWarning, match="b: no estimate; all its cues count as missing"):
        result = evaluate({"a": cues, "b": cues}, {"a": cues})
    assert result.missing_files == ("b",)
    assert result.per_file["b"].fn == (2, 2, 2)
    assert result.per_file["b"].missing == 2
    assert result.per_file["b"].correct_frames == 300  # the background, as for an empty file
    assert result.pooled.f1[0.5] == result.pooled.cue_f1[0.5] == pytest.approx(200 / 3)
    assert result.as_json()["missing_files"] == ["b"]
    with pytest.raises(InputError, match="b: no estimate"):
        evaluate({"a": cues, "b": cues}, {"a": cues}, compat="sea")


@pytest.mark.parametrize("compat", ["sea", None])
def test_an_estimate_without_a_reference_is_reported(compat):
    cues = lines((1, 2))
    with pytest.warns(InputWarning, match="b: no reference; not measured"):
        result = evaluate({"a": cues}, {"a": cues, "b": cues}, compat=compat)
    assert result.extra_files == ("b",)
    assert list(result.per_file) == ["a"]


def test_one_episode_has_no_files():
    cues = lines((1, 2))
    assert evaluate(cues, cues).per_file == {}


def test_frame_rates_are_exact_and_truncated_in_the_published_protocol():
    cues = lines((0, 990))
    assert evaluate(cues, cues, fps=Fraction(24000, 1001)).pooled.frames == 23976
    assert evaluate(cues, cues, fps=23.976, compat="sea").pooled.frames == 23000


@pytest.mark.parametrize("compat", ["sea", None])
def test_time_before_zero_does_not_exist(compat):
    counts = evaluate(lines((0, 2), (3, 4)), lines((-2, 2), (-2, -1)), compat=compat).pooled
    assert counts.tp == (1, 1, 1)
    assert counts.correct_frames == counts.frames - 25
    assert counts.start_offsets == (2, 5)


def test_the_axis_ends_ten_seconds_after_the_last_cue_of_the_file():
    counts = evaluate(lines((30, 60), (0, 2)), lines((30, 60), (0, 2))).pooled
    assert counts.frames == 300
    assert counts.tp == (1, 1, 1)
    assert counts.hits == (2, 2, 2)


def test_nothing_to_measure_is_an_error_that_names_the_file():
    cues = lines((1, 2))
    for reference in [], [cue(1, 2, "[music]")]:
        with pytest.raises(InputError, match=r"^b: no cue in the reference"):
            evaluate({"a": cues, "b": reference}, {"a": cues, "b": cues})
    with pytest.raises(InputError, match="no files"):
        evaluate({}, {})
    with pytest.raises(InputError, match="no frame to measure"):
        evaluate(lines((-20, -10)), cues)


def test_bad_input_is_refused():
    cues = lines((1, 2), (3, 4))
    for broken in math.nan, math.inf:
        with pytest.raises(InputError, match=r"episode: cue 1 goes from 3\.0 to (nan|inf) s"):
            evaluate(cues, lines((1, 2), (3, broken)))
        with pytest.raises(InputError, match="times must be finite"):
            evaluate(lines((1, 2), (3, broken)), cues)
        with pytest.raises(InputError, match="episode: fps is"):
            evaluate(cues, cues, fps=broken, compat="sea")
    with pytest.raises(InputError, match="fps is 0"):
        evaluate(cues, cues, fps=0)
    with pytest.raises(InputError, match="b: fps is nan: give"):
        evaluate({"a": cues, "b": cues}, {"a": cues, "b": cues}, fps={"a": 25})
    with pytest.raises(InputError, match="both by stem"):
        evaluate({"a": cues}, cues)
    with pytest.raises(InputError, match="say who is whose partner"):
        count_cues(prepare_cues(np.array([1.0]), np.array([2.0]), 25.0), np.zeros(2), np.ones(2))


def test_json_names_every_score_and_nothing_scored_is_null():
    cues = lines((1, 2), (3, 4))
    with pytest.warns(InputWarning):
        result = json.loads(
            json.dumps(evaluate({"a": cues, "b": cues}, {"a": [], "b": cues}).as_json(), allow_nan=False)
        )
    assert result["f1@0.50"] == result["cue_f1@0.50"] == pytest.approx(200 / 3)
    assert result["counts"]["fn"] == [2, 2, 2]
    empty = result["per_file"]["a"]
    assert empty["f1@0.10"] == 0
    assert empty["precision@0.10"] is empty["cue_precision@0.25"] is empty["median_start_offset"] is None
    assert result["per_file"]["b"]["frame_accuracy"] == 100


def test_the_examples_of_the_documentation_hold():
    failed, tried = doctest.testfile(str(HERE.parent / "docs" / "metrics.md"), module_relative=False)
    assert (failed, tried > 5) == (0, True)


def pair_by_text_slowly(reference, estimate):
    """The same by a direct loop over all pairs: as many equal texts as keep both orders, then the closest in time."""
    weight = np.zeros((len(reference) + 1, len(estimate) + 1))
    for i, cue in enumerate(reference):
        for j, other in enumerate(estimate):
            value = 1 + 1 / (1 + abs(other.start - cue.start)) / (1 + len(reference)) if cue.text == other.text else -1
            weight[i + 1, j + 1] = max(weight[i, j + 1], weight[i + 1, j], weight[i, j] + value)
    return weight[-1, -1]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_repeated_texts_are_paired_as_by_a_direct_loop(data):
    cues = st.lists(st.builds(Cue, st.integers(0, 50), st.just(60), st.sampled_from("abc")), max_size=9)
    reference, estimate = data.draw(cues), data.draw(cues)
    partner = _pair_by_text(reference, estimate)
    pairs = [(i, j) for j, i in enumerate(partner) if i >= 0]
    assert pairs == sorted(pairs)
    assert len({i for i, _ in pairs}) == len(pairs)
    assert all(reference[i].text == estimate[j].text for i, j in pairs)
    closeness = sum(1 / (1 + abs(estimate[j].start - reference[i].start)) for i, j in pairs)
    assert len(pairs) + closeness / (1 + len(reference)) == pytest.approx(pair_by_text_slowly(reference, estimate))


def test_two_thousand_cues_of_two_texts_are_paired_at_once():
    reference = [Cue(second, second + 1, "ab"[second % 2]) for second in range(2000)]
    began = time.perf_counter()
    partner = _pair_by_text(reference, reference[:500] + reference[501:])
    assert time.perf_counter() - began < 5  # a pair at a time takes half a minute
    assert partner == [*range(500), *range(501, 2000)]


# --- Signs ------------------------------------------------------------------------------------------------------------


def made(*frames):
    """Signs from half-open ranges of frames at 25 fps."""
    return [Span(start / 25, end / 25) for start, end in frames]


def test_scores_of_signs_by_hand():
    reference = made((0, 10), (10, 20), (30, 40))
    estimate = made((0, 10), (14, 24), (50, 60), (60, 70))
    scores = asdict(evaluate_signs([(reference, estimate)]))
    assert scores == {
        "count": pytest.approx(4 / 3),
        "percentage": pytest.approx(4 / 3),
        "rate": pytest.approx(4 / 1.6),
        "f1": pytest.approx(100 * 2 / 7),  # of (10, 20) and (14, 24), 6 of 14 frames are shared
        "mf1s": pytest.approx(100 * (2 * 2 + 7 * 2) / 7 / 8),
        "mf1b": pytest.approx(100 * 3 / 4 * 2 / 5),  # 10 and 25 against 12, 37 and 60: one within 2, 3 and 4 frames
        "onset_f1": pytest.approx(100 * 2 / 7),
        "mask_iou": pytest.approx(100 * 16 / 54),
        "frame_f1": pytest.approx(100 * (2 / 7 + 2 * 14 / 63 + 2 * 16 / 70) / 3),
    }


def test_pooled_scores_of_signs_count_signs_and_means_count_episodes():
    one, two = made((0, 10), (10, 20), (20, 30)), made((0, 30))
    scores = evaluate_signs([(one, one), (two, one), ((), two), ((), ())])
    assert (scores.count, scores.percentage) == (7 / 4, (1 + 3 + 1 + 1) / 4)
    assert scores.mask_iou == pytest.approx((100 + 100 + 0 + 100) / 4)
    assert scores.frame_f1 == pytest.approx((100 + 100 * (2 / 4 + 2 * 27 / 56) / 2 + 0) / 3)
    assert scores.f1 == pytest.approx(100 * 2 * 3 / (4 + 7))


def test_signs_of_an_empty_episode_have_no_score_but_agree():
    scores = evaluate_signs([((), ())])
    assert math.isnan(scores.f1 + scores.frame_f1 + scores.rate + scores.count)
    assert (scores.mask_iou, scores.percentage) == (100, 1)


@given(*[st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), max_size=6)] * 2)
def test_masks_and_tags_of_signs_agree_with_frames(a, b):
    sides = [sorted((first, first + length) for first, length in side) for side in (a, b)]
    tags = [["O"] * 50 for _ in sides]
    for tag, side in zip(tags, sides, strict=True):
        for first, stop in side:
            tag[first:stop] = "B" + "I" * (stop - first - 1)
    stop = max([stop for side in sides for _, stop in side], default=0)
    pairs = list(zip(*(tag[:stop] for tag in tags), strict=True))
    scores = evaluate_signs([tuple(made(*side) for side in sides)])
    either = sum(pair != ("O", "O") for pair in pairs)
    assert scores.mask_iou == pytest.approx(100 * sum("O" not in pair for pair in pairs) / either if either else 100)
    f1 = [
        2 * pairs.count((tag, tag)) / sum((x == tag) + (y == tag) for x, y in pairs)
        for tag in "BIO"
        if any(tag in pair for pair in pairs)
    ]
    assert scores.frame_f1 == pytest.approx(100 * sum(f1) / len(f1), nan_ok=True) if f1 else math.isnan(scores.frame_f1)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 99)), max_size=6), st.floats(0.05, 2))
def test_even_cuts_tile_each_span_in_parts_as_near_to_the_length_as_can_be(drawn, length):
    whole = made(*((first, first + frames) for first, frames in drawn))
    cuts = cut_evenly(whole, length)
    at = 0
    for span in whole:
        parts = max(1, round(span.duration / length))
        mine = cuts[at : at + parts]
        assert (mine[0].start, mine[-1].end) == (span.start, pytest.approx(span.end))
        np.testing.assert_allclose([part.duration for part in mine], span.duration / parts)
        at += parts
    assert at == len(cuts)
