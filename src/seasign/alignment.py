"""Cues + signs -> Alignment: `align` is the whole job, `assign` its last step."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from math import isfinite
from types import MappingProxyType
from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Float, Float64, Int

from seasign.confidence import CALIBRATION, CERTAIN, UNSIGNED, examine, judge
from seasign.decoding import Decoder
from seasign.embedding import NEIGHBOURS, Embedder, compare, normalize, weigh_evidence
from seasign.lag import CLEAR, estimate_lag, shifts
from seasign.posterior import infer
from seasign.segmentation import TRAINING_FREE, Segmenter, segment
from seasign.solver import Problem, lay_out, nearest, price_list, solve
from seasign.solver import times as times_of
from seasign.types import (
    Alignment,
    Calibration,
    Confidence,
    Costs,
    Cue,
    InputError,
    InputWarning,
    Normalization,
    Poses,
    Preset,
    Rows,
    Sign,
    Span,
)

ROWS = get_args(Rows)
EVIDENCE = 1.0  # seconds of cost that a nat of evidence from similarities is worth, at the default w_sim


# Source: Jiang et al. 2025 (SEA, arXiv:2512.08094): the settings published for each corpus
PRESETS = {
    "bobsl": Preset(Costs(w_dur=1, w_gap=5, w_sim=10, max_gap=10), lag=(2.6, 2.1), padding=(0, 1)),
    "how2sign": Preset(Costs(w_dur=5, w_gap=0.8, w_sim=10, max_gap=8), lag=(1.3, 1.5), padding=(0, 1)),
    "srf": Preset(Costs(w_dur=0.5, w_gap=5, w_sim=5, max_gap=6), lag=(1.4, 1.6), padding=(0, 1)),
    "mitenand": Preset(Costs(w_dur=0.5, w_gap=5, w_sim=1, max_gap=6), lag=(0.49, 0.56), padding=(0, 1)),
}


def align(
    poses: Poses | Sequence[Sign],
    cues: Sequence[Cue],
    *,
    segmenter: Segmenter = TRAINING_FREE,
    decoder: Decoder | None = None,
    embedder: Embedder | None = None,
    similarity: Float[np.ndarray, "cues signs"] | None = None,
    costs: Costs = Costs(),
    normalization: Normalization = Normalization(),
    lag: tuple[float, float] | Literal["auto"] = "auto",
    padding: tuple[float, float] = (0.0, 0.0),
    pins: Mapping[int, tuple[float, float]] = MappingProxyType({}),
    calibration: Calibration = CALIBRATION,
) -> Alignment:
    """Move each cue onto the signing that says it: segment, embed, find the lag, shift, assign, pad.

    Args:
        poses: The signer; or the signs that someone else found, and nothing is segmented.
        decoder: Reads the tags of the segmenter; None takes its own for alignment.
        embedder: Says which signs look like which text; None aligns by time alone. It needs poses.
        similarity: Raw similarities from elsewhere, in place of `embedder`; higher is better.
        lag: Seconds by which the signing comes after the cues as delivered, for starts and for ends; "auto" finds it,
            and warns when no lag stands out and it is a guess. It is added first.
        padding: Seconds added to starts and ends at last; viewers and annotators like a cue to stay up for a while.
        pins: Cue (its index) -> its true start and end, in seconds of the signing: as `assign`.
        calibration: How sure is sure; `calibrate` fits it.
    Raises:
        InputError: As `segment` and `assign`; both an embedder and a similarity are given.
    Source: Jiang et al. 2025 (SEA, arXiv:2512.08094), the order of operations of the authors' align.py @ 13b6a58.
        Differs: the lag is found; no cue is left out because of the text of its reference.
    """
    if isinstance(poses, Poses):
        signs = segment(poses, segmenter, purpose="alignment", decoder=decoder)
    else:
        signs = tuple(poses)
    if embedder is not None:
        if similarity is not None:
            raise InputError("both an embedder and a similarity are given: give one of them")
        if not isinstance(poses, Poses):
            raise InputError("an embedder looks at poses, and only signs were given: give poses, or a similarity")
        similarity = compare(embedder.text([cue.text for cue in cues]), embedder.signs(poses, signs))
    if not cues or not signs:
        return assign(cues, signs, similarity, costs=costs, normalization=normalization)
    found, by = None, np.broadcast_to(np.array(0 if lag == "auto" else lag, float).reshape(-1, 1), (2, len(cues)))
    if lag == "auto":
        order = np.argsort([cue.start for cue in cues], kind="stable")
        found = estimate_lag([cues[i] for i in order], sorted(signs, key=lambda sign: (sign.start, sign.end)))
        by = shifts(found, len(cues))[:, np.argsort(order)]
        if found.clarity < CLEAR:
            warnings.warn(f"no lag stands out; {found} is a guess: give the lag", InputWarning, stacklevel=2)
    shifted = [
        replace(cue, start=cue.start + start, end=cue.end + end)
        for cue, start, end in zip(cues, *by.tolist(), strict=True)
    ]
    alignment = assign(
        shifted, signs, similarity, costs=costs, normalization=normalization, pins=pins, calibration=calibration
    )
    return replace(
        alignment, cues=shift(alignment.cues, padding), lag=found, shifts=tuple(zip(*by.tolist(), strict=True))
    )


def shift(cues: Sequence[Cue], by: tuple[float, float]) -> tuple[Cue, ...]:
    """Add seconds to the starts and to the ends; what becomes negative or reversed stays so."""
    return tuple(replace(cue, start=cue.start + by[0], end=cue.end + by[1]) for cue in cues)


def join_neighbours(cues: Sequence[Cue], lag: tuple[float, float], within: float = 1.0) -> tuple[Cue, ...]:
    """Shift, then let neighbours in time meet half way that as delivered are no more than `within` seconds apart.

    So do those that overlap by no more. It looks at no signing: a baseline, since cues that touch as delivered mostly
    touch when signed.
    """
    moved, order = list(shift(cues, lag)), sorted(range(len(cues)), key=lambda i: cues[i].start)
    for i, after in pairwise(order):
        if abs(cues[after].start - cues[i].end) <= within:
            edge = (moved[i].end + moved[after].start) / 2
            moved[i], moved[after] = replace(moved[i], end=edge), replace(moved[after], start=edge)
    return tuple(moved)


def assign(
    cues: Sequence[Cue],
    signs: Sequence[Sign],
    similarity: Float[np.ndarray, "cues signs"] | None = None,
    *,
    costs: Costs = Costs(),
    normalization: Normalization = Normalization(),
    pins: Mapping[int, tuple[float, float]] = MappingProxyType({}),
    calibration: Calibration = CALIBRATION,
) -> Alignment:
    """Give every cue one run of neighbouring signs or none, at the least total cost, and the best times to the cue.

    Runs follow the order of time, and none has a pause above `max_gap`. A cue that fits nowhere is dropped, at a price,
    and keeps the times it came with; signs may be skipped, at a price, before the first run and after the last for
    free. The times of a cue are not the edges of its run but those that share most time with the true run expected,
    over all alignments weighted by exp(-cost / temperature); a temperature of 0 takes the edges. Cues and signs that
    are out of order are sorted for solving, with a warning; the result keeps the order of `cues`.

    Args:
        similarity: Higher is better; `normalization` says how it is scaled. None aligns by time alone.
        pins: Cue (its index) -> its true start and end. It takes the signs whose middles lie there; the cues before
            it have those before, and the cues after it those after.
        calibration: Turns what speaks for the times of a cue into its confidence.
    Raises:
        InputError: A cue can reach no free sign although none may be dropped (the message names it); pins out of
            order; a similarity of another shape or with values that are not finite; costs or times that are no prices
            or times.
    Source: Jiang et al. 2025 (SEA, arXiv:2512.08094), Align; align_dp.py @ 13b6a58. Differs: exact in linear time;
        dropping, skipping, pins, times and confidence are ours; pauses are part of the optimum, where that code
        cuts runs afterwards, pricing the pieces with the similarities of another cue; no assignment is an error, where
        the cues came back as they were, in silence. `costs.compat="sea"` has none of ours, and that code's pieces.
    """
    _check(cues, signs, similarity, costs, normalization)
    if not cues or not signs:
        warnings.warn(f"there are no {'signs' if cues else 'cues'}: nothing was moved", InputWarning, stacklevel=2)
        return Alignment(tuple(cues), ((),) * len(cues), (0,) * (len(cues) + 1), 0.0)
    order, sign_order = _order(cues, "cues"), _order(signs, "signs")
    in_time, ordered = [cues[i] for i in order], [signs[j] for j in sign_order]
    if similarity is not None and not (_ascending(order) and _ascending(sign_order)):
        similarity = similarity[np.ix_(order, sign_order)]
    if strangers := [cue for cue in pins if not 0 <= cue < len(cues)]:
        raise InputError(f"there is a pin for cue {strangers[0]}, but cues go from 0 to {len(cues) - 1}: remove it")
    rank_of = np.argsort(order).tolist()
    pinned = {rank_of[cue]: times for cue, times in pins.items()}
    groups, chosen = np.zeros((2, 2, len(cues)), int)
    times = np.array([(cue.start, cue.end) for cue in in_time], float)
    sure: list[Confidence | None] = [CERTAIN] * len(cues)
    cost = 0.0
    for part in _parts(in_time, ordered, pinned):
        own, theirs = slice(*part.cues), slice(*part.signs)
        if part.pin is not None:
            groups[:, own] = chosen[:, own] = [[theirs.start], [theirs.stop]]
            times[own] = part.pin
            sure[own.start] = replace(CERTAIN, start=(part.pin[0],) * 2, end=(part.pin[1],) * 2)
        elif part.cues[0] < part.cues[1]:
            some = None if similarity is None else similarity[own, theirs]
            solved = _solve(in_time[own], ordered[theirs], some, costs, normalization, order[own], calibration)
            groups[:, own], chosen[:, own] = solved.groups + theirs.start, solved.runs + theirs.start
            times[own], sure[own], cost = solved.times, solved.confidence, cost + solved.cost
    first, stop = groups
    boundaries = np.where(first < stop, first, np.append(0, np.maximum.accumulate(stop)[:-1]))
    moved, runs, confidence = list(cues), [()] * len(cues), list(sure)
    for rank, i in enumerate(order.tolist()):
        moved[i] = replace(cues[i], start=float(times[rank, 0]), end=float(times[rank, 1]))
        runs[i] = tuple(ordered[slice(*chosen[:, rank])])
        confidence[i] = sure[rank]
    known = tuple(one for one in confidence if one is not None)
    return Alignment(
        tuple(moved),
        tuple(runs),
        (*boundaries.tolist(), int(stop.max())),
        cost,
        known if len(known) == len(cues) else None,
    )


class _Part(NamedTuple):
    """Cues and signs, from and to, that only have to do with each other; or a cue with its pin and the signs there."""

    cues: tuple[int, int]
    signs: tuple[int, int]
    pin: tuple[float, float] | None = None


def _parts(cues: Sequence[Cue], signs: Sequence[Sign], pins: Mapping[int, tuple[float, float]]) -> list[_Part]:
    """What pins cut an episode into."""
    middles = np.maximum.accumulate([sign.middle for sign in signs])
    parts, cue, sign, before = [], 0, 0, None
    for pinned, (start, end) in sorted(pins.items()):
        if not start < end or (before is not None and start < pins[before][1]):
            other = "" if before is None or start >= end else f", where the pin of {_name(cues, before)} has not ended"
            raise InputError(
                f"the pin of {_name(cues, pinned)} goes from {start:.2f} to {end:.2f} s{other}; correct it"
            )
        inside = np.searchsorted(middles, (start, end)).tolist()
        parts += [
            _Part((cue, pinned), (sign, inside[0])),
            _Part((pinned, pinned + 1), (inside[0], inside[1]), (start, end)),
        ]
        cue, sign, before = pinned + 1, inside[1], pinned
    return [*parts, _Part((cue, len(cues)), (sign, len(signs)))]


class _Solved(NamedTuple):
    """The cues of a part."""

    groups: Int[np.ndarray, "2 cues"]  # first sign and the one after the last, as solved
    runs: Int[np.ndarray, "2 cues"]  # the same, when long pauses have been cut out
    times: Float64[np.ndarray, "cues 2"]
    cost: float
    confidence: list[Confidence | None]


def _solve(
    cues: Sequence[Cue],
    signs: Sequence[Sign],
    similarity: Float[np.ndarray, "cues signs"] | None,
    costs: Costs,
    normalization: Normalization,
    numbers: Int[np.ndarray, " cues"],
    calibration: Calibration,
) -> _Solved:
    """Runs, times and confidence of cues and signs in order of time; `numbers` are those of the cues in the file."""
    times = np.array([(cue.start, cue.end) for cue in cues], float)
    prices = price_list([costs])
    if not signs and prices.drop is not None:
        nothing = np.zeros((2, len(cues)), int)
        return _Solved(nothing, nothing, times, float(prices.drop[0]) * len(cues), [UNSIGNED] * len(cues))
    problem = lay_out(cues, signs, costs) if signs else None
    if problem is not None and similarity is not None:
        problem = rewarded(problem, similarity, costs, normalization)
    solution = solve(problem, prices) if problem is not None else None
    if problem is None or solution is None or solution.stuck[0] < len(cues):
        stuck = 0 if solution is None else int(solution.stuck[0])
        raise InputError(_stuck(cues[stuck], int(numbers[stuck]), len(cues), len(signs), costs))
    groups = runs = np.stack((solution.first[0], solution.stop[0]))
    if costs.compat:
        runs = np.stack(refine(problem, groups[0], groups[1], costs))
    first, stop = runs
    taken = first < stop
    edges = np.stack((problem.sign_start[np.minimum(first, len(signs) - 1)], problem.sign_end[stop - 1]), axis=1)
    cost = float(solution.cost[0])
    unknown: list[Confidence | None] = [None] * len(cues)
    if costs.compat or prices.skip is None or not costs.temperature:
        return _Solved(groups, runs, np.where(taken[:, None], edges, times), cost, unknown)
    posterior = infer(problem, prices, costs.temperature)
    found = np.where(taken[:, None], posterior.likeliest_overlap(), times)
    evidence = examine(problem, prices, solution.sweep, found)
    return _Solved(groups, runs, found, cost, judge(evidence, posterior.signed, taken, calibration))


def reward(
    problem: Problem,
    neighbours: Int[np.ndarray, "cues neighbours"],
    rewards: Float64[np.ndarray, "cues neighbours"],
) -> Problem:
    """The problem with rewards for giving its signs to its cues; signs that are nobody's neighbours give none."""
    columns = neighbours - problem.low[0][:, None]
    inside = (columns >= 0) & (neighbours <= problem.high[0][:, None])
    summed = np.zeros((len(neighbours), problem.width + 1))
    summed[np.nonzero(inside)[0], columns[inside] + 1] = rewards[inside]
    return replace(problem, rewards=np.cumsum(summed, axis=1, out=summed)[None])


