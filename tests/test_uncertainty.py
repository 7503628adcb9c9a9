import itertools
import math
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import seasign.uncertainty
from seasign.metrics import Counts, evaluate, evaluate_signs
from seasign.types import Cue, InputError, InputWarning, Span
from seasign.uncertainty import SCORES, bootstrap, bootstrap_signs, compare_runs


def episode(cues, late, hits):
    """A reference, and an estimate of which so many cues are right."""
    reference = [Cue(4.0 * i, 4.0 * i + 3, str(i)) for i in range(cues)]
    return reference, [
        cue if i < hits else Cue(cue.start + late, cue.end + late, cue.text) for i, cue in enumerate(reference)
    ]


def silenced(reference, run):
    """The same, where nobody signs the first cue of any episode, and the run says so of the first two."""
    reference = {stem: [replace(cues[0], text="[0]"), *cues[1:]] for stem, cues in reference.items()}
    mark = "[not signed] "
    return reference, {
        stem: [replace(cue, text=mark * (i < 2) + cue.text) for i, cue in enumerate(cues)] for stem, cues in run.items()
    }


def runs(*hits, cues=10, late=2.0):
    """References, and an estimate by run, of episodes of which (run a, run b, ...) hit so many."""
    sides = [[episode(cues, late, count)[1] for count in counts] for counts in zip(*hits, strict=True)]
    reference = {str(i): episode(cues, late, 0)[0] for i in range(len(hits))}
    return reference, *({str(i): cues for i, cues in enumerate(side)} for side in sides)


triples = st.tuples(*[st.integers(0, 9)] * 3)
offsets = st.lists(st.integers(-9, 9).map(float), max_size=3).map(tuple)
fields = st.fixed_dictionaries(
    dict.fromkeys(["frames", "correct_frames", "sentences", "estimated"], st.integers(0, 9))
    | dict.fromkeys(["tp", "fp", "fn", "hits"], triples)
    | dict.fromkeys(["start_offsets", "end_offsets"], offsets)
)


@given(st.lists(st.tuples(fields, st.integers(0, 3)), min_size=1, max_size=4), st.sampled_from(SCORES))
def test_a_weighted_score_is_that_of_episodes_taken_as_often(drawn, score):
    files = [(Counts(**counted), times) for counted, times in drawn]
    taken = [counts for counts, times in files for _ in range(times)]
    found = seasign.uncertainty._pool([counts for counts, _ in files], score, np.array([[times for _, times in files]]))
    expected = sum(taken, Counts()).as_json()[score]
    assert math.isnan(found[0]) if expected is None else found[0] == pytest.approx(expected)


def test_every_score_has_an_interval_around_it():
    reference, run = runs((9,), (3,), (5,), (7,), (8,))
    result = evaluate(*silenced(reference, run))
    assert bootstrap(result, score="drop_precision").value == 50
    for score in SCORES:
        interval = bootstrap(result, score=score, level=0.9)
        assert interval.value == pytest.approx(result.as_json()[score])
        assert interval.low <= interval.value <= interval.high
    assert bootstrap(result).low < bootstrap(result).high
    assert bootstrap(result) == bootstrap(list(result.per_file.values()), score="f1@0.50", seed=0)
    assert bootstrap(result, draws=50, seed=1) != bootstrap(result, draws=50)
    assert bootstrap(result, level=0.5).low > bootstrap(result).low


def test_an_interval_agrees_with_all_resamples_there_are():
    reference, run = runs((9,), (3,), (6,), (1,))
    interval = bootstrap(evaluate(reference, run), score="cue_recall@0.50", draws=20_000, level=0.8)
    all_means = [10 * np.mean(drawn) for drawn in itertools.product((9, 3, 6, 1), repeat=4)]
    tail = 0.0293  # of the normal distribution below -1.638 sqrt(4 / 3), Student's t for 80 % and 3 degrees of freedom
    assert (interval.low, interval.high) == pytest.approx(np.quantile(all_means, (tail, 1 - tail)), abs=2.6)


