"""One sign -> where it occurs: a query is held against a signer's poses, and the likeliest places are ranked.

The query is a word, or one or more examples of one sign. Anything that scores places is a `Spotter`: networks,
`models.subsequence_dtw` and, over any embedder, `EmbeddingWindows`. What is here suppresses places that overlap better
ones, and says how likely each is right.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Int

from seasign.types import InputError, Poses, Span

NAN = float("nan")
OVERLAP = 0.3  # temporal IoU with a better spot above which one is the same place

Query = str | tuple[Poses, ...]  # a word, or examples of one sign


@dataclass(frozen=True)
class Spot(Span):
    """Where a query may occur."""

    score: float  # the spotter's own; higher is better
    probability: float = NAN  # that the query is there: IoU of at least .5 with one that is signed; NaN: not calibrated


@runtime_checkable
class Spotter(Protocol):
    """Anything that looks for a query: `SubsequenceDtw`, `EmbeddingWindows`, a network, four lines in a test."""

    @property
    def calibration(self) -> tuple[float, float]:
        """The weights of 1 and of the score in the logit of a spot's probability."""

    def candidates(self, query: Query, poses: Poses) -> tuple[Spot, ...]:
        """Places in seconds from the first frame, in any order; they may overlap, and scores compare between videos.

        Probabilities are left NaN, unless the spotter knows better than one logistic function of its score.
        """


def spot(
    query: Query,
    poses: Poses,
    *,
    spotter: Spotter,
    best: int | None = 10,
    least: float = 0.0,
    overlap: float = OVERLAP,
) -> tuple[Spot, ...]:
    """Find where a sign occurs: the places it is likeliest at, likeliest first; none overlaps a better one.

    Args:
        query: A word, if the spotter knows words, or examples of one sign, each trimmed to it as far as that is known.
        best: At most so many; None: all that the spotter proposes.
        least: Probability below which a place is left out.
        overlap: Places share at most this temporal IoU.
    Returns:
        Seconds from the first frame of the poses; `segmentation.in_video` turns them into those of the video.
    Raises:
        InputError: The query is empty, shows no hand or is longer than the video; the video has no frames or shows no
            hand; or as the spotter: a word that it does not know, a score that is not finite.
    """
    check_query(query, poses)
    return rank(spotter.candidates(query, poses), spotter.calibration, best=best, least=least, overlap=overlap)


def rank(
    candidates: Sequence[Spot],
    calibration: tuple[float, float],
    *,
    best: int | None = 10,
    least: float = 0.0,
    overlap: float = OVERLAP,
) -> tuple[Spot, ...]:
    """What `spot` does with the candidates of a spotter: probabilities, suppression, order.

    Raises:
        InputError: A score is not finite.
    """
    scores = np.array([each.score for each in candidates], float)
    if broken := int(np.count_nonzero(~np.isfinite(scores))):
        raise InputError(f"{broken} of {len(scores)} scores are not finite: the query or the poses hold broken numbers")
    own = np.array([each.probability for each in candidates], float)
    probability = np.where(np.isnan(own), state(scores, calibration), own)
    spans = np.array([(each.start, each.end) for each in candidates], float).reshape(-1, 2)
    likely = np.flatnonzero(probability >= least)
    kept = likely[suppress(spans[likely], scores[likely], best=best, overlap=overlap)]
    return tuple(replace(candidates[row], probability=float(probability[row])) for row in kept.tolist())


def state(scores: Float64[np.ndarray, " spots"], calibration: tuple[float, float]) -> Float64[np.ndarray, " spots"]:
    """The probabilities of scores."""
    stated: Float64[np.ndarray, " spots"] = (1 + np.tanh((calibration[0] + calibration[1] * scores) / 2)) / 2
    return stated


def suppress(
    spans: Float64[np.ndarray, "spans 2"],
    scores: Float64[np.ndarray, " spans"],
    *,
    best: int | None = None,
    overlap: float = OVERLAP,
) -> Int[np.ndarray, " kept"]:
    """Non-maximum suppression: the rows that overlap no better one that is kept, best first; of equals the earlier."""
    left = np.lexsort((np.arange(len(scores)), spans[:, 1], spans[:, 0], -scores))
    kept: list[int] = []
    while len(left) and (best is None or len(kept) < best):
        kept.append(int(left[0]))
        left = left[1:][iou(spans[left[0]], spans[left[1:]]) <= overlap]
    return np.array(kept, int)


def iou(span: Float64[np.ndarray, "2"], others: Float64[np.ndarray, "spans 2"]) -> Float64[np.ndarray, " spans"]:
    """Temporal intersection over union of a span with each of others; 0 where neither lasts."""
    shared = np.minimum(span[1], others[:, 1]) - np.maximum(span[0], others[:, 0])
    shared = np.maximum(shared, 0)
    union = (span[1] - span[0]) + (others[:, 1] - others[:, 0]) - shared
    found: Float64[np.ndarray, " spans"] = np.divide(shared, union, out=np.zeros(len(others)), where=union > 0)
    return found


def check_query(query: Query, poses: Poses) -> None:
    """Refuse what cannot be looked for, or looked at; the message says which.

    Raises:
        InputError: See `spot`.
    """
    check_hands(poses, "the poses")
    if not query or (isinstance(query, str) and not query.strip()):
        raise InputError("there is no query: give a word, or an example of a sign")
    if isinstance(query, str):
        return
    for number, example in enumerate(query, 1):
        check_hands(example, "the query" if len(query) == 1 else f"example {number} of the query")
    if (shortest := min(example.duration for example in query)) > poses.duration:
        raise InputError(f"the query lasts {shortest:.2f} s, and the video {poses.duration:.2f} s: it cannot be in it")


def check_hands(poses: Poses, what: str) -> None:
    """Refuse poses without frames, and those whose layout has hands of which no frame shows any."""
    if not len(poses.xyz):
        raise InputError(f"{what} {'have' if what.endswith('poses') else 'has'} no frames")
    hands = [column for column, name in enumerate(poses.landmarks) if "hand" in name.partition(".")[0].lower()]
    points = poses.xyz[:, hands] if hands else poses.xyz
    if np.isnan(points[..., 0]).all():
        raise InputError(f"none of {len(points)} frames of {what} shows a hand: there is no signing to look at")