def rewarded(
    problem: Problem,
    similarity: Float[np.ndarray, "cues signs"],
    costs: Costs,
    normalization: Normalization,
) -> Problem:
    """The problem with the rewards of a similarity, scaled as `normalization` says."""
    middles = (problem.cue_start[0] + problem.cue_end[0]) / 2
    sign_middles = (problem.sign_start + problem.sign_end) / 2
    if costs.compat and normalization.rows == "evidence":
        normalization = replace(normalization, rows="softmax")
    if normalization.rows != "evidence":
        return reward(problem, *normalize(similarity, middles, sign_middles, normalization))
    posterior = infer(problem, price_list([costs]), costs.temperature)
    neighbours = nearest(middles, sign_middles, NEIGHBOURS)
    columns = neighbours - problem.low[0][:, None]
    inside = (columns >= 0) & (columns < problem.width)
    own = np.where(inside, np.take_along_axis(posterior.member, np.where(inside, columns, 0), axis=1), 0)
    nats = weigh_evidence(np.take_along_axis(similarity, neighbours, axis=1), own)
    return reward(problem, neighbours, EVIDENCE * nats / Costs.w_sim)


def refine(
    problem: Problem, first: Int[np.ndarray, " cues"], stop: Int[np.ndarray, " cues"], costs: Costs
) -> tuple[Int[np.ndarray, " cues"], Int[np.ndarray, " cues"]]:
    """Cut runs at pauses above `max_gap` and keep the cheapest piece of each, as published.

    Source: the authors' code @ 13b6a58, slips included: overlaps of signs are negative gaps, and the similarities are
        those of the cue before. Without `compat`, no run of the optimum has such a pause.
    """
    gaps = problem.sign_start[1:] - problem.sign_end[:-1]
    pauses = np.flatnonzero(gaps > costs.max_gap) + 1
    within = np.concatenate(([0.0], np.cumsum(gaps)))
    first, stop = first.copy(), stop.copy()
    lower, upper = np.searchsorted(pauses, first, side="right"), np.searchsorted(pauses, stop)
    for i in np.flatnonzero(upper > lower):
        edges = np.concatenate(([first[i]], pauses[lower[i] : upper[i]], [stop[i]]))
        start, end = problem.sign_start[edges[:-1]], problem.sign_end[edges[1:] - 1]
        cue_start, cue_end = problem.cue_start[0, i], problem.cue_end[0, i]
        cost = np.abs(cue_start - start) + np.abs(cue_end - end)
        cost += costs.w_dur * np.abs(cue_end - cue_start - (end - start))
        cost += costs.w_gap * (within[edges[1:] - 1] - within[edges[:-1]])
        if problem.rewards is not None and i > 0:
            reached = problem.rewards[0, i - 1, np.clip(edges - problem.low[0, i - 1], 0, problem.width)]
            cost -= costs.w_sim * np.diff(reached)
        best = int(cost.argmin())
        first[i], stop[i] = edges[best], edges[best + 1]
    return first, stop