@pytest.mark.parametrize("episodes", [5, 8, 16])
def test_intervals_cover_the_truth_about_as_often_as_they_say(episodes):
    rng = np.random.default_rng(7)
    covered = 0
    for trial in range(300):
        right = rng.binomial(40, rng.beta(6, 4, episodes))  # episodes differ: their cues are no single draws
        files = [Counts(sentences=40, hits=(0, 0, int(hits))) for hits in right]
        interval = bootstrap(files, score="cue_recall@0.50", draws=400, seed=trial)
        covered += interval.low <= 60 <= interval.high
    assert 0.88 <= covered / 300 <= 0.99


def test_one_episode_says_nothing_about_others():
    reference, a, b = (side["0"] for side in runs((9, 5)))
    with pytest.warns(InputWarning, match="one episode says nothing about others: no interval"):
        interval = bootstrap(evaluate(reference, a))
    assert interval.value == 90
    assert math.isnan(interval.low + interval.high)
    with pytest.warns(InputWarning, match="no interval"):
        result = compare_runs(reference, a, b)
    assert (result.difference.value, result.p, result.wins) == (pytest.approx(-40), 1, (1, 0))
    assert result.as_json()["difference"] == {"value": pytest.approx(-40), "low": None, "high": None, "level": 0.95}
    assert list(result.per_file) == ["episode"]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10), st.integers(0, 10)), min_size=2, max_size=5))
def test_the_p_value_is_that_of_all_ways_to_swap_two_runs(hits):
    result = compare_runs(*runs(*hits), score="cue_recall@0.50")
    steps = [b - a for a, b in hits]
    extreme = [
        abs(sum(step * sign for step, sign in zip(steps, signs, strict=True))) >= abs(sum(steps))
        for signs in itertools.product((1, -1), repeat=len(steps))
    ]
    assert result.p == pytest.approx(np.mean(extreme))
    assert result.difference.value == pytest.approx(10 * np.mean(steps))
    assert result.wins == (sum(step < 0 for step in steps), sum(step > 0 for step in steps))
    assert list(result.per_file.values()) == [(pytest.approx(10 * a), pytest.approx(10 * b)) for a, b in hits]


def test_a_run_that_is_always_better_is_found_and_the_same_run_never_is():
    reference, a, b = runs(*((5, 7) for _ in range(14)))
    better = compare_runs(reference, a, b)
    assert better.p < 0.01
    assert 0 < better.difference.low <= better.difference.value
    assert (better.a, better.b, better.wins) == (pytest.approx(50), pytest.approx(70), (0, 14))
    same = compare_runs(reference, a, a)
    assert (same.difference.low, same.difference.high, same.p, same.wins) == (0, 0, 1, (0, 0))


def test_pairing_finds_a_small_gain_in_episodes_that_differ_much():
    hits = [(base, base + 1) for base in (0, 9, 4, 1, 8, 5, 2, 7)]
    result = compare_runs(*runs(*hits), score="cue_f1@0.50")
    assert result.p == pytest.approx(2 / 2**8)
    assert bootstrap(evaluate(*runs(*hits)[:2]), score="cue_f1@0.50").high > result.b


def test_the_median_of_many_values_is_that_of_the_episodes_drawn():
    rng = np.random.default_rng(0)
    files = [Counts(start_offsets=tuple(rng.normal(i, 1, 50 + 9 * i).tolist())) for i in range(9)]
    weights = rng.multinomial(9, np.full(9, 1 / 9), 40)
    found = seasign.uncertainty._pool(files, "median_abs_start_offset", weights)
    for drawn, value in zip(weights.tolist(), found, strict=True):
        sample = [abs(v) for counts, times in zip(files, drawn, strict=True) for v in times * counts.start_offsets]
        assert value == np.median(sample)


