"""Spotting: what is suppressed, how likely it is, and what is refused."""

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest

from seasign import spot
from seasign.spotting import Query, Spot, Spotter, iou, rank, state, suppress
from seasign.types import InputError, Poses

LANDMARKS = ("POSE_LANDMARKS.LEFT_WRIST", "LEFT_HAND_LANDMARKS.WRIST", "RIGHT_HAND_LANDMARKS.WRIST")


def poses(frames: int = 50) -> Poses:
    return Poses(np.ones((frames, 3, 3), np.float32), np.ones((frames, 3), np.float32), Fraction(25), LANDMARKS)


@dataclass(frozen=True)
class Given:
    """A spotter that proposes what it was given."""

    spots: tuple[Spot, ...]
    calibration: tuple[float, float] = (0.0, 1.0)

    def candidates(self, query: Query, poses: Poses) -> tuple[Spot, ...]:
        return self.spots


def draw(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    starts = rng.integers(0, 20, count) / 4
    return np.stack([starts, starts + rng.integers(0, 8, count) / 4], axis=1), rng.integers(0, 5, count).astype(float)


@pytest.mark.parametrize("seed", range(30))
def test_suppression_keeps_what_going_through_all_pairs_keeps(seed: int) -> None:
    spans, scores = draw(np.random.default_rng(seed), 25)
    order = sorted(range(25), key=lambda row: (-scores[row], *spans[row], row))
    kept: list[int] = []
    for row in order:
        (a, b), near = spans[row], []
        for c, d in spans[kept]:
            both, either = max(0.0, min(b, d) - max(a, c)), max(b, d) - min(a, c)
            near.append(both / (either if both else 1) if either else 0.0)
        if all(one <= 0.3 for one in near):
            kept.append(row)
    assert suppress(spans, scores).tolist() == kept
    assert suppress(spans, scores, best=3).tolist() == kept[:3]


def test_the_intersection_over_union_is_that_of_times() -> None:
    others = np.array([(0.0, 2.0), (1.0, 3.0), (2.0, 4.0), (0.5, 1.0), (1.0, 1.0)])
    assert iou(np.array([0.0, 2.0]), others).tolist() == pytest.approx([1, 1 / 3, 0, 0.25, 0])
    assert iou(np.array([1.0, 1.0]), others[-1:]).tolist() == [0]


def test_spots_are_ranked_and_their_probability_is_the_logistic_of_their_score() -> None:
    spots = (Spot(0, 1, -1.0), Spot(3, 4, 2.0), Spot(0.1, 1.1, 0.0), Spot(6, 7, -3.0, 0.9))
    found = spot("house", poses(), spotter=Given(spots, (0.5, 2.0)))
    assert [(one.start, one.score) for one in found] == [(3, 2.0), (0.1, 0.0), (6, -3.0)]
    assert [one.probability for one in found] == pytest.approx([1 / (1 + np.exp(-4.5)), 1 / (1 + np.exp(-0.5)), 0.9])
    assert [one.start for one in rank(spots, (0.5, 2.0), least=0.65)] == [3, 6]
    assert [one.start for one in rank(spots, (0.5, 2.0), best=1)] == [3]
    assert rank((), (0.0, 1.0)) == ()


def test_probabilities_of_scores_far_out_are_0_and_1() -> None:
    assert state(np.array([-1e9, 1e9]), (0.0, 1.0)).tolist() == [0, 1]


def test_a_spotter_is_anything_with_candidates_and_a_calibration() -> None:
    assert isinstance(Given(()), Spotter)
    assert not isinstance(object(), Spotter)


@pytest.mark.parametrize(
    ("query", "video", "says"),
    [
        ("", poses(), "there is no query: give a word, or an example of a sign"),
        ("  ", poses(), "there is no query"),
        ((), poses(), "there is no query"),
        ((poses(0),), poses(), "the query has no frames"),
        ("house", poses(0), "the poses have no frames"),
        ((poses(60),), poses(), r"the query lasts 2\.40 s, and the video 2\.00 s: it cannot be in it"),
        (
            (poses(10), replace(poses(5), xyz=np.full((5, 3, 3), np.nan, np.float32))),
            poses(),
            "none of 5 frames of example 2 of the query shows a hand",
        ),
        (
            ("house"),
            replace(poses(), xyz=poses().xyz * np.array([[1], [np.nan], [np.nan]], np.float32)),
            "none of 50 frames of the poses shows a hand",
        ),
    ],
)
def test_what_cannot_be_looked_for_or_at_is_refused(query: Query, video: Poses, says: str) -> None:
    with pytest.raises(InputError, match=says):
        spot(query, video, spotter=Given(()))


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="1 of 2 scores are not finite"):
        spot("house", poses(), spotter=Given((Spot(0, 1, float("nan")), Spot(1, 2, 0.5))))