def _order(spans: Sequence[Span], kind: str) -> Int[np.ndarray, " spans"]:
    """The order of time, by start, then end."""
    starts, ends = times_of(spans)
    order = np.lexsort((ends, starts))
    if not _ascending(order):
        late = int((np.diff(starts) < 0).sum())
        warnings.warn(
            f"{max(late, 1)} of {len(spans)} {kind} out of order: sorted for solving", InputWarning, stacklevel=3
        )
    return order


def _ascending(order: Int[np.ndarray, " spans"]) -> bool:
    """Whether this order leaves everything in its place."""
    return bool((order[1:] > order[:-1]).all())


def _check(
    cues: Sequence[Cue],
    signs: Sequence[Sign],
    similarity: Float[np.ndarray, "..."] | None,
    costs: Costs,
    normalization: Normalization,
) -> None:
    """Refuse what cannot be solved."""
    if similarity is not None and np.shape(similarity) != (len(cues), len(signs)):
        shape = " x ".join(map(str, np.shape(similarity)))
        raise InputError(
            f"the similarity is {shape}, but there are {len(cues)} cues and {len(signs)} signs: "
            "compute it from the same files"
        )
    for kind, spans in ("cue", cues), ("sign", signs):
        for number, span in enumerate(spans, 1):
            if not (isfinite(span.start) and isfinite(span.end)):
                raise InputError(f"{kind} {number} goes from {span.start} to {span.end} s: times must be finite")
    for name in "w_dur", "w_gap", "w_sim", "max_gap", "drop", "skip", "temperature":
        price = getattr(costs, name)
        if price is not None and not (price >= 0 and (isfinite(price) or name == "max_gap")):
            raise InputError(f"{name} is {price}: expected a number from 0 on")
    if costs.window is not None and costs.window < 1:
        raise InputError(f"window is {costs.window}: expected a number of signs, or None for all")
    if costs.compat not in (None, "sea"):
        raise InputError(f"compat is {costs.compat!r}: expected None or 'sea'")
    if normalization.rows not in ROWS:
        raise InputError(f"normalization of rows is {normalization.rows!r}: expected one of {ROWS}")


def _name(cues: Sequence[Cue], cue: int) -> str:
    """A cue for people: its number, time and text."""
    text = " ".join(cues[cue].text.split())
    return f"cue {cue + 1} at {cues[cue].start:.2f} s ({text if len(text) <= 40 else text[:39] + '…'!r})"


def _stuck(cue: Cue, number: int, cues: int, signs: int, costs: Costs) -> str:
    """Why there is no assignment, and what to do."""
    where = f"{_name([cue], 0).replace('cue 1', f'cue {number + 1}', 1)} can reach no free sign"
    if signs < cues:
        return f"{where}: {cues} cues share {signs} signs, and each needs one; leave out cues that are not signed"
    return f"{where} within window={costs.window}: widen the window, or give the lag of the signing behind the cues"
