"""Spans among each other: their times, how much two share, which are nearest, and how all of them move."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import inf

import numpy as np
from jaxtyping import Float64, Int

from seasign.types import Cue, Span

NANOSECOND = 1e-9  # forgiven where times, or what spans share, are compared: less than any digit that is written


def times(spans: Sequence[Span]) -> tuple[Float64[np.ndarray, " spans"], Float64[np.ndarray, " spans"]]:
    """Starts and ends in seconds."""
    return np.array([span.start for span in spans], float), np.array([span.end for span in spans], float)


def iou(a: Float64[np.ndarray, "*rows 2"], b: Float64[np.ndarray, "*rows2 2"]) -> Float64[np.ndarray, "..."]:
    """Intersection over union of starts and ends, broadcast against each other."""
    shared = np.minimum(a[..., 1], b[..., 1]) - np.maximum(a[..., 0], b[..., 0])
    union = np.maximum(a[..., 1], b[..., 1]) - np.minimum(a[..., 0], b[..., 0])
    ratio: Float64[np.ndarray, ...] = np.maximum(shared, 0) / np.maximum(union, 1e-9)
    return ratio


def nearest(
    middles: Float64[np.ndarray, " cues"], sign_middles: Float64[np.ndarray, " signs"], size: int | None
) -> Int[np.ndarray, "cues size"]:
    """Indices of the `size` signs nearest to each cue (None, or fewer signs: all); of two as near, the earlier."""
    count = len(sign_middles)
    size = count if size is None else min(size, count)
    order = np.argsort(sign_middles, kind="stable")
    ranked = sign_middles[order]
    # in order of middles the nearest are one block: bisect for the first that the next block does not beat
    first, last = np.zeros(len(middles), int), np.full(len(middles), count - size)
    while (first < last).any():
        half = (first + last) // 2
        later = middles - ranked[half] > ranked[np.minimum(half + size, count - 1)] - middles
        first, last = np.where(later & (first < last), half + 1, first), np.where(later, last, half)
    return order[first[:, None] + np.arange(size)]


def shift(cues: Sequence[Cue], by: tuple[float, float]) -> tuple[Cue, ...]:
    """Add seconds to the starts and to the ends; what becomes negative or reversed stays so."""
    return tuple(replace(cue, start=cue.start + by[0], end=cue.end + by[1]) for cue in cues)


def join_neighbours(cues: Sequence[Cue], lag: tuple[float, float], within: float = 1.0) -> tuple[Cue, ...]:
    """Shift, then let neighbours in time meet half way that as delivered are no more than `within` seconds apart.

    So do those that overlap by no more. It looks at no signing: a baseline, since cues that touch as delivered mostly
    touch when signed.
    """
    return meet(cues, shift(cues, lag), within)


def meet(cues: Sequence[Cue], moved: Sequence[Cue], within: float, most: float = inf) -> tuple[Cue, ...]:
    """The moved cues, with neighbours that are within so many seconds as `cues` meeting half way.

    Only where they are at most `most` seconds apart by now, and none loses its length by it.
    """
    met, order = list(moved), sorted(range(len(cues)), key=lambda i: cues[i].start)
    for i, after in pairwise(order):
        edge, apart = (met[i].end + met[after].start) / 2, abs(met[after].start - met[i].end)
        near = abs(cues[after].start - cues[i].end) <= within and apart <= most
        if near and met[i].start < edge < met[after].end:
            met[i], met[after] = replace(met[i], end=edge), replace(met[after], start=edge)
    return tuple(met)
