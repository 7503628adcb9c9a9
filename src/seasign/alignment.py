"""Cues + signs -> Alignment: `align` is the whole job, `assign` its last step."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from types import MappingProxyType
from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Float, Float64, Int

from seasign.confidence import CALIBRATION, CERTAIN, TEMPERATURES, UNSIGNED, examine, judge
from seasign.decoding import Decoder
from seasign.embedding import NEIGHBOURS, Embedder, compare, embed_signs, embed_text, normalize, weigh_evidence
from seasign.lag import CLEAR, estimate_lag, shifts
from seasign.posterior import infer, infer_at
from seasign.segmentation import TRAINING_FREE, Segmenter, segment
from seasign.solver import LONG, Problem, lay_out, pauses, price_list, solve
from seasign.spans import join_neighbours, meet, nearest, shift
from seasign.spans import times as times_of
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
    Terms,
)

ROWS = get_args(Rows)
Rewards = tuple[Int[np.ndarray, "cues neighbours"], Float64[np.ndarray, "cues neighbours"]]  # signs, and what they give
AGAIN, EDGE = 24, 8  # cues with signs solved again on either side of a changed pin; those that only lead there
SIGNED = 0.85  # a cue less likely to be signed, at the first of TEMPERATURES, is dropped too
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
    touching: float | None = None,
    pins: Mapping[int, tuple[float, float]] = MappingProxyType({}),
    calibration: Calibration = CALIBRATION,
) -> Alignment:
    """Move each cue onto the signing that says it: segment, embed, find the lag, shift, assign, pad.

    Args:
        poses: The signer; or the signs that someone else found, and nothing is segmented.
        decoder: Reads the tags of the segmenter; None takes its own for alignment.
        embedder: Says which signs look like which text; None aligns by time alone. One that looks at the signer needs
            poses. It is asked for nothing where there are no cues or no signs. Texts go to it as they are: give it
            cues without markup, as the command does.
        similarity: Raw similarities from elsewhere, in place of `embedder`; higher is better.
        lag: Seconds by which the signing comes after the cues as delivered, for starts and for ends; "auto" finds it,
            and warns when no lag stands out and it is a guess. It is added first; one that was found and gives no cue
            a sign is taken back.
        padding: Seconds added to starts and ends at last; viewers and annotators like a cue to stay up for a while.
        touching: Seconds that neighbours may be apart as delivered and still count as touching. They are told as
            touching, half way, and where they come out within a second of each other they meet there too. None: each
            cue for itself; see docs/log/2026-11-21-touching.md.
        pins: Cue (its index) -> its true start and end, in seconds of the signing: as `assign`. Nothing is added.
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
        if cues and signs:
            seen = poses if isinstance(poses, Poses) else None
            similarity = compare(embed_text([cue.text for cue in cues], embedder), embed_signs(seen, signs, embedder))
    if not cues or not signs:
        return assign(cues, signs, similarity, costs=costs, normalization=normalization)
    found, by = None, np.broadcast_to(np.array(0 if lag == "auto" else lag, float).reshape(-1, 1), (2, len(cues)))
    if lag == "auto":
        _check(cues, signs, similarity, costs, normalization)
        order, sign_order = _in_time(cues), _in_time(signs)
        look = None if similarity is None else similarity[np.ix_(order, sign_order)]
        found = estimate_lag([cues[i] for i in order], [signs[j] for j in sign_order], look)
        by = shifts(found, len(cues))[:, np.argsort(order)]
        if found.clarity < CLEAR:
            warnings.warn(f"no lag stands out; {found} is a guess: give the lag", InputWarning, stacklevel=2)
    if touching is not None:
        by = by + np.array(times_of(join_neighbours(cues, (0.0, 0.0), touching))) - times_of(cues)
    shifted = [
        replace(cue, start=cue.start + start, end=cue.end + end)
        for cue, start, end in zip(cues, *by.tolist(), strict=True)
    ]
    alignment = assign(
        shifted, signs, similarity, costs=costs, normalization=normalization, pins=pins, calibration=calibration
    )
    moved = list(alignment.cues)
    if found is not None and not any(alignment.runs):  # nothing bears out the lag that was found
        by = np.zeros((2, len(cues)))
        moved = [after if i in pins else before for i, (before, after) in enumerate(zip(cues, moved, strict=True))]
    free = [i for i, run in enumerate(alignment.runs) if run and i not in pins]
    if touching is not None:
        met = meet([cues[i] for i in free], [moved[i] for i in free], touching, most=1.0)
        for i, cue in zip(free, met, strict=True):
            moved[i] = cue
    padded = [cue if i in pins else pad for i, (cue, pad) in enumerate(zip(moved, shift(moved, padding), strict=True))]
    return replace(alignment, cues=tuple(padded), lag=found, shifts=tuple(zip(*by.tolist(), strict=True)))


