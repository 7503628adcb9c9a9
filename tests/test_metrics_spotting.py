"""Metrics of spotting, against counting by hand."""

from fractions import Fraction

import numpy as np
import pytest

from seasign.metrics.spotting import evaluate_localisation, evaluate_presence
from seasign.spotting import Spot
from seasign.types import InputError, InputWarning, Span
from seasign.uncertainty import bootstrap_presence, bootstrap_share


def by_hand(scores, present, threshold):
    """Every number by its definition, over pairs."""
    said = [score >= threshold for score in scores]
    tp, fp, fn, tn = (
        sum(a == x and b == y for a, b in zip(said, present, strict=True)) for x, y in ((1, 1), (1, 0), (0, 1), (0, 0))
    )
    yes = [score for score, there in zip(scores, present, strict=True) if there]
    no = [score for score, there in zip(scores, present, strict=True) if not there]
    ap = np.mean([sum(a >= one for a in yes) / sum(a >= one for a in scores) for one in yes])
    auc = np.mean([(a > b) + (a == b) / 2 for a in yes for b in no])
    f1, other = 2 * tp / (2 * tp + fp + fn), 2 * tn / (2 * tn + fp + fn)
    balanced = (tp / len(yes) + tn / len(no)) / 2
    precision = tp / (tp + fp) if tp + fp else float("nan")
    return [(tp + tn) / len(scores), balanced, precision, tp / len(yes), f1, (f1 + other) / 2, ap, auc]


@pytest.mark.parametrize("seed", range(30))
def test_presence_is_as_counted_by_hand_with_ties(seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 5, 20) / 4
    present = rng.permutation(np.arange(20) < rng.integers(1, 20))
    found = evaluate_presence(scores, present, threshold=0.5).as_json()
    assert (found.pop("pairs"), found.pop("present"), found.pop("threshold")) == (20, present.sum(), 0.5)
    values = [float("nan") if value is None else value for value in found.values()]
    assert values == pytest.approx(by_hand(scores.tolist(), present.tolist(), 0.5), nan_ok=True)


@pytest.mark.parametrize("there", [True, False])
def test_what_needs_a_class_that_is_missing_is_not_a_number(there):
    found = evaluate_presence(np.array([0.2, 0.8]), np.array([there, there])).as_json()
    assert found["accuracy"] == 0.5
    for name in ("balanced_accuracy", "macro_f1", "roc_auc"):
        assert found[name] is None, name
    assert (found["average_precision"] is None) is not there


def test_a_score_at_the_threshold_says_yes_and_above_all_scores_nothing_does():
    scores, present = np.array([0.5, 0.4]), np.array([True, False])
    assert evaluate_presence(scores, present).accuracy == 1
    nothing = evaluate_presence(scores, present, threshold=0.6)
    assert (nothing.recall, nothing.f1, nothing.accuracy, nothing.precision != nothing.precision) == (0, 0, 0.5, True)


def test_the_published_f1_is_not_that_of_its_precision_and_recall():
    """arXiv:2512.08738 states P 67.16, R 61.74 and F1 61.74."""
    precision, recall = Fraction(6716, 10000), Fraction(6174, 10000)
    assert float(2 * precision * recall / (precision + recall)) == pytest.approx(0.643, abs=5e-4)


@pytest.mark.parametrize(
    ("scores", "present", "says"),
    [
        ([], [], "0 scores and 0 labels"),
        ([0.5], [True, False], "1 scores and 2 labels"),
        ([float("nan")], [True], "not finite"),
    ],
)
def test_presence_refuses_what_it_cannot_count(scores, present, says):
    with pytest.raises(InputError, match=says):
        evaluate_presence(np.array(scores, float), np.array(present, bool))


