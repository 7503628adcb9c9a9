"""Signs against signs: spans, boundaries and frames."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from seasign.metrics.counts import Found, pair_ranges
from seasign.spans import NANOSECOND
from seasign.types import Span

FRAME = 1 / 25  # seconds: boundaries are published as found within frames at 25 fps


@dataclass(frozen=True)
class SignScores:
    """How well signs were found. All but `count`, `percentage` and `rate` are percent; pooled over episodes, or means.

    A score of nothing at all is NaN. None says much without that of even cuts.
    """

    count: float  # signs of the estimate per sign of the reference
    percentage: float  # the same, the mean over episodes; without a reference, 1 for no sign and else their number
    rate: float  # signs of the estimate per second under any of them; people sign 2 to 3
    f1: float  # spans with an IoU of at least .50
    mf1s: float  # the same, the mean over IoU of .40, .45 ... .75
    mf1b: float  # boundaries between neighbours, the mean over 1, 2, 3 and 4 frames at 25 fps
    onset_f1: float  # starts of signs, within 0.12 s
    mask_iou: float  # seconds under signs of both over those under signs of either, the mean; blind to boundaries
    frame_f1: float  # of B, I and O at 25 fps: macro over those that occur, then the mean over episodes


def evaluate_signs(episodes: Iterable[tuple[Sequence[Span], Sequence[Span]]]) -> SignScores:
    """Score the signs of episodes, each a reference and an estimate. Say beside it what `cut_evenly` gets.

    A boundary is the middle between the end of a sign and the start of the next; the ends of an episode are none.

    Source: mF1S and mF1B as in Renz et al. 2021 (arXiv:2011.12986); percentage, mask IoU ("sign IoU") and frame F1 as
        in Moryossef et al. 2023 (EMNLP Findings). Differs: boundaries are times, not runs of frames, so none is lost
        where two are closer than a frame; mask IoU is in seconds, not frames; frame F1 counts the tags of the spans,
        not the likeliest of a network, and up to the last end of a span, not of the video.
    """
    parts, wholes = sum((count_signs(*episode) for episode in episodes), np.zeros((len(fields(SignScores)), 2))).T
    scores = np.full(len(parts), np.nan)
    np.divide(parts, wholes, out=scores, where=wholes > 0)
    return SignScores(*scores.tolist())


def count_signs(reference: Sequence[Span], estimate: Sequence[Span]) -> Float[np.ndarray, "scores 2"]:
    """Part and whole of every one of `SignScores`, in their order; they add up over episodes."""
    a, b = (
        np.array(sorted((sign.start, sign.end) for sign in signs), dtype=float).reshape(-1, 2)
        for signs in (reference, estimate)
    )
    matched = [find_spans(a, b, iou).hits for iou in (0.5, *(0.4 + 0.05 * step for step in range(8)))]
    between, found = (np.sort((side[1:, 0] + side[:-1, 1]) / 2) for side in (a, b))
    bounded = [find_times(between, found, (k + 1) * FRAME).hits for k in range(4)]
    covered_a, covered_b, either = (_covered(spans) for spans in (a, b, np.concatenate([a, b])))
    signs = len(a) + len(b)
    return np.array(
        [
            (len(b), len(a)),
            (len(b) / len(a) if len(a) else len(b) or 1, 1),
            (len(b), covered_b),
            (200 * matched[0], signs),
            (200 * sum(matched[1:]), 8 * signs),
            (200 * sum(bounded), 4 * (len(between) + len(found))),
            (200 * find_times(a[:, 0], b[:, 0], 0.12).hits, signs),
            (100 * (covered_a + covered_b - either) / either if either else 100, 1),
            (100 * _frame_f1(a, b), 1) if signs else (0, 0),
        ],
        dtype=float,
    )


def cut_evenly(spans: Iterable[Span], length: float = 0.38) -> tuple[Span, ...]:
    """Cut each span into equal parts of about `length` seconds: the control that a segmenter has to beat.

    The default is what people need from the start of a sign to the next, by the median.
    """
    cuts: list[Span] = []
    for span in spans:
        edges = np.linspace(span.start, span.end, max(1, round(span.duration / length)) + 1).tolist()
        cuts += [Span(start, end) for start, end in pairwise(edges)]
    return tuple(cuts)


def _covered(spans: Float[np.ndarray, "spans 2"]) -> float:
    """How much lies under any of the spans."""
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    reach = np.maximum.accumulate(spans[:, 1])
    new = np.maximum(spans[:, 0], np.append(-np.inf, reach[:-1])[: len(spans)])
    return float(np.maximum(spans[:, 1] - new, 0).sum())


def _frame_f1(a: Float[np.ndarray, "reference 2"], b: Float[np.ndarray, "estimate 2"]) -> float:
    """The mean F1 of the tags B, I and O that occur, 0 .. 1; a tag is of the frame that starts under it."""
    a, b = (np.ceil(side / FRAME - NANOSECOND).clip(0).astype(int) for side in (a, b))
    tags = np.zeros((2, int(max(a.max(initial=0), b.max(initial=0)))), dtype=int)
    for tag, spans in zip(tags, (a, b), strict=True):
        for first, stop in spans.tolist():
            tag[first:stop] = 1
            tag[first : min(first + 1, stop)] = 2
    f1 = [
        2 * np.count_nonzero((tags == k).all(axis=0)) / there
        for k in range(3)
        if (there := np.count_nonzero(tags == k))
    ]
    return float(np.mean(f1)) if f1 else 1.0


def find_spans(
    reference: Float[np.ndarray, "reference 2"], estimate: Float[np.ndarray, "estimate 2"], iou: float
) -> Found:
    """Match spans (start, end; any unit, both sorted) one to one, the greatest IoU first, down to `iou`."""
    reach = np.maximum.accumulate(estimate[:, 1])
    mine, theirs = pair_ranges(
        np.searchsorted(reach, reference[:, 0], side="right"), np.searchsorted(estimate[:, 0], reference[:, 1])
    )
    a, b = reference[mine], estimate[theirs]
    shared = np.minimum(a[:, 1], b[:, 1]) - np.maximum(a[:, 0], b[:, 0])
    lengths = a[:, 1] - a[:, 0] + b[:, 1] - b[:, 0]
    near = (shared > 0) & (shared >= iou * (lengths - shared) - NANOSECOND)
    cost = -shared[near] / (lengths - shared)[near]
    return Found(_count_greedily(mine[near], theirs[near], cost), len(reference), len(estimate))


def find_times(
    reference: Float[np.ndarray, "reference"], estimate: Float[np.ndarray, "estimate"], within: float
) -> Found:
    """Match points of time (any unit, both sorted) one to one, the nearest first, as far apart as `within`."""
    within += NANOSECOND
    mine, theirs = pair_ranges(
        np.searchsorted(estimate, reference - within), np.searchsorted(estimate, reference + within, side="right")
    )
    cost = np.abs(reference[mine] - estimate[theirs])
    return Found(_count_greedily(mine, theirs, cost), len(reference), len(estimate))


def _count_greedily(
    mine: Int[np.ndarray, "pairs"], theirs: Int[np.ndarray, "pairs"], cost: Float[np.ndarray, "pairs"]
) -> int:
    """How many pairs stand when the cheapest are taken first and nobody is taken twice."""
    taken: tuple[set[int], set[int]] = set(), set()
    for k in np.argsort(cost, kind="stable").tolist():
        if mine[k] not in taken[0] and theirs[k] not in taken[1]:
            taken[0].add(int(mine[k]))
            taken[1].add(int(theirs[k]))
    return len(taken[0])