def assign(
    cues: Sequence[Cue],
    signs: Sequence[Sign],
    similarity: Float[np.ndarray, "cues signs"] | None = None,
    *,
    costs: Costs = Costs(),
    normalization: Normalization = Normalization(),
    pins: Mapping[int, tuple[float, float]] = MappingProxyType({}),
    calibration: Calibration = CALIBRATION,
    previous: Alignment | None = None,
) -> Alignment:
    """Give every cue one run of neighbouring signs or none, at the least total cost, and the best times to the cue.

    Runs follow the order of time, and none has a pause above `max_gap`. A cue that fits nowhere is dropped, at a price,
    and keeps the times it came with; so is one that over all alignments, weighted by exp(-cost / temperature), is too
    often without a run to trust the best one. Signs may be skipped, at a price, before the first run and after the
    last for free. The times of a cue are not the edges of its run but those that share most time with the true run
    expected over all alignments; a temperature of 0 takes the edges, and the best alignment alone. Cues and signs that
    are out of order are sorted for solving, with a warning; the result keeps the order of `cues`.

    Args:
        similarity: Higher is better; `normalization` says how it is scaled. None aligns by time alone.
        pins: Cue (its index) -> its true start and end. It takes the signs whose middles lie there; the cues before
            it have those before, and the cues after it those after.
        calibration: Turns what speaks for the times of a cue into its confidence.
        previous: What this gave for the same cues, signs, similarity and settings, but other pins: only the cues about
            the pins that changed are solved again, as far as it takes until they come out as they were. The runs are
            those of the whole; confidence near the edges of what was solved may differ by hundredths.
    Raises:
        InputError: A cue can reach no free sign although none may be dropped (the message names it); pins out of
            order; a similarity of another shape or with values that are not finite; costs or times that are no prices
            or times; a previous alignment of other cues.
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
    if strangers := [cue for cue in pins if not 0 <= cue < len(cues)]:
        raise InputError(f"there is a pin for cue {strangers[0]}, but cues go from 0 to {len(cues) - 1}: remove it")
    if previous is not None and len(previous.cues) != len(cues):
        raise InputError(
            f"the previous alignment has {len(previous.cues)} cues, not {len(cues)}: give that of the same"
        )
    rank_of = np.argsort(order).tolist()
    rewards = None
    if similarity is not None:
        if not (_ascending(order) and _ascending(sign_order)):
            similarity = similarity[np.ix_(order, sign_order)]
        rewards = weigh(lay_out(in_time, ordered, costs), similarity, costs, normalization)
    before, changed = None, list[int]()
    if previous is not None and previous.terms is not None and not costs.compat and costs.skip is not None:
        before = _Solved.of(previous, order)
        changed = sorted(rank_of[cue] for cue in {*pins, *previous.pins} if pins.get(cue) != previous.pins.get(cue))

    sign_start, sign_end = times_of(ordered)
    pause = float(np.median(np.maximum(0, sign_start[1:] - sign_end[:-1]))) if len(signs) > 1 else None

    def solve_some(own: slice, theirs: slice) -> _Solved:
        """These cues, with these signs and no others."""
        some = rewards and (rewards[0][own] - theirs.start, rewards[1][own])
        return _solve(in_time[own], ordered[theirs], some, costs, order[own], calibration, pause).moved(theirs.start)

    pieces = []
    for part in _parts(in_time, ordered, {rank_of[cue]: times for cue, times in pins.items()}):
        if part.pin is not None:
            pieces.append(_Solved.pinned(part.signs, part.pin))
        elif before is not None:
            pieces += _solve_again(part, changed, before, solve_some)
        elif part.cues[0] < part.cues[1]:
            pieces.append(solve_some(slice(*part.cues), slice(*part.signs)))
    solved = _Solved.joined(pieces)
    terms = _itemize(in_time, ordered, solved, costs, [rank_of[cue] for cue in pins])
    first, stop = solved.groups
    boundaries = np.where(first < stop, first, np.append(0, np.maximum.accumulate(stop)[:-1]))
    latest = in_time if previous is None or before is None else [previous.cues[i] for i in order]
    moved = [
        cue if (cue.start, cue.end) == (start, end) else replace(cue, start=start, end=end)
        for cue, (start, end) in zip(latest, solved.times.tolist(), strict=True)
    ]
    runs = [tuple(ordered[slice(*run)]) for run in solved.runs.T.tolist()]
    known = [one for one in solved.confidence if one is not None]
    return Alignment(
        tuple(moved[rank] for rank in rank_of),
        tuple(runs[rank] for rank in rank_of),
        (*boundaries.tolist(), int(stop.max())),
        float(terms.sum()),
        tuple(known[rank] for rank in rank_of) if len(known) == len(cues) else None,
        terms=tuple(Terms(*terms[rank].tolist()) for rank in rank_of),
        pins=dict(pins),
    )


class _Part(NamedTuple):
    """Cues and signs, from and to, that only have to do with each other; or a cue with its pin and the signs there."""

    cues: tuple[int, int]
    signs: tuple[int, int]
    pin: tuple[float, float] | None = None


def _parts(cues: Sequence[Cue], signs: Sequence[Sign], pins: Mapping[int, tuple[float, float]]) -> list[_Part]:
    """What pins cut an episode into."""
    middles = np.maximum.accumulate([sign.middle for sign in signs])
    first, last = signs[0].start, max(sign.end for sign in signs)
    parts, cue, sign, before = [], 0, 0, None
    for pinned, (start, end) in sorted(pins.items()):
        if not start < end or (before is not None and start < pins[before][1]):
            other = "" if before is None or start >= end else f", where the pin of {_name(cues, before)} has not ended"
            raise InputError(
                f"the pin of {_name(cues, pinned)} goes from {start:.2f} to {end:.2f} s{other}; correct it"
            )
        if end <= first or start >= last:
            found = f"the pin of {_name(cues, pinned)} lies outside of the signs, {first:.2f} to {last:.2f} s"
            warnings.warn(f"{found}: it is taken as it is", InputWarning, stacklevel=4)
        inside = np.searchsorted(middles, (start, end)).tolist()
        parts += [
            _Part((cue, pinned), (sign, inside[0])),
            _Part((pinned, pinned + 1), (inside[0], inside[1]), (start, end)),
        ]
        cue, sign, before = pinned + 1, inside[1], pinned
    return [*parts, _Part((cue, len(cues)), (sign, len(signs)))]


class _Solved(NamedTuple):
    """Neighbouring cues, in order of time. Those that were dropped have the signs 0 to 0."""

    groups: Int[np.ndarray, "2 cues"]  # first sign and the one after the last, as solved
    runs: Int[np.ndarray, "2 cues"]  # the same, when long pauses have been cut out
    times: Float64[np.ndarray, "cues 2"]
    similarity: Float64[np.ndarray, " cues"]  # what similarities add to the cost
    confidence: list[Confidence | None]

    @classmethod
    def of(cls, alignment: Alignment, order: Int[np.ndarray, " cues"]) -> "_Solved":
        """What an alignment says, without `compat`."""
        length = np.array([len(alignment.runs[i]) for i in order])
        first = np.where(length > 0, alignment.boundaries[:-1], 0)
        groups = np.stack((first, first + length))
        times = np.array([(alignment.cues[i].start, alignment.cues[i].end) for i in order], float)
        terms, sure = alignment.terms or (), alignment.confidence or (None,) * len(order)
        return cls(groups, groups, times, np.array([terms[i].similarity for i in order]), [sure[i] for i in order])

    @classmethod
    def pinned(cls, signs: tuple[int, int], pin: tuple[float, float]) -> "_Solved":
        """One cue with its pin and the signs there."""
        group = np.array(signs)[:, None] * (signs[0] < signs[1])
        sure = replace(CERTAIN, start=(pin[0],) * 2, end=(pin[1],) * 2)
        return cls(group, group, np.array([pin], float), np.zeros(1), [sure])

    @classmethod
    def joined(cls, pieces: "Sequence[_Solved]") -> "_Solved":
        """Pieces that follow each other."""
        groups, runs, times, similarity, confidence = zip(*pieces, strict=True)
        return cls(
            np.concatenate(groups, axis=1),
            np.concatenate(runs, axis=1),
            np.concatenate(times),
            np.concatenate(similarity),
            [one for some in confidence for one in some],
        )

    def some(self, start: int, stop: int) -> "_Solved":
        """The cues from and to."""
        own = slice(start, stop)
        return _Solved(
            self.groups[:, own], self.runs[:, own], self.times[own], self.similarity[own], self.confidence[own]
        )

    def moved(self, signs: int) -> "_Solved":
        """The same among signs that have so many before them."""
        groups, runs = (np.where(both[0] < both[1], both + signs, 0) for both in (self.groups, self.runs))
        return self._replace(groups=groups, runs=runs)


def _solve_again(
    part: _Part, changed: Sequence[int], before: _Solved, solve_some: Callable[[slice, slice], _Solved]
) -> list[_Solved]:
    """The cues of a part when pins in it or beside it changed, and nothing else since `before`.

    Those about the changed pins are solved between the signs of the cues further away. Beyond one that takes the same
    signs as before nothing that changed plays a part, and all is as it was; if there is none, more cues are solved.
    """
    first, last = part.cues
    near = [cue for cue in changed if first - 1 <= cue <= last]
    if not near or first == last:
        return [before.some(first, last)]
    taken = first + np.flatnonzero(before.groups[0, first:last] < before.groups[1, first:last])
    earlier, later = taken[taken < near[0]].tolist(), taken[taken > near[-1]].tolist()
    reach = AGAIN
    while True:
        low = earlier[-reach] if reach <= len(earlier) else first
        high = later[reach - 1] + 1 if reach <= len(later) else last
        after = before.groups[:, high:last]
        left = max([part.signs[0], *before.groups[1, first:low].tolist()])
        right = min([part.signs[1], *after[0, after[0] < after[1]].tolist()])
        if left <= right:
            solved = solve_some(slice(low, high), slice(left, right))
            same = (solved.groups == before.groups[:, low:high]).all(axis=0)
            met, other = (np.flatnonzero(some) + low for some in (same & (solved.groups[0] < solved.groups[1]), ~same))
            begin = met[(met >= low + EDGE) & (met < near[0])].tolist()
            stop = met[(met < high - EDGE) & (met > near[-1])].tolist()
            if (begin or low == first) and (stop or high == last):
                from_ = max([low + EDGE, *(other[other < begin[0]] + 1).tolist()]) if low > first else first
                to = min([high - EDGE, *other[other > stop[-1]].tolist()]) if high < last else last
                return [before.some(first, from_), solved.some(from_ - low, to - low), before.some(to, last)]
        reach *= 2


def _itemize(
    cues: Sequence[Cue], signs: Sequence[Sign], solved: _Solved, costs: Costs, pinned: Sequence[int]
) -> Float64[np.ndarray, "cues terms"]:
    """What every cue adds to the cost: the columns are those of `Terms`."""
    (cue_start, cue_end), (sign_start, sign_end) = times_of(cues), times_of(signs)
    first, stop = solved.groups
    given = np.isin(np.arange(len(cues)), pinned)
    taken = (first < stop) & ~given
    start, end = sign_start[np.minimum(first, len(signs) - 1)], sign_end[stop - 1]
    gaps = pauses(sign_start, sign_end, usual=costs.skip is None or costs.compat is not None)
    lengths = np.concatenate(([0.0], np.cumsum(np.maximum(0, sign_end - sign_start))))
    last = np.maximum.accumulate(np.append(-1, np.where(taken | given, np.arange(len(cues)), -1)[:-1]))
    follows = taken & (last >= 0) & ~given[last]  # what is before the first run, or beside a pin, is free
    runs = (
        np.abs(cue_start - start),
        np.abs(cue_end - end),
        costs.w_dur * np.abs(cue_end - cue_start - (end - start)),
        costs.w_gap * (gaps[stop - 1] - gaps[first]),
        solved.similarity,
    )
    dropped = np.where(taken | given, 0.0, costs.drop or 0.0)
    left = (costs.skip or 0.0) * np.where(follows, lengths[first] - lengths[stop[last]], 0.0)
    skipped = left if costs.hole is None else np.minimum(left, costs.hole + LONG * left)
    terms: Float64[np.ndarray, "cues terms"] = np.column_stack((np.where(taken, runs, 0.0).T, dropped, skipped))
    return terms


def _solve(
    cues: Sequence[Cue],
    signs: Sequence[Sign],
    rewards: Rewards | None,
    costs: Costs,
    numbers: Int[np.ndarray, " cues"],
    calibration: Calibration,
    pause: float | None,
) -> _Solved:
    """Runs, times and confidence of cues and signs in order of time; `numbers` are those of the cues in the file."""
    times = np.array([(cue.start, cue.end) for cue in cues], float)
    prices = price_list([costs])
    if not signs and prices.drop is not None:
        nothing = np.zeros((2, len(cues)), int)
        return _Solved(nothing, nothing, times, np.zeros(len(cues)), [UNSIGNED] * len(cues))
    problem = replace(lay_out(cues, signs, costs), pause=pause) if signs else None
    if problem is not None and rewards is not None:
        problem = reward(problem, *rewards)
    solution = solve(problem, prices) if problem is not None else None
    if problem is None or solution is None or solution.stuck[0] < len(cues):
        stuck = 0 if solution is None else int(solution.stuck[0])
        raise InputError(_stuck(cues[stuck], int(numbers[stuck]), len(cues), len(signs), costs))
    taken = solution.first[0] < solution.stop[0]
    groups = runs = np.where(taken, (solution.first[0], solution.stop[0]), 0)
    if costs.compat:
        runs = np.stack(refine(problem, groups[0], groups[1], costs))
    first, stop = runs
    edges = np.stack((problem.sign_start[np.minimum(first, len(signs) - 1)], problem.sign_end[stop - 1]), axis=1)
    similarity = np.zeros(len(cues))
    if problem.rewards is not None:
        columns = np.clip(groups.T - problem.low[0][:, None], 0, problem.width)
        similarity -= costs.w_sim * np.diff(np.take_along_axis(problem.rewards[0], columns, axis=1))[:, 0]
    found = np.where(taken[:, None], edges, times)
    if costs.compat or prices.skip is None or not costs.temperature:
        return _Solved(groups, runs, found, similarity, [None] * len(cues))
    posterior, *wide = infer_at(problem, prices, (costs.temperature, *TEMPERATURES))
    taken &= wide[0].signed >= SIGNED
    groups, similarity = np.where(taken, groups, 0), similarity * taken
    found = np.where(taken[:, None], posterior.likeliest_overlap(), times)
    evidence = examine(problem, prices, solution.sweep, found, wide)
    sure = judge(evidence, wide[0].signed, taken, calibration, wide[0].alternatives(found, taken))
    return _Solved(groups, groups, found, similarity, sure)


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
    return reward(problem, *weigh(problem, similarity, costs, normalization))


def weigh(
    problem: Problem,
    similarity: Float[np.ndarray, "cues signs"],
    costs: Costs,
    normalization: Normalization,
) -> Rewards:
    """What the similarities of a whole episode give, scaled as `normalization` says."""
    middles = (problem.cue_start[0] + problem.cue_end[0]) / 2
    sign_middles = (problem.sign_start + problem.sign_end) / 2
    if costs.compat and normalization.rows == "evidence":
        normalization = replace(normalization, rows="softmax")
    if normalization.rows != "evidence":
        return normalize(similarity, middles, sign_middles, normalization)
    posterior = infer(problem, price_list([costs]), costs.temperature or Costs.temperature)
    neighbours = nearest(middles, sign_middles, NEIGHBOURS)
    columns = neighbours - problem.low[0][:, None]
    inside = (columns >= 0) & (columns < problem.width)
    own = np.where(inside, np.take_along_axis(posterior.member, np.where(inside, columns, 0), axis=1), 0)
    nats = weigh_evidence(np.take_along_axis(similarity, neighbours, axis=1), own)
    return neighbours, EVIDENCE * nats / Costs.w_sim


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
    """The order of time, with a warning when it is another one."""
    order = _in_time(spans)
    if not _ascending(order):
        late = int((np.diff(times_of(spans)[0]) < 0).sum())
        warnings.warn(
            f"{max(late, 1)} of {len(spans)} {kind} out of order: sorted for solving", InputWarning, stacklevel=3
        )
    return order


def _in_time(spans: Sequence[Span]) -> Int[np.ndarray, " spans"]:
    """The order of time, by start, then end."""
    starts, ends = times_of(spans)
    return np.lexsort((ends, starts))


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
        finite = np.isfinite(times_of(spans)).all(axis=0)
        if not finite.all():
            number, span = int(finite.argmin()) + 1, spans[int(finite.argmin())]
            raise InputError(f"{kind} {number} goes from {span.start} to {span.end} s: times must be finite")
    for name in "w_dur", "w_gap", "w_sim", "max_gap", "drop", "skip", "hole", "temperature":
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
