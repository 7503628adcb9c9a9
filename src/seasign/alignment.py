"""Cues + signs -> Alignment: `align` is the whole job, `assign` its last step."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float64, Int

from seasign.embedding import NEIGHBOURS, Embedder, compare, normalize, weigh_evidence
from seasign.posterior import Posterior, infer, margins
from seasign.segmentation import TRAINING_FREE, Segmenter, segment
from seasign.solver import Prices, Problem, nearest, solve
from seasign.types import Alignment, Costs, Cue, InputError, InputWarning, Normalization, Poses, Sign, Span


WEIGHTS = ("w_dur", "w_gap", "w_sim")


@dataclass(frozen=True)
class Preset:
    """Settings that belong together. Seconds for the starts and for the ends of the cues."""

    costs: Costs
    lag: tuple[float, float]
    padding: tuple[float, float]


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
    embedder: Embedder | None = None,
    similarity: Float[np.ndarray, "cues signs"] | None = None,
    costs: Costs = Costs(),
    normalization: Normalization = Normalization(),
    lag: tuple[float, float] = (0.0, 0.0),
    padding: tuple[float, float] = (0.0, 0.0),
) -> Alignment:
    """Move each cue onto the signing that says it: segment, embed, shift, assign, pad.

    Args:
        poses: The signer; or the signs that someone else found, and nothing is segmented.
        embedder: Says which signs look like which text; None aligns by time alone. It needs poses.
        similarity: Raw similarities from elsewhere, in place of `embedder`; higher is better.
        lag: Seconds by which the signing comes after the cues as delivered; added to starts and ends first.
        padding: Seconds added to starts and ends at last; viewers and annotators like a cue to stay up for a while.
    Raises:
        InputError: As `segment` and `assign`.
    Source: Jiang et al. 2025 (SEA, arXiv:2512.08094), the order of operations of the authors' align.py @ 13b6a58.
        Differs: no cue is left out because of the text of its reference.
    """
    signs = segment(poses, segmenter) if isinstance(poses, Poses) else tuple(poses)
    if embedder is not None:
        if not isinstance(poses, Poses):
            raise InputError("an embedder looks at poses, and only signs were given: give poses, or a similarity")
        similarity = compare(embedder.text([cue.text for cue in cues]), embedder.signs(poses, signs))
    alignment = assign(shift(cues, lag), signs, similarity, costs=costs, normalization=normalization)
    return replace(alignment, cues=shift(alignment.cues, padding))


def shift(cues: Sequence[Cue], by: tuple[float, float]) -> tuple[Cue, ...]:
    """Add seconds to the starts and to the ends; what becomes negative or reversed stays so."""
    return tuple(replace(cue, start=cue.start + by[0], end=cue.end + by[1]) for cue in cues)


def assign(
    cues: Sequence[Cue],
    signs: Sequence[Sign],
    similarity: Float[np.ndarray, "cues signs"] | None = None,
    *,
    costs: Costs = Costs(),
    normalization: Normalization = Normalization(),
) -> Alignment:
    """Give every cue one run of neighbouring signs at the least total cost, and its times to the cue.

    Runs follow the order of time and leave no holes: the first run starts at the first sign, and signs after the last
    run stay free. Within a run, a pause above `max_gap` cuts it, and the cheapest piece gives the times. Cues and signs
    that are out of order are sorted for solving, with a warning; the result keeps the order of `cues`.

    Args:
        similarity: Higher is better; `normalization` says how it is scaled. None aligns by time alone.
    Raises:
        InputError: A cue can reach no free sign (the message names it), or `similarity` has another shape or holds
            values that are not finite.
    Source: Jiang et al. 2025 (SEA, arXiv:2512.08094), Align; align_dp.py @ 13b6a58. Differs: exact in linear time; the
        pieces of a cut run are priced as in the objective (there: with the similarities of the cue before, and with
        overlaps of signs as negative gaps; `costs.compat="sea"` does that too); no assignment is an error (there: the
        cues come back as they were, in silence).
    """
    if similarity is not None and similarity.shape != (len(cues), len(signs)):
        raise InputError(
            f"the similarity is {similarity.shape[0]} x {similarity.shape[1]}, but there are {len(cues)} cues "
            f"and {len(signs)} signs: compute it from the same files"
        )
    if not cues or not signs:
        warnings.warn(f"there are no {'signs' if cues else 'cues'}: nothing was moved", InputWarning, stacklevel=2)
        return Alignment(tuple(cues), ((),) * len(cues), (0,) * (len(cues) + 1), 0.0)
    order = _order(cues, "cues")
    sign_order = _order(signs, "signs")
    ordered = [signs[j] for j in sign_order]
    if similarity is not None and not (_ascending(order) and _ascending(sign_order)):
        similarity = similarity[np.ix_(order, sign_order)]
    in_time = [cues[i] for i in order]
    problem = lay_out(in_time, ordered, costs)
    prices = price_list([costs])
    if similarity is not None:
        problem = _rewarded(problem, similarity, costs, normalization)
    solution = solve(problem, prices)
    if solution.stuck[0] < len(cues):
        raise InputError(_stuck(cues, int(order[solution.stuck[0]]), len(signs), costs))
    first, stop = solution.first[0], solution.stop[0]
    boundaries = (*np.where(first < stop, first, np.append(0, np.maximum.accumulate(stop)[:-1])).tolist(), int(stop.max()))
    if costs.compat:
        first, stop = refine(problem, first, stop, costs)
    moved, runs = list(cues), [()] * len(cues)
    for i, j, k in zip(order.tolist(), first.tolist(), stop.tolist(), strict=True):
        if j < k:
            moved[i] = replace(cues[i], start=ordered[j].start, end=ordered[k - 1].end)
            runs[i] = tuple(ordered[j:k])
    return Alignment(tuple(moved), tuple(runs), boundaries, float(solution.cost[0]))


def price_list(settings: Sequence[Costs]) -> Prices:
    """The prices of several settings, side by side; all of them drop, and skip, or none."""

    def column(name: str) -> Float64[np.ndarray, " settings"] | None:
        values = [None if costs.compat else getattr(costs, name) for costs in settings]
        return None if None in values else np.array(values, float)

    w_dur, w_gap, w_sim = (np.array([getattr(costs, name) for costs in settings], float) for name in WEIGHTS)
    return Prices(w_dur, w_gap, w_sim, column("drop"), column("skip"))


def lay_out(cues: Sequence[Span], signs: Sequence[Span], costs: Costs = Costs()) -> Problem:
    """The arrays that `solve` works on. Cues and signs come in order of time."""
    (cue_start, cue_end), (sign_start, sign_end) = _times(cues), _times(signs)
    reach = nearest((cue_start + cue_end) / 2, (sign_start + sign_end) / 2, costs.window)
    low, high = reach.min(axis=1), reach.max(axis=1)
    block = np.zeros(len(signs), int)
    if not costs.compat:
        low, high = np.minimum.accumulate(low[::-1])[::-1], np.maximum.accumulate(high)  # windows only move on
        pauses = sign_start[1:] - np.maximum.accumulate(sign_end)[:-1] > costs.max_gap
        block[1:] = np.maximum.accumulate(np.where(pauses, np.arange(1, len(signs)), 0))
    return Problem(cue_start[None], cue_end[None], sign_start, sign_end, low[None], high[None], block)


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


def _rewarded(
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
    return reward(problem, neighbours, costs.temperature * nats / Costs.w_sim)


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
    starts, ends = _times(spans)
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


def _times(spans: Sequence[Span]) -> tuple[Float64[np.ndarray, " spans"], Float64[np.ndarray, " spans"]]:
    """Starts and ends in seconds."""
    return np.array([span.start for span in spans], float), np.array([span.end for span in spans], float)


def _stuck(cues: Sequence[Cue], cue: int, signs: int, costs: Costs) -> str:
    """Why there is no assignment, and what to do."""
    text = " ".join(cues[cue].text.split())
    text = text if len(text) <= 40 else text[:39] + "…"
    where = f"cue {cue + 1} at {cues[cue].start:.2f} s ({text!r}) can reach no free sign"
    if signs < len(cues):
        return f"{where}: {len(cues)} cues share {signs} signs, and each needs one; leave out cues that are not signed"
    return f"{where} within window={costs.window}: widen the window, or give the lag of the signing behind the cues"