def test_two_runs_are_told_apart_where_something_is_wrong_with_one():
    reference, a, b = runs((5, 7), (5, 7))
    with pytest.warns(InputWarning, match=r"^run b: 1: no estimate; all its cues count as missing$"):
        result = compare_runs(reference, a, {"0": b["0"]}, score="cue_f1@0.50")
    assert result.per_file["1"] == (50, 0)
    with pytest.raises(InputError, match=r"^run a: one side is one episode, the other many"):
        compare_runs(reference, a["0"], b)


def test_random_swaps_come_close_to_all_swaps():
    sides = runs(*((count % 7, count % 5 + 2) for count in range(12)))
    exact, drawn = (compare_runs(*sides, draws=draws) for draws in (2**12, 2000))
    assert exact.p == pytest.approx(drawn.p, abs=0.03)
    assert exact.p != drawn.p
    assert 0.05 < exact.p < 0.95


def test_an_offset_is_better_the_closer_it_is_to_zero():
    reference, early = runs((0,), (0,), late=-1.0)
    late = runs((0,), (0,), late=0.5)[1]
    result = compare_runs(reference, early, late, score="mean_start_offset")
    assert (result.a, result.b, result.wins) == (1.0, -0.5, (0, 2))


def test_scores_that_do_not_exist_and_no_episodes_are_refused():
    with pytest.raises(InputError, match=r"there is no score 'f1': choose one of frame_accuracy, f1@0\.10"):
        bootstrap([Counts(), Counts()], score="f1")
    with pytest.raises(InputError, match="there are no episodes"):
        bootstrap([])
    undefined = bootstrap([Counts(), Counts()])
    assert math.isnan(undefined.value + undefined.low)


def test_two_thousand_draws_of_sixteen_episodes_take_less_than_fifty_milliseconds():
    files = [Counts(tp=(5, 4, i), fp=(1, 2, 3), fn=(3, 2, 1)) for i in range(16)]
    took = []
    for _ in range(5):
        began = time.process_time()
        bootstrap(files)
        took.append(time.process_time() - began)
    assert min(took) < 0.05


def test_a_median_of_ten_thousand_offsets_takes_less_than_a_tenth_of_a_second():
    files = [Counts(start_offsets=tuple(np.random.default_rng(i).normal(0, 1, 600).tolist())) for i in range(16)]
    took = []
    for _ in range(5):
        began = time.process_time()
        bootstrap(files, score="median_abs_start_offset")
        took.append(time.process_time() - began)
    assert min(took) < 0.1


# --- Signs ------------------------------------------------------------------------------------------------------------


def found(*hits, signs=10):
    """Episodes of which so many signs were found, the others far off."""
    reference = [Span(float(k), k + 0.5) for k in range(signs)]
    return [
        (reference, reference[:count] + [Span(k + 100.0, k + 100.5) for k in range(signs - count)]) for count in hits
    ]


@pytest.mark.parametrize("score", ["f1", "mf1s", "onset_f1", "count", "mask_iou"])
def test_the_interval_of_a_score_of_signs_is_around_what_evaluate_signs_gives(score):
    episodes = found(3, 5, 8, 8, 9, 10)
    interval = bootstrap_signs(episodes, score=score)
    assert interval.value == pytest.approx(getattr(evaluate_signs(episodes), score))
    assert interval.low < interval.value < interval.high or score == "count"
    assert interval.low >= min(getattr(evaluate_signs([episode]), score) for episode in episodes)


def test_the_difference_of_two_segmenters_draws_the_same_episodes_for_both():
    better, worse = found(3, 5, 8, 8, 9, 10), found(2, 4, 7, 7, 8, 9)
    difference = bootstrap_signs(better, against=[estimate for _, estimate in worse])
    assert (difference.value, difference.low, difference.high) == pytest.approx((10, 10, 10))
    same = bootstrap_signs(better, against=[estimate for _, estimate in better])
    assert (same.low, same.high) == (0, 0)


def test_signs_without_episodes_or_with_an_unknown_score_are_refused():
    with pytest.raises(InputError, match="no episodes"):
        bootstrap_signs([])
    with pytest.raises(InputError, match=r"no score 'f2': choose one of count, .*frame_f1"):
        bootstrap_signs(found(3), score="f2")
