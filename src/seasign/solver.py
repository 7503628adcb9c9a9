"""The dynamic programme behind `alignment.assign`, over arrays: exact, linear in the signs, many settings at once.

The state after a cue is the next free sign. A cue takes a run of signs or is dropped; signs between runs are skipped.
Every cost of giving the signs k..l to a cue splits into a part that knows only k and a part that knows only l, except
`w_dur * |duration of the cue - (end of l - start of k)|`. That one is an L1 distance between the start of k and the
break point `end of l - duration of the cue`: left of it it falls with k, right of it it rises. So the best k for every
l is the better of the best in two ranges of neighbouring columns, and no loop over k is left.

The same sweep over cues serves two algebras. With `np.maximum` it finds the best alignment; with `np.logaddexp` it sums
over all alignments, each weighted by exp(-cost / temperature). Gains are negative costs throughout.

A window is a row of `width` columns. As last signs, column c of cue i is the sign `low[i] + c`; as states, columns 0 to
`width` are the next free signs `low[i] + c`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, Int

from seasign.spans import nearest, times
from seasign.types import Costs, Span

TIE = 1e-9  # gains closer than this are equal: far above rounding, far below what a millisecond costs
LONG = 1 / 6  # what a second of signs in a hole costs, as a share of what it costs outside of one
CHUNK = 200_000  # numbers per table that is laid out ahead of the loop over cues


@dataclass(frozen=True)
class Problem:
    """One episode as arrays, in order of time; times in seconds. A geometry is one way to place cues and windows."""

    cue_start: Float64[np.ndarray, "geometries cues"]
    cue_end: Float64[np.ndarray, "geometries cues"]
    sign_start: Float64[np.ndarray, " signs"]  # ascending
    sign_end: Float64[np.ndarray, " signs"]
    low: Int[np.ndarray, "geometries cues"]  # the first and the last sign that a cue may end on
    high: Int[np.ndarray, "geometries cues"]
    block: Int[np.ndarray, " signs"]  # the earliest sign that may share a run with this one
    rewards: Float64[np.ndarray, "geometries cues columns"] | None = None  # of the first c signs from `low`, summed
    pause: float | None = None  # seconds that a pause between signs usually lasts; None: the median of those here

    @property
    def width(self) -> int:
        """How many signs the widest window holds."""
        return int((self.high - self.low).max()) + 1

    def mirrored(self) -> "Problem":
        """The same episode backwards in time: what was last comes first."""
        count, (low, high) = len(self.sign_start), (self.low, self.high)
        following = np.append(np.flatnonzero(np.diff(self.block)) + 1, count)  # where blocks of signs end
        last = following[np.searchsorted(following, np.arange(count), side="right")] - 1
        rewards = None
        if self.rewards is not None:
            width = self.width
            reach = np.minimum(np.arange(width + 1), (high - low + 1)[..., None])  # columns beyond `high` hold nothing
            backwards = (high - low + 1)[..., None] - reach
            total = np.take_along_axis(self.rewards, (high - low + 1)[..., None], axis=2)
            rewards = (total - np.take_along_axis(self.rewards, backwards, axis=2))[:, ::-1]
        return Problem(
            -self.cue_end[:, ::-1],
            -self.cue_start[:, ::-1],
            -self.sign_end[::-1],
            -self.sign_start[::-1],
            count - 1 - high[:, ::-1],
            count - 1 - low[:, ::-1],
            count - 1 - last[::-1],
            rewards,
            self.pause,
        )


@dataclass(frozen=True)
class Prices:
    """What settings charge, one number a setting; a price of None is not for sale, in any setting."""

    w_dur: Float64[np.ndarray, " settings"]
    w_gap: Float64[np.ndarray, " settings"]
    w_sim: Float64[np.ndarray, " settings"]
    drop: Float64[np.ndarray, " settings"] | None = None  # per dropped cue
    skip: Float64[np.ndarray, " settings"] | None = None  # per second of a skipped sign
    hole: Float64[np.ndarray, " settings"] | None = None  # once between two runs; a second then costs LONG as much

    def __len__(self) -> int:
        return len(self.w_dur)

    def repeated(self, times: int) -> "Prices":
        """The same settings several times, to solve them at several temperatures."""
        return replace(self, **{name: np.tile(price, times) for name, price in vars(self).items() if price is not None})


@dataclass(frozen=True)
class Sweep:
    """The cues gone through once, from the first to the last. Rows are cues, then settings."""

    state: Float64[np.ndarray, "rows settings states"]  # before cue i: the gain so far, by the sign that is free next
    left: Float64[np.ndarray, "rows settings"]  # the first state, if what the window has left behind is in a hole
    free: Float64[np.ndarray, "cues settings states"]  # the same in the window of cue i, when signs have been skipped
    take: Float64[np.ndarray, "cues settings width"]  # of the cues 0..i when cue i takes a run that ends at the column
    totals: Float64[np.ndarray, "cues settings"]  # of the cues 0..i alone

    @property
    def total(self) -> Float64[np.ndarray, " settings"]:
        """The gain of the whole."""
        total: Float64[np.ndarray, " settings"] = self.totals[-1]
        return total


@dataclass(frozen=True)
class Solution:
    """One row per setting. Cue i has the signs first[i] .. stop[i] - 1; none when they are equal: it was dropped."""

    first: Int[np.ndarray, "settings cues"]
    stop: Int[np.ndarray, "settings cues"]
    cost: Float64[np.ndarray, " settings"]  # infinite: there is no assignment
    stuck: Int[np.ndarray, " settings"]  # the first cue that no assignment reaches; as many as the cues: none
    sweep: Sweep  # that it was found by


def price_list(settings: Sequence[Costs]) -> Prices:
    """The prices of several settings, side by side; all of them drop, and skip, or none."""

    def column(name: str) -> Float64[np.ndarray, " settings"] | None:
        values = [None if costs.compat else getattr(costs, name) for costs in settings]
        return None if None in values else np.array(values, float)

    w_dur, w_gap, w_sim = (
        np.array([getattr(costs, name) for costs in settings], float) for name in ("w_dur", "w_gap", "w_sim")
    )
    skip = column("skip")
    return Prices(w_dur, w_gap, w_sim, column("drop"), skip, None if skip is None else column("hole"))


def lay_out(cues: Sequence[Span], signs: Sequence[Span], costs: Costs = Costs()) -> Problem:
    """The arrays that `solve` works on. Cues and signs come in order of time."""
    (cue_start, cue_end), (sign_start, sign_end) = times(cues), times(signs)
    reach = nearest((cue_start + cue_end) / 2, (sign_start + sign_end) / 2, costs.window)
    low, high = reach.min(axis=1), reach.max(axis=1)
    block = np.zeros(len(signs), int)
    if not costs.compat:
        low, high = np.minimum.accumulate(low[::-1])[::-1], np.maximum.accumulate(high)  # windows only move on
        pauses = sign_start[1:] - np.maximum.accumulate(sign_end)[:-1] > costs.max_gap
        block[1:] = np.maximum.accumulate(np.where(pauses, np.arange(1, len(signs)), 0))
    return Problem(cue_start[None], cue_end[None], sign_start, sign_end, low[None], high[None], block)


def pauses(
    sign_start: Float64[np.ndarray, " signs"],
    sign_end: Float64[np.ndarray, " signs"],
    *,
    usual: bool,
    pause: float | None = None,
) -> Float64[np.ndarray, " signs"]:
    """Seconds without a sign from the first sign up to each, so that those inside a run are a difference.

    Args:
        usual: As published, all of them; otherwise what each pause is longer than the median one, or shorter.
            Annotators leave a pause after every sign: where signs can be skipped, and cues dropped, charging it would
            make every sign dearer to take than to leave.
        pause: What the median is in the whole episode, where this is a part of it.
    """
    gaps = np.maximum(0, sign_start[1:] - sign_end[:-1])
    if not usual and len(gaps):
        gaps -= np.median(gaps) if pause is None else pause
    return np.concatenate(([0.0], np.cumsum(gaps)))


def sweep(
    problem: Problem,
    prices: Prices,
    plus: np.ufunc = np.maximum,
    temperature: float | Float64[np.ndarray, "settings 1"] = 1.0,
    laid: Sequence["Table"] = (),
) -> Sweep:
    """Go through the cues, for every setting of the prices.

    With a price to skip signs, those before the first run and after the last are free, too; without one the first run
    starts at the first sign and leaves no holes.

    Args:
        plus: `np.maximum` for the best alignment, `np.logaddexp` for the sum over all.
        temperature: What gains are divided by; one number, or one a setting.
        laid: The tables of all cues, if they are there.
    """
    cues, width, count = problem.cue_start.shape[1], problem.width, len(prices)
    nothing = np.full((count, 1), -np.inf)
    state = np.full((count, width + 2), -np.inf)  # the last column is the place of nothing
    untaken = np.zeros((count, 1)) if prices.skip is not None else nothing  # every cue so far was dropped
    if prices.skip is None:
        state[:, 1] = 0  # the window before the first cue starts at sign -1
    states, takes = np.empty((cues + 1, count, width + 1)), np.empty((cues, count, width))
    frees, totals, lefts = np.empty_like(states[1:]), np.empty((cues, count)), np.empty((cues + 1, count))
    left, fee = nothing, None if prices.hole is None else prices.hole[:, None] / temperature
    drop = np.full((count, 1), -np.inf) if prices.drop is None else -prices.drop[:, None] / temperature
    prefix = np.full((count, width + 1), -np.inf)
    ended = nothing  # the last run was taken: the signs that are left are free
    for table in laid or tables(problem, prices, plus, temperature):
        stacked = np.full((count, table.levels * width + 1), -np.inf)
        for row, cue in enumerate(range(table.start, table.stop)):
            states[cue], lefts[cue] = state[:, :-1], left[:, 0]
            frees[cue], kept, left = _open(table, row, state, left, fee, untaken, plus)
            free = frees[cue, :, :width]
            if table.whole:
                plus.accumulate(free + table.rising[row], axis=1, out=prefix[:, 1:])
                up = _pick(prefix, table.left[row, 0])
            else:
                up = _ranges(free + table.rising[row], table.left[row], stacked, plus)
            down = _ranges(free + table.falling[row], table.right[row], stacked, plus)
            up += table.longer[row]
            down += table.shorter[row]
            take = plus(up, down, out=takes[cue])
            kept += drop
            left = left + drop
            plus(kept[:, 1:-1], take, out=kept[:, 1:-1])
            state = kept
            untaken = untaken + drop
            ended = plus(ended + drop, plus.reduce(take, axis=1, keepdims=True))
            totals[cue] = plus(ended, untaken)[:, 0]
    states[cues], lefts[cues] = state[:, :-1], left[:, 0]
    return Sweep(states, lefts, frees, takes, totals)


def solve(problem: Problem, prices: Prices) -> Solution:
    """Give every cue one run of neighbouring signs or none, at the least total cost, once per setting of the prices.

    Where costs are equal a cue is taken rather than dropped, signs are skipped as late as they can be, the run of the
    later cue starts as early as it can, and the last run ends as early.

    Time O(settings x cues x width x log(width)), memory O(settings x cues x width).

    Source: Jiang et al. 2025 (SEA, arXiv:2512.08094), Align; cost and constraints of dp_inner_loop in the authors'
        align_dp.py @ 13b6a58, when nothing can be dropped or skipped. Differs: linear in the signs (there every first
        sign is tried for every last one); dropping, skipping and blocks are ours.
    """
    laid = list(tables(problem, prices)) if len(prices) * problem.width * problem.low.shape[1] <= CHUNK else []
    found = sweep(problem, prices, laid=laid)
    first, stop = _backtrack(problem, prices, found, laid)
    reached = np.isfinite(found.take).any(axis=2) | np.isfinite(found.state[1:]).any(axis=2)
    stuck = np.where(np.isfinite(found.total), len(reached), reached.sum(axis=0))
    return Solution(first, stop, -found.total, stuck, found)


# The costs of a stretch of cues ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """What a stretch of cues gains, laid out ahead of the loop: rows, then settings (or geometries), then columns."""

    start: int
    stop: int
    low: Int[np.ndarray, "rows geometries"]
    origin: Int[np.ndarray, "rows geometries"]  # the sign that is column 0 as a first sign
    # all that the first sign decides, and that the last one does; a run gains rising + longer or falling + shorter of
    # them, whichever is less: the first where it lasts longer than its cue
    rising: Float64[np.ndarray, "rows settings width"]
    falling: Float64[np.ndarray, "rows settings width"]
    longer: Float64[np.ndarray, "rows settings width"]
    shorter: Float64[np.ndarray, "rows settings width"]
    begin: Int[
        np.ndarray, "rows geometries width"
    ]  # for each last sign, the first columns begin .. end - 1 may go with it
    end: Int[np.ndarray, "rows geometries width"]
    whole: bool  # begin is 0 everywhere: what is up to a break point is a prefix
    left: Int[np.ndarray, "rows lookups_left geometries width"]  # where the best of those up to its break point stand
    right: Int[np.ndarray, "rows lookups geometries width"]  # and of those above it
    skipped: Float64[np.ndarray, "rows settings states"] | None  # what skipping all signs before a state would gain
    skipped_before: Float64[np.ndarray, "rows settings states"] | None  # the same for the states before the cue
    shift: Int[np.ndarray, "rows geometries"]  # by how many signs the window moved
    moved: Int[np.ndarray, "rows geometries states"]  # where each state stood before: the nearest there was,
    kept: Int[np.ndarray, "rows geometries places"]  # or the place of nothing, which is the last
    levels: int


def tables(
    problem: Problem,
    prices: Prices,
    plus: np.ufunc = np.maximum,
    temperature: float | Float64[np.ndarray, "settings 1"] = 1.0,
    backwards: bool = False,
) -> Iterator[Table]:
    """The tables of all cues, a bounded stretch at a time."""
    cues = problem.cue_start.shape[1]
    rows = max(1, CHUNK // (len(prices) * problem.width))
    starts = range(0, cues, rows)
    for start in reversed(starts) if backwards else starts:
        yield _table(problem, prices, plus, temperature, start, min(start + rows, cues))


def _table(
    problem: Problem,
    prices: Prices,
    plus: np.ufunc,
    temperature: float | Float64[np.ndarray, "settings 1"],
    start: int,
    stop: int,
) -> Table:
    """The gains of the cues start .. stop - 1."""
    width, count = problem.width, len(problem.sign_start)
    rows = slice(start, stop)
    lows = problem.low.T[rows]  # rows x geometries
    before = np.concatenate((np.full_like(problem.low.T[:1], -1), problem.low.T))[rows]
    origin = lows if prices.skip is not None else before + 1
    cue_start, cue_end = problem.cue_start.T[rows, :, None], problem.cue_end.T[rows, :, None]
    columns = np.arange(width)
    first, last = origin[..., None] + columns, lows[..., None] + columns
    beyond_first, beyond_last = first >= count, last > problem.high.T[rows, :, None]
    first, last = np.minimum(first, count - 1), np.minimum(last, count - 1)
    gaps = pauses(problem.sign_start, problem.sign_end, usual=prices.skip is None, pause=problem.pause)
    break_point = problem.sign_end[last] - (cue_end - cue_start)

    early, late = np.abs(cue_start - problem.sign_start[first]), np.abs(cue_end - problem.sign_end[last])
    of_first = [problem.sign_start[first], -early, gaps[first]]
    of_last = [break_point, -late, -gaps[last]]
    if problem.rewards is not None:
        rewards = problem.rewards.transpose(1, 0, 2)[rows]
        of_first.append(-np.take_along_axis(rewards, np.clip(first - lows[..., None], 0, width), axis=2))
        of_last.append(rewards[..., 1:])
    weights = np.stack([prices.w_dur, np.ones(len(prices)), prices.w_gap, prices.w_sim][: len(of_first)], axis=1)
    rising, falling = _weigh(weights / temperature, of_first, beyond_first)
    shorter, longer = _weigh(weights / temperature, of_last, beyond_last)

    end = np.clip(last - origin[..., None] + 1, 0, width)  # first columns up to each last sign ...
    begin = np.clip(problem.block[last] - origin[..., None], 0, end)  # ... and in its block
    split = np.clip(np.searchsorted(problem.sign_start, break_point, side="right") - origin[..., None], begin, end)
    skipped = skipped_before = None
    if prices.skip is not None:
        lengths = np.concatenate(([0.0], np.cumsum(np.maximum(0, problem.sign_end - problem.sign_start))))
        states = np.arange(width + 1)
        price = -prices.skip[:, None] / temperature
        skipped = price * lengths[np.minimum(lows[..., None] + states, count)]
        skipped_before = price * lengths[np.minimum(before[..., None] + states, count)]
    stood = np.arange(width + 1) + (lows - before)[..., None]
    moved = np.clip(stood, 0, width)
    whole = not begin.any()
    levels = int(np.frexp(max(0 if whole else int((split - begin).max()), int((end - split).max()), 1))[1])
    return Table(
        start,
        stop,
        lows,
        origin,
        rising,
        falling,
        longer,
        shorter,
        begin,
        end,
        whole,
        split[:, None] if whole else _lookups(begin, split, width, levels, plus),
        _lookups(split, end, width, levels, plus),
        skipped,
        skipped_before,
        lows - before,
        moved,
        np.append(np.where((moved == stood), moved, width + 1), np.full((*moved.shape[:2], 1), width + 1), axis=2),
        levels,
    )


def _weigh(
    weights: Float64[np.ndarray, "settings terms"],
    terms: Sequence[Float64[np.ndarray, "rows geometries width"]],
    beyond: Bool[np.ndarray, "rows geometries width"],
) -> tuple[Float64[np.ndarray, "rows settings width"], Float64[np.ndarray, "rows settings width"]]:
    """The sum of the terms, once per setting, and the same with the first term taken away instead; -inf beyond."""
    if len(weights) > 1 and beyond.shape[1] == 1:
        table = np.concatenate(terms, axis=1)
        up, down = weights @ table, (weights * np.r_[-1, np.ones(len(terms) - 1)]) @ table
    else:
        slope, *rest = (weight[:, None] * term for weight, term in zip(weights.T, terms, strict=True))
        level = sum(rest[1:], rest[0])
        up, down = level + slope, level - slope
    if beyond.any():
        up, down = (np.where(beyond, -np.inf, total) for total in (up, down))
    return up, down


def _lookups(
    start: Int[np.ndarray, "rows geometries width"],
    stop: Int[np.ndarray, "rows geometries width"],
    width: int,
    levels: int,
    plus: np.ufunc,
) -> Int[np.ndarray, "rows lookups geometries width"]:
    """Which blocks of 2**level columns make up each range start .. stop - 1, as places in what `_ranges` stacks."""
    length, nowhere = stop - start, levels * width
    if plus is np.maximum:  # two blocks that may overlap
        level = np.frexp(np.maximum(length, 1))[1] - 1
        blocks = [level * width + start, level * width + stop - (1 << level)]
        return np.stack([np.where(length > 0, block, nowhere) for block in blocks], axis=1)
    blocks = []
    for level in range(levels):  # those of the length's binary digits, which do not overlap
        part = (length >> level) & 1
        blocks.append(np.where(part > 0, level * width + start, nowhere))
        start = start + (part << level)
    return np.stack(blocks, axis=1)


def _open(
    table: Table,
    row: int,
    state: Float64[np.ndarray, "settings places"],
    left: Float64[np.ndarray, "settings 1"],
    fee: Float64[np.ndarray, "settings 1"] | None,
    untaken: Float64[np.ndarray, "settings 1"],
    plus: np.ufunc,
) -> tuple[
    Float64[np.ndarray, "settings states"], Float64[np.ndarray, "settings places"], Float64[np.ndarray, "settings 1"]
]:
    """The states before a cue, moved into its window: those its run may start from, and those it may be dropped in.

    Before a run signs may be skipped, second by second or as a hole, which costs its fee and then less. A dropped cue
    leaves the state as it is, unless the window has left it behind: then the signs up to the window are skipped, and
    since both ways are open, the first state has two values.
    """
    kept = _pick(state, table.kept[row])
    if table.skipped is None or table.skipped_before is None:
        return state[:, 1:], kept, left
    reached = plus.accumulate(state[:, :-1] - table.skipped_before[row], axis=1)
    free = _pick(reached, table.moved[row]) + table.skipped[row]
    kept[:, 0] = free[:, 0]
    plus(free, untaken, out=free)
    if fee is None:
        return free, kept, left
    behind = state[:, :-1] - LONG * table.skipped_before[row]
    behind[:, :1] = left - LONG * table.skipped_before[row, :, :1]
    through = _pick(plus.accumulate(behind, axis=1, out=behind), table.moved[row]) + LONG * table.skipped[row]
    return plus(free, through - fee, out=free), kept, through[:, :1]


def _ranges(
    values: Float64[np.ndarray, "settings width"],
    lookups: Int[np.ndarray, "lookups geometries width"],
    stacked: Float64[np.ndarray, "settings places"],
    plus: np.ufunc,
) -> Float64[np.ndarray, "settings width"]:
    """`plus` over the range of columns that each column looks up; -inf where the range is empty.

    Args:
        stacked: Room, -inf at first: [level * width + c] is for the 2**level columns from c, and the last for nothing.
    """
    width = values.shape[1]
    stacked[:, :width] = values
    for level in range(1, stacked.shape[1] // width):
        half, at = 1 << level - 1, level * width
        plus(
            stacked[:, at - width : at - half],
            stacked[:, at - width + half : at],
            out=stacked[:, at : at + width - half],
        )
    result = _pick(stacked, lookups[0])
    for lookup in lookups[1:]:
        plus(result, _pick(stacked, lookup), out=result)
    return result


def _pick(
    values: Float64[np.ndarray, "settings columns"], index: Int[np.ndarray, "geometries picked"]
) -> Float64[np.ndarray, "settings picked"]:
    """values[s, index[s]], where one row of `index` may stand for all."""
    if len(index) == 1:
        only: Float64[np.ndarray, "settings picked"] = values.take(index[0], axis=1)
        return only
    picked: Float64[np.ndarray, "settings picked"] = np.take_along_axis(values, index, axis=1)
    return picked


# The way back ---------------------------------------------------------------------------------------------------------


def _backtrack(
    problem: Problem, prices: Prices, found: Sweep, laid: Sequence[Table]
) -> tuple[Int[np.ndarray, "settings cues"], Int[np.ndarray, "settings cues"]]:
    """Follow the greatest gains from the last cue to the first. Rows without an assignment hold nothing of use."""
    cues, count, width = found.take.shape
    settings, columns = np.arange(count), np.arange(width + 1)
    geometry = settings if len(problem.low) > 1 else np.zeros(count, int)
    first, stop = np.zeros((count, cues), int), np.zeros((count, cues), int)
    drop = np.zeros(count) if prices.drop is None else prices.drop
    ending = found.take.max(axis=2) - drop * np.arange(cues - 1, -1, -1)[:, None]
    if prices.drop is None:
        ending[:-1] = -np.inf
    last_taken = cues - 1 - ending[::-1].argmax(axis=0)
    last_taken[ending.max(axis=0) < found.total - TIE] = -1  # every cue is dropped
    column = np.full(count, -1)  # the state after the cue; -1: before the first run, or after the last
    hole = np.zeros(count, int)  # 1: the signs between the cue and the run after it are a hole
    final = set(last_taken.tolist())
    for table in laid or tables(problem, prices, backwards=True):
        for row in reversed(range(table.stop - table.start)):
            cue = table.start + row
            if cue in final:
                column = np.where(last_taken == cue, _earliest(found.take[cue]) + 1, column)
            inside, taken, last = column >= 0, column > 0, np.maximum(column - 1, 0)
            if not inside.any():
                continue
            if prices.drop is not None:
                reached = found.take[cue, settings, last] >= found.state[cue + 1, settings, column] - TIE
                taken = taken & reached | (last_taken == cue)

            begin, end = table.begin[row, geometry, last], table.end[row, geometry, last]
            low = min(int(begin[inside].min()), width - 1)
            some = slice(low, max(int(end[inside].max()), low + 1))  # no first sign of any setting lies elsewhere
            gain = np.minimum(
                table.rising[row, :, some] + table.longer[row, settings, last][:, None],
                table.falling[row, :, some] + table.shorter[row, settings, last][:, None],
            )
            gain += found.free[cue, :, some]
            if count > 1:
                gain[(columns[some] < begin[:, None]) | (columns[some] >= end[:, None])] = -np.inf
            opened = low + _earliest(gain)
            first[taken, cue] = (table.origin[row] + opened)[taken]
            stop[taken, cue] = (table.low[row] + column)[taken]

            if table.skipped is None or table.skipped_before is None:
                source = np.where(taken, opened + 1, column + table.shift[row])  # the state before the cue
            else:
                reach = np.minimum(np.where(taken, opened, 0) + table.shift[row], width)
                some = slice(0, int(reach[inside].max()) + 1)
                earlier = found.state[cue, :, some] - table.skipped_before[row, :, some]
                ways = [earlier]
                if prices.hole is not None:
                    through = found.state[cue, :, some] - LONG * table.skipped_before[row, :, some]
                    through[:, 0] = found.left[cue] - LONG * table.skipped_before[row, :, 0]
                    ways.append(through)
                if count > 1:
                    for way in ways:
                        way[columns[some] > reach[:, None]] = -np.inf
                at = np.stack([some.stop - 1 - _earliest(way[:, ::-1]) for way in ways])
                came = np.stack([way[settings, state] for way, state in zip(ways, at, strict=True)])
                came[0] += table.skipped[row, settings, opened]
                if prices.hole is not None:
                    came[1] += LONG * table.skipped[row, settings, opened] - prices.hole
                hole = np.where(taken, came.argmax(axis=0), hole)
                source = np.where(taken | (column == 0), at[hole, settings], column + table.shift[row])
                untaken = found.free[cue, settings, opened] > came.max(axis=0) + TIE  # all cues before are dropped
                source[taken & untaken] = -1
            column = np.where(inside, source, column)
    return first, stop


def _earliest(gain: Float64[np.ndarray, "settings columns"]) -> Int[np.ndarray, " settings"]:
    """The first column of the greatest gain in each row."""
    least: Int[np.ndarray, " settings"] = (gain >= gain.max(axis=1, keepdims=True) - TIE).argmax(axis=1)
    return least