def test_localisation_of_one_query_is_counted_by_hand():
    signs = (Span(1, 2), Span(5, 6))
    spots = (Spot(1, 2, 0.9), Spot(1.1, 2.1, 0.8), Spot(8, 9, 0.7), Spot(5, 6.8, 0.6))  # found, again, false, .556
    found = evaluate_localisation({"a": [(signs, spots)]})
    assert found.map == pytest.approx(((1 + 2 / 4) / 2, (1 + 2 / 4) / 2))
    assert (found.queries, found.signs, found.spots, found.recall, found.iou) == (1, 2, 4, (1, 1), 1)
    wide = evaluate_localisation({"a": [(signs, (*spots[:3], Spot(5, 7.5, 0.6)))]})  # IoU .4
    assert wide.map == pytest.approx(((1 + 2 / 4) / 2, 1 / 2))
    assert wide.recall == (1, 0.5)


def test_spots_of_a_query_are_ranked_over_all_its_videos_and_the_mean_is_over_queries():
    sign, spot = Span(0, 1), Spot(0, 1, 0.5)
    one = {"a": [((sign,), (spot,)), ((), (Spot(0, 1, 0.9),))]}
    assert evaluate_localisation(one).map == (0.5, 0.5)
    two = evaluate_localisation(one | {"b": [((sign,), (spot,))], "nowhere": [((), (spot,))]})
    assert two.map == (0.75, 0.75)
    assert two.ap == {"a": (0.5, 0.5), "b": (1, 1)}


def test_equal_scores_stand_together():
    found = evaluate_localisation({"a": [((Span(0, 1),), (Spot(0, 1, 0.5), Spot(3, 4, 0.5)))]})
    assert found.map == (0.5, 0.5)
    assert found == evaluate_localisation({"a": [((Span(0, 1),), (Spot(3, 4, 0.5), Spot(0, 1, 0.5)))]})


@pytest.mark.parametrize("seed", range(20))
def test_average_precision_is_at_most_recall_and_falls_with_the_threshold(seed):
    rng = np.random.default_rng(seed)
    starts = rng.random((2, 10)) * 20
    signs = [Span(a, a + 1) for a in starts[0].tolist()]
    spots = [Spot(a, a + 1, s) for a, s in zip(starts[1].tolist(), rng.random(10).tolist(), strict=True)]
    found = evaluate_localisation({"a": [(signs, spots)]})
    assert found.map[1] <= found.map[0] <= found.recall[0]
    louder = [Spot(one.start, one.end, 3 * one.score - 1) for one in spots]
    assert evaluate_localisation({"a": [(signs, louder)]}).map == found.map


def test_no_spots_find_nothing_and_no_signs_are_refused():
    assert evaluate_localisation({"a": [((Span(0, 1),), ())]}).as_json()["map"] == [0, 0]
    with pytest.raises(InputError, match="none of 1 queries is signed anywhere"):
        evaluate_localisation({"a": [((), ())]})


def test_the_interval_of_presence_holds_the_score_and_draws_groups():
    rng = np.random.default_rng(1)
    present = rng.random(300) < 0.5
    scores, groups = present + rng.normal(size=300), [str(number) for number in np.arange(300) // 10]
    low, high = bootstrap_presence(scores, present, groups, draws=300)
    own = evaluate_presence(scores, present)
    for name in ("accuracy", "balanced_accuracy", "f1", "macro_f1", "average_precision", "roc_auc"):
        assert getattr(low, name) < getattr(own, name) < getattr(high, name), name
    doubled = bootstrap_presence(np.tile(scores, 2), np.tile(present, 2), groups * 2, draws=300)
    assert doubled[0].roc_auc == pytest.approx(low.roc_auc)  # the same groups say no more when they are longer
    with pytest.warns(InputWarning, match="one group"):
        assert np.isnan(bootstrap_presence(scores, present, ["one"] * 300)[0].roc_auc)
    with pytest.raises(InputError, match="300 pairs have 1 groups"):
        bootstrap_presence(scores, present, ["one"])


def test_the_interval_of_map_is_a_bootstrap_of_queries():
    signs = (Span(0, 1),)
    queries = {str(k): [(signs, (Spot(0, 1, 0.5),) if k % 2 else ())] for k in range(20)}
    found = evaluate_localisation(queries)
    aps = np.array([ap for _, ap in found.ap.values()])
    interval = bootstrap_share(aps, np.ones(20))
    assert interval.value == found.map[1] == 0.5
    assert interval.low < 0.5 < interval.high
