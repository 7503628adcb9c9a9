"""Is the sign there, and where? Presence of a query in a video, and the places that were found."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from seasign.spans import NANOSECOND, iou
from seasign.spotting import Found, Spot
from seasign.types import InputError, Span, plain_values

THRESHOLDS = (0.3, 0.5)  # temporal IoU from which a sign is found
NAN = float("nan")


@dataclass(frozen=True)
class PresenceScores:
    """How well it is told which videos show their query. Shares of 1; NaN where a class is missing that they need."""

    pairs: int  # of a query and a video
    present: int  # of which the video shows the query
    threshold: float  # a score that reaches it says yes
    accuracy: float
    balanced_accuracy: float  # the mean of the shares of both classes that are told right
    precision: float
    recall: float
    f1: float  # of "present"
    macro_f1: float  # the mean of that and of F1 of "absent"
    average_precision: float
    roc_auc: float

    def as_json(self) -> dict[str, Any]:
        """Plain values; None for NaN."""
        return plain_values(asdict(self))


POOLED = tuple(PresenceScores.__dataclass_fields__)[3:]  # the columns of `pool_presence`


def evaluate_presence(
    scores: Float[np.ndarray, " pairs"], present: Bool[np.ndarray, " labels"], *, threshold: float = 0.5
) -> PresenceScores:
    """Score how well scores tell which pairs of a query and a video belong together.

    Average precision is the mean, over the pairs that are present, of the precision among all pairs that score as high
    or higher: pairs with one score stand together, and nothing is interpolated. ROC-AUC is the share of all couples of
    one present and one absent in which the present one scores higher, of equals half.

    Args:
        scores: Higher says present.
        threshold: Chosen elsewhere, never on these pairs.
    Raises:
        InputError: There are no pairs, not as many scores as labels, or a score is not finite.
    Source: average precision and ROC-AUC as scikit-learn defines them. "Pose-Based Sign Language Spotting"
        (arXiv:2512.08738) reports an F1 that equals its recall and follows from neither precision nor class balance:
        so both forms of F1 are given here.
    """
    if len(scores) != len(present) or not len(scores):
        raise InputError(f"{len(scores)} scores and {len(present)} labels: give one of each to every pair")
    if not np.isfinite(scores).all():
        raise InputError("the scores hold numbers that are not finite; compute them again")
    pooled = pool_presence(scores, present, np.ones((1, len(scores)), int), threshold=threshold)[0]
    return PresenceScores(len(scores), int(present.sum()), threshold, *pooled.tolist())


def pool_presence(
    scores: Float[np.ndarray, " pairs"],
    present: Bool[np.ndarray, " pairs"],
    weights: Int[np.ndarray, "draws pairs"],
    *,
    threshold: float,
) -> Float64[np.ndarray, "draws scores"]:
    """The numbers of `PresenceScores` from accuracy on, with every pair taken as often as its weight says."""
    order = np.argsort(-scores, kind="stable")
    scores, present, weights = scores[order], present[order], weights[:, order]
    last = np.flatnonzero(np.append(np.diff(scores) != 0, True))  # of every run of equal scores
    hits, misses = (np.cumsum(weights * kind, axis=1)[:, last].astype(float) for kind in (present, ~present))
    whole, rest = hits[:, -1], misses[:, -1]
    said = int(np.searchsorted(-scores[last], -threshold, side="right"))  # runs that reach the threshold
    tp, fp = (each[:, said - 1] if said else np.zeros(len(weights)) for each in (hits, misses))
    fn, tn = whole - tp, rest - fp
    sensitivity, specificity = _divide(tp, whole), _divide(tn, rest)
    f1, other = _divide(2 * tp, 2 * tp + fp + fn), _divide(2 * tn, 2 * tn + fp + fn)
    both = np.where((whole > 0) & (rest > 0), 0.0, NAN)
    gained = np.diff(hits, prepend=0, axis=1)
    precision = hits / np.maximum(hits + misses, 1)
    below = rest[:, None] - misses + np.diff(misses, prepend=0, axis=1) / 2
    return np.stack(
        [
            _divide(tp + tn, whole + rest),
            (sensitivity + specificity) / 2,
            _divide(tp, tp + fp),
            sensitivity,
            f1,
            (f1 + other) / 2 + both,
            _divide((gained * precision).sum(axis=1), whole),
            _divide((gained * below).sum(axis=1), whole * rest),
        ],
        axis=1,
    )


def _divide(part: Float64[np.ndarray, " draws"], whole: Float64[np.ndarray, " draws"]) -> Float64[np.ndarray, " draws"]:
    """NaN of nothing."""
    found: Float64[np.ndarray, " draws"] = np.divide(part, whole, out=np.full(len(part), NAN), where=whole > 0)
    return found


@dataclass(frozen=True)
class LocalisationScores:
    """How well queries were found in time. Shares of 1; each pair is at a temporal IoU of .3 and of .5."""

    queries: int  # that are signed somewhere
    signs: int
    spots: int  # of those queries
    ap: Mapping[str, tuple[float, float]]  # average precision of every query
    map: tuple[float, float]  # its mean over the queries: mAP@.3 and mAP@.5
    recall: tuple[float, float]  # share of all signs that are found by any spot, of whatever score
    iou: float  # of the best spot of a video with the sign nearest to it; the mean over queries and videos with a sign

    def as_json(self) -> dict[str, Any]:
        """Plain values; None for NaN."""
        return plain_values(asdict(self))


def evaluate_localisation(queries: Mapping[str, Sequence[Found]]) -> LocalisationScores:
    """Score spots of queries, each in one or more videos.

    For average precision all spots of a query are ranked together, best first. A spot finds the sign of its video that
    it overlaps most, among those that are not found yet, if their IoU reaches the threshold, and else is false. The
    average is over all signs of the query of the precision among the spots that score as high as what found it, 0 for
    signs that are not found; nothing is interpolated. A query that is signed nowhere has none and is left out: whether
    it is there at all is for `evaluate_presence`.

    Raises:
        InputError: No query is signed anywhere, or a score is not finite.
    """
    asked = {name: found for name, found in queries.items() if any(len(signs) for signs, _ in found)}
    if not asked:
        raise InputError(f"none of {len(queries)} queries is signed anywhere: there is nothing to find")
    counted = [[_count(found, least) for found in asked.values()] for least in THRESHOLDS]
    aps = np.array([[ap for ap, _ in each] for each in counted])
    signs = sum(len(signs) for found in asked.values() for signs, _ in found)
    recall = [sum(hits for _, hits in each) / signs for each in counted]
    closest = [_closest(*each) for found in asked.values() for each in found if each[0]]
    return LocalisationScores(
        len(asked),
        signs,
        sum(len(spots) for found in asked.values() for _, spots in found),
        {name: (float(low), float(high)) for name, (low, high) in zip(asked, aps.T, strict=True)},
        (float(aps[0].mean()), float(aps[1].mean())),
        (recall[0], recall[1]),
        float(np.mean(closest)),
    )


def _count(found: Sequence[Found], least: float) -> tuple[float, int]:
    """Average precision of one query at a threshold of IoU, and how many signs were found."""
    ranked = [(spot, video) for video, (_, spots) in enumerate(found) for spot in spots]
    if not np.isfinite([spot.score for spot, _ in ranked]).all():
        raise InputError("the spots hold scores that are not finite; compute them again")
    ranked.sort(key=lambda pair: (-pair[0].score, pair[1], pair[0].start))
    left = [np.array([(sign.start, sign.end) for sign in signs], float).reshape(-1, 2) for signs, _ in found]
    hits = np.zeros(len(ranked), bool)
    for row, (spot, video) in enumerate(ranked):
        near = iou(np.array([spot.start, spot.end], float), left[video])
        if len(near) and near.max() >= least - NANOSECOND:
            hits[row], left[video] = True, np.delete(left[video], near.argmax(), axis=0)
    scores = np.array([spot.score for spot, _ in ranked])
    number = int(hits.sum())
    if not number:
        return 0.0, 0
    precision = pool_presence(scores, hits, np.ones((1, len(hits)), int), threshold=0.0)[
        0, POOLED.index("average_precision")
    ]
    return float(precision) * number / sum(len(signs) for signs, _ in found), number


def _closest(signs: Sequence[Span], spots: Sequence[Spot]) -> float:
    """IoU of the best spot with the sign that it overlaps most; 0 without spots."""
    if not spots:
        return 0.0
    best = max(spots, key=lambda spot: (spot.score, -spot.start))
    return float(
        iou(np.array([best.start, best.end], float), np.array([(sign.start, sign.end) for sign in signs], float)).max()
    )
