"""The dynamic programme behind `alignment.assign`, over arrays: exact, O(cues x window), for many settings at once.

Every cost of giving the signs k..l to a cue splits into a part that knows only the first sign and a part that knows
only the last, except `w_dur * |duration of the cue - (end of l - start of k)|`. That one is an L1 distance between the
start of k and `end of l - duration of the cue`: left of this break point it falls with k, right of it it rises. So the
best first sign for every last one is the better of a prefix minimum and a sliding minimum, and no loop over k is left.

A window is a row of `width` columns: column c of cue i is the sign `low[i] + c` as its last, and, since runs leave no
holes, the sign `low[i] + c + 1` as the first of cue i + 1. Columns beyond a window or the signs cost infinity.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int

TIE = 1e-9  # costs closer than this are equal: far above rounding, far below what a millisecond costs
CHUNK = 200_000  # numbers per table that is laid out ahead of the loop over cues


@dataclass(frozen=True)
class Problem:
    """One episode as arrays, in order of time; times in seconds."""

    cue_start: Float64[np.ndarray, " cues"]
    cue_end: Float64[np.ndarray, " cues"]
    sign_start: Float64[np.ndarray, " signs"]  # ascending
    sign_end: Float64[np.ndarray, " signs"]
    low: Int[np.ndarray, " cues"]  # the first and the last sign that a cue may end on
    high: Int[np.ndarray, " cues"]
    rewards: Float64[np.ndarray, "cues columns"] | None = None  # [i, c]: similarity of the c signs from low[i], summed

    @property
    def width(self) -> int:
        """How many signs the widest window holds."""
        return int((self.high - self.low).max()) + 1

    @property
    def gaps(self) -> Float64[np.ndarray, " signs"]:
        """Seconds without a sign between the first sign and each."""
        return np.concatenate(([0.0], np.cumsum(np.maximum(0, self.sign_start[1:] - self.sign_end[:-1]))))


@dataclass(frozen=True)
class Solution:
    """One row per setting."""

    boundaries: Int[np.ndarray, "settings edges"]  # cue i has the signs boundaries[i] .. boundaries[i + 1] - 1
    cost: Float64[np.ndarray, " settings"]  # infinite: there is no assignment
    stuck: Int[np.ndarray, " settings"]  # the first cue that no assignment reaches; as many as the cues: none


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


def solve(
    problem: Problem,
    w_dur: Float64[np.ndarray, " settings"],
    w_gap: Float64[np.ndarray, " settings"],
    w_sim: Float64[np.ndarray, " settings"],
) -> Solution:
    """Give every cue one run of neighbouring signs at the least total cost, once per setting of the weights.

    The first run starts at the first sign and every other where the one before ended; signs after the last run stay
    free. Where costs are equal the run of the later cue starts as early as it can, and the last run ends as early.

    Time O(settings x cues x width x log(signs within a cue)), memory O(settings x cues x width).

    Source: Jiang et al. 2025 (SEA, arXiv:2512.08094), Align; cost and constraints of dp_inner_loop in the authors'
        align_dp.py @ 13b6a58. Differs: linear in the signs (there every first sign is tried for every last one).
    """
    weights = w_dur[:, None], w_gap[:, None], w_sim[:, None]
    cues, width, count = len(problem.cue_start), problem.width, len(w_dur)
    values = np.full((count, width), np.inf)
    values[:, 0] = 0  # before the first cue there is one state: the next sign is sign 0
    history = np.empty((cues + 1, count, width))
    for table in _tables(problem, weights):
        prefix = np.full((count, width + 1), np.inf)
        sliding = np.full((count, table.levels * width + 1), np.inf)
        for row, cue in enumerate(range(table.start, table.stop)):
            history[cue] = values
            first = values + table.first[row]
            np.minimum.accumulate(first - table.rise[row], axis=1, out=prefix[:, 1:])
            np.add(first, table.rise[row], out=sliding[:, :width])
            for level in range(1, table.levels):  # level l, column c: the minimum of the 2**l columns from c
                half, at = 1 << level - 1, level * width
                np.minimum(
                    sliding[:, at - width : at - half],
                    sliding[:, at - width + half : at],
                    out=sliding[:, at : at + width - half],
                )
            left = prefix.take(table.left[row], axis=1)
            left += table.fall[row]
            right = sliding.take(table.right[row], axis=1)
            np.minimum(right, sliding.take(table.right_end[row], axis=1), out=right)
            right -= table.fall[row]
            values = np.minimum(left, right, out=left)
            values += table.last[row]
    history[cues] = values
    stuck = np.isfinite(history[1:].min(axis=2)).sum(axis=0)
    return Solution(_backtrack(problem, weights, history), values.min(axis=1), stuck)


_Weights = tuple[np.ndarray, np.ndarray, np.ndarray]  # w_dur, w_gap, w_sim; settings x 1


@dataclass(frozen=True)
class _Table:
    """What a stretch of cues costs, laid out ahead of the loop: rows are cues, columns those of their windows."""

    start: int
    stop: int
    origin: Int[np.ndarray, " rows"]  # the first sign that is column 0
    first: Float64[np.ndarray, "rows settings width"]  # all that the first sign decides
    last: Float64[np.ndarray, "rows settings width"]  # all that the last sign decides
    rise: Float64[np.ndarray, "rows settings width"]  # w_dur * start of the first sign
    fall: Float64[np.ndarray, "rows settings width"]  # w_dur * break point of the last sign
    below: Int[np.ndarray, "rows width"]  # how many columns may be first for this last sign
    left: Int[np.ndarray, "rows width"]  # where the prefix minimum of each last sign stands
    right: Int[np.ndarray, "rows width"]  # where the two halves of its sliding minimum stand
    right_end: Int[np.ndarray, "rows width"]
    levels: int


def _tables(problem: Problem, weights: _Weights, backwards: bool = False) -> Iterator[_Table]:
    """The tables of all cues, a bounded stretch at a time."""
    cues = len(problem.cue_start)
    rows = max(1, CHUNK // (len(weights[0]) * problem.width))
    starts = range(0, cues, rows)
    gaps = problem.gaps
    for start in reversed(starts) if backwards else starts:
        yield _table(problem, gaps, weights, start, min(start + rows, cues))


def _table(problem: Problem, gaps: np.ndarray, weights: _Weights, start: int, stop: int) -> _Table:
    """The costs of the cues start .. stop - 1."""
    w_dur, w_gap, w_sim = weights
    width, count = problem.width, len(problem.sign_start)
    low, high = problem.low[start:stop, None], problem.high[start:stop, None]
    origin = (np.concatenate(([-1], problem.low))[start:stop] + 1)[:, None]
    cue_start, cue_end = problem.cue_start[start:stop, None], problem.cue_end[start:stop, None]
    first = origin + np.arange(width)
    last = low + np.arange(width)
    beyond_first, beyond_last = first >= count, last > high
    first, last = np.minimum(first, count - 1), np.minimum(last, count - 1)
    break_point = problem.sign_end[last] - (cue_end - cue_start)

    first_cost = np.abs(cue_start - problem.sign_start[first])[:, None] - w_gap * gaps[first][:, None]
    last_cost = np.abs(cue_end - problem.sign_end[last])[:, None] + w_gap * gaps[last][:, None]
    if problem.rewards is not None:
        rewards = problem.rewards[start:stop]
        first_cost += w_sim * np.take_along_axis(rewards, np.clip(first - low, 0, width), axis=1)[:, None]
        last_cost -= w_sim * rewards[:, None, 1:]
    first_cost.transpose(0, 2, 1)[beyond_first] = np.inf
    last_cost.transpose(0, 2, 1)[beyond_last] = np.inf

    below = np.clip(last - origin + 1, 0, width)
    split = np.clip(np.searchsorted(problem.sign_start, break_point, side="right") - origin, 0, below)
    length = below - split
    level = np.frexp(np.maximum(length, 1))[1] - 1  # floor of the binary logarithm
    levels = int(level.max()) + 1
    nowhere = levels * width
    return _Table(
        start,
        stop,
        origin[:, 0],
        first_cost,
        last_cost,
        w_dur * problem.sign_start[first][:, None],
        w_dur * break_point[:, None],
        below,
        split,
        np.where(length > 0, level * width + split, nowhere),
        np.where(length > 0, level * width + below - (1 << level), nowhere),
        levels,
    )


def _backtrack(
    problem: Problem, weights: _Weights, history: Float64[np.ndarray, "edges settings width"]
) -> Int[np.ndarray, "settings edges"]:
    """Follow the least costs from the last cue to the first. Rows without an assignment hold nothing of use."""
    cues, count, width = len(history) - 1, history.shape[1], history.shape[2]
    columns, settings = np.arange(width), np.arange(count)
    boundaries = np.empty((count, cues + 1), int)
    column = _earliest(history[cues])
    boundaries[:, cues] = problem.low[-1] + column + 1
    for table in _tables(problem, weights, backwards=True):
        for row in reversed(range(table.stop - table.start)):
            cue = table.start + row
            cost = table.rise[row] - table.fall[row][settings, column][:, None]
            np.abs(cost, out=cost)
            cost += history[cue]
            cost += table.first[row]
            cost[columns >= table.below[row][column][:, None]] = np.inf
            column = _earliest(cost)
            boundaries[:, cue] = table.origin[row] + column
    return boundaries


def _earliest(cost: Float64[np.ndarray, "settings width"]) -> Int[np.ndarray, " settings"]:
    """The first column of the least cost in each row."""
    least: Int[np.ndarray, " settings"] = (cost <= cost.min(axis=1, keepdims=True) + TIE).argmax(axis=1)
    return least
