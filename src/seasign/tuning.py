"""Settings that suit a corpus: a seeded search over many, and how good what it finds is on episodes it has not seen."""

import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from hashlib import sha256
from importlib.metadata import version
from math import isqrt
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int

from seasign.alignment import assign, refine, rewarded
from seasign.lag import CLEAR, estimate_lag, shifts
from seasign.metrics import PreparedCues, count_runs, evaluate, match, naming, prepare_cues
from seasign.solver import lay_out, price_list, solve
from seasign.spans import shift, times
from seasign.types import Costs, Cue, Example, InputError, InputWarning, Normalization, Preset, Span, plain_values
from seasign.uncertainty import Interval, bootstrap, compare_runs

RANGES = {  # what is drawn from; the published settings lie within
    "w_dur": (0.2, 8.0),
    "w_gap": (0.5, 30.0),
    "w_sim": (1.0, 30.0),  # where there are similarities
    "drop": (2.0, 20.0),
    "skip": (3.0, 50.0),
    "hole": (3.0, 30.0),
    "max_gap": (4.0, 16.0),  # seconds
    "lag": (0.0, 4.0),  # seconds, of the starts
    "longer": (-0.6, 0.8),  # seconds by which the lag of the ends is longer
    "padding": (0.0, 1.0),  # seconds, of the ends alone: starts before the signing would only hedge against misses
}
PRICES = "w_dur", "w_gap", "w_sim", "drop", "skip", "hole"  # drawn by their logarithm
PUBLISHED = "w_dur", "w_gap", "w_sim"
ROOM = 4_000_000  # numbers in a table of the solver


@dataclass(frozen=True)
class Tuning:
    """What a search found. Scores are F1@.50 in percent, pooled; intervals are over episodes."""

    preset: Preset
    score: Interval  # of every episode by what is best for all others; of one alone, by what is best for itself
    baselines: Mapping[str, Interval]  # "delivered", "lag_only" (the median of the others), "default"
    difference: Interval  # of the score to the default, paired by episode

    @property
    def helps(self) -> bool:
        """Whether what was found beats the default by more than chance."""
        return self.difference.low > 0


def tune(
    examples: Mapping[str, Example],
    *,
    settings: int = 10_000,
    seed: int = 0,
    lag: tuple[float, float] | Literal["auto", "search"] = "search",
    compat: Literal["sea"] | None = None,
    fps: float | Fraction = 25,
    processes: int = 1,
    scratch: Path | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Tuning:
    """Draw settings at random and keep those that align the examples best, by F1@.50.

    About sqrt(n) batches of sqrt(n) are drawn: all settings of a batch share a lag and a `max_gap`, so that they are
    solved together, and each has prices and padding of its own. Every other batch leaves the lag to be found. The first
    setting of all is the default. Window and temperature stay as they come. Every setting is tried on every example, by
    the edges of its cheapest runs, which are quick to have; evidence of similarities is weighed under default prices.

    What is chosen so is then scored as `align` does it, by the times of least risk, and on what it has not seen: every
    episode is aligned by what is best for all others. A warning says when this does not beat the default by more than
    chance (the 95 % interval of the difference, paired by episode, holds 0), or when there is but one episode.

    Args:
        examples: By name.
        lag: "search": as above; "auto": found, always; or seconds for starts and for ends, always.
        compat: "sea" tunes the published arithmetic; an episode that it cannot align counts as all wrong.
        fps: Of the raster of the score, as in `evaluate`.
        processes: How many work side by side; with several, a script needs its `if __name__ == "__main__":`.
        scratch: A folder for finished batches, where an interrupted search goes on, to the same end as one without
            interruption; it is the caller's to remove.
        progress: Called with the number of settings done and of all.
    Raises:
        InputError: Nothing to search, or an example that cannot be used; the message names it.
    Source: Jiang et al. 2025 (SEA, arXiv:2512.08094): 10,000 random settings by F1@.50. Differs: that publishes no
        ranges, is not seeded, and scores its choice on other episodes only in its final table.
    """
    if settings < 1 or not examples:
        raise InputError(f"{settings} settings for {len(examples)} episodes: there is nothing to search")
    for name, one in examples.items():
        if not one.signs or not one.cues:
            raise InputError(f"{name}: there are no {'cues' if one.signs else 'signs'}: leave it out")
        if one.similarity is not None and one.similarity.shape != (len(one.cues), len(one.signs)):
            shape = " x ".join(map(str, one.similarity.shape))
            raise InputError(f"{name}: the similarity is {shape}, not {len(one.cues)} cues x {len(one.signs)} signs")
    reference = {name: one.reference for name, one in examples.items()}
    delivered = {name: one.cues for name, one in examples.items()}
    before = evaluate(reference, delivered, fps=fps)  # says what is odd about them, once
    ready = {name: _prepare(one, float(fps)) for name, one in examples.items()}
    default = Preset(Costs(compat=compat), "auto" if lag == "search" else lag)
    batches = _draw(settings, seed, default, lag == "search", any(one.similarity is not None for one in ready.values()))
    counts = _search(list(ready.values()), batches, processes, scratch, progress)
    presets = [preset for batch in batches for preset in batch]

    def best(without: int | None = None) -> Preset:
        kept = [k for k in range(len(counts)) if k != without]
        part, whole = counts[kept].sum(axis=0).T
        return presets[int((part / whole).argmax())]

    alone = len(examples) == 1
    chosen = best()
    unseen = {name: chosen if alone else best(without=k) for k, name in enumerate(examples)}
    offsets = {name: (one.start_offsets, one.end_offsets) for name, one in before.per_file.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)  # of odd cues: said above; of one episode: said below
        moved = {
            "delivered": delivered,
            "lag_only": {name: shift(cues, _usual(offsets, name)) for name, cues in delivered.items()},
            "default": {name: _apply(name, one, ready[name], default) for name, one in examples.items()},
            "tuned": {name: _apply(name, one, ready[name], unseen[name]) for name, one in examples.items()},
        }
        scores = {name: bootstrap(evaluate(reference, cues, fps=fps), seed=seed) for name, cues in moved.items()}
        difference = compare_runs(reference, moved["default"], moved["tuned"], fps=fps, seed=seed).difference
    searched = {"settings": settings, "seed": seed, "lag": lag, "ranges": RANGES, "fps": str(fps)}
    found = {
        name: [round(value, 3) for value in (one.value, one.low, one.high)]
        for name, one in (scores | {"difference": difference}).items()
    }
    provenance = {
        "by": f"seasign tune {version('seasign')}",
        **searched,
        "episodes": list(examples),
        "f1@0.50": plain_values(found),
    }
    score = scores.pop("tuned")
    tuning = Tuning(replace(chosen, provenance=provenance), score, scores, difference)
    if alone:
        what = "the score is of what the settings were chosen on, and says nothing about others"
        warnings.warn(f"there is one episode: {what}", InputWarning, stacklevel=2)
    elif not tuning.helps:
        interval = f"{difference.value:+.1f} points, 95 % within {difference.low:+.1f} and {difference.high:+.1f}"
        what = "the best settings do not beat the default by more than chance"
        warnings.warn(f"{what} ({interval}): the default will do", InputWarning, stacklevel=2)
    guesses = [name for name, one in ready.items() if one.guess]
    if guesses and chosen.lag == "auto":
        names = ", ".join(guesses[:3]) + (" ..." if len(guesses) > 3 else "")
        what = f"no lag stands out in {len(guesses)} of {len(ready)} episodes ({names})"
        warnings.warn(f"{what}: theirs is a guess; give one for all if you know it", InputWarning, stacklevel=2)
    return tuning


def _usual(offsets: Mapping[str, tuple[Sequence[float], Sequence[float]]], name: str) -> tuple[float, float]:
    """The median lag of starts and of ends in all other episodes; of one alone, its own."""
    others = [both for other, both in offsets.items() if other != name] or [offsets[name]]
    start, end = (float(np.median(np.concatenate(side) if any(side) else 0)) for side in zip(*others, strict=True))
    return start, end


def _apply(name: str, example: Example, ready: "_Ready", preset: Preset) -> tuple[Cue, ...]:
    """What `align` makes of an example; its lag is not looked for once more.

    Where the published arithmetic finds no assignment, all cues come after all that there is, and are wrong.
    """
    by = ready.lag(preset)
    shifted = [
        replace(cue, start=cue.start + start, end=cue.end + end)
        for cue, start, end in zip(example.cues, *by.tolist(), strict=True)
    ]
    try:
        with naming(name):
            alignment = assign(shifted, example.signs, example.similarity, costs=preset.costs)
    except InputError:
        if preset.costs.compat is None:
            raise
        past = max(span.end for span in (*example.cues, *example.reference)) + 1.0
        return shift(example.cues, (past, past))
    return shift(alignment.cues, preset.padding)


# The search -----------------------------------------------------------------------------------------------------------


class _Ready(NamedTuple):
    """An example as arrays."""

    times: Float64[np.ndarray, "2 cues"]  # as delivered, in the order of the file
    found: Float64[np.ndarray, "2 cues"]  # the lag of each, where it is to be found
    guess: bool  # no lag stands out
    signs: tuple[Span, ...]  # in order of time
    similarity: Float[np.ndarray, "cues signs"] | None  # cues in the order of the file, signs in that of time
    reference: PreparedCues
    measured: Int[np.ndarray, " measured"]  # the cues that are scored ...
    partner: Int[np.ndarray, " measured"]  # ... and their own in the reference

    def lag(self, preset: Preset) -> Float64[np.ndarray, "2 cues"]:
        """What is added to the times first."""
        if preset.lag == "auto":
            return self.found
        return np.broadcast_to(np.array(preset.lag, float)[:, None], self.times.shape)


def _prepare(example: Example, fps: float) -> _Ready:
    """What all settings share."""
    start, end = times(example.cues)
    order = np.argsort(start, kind="stable")
    by_time = sorted(range(len(example.signs)), key=lambda j: (example.signs[j].start, example.signs[j].end))
    signs = [Span(example.signs[j].start, example.signs[j].end) for j in by_time]
    similarity = None if example.similarity is None else example.similarity[:, by_time]
    lag = estimate_lag([example.cues[i] for i in order], signs, None if similarity is None else similarity[order])
    reference, measured = match(example.reference, example.cues)
    return _Ready(
        np.stack((start, end)),
        shifts(lag, len(start))[:, np.argsort(order)],
        lag.clarity < CLEAR,
        tuple(signs),
        similarity,
        prepare_cues(*times(reference), fps),
        np.array([j for j, _ in measured], int),
        np.array([i for _, i in measured], int),
    )


def _draw(settings: int, seed: int, default: Preset, search: bool, similar: bool) -> list[list[Preset]]:
    """Batches of settings; those of a batch share lag, `max_gap` and window."""
    size = isqrt(settings - 1) + 1
    batches = []
    for number, first in enumerate(range(0, settings, size)):
        rng = np.random.default_rng((seed, number))
        some = min(size, settings - first)
        max_gap, start, longer = (_even(rng, name) for name in ("max_gap", "lag", "longer"))
        lag = (start, round(start + longer, 3)) if search and number % 2 else default.lag
        prices = {name: [_dear(rng, name) for _ in range(some)] for name in PRICES}
        padding = [(0.0, _even(rng, "padding")) for _ in range(some)]
        costs = replace(default.costs, max_gap=max_gap if number else default.costs.max_gap)
        used = [name for name in PRICES if (name != "w_sim" or similar) and (name in PUBLISHED or not costs.compat)]
        batch = [
            Preset(replace(costs, **{name: prices[name][k] for name in used}), lag, padding[k])  # type: ignore[arg-type]
            for k in range(some)
        ]
        batches.append(batch if number else [default, *batch[1:]])
    return batches


def _even(rng: np.random.Generator, name: str) -> float:
    """Seconds from a range, to the millisecond."""
    return round(float(rng.uniform(*RANGES[name])), 3)


def _dear(rng: np.random.Generator, name: str) -> float:
    """A price from a range, in three digits: half of it is as likely as double."""
    return float(f"{np.exp(rng.uniform(*np.log(RANGES[name]))):.3g}")


def _search(
    ready: Sequence[_Ready],
    batches: Sequence[Sequence[Preset]],
    processes: int,
    scratch: Path | None,
    progress: Callable[[int, int | None], None] | None,
) -> Int[np.ndarray, "episodes settings 2"]:
    """Part and whole of the F1 of every setting on every episode; what `scratch` holds of this search is taken."""
    asked = sha256(repr((version("seasign"), batches)).encode())
    for one in ready:
        for value in one:
            asked.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
        asked.update(one.reference.starts.tobytes() + one.reference.ends.tobytes())
    name = f"{asked.hexdigest()[:16]}-{{:05}}.npy"
    found: dict[int, Int[np.ndarray, "episodes settings 2"]] = {}
    if scratch is not None:
        scratch.mkdir(parents=True, exist_ok=True)
        files = {number: scratch / name.format(number) for number in range(len(batches))}
        found = {number: np.load(path) for number, path in files.items() if path.exists()}
    done, total = sum(len(batches[number]) for number in found), sum(map(len, batches))
    todo = [number for number in range(len(batches)) if number not in found]
    if progress is not None:
        progress(done, total)
    for number, counts in zip(todo, _count_all(ready, [batches[number] for number in todo], processes), strict=True):
        found[number] = counts
        done += len(batches[number])
        if scratch is not None:
            half = scratch / "writing.npy"
            np.save(half, counts)
            half.replace(scratch / name.format(number))
        if progress is not None:
            progress(done, total)
    return np.concatenate([found[number] for number in range(len(batches))], axis=1)


def _count_all(
    ready: Sequence[_Ready], batches: Sequence[Sequence[Preset]], processes: int
) -> Iterator[Int[np.ndarray, "episodes settings 2"]]:
    """The counts of batch after batch."""
    if min(processes, len(batches)) <= 1:
        yield from (_count_batch(batch, ready) for batch in batches)
        return
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _begin, (ready,))
    try:
        yield from pool.map(_count_batch, batches)
    finally:
        pool.shutdown(cancel_futures=True)


_OURS: list[_Ready] = []  # the episodes of a worker


def _begin(ready: Sequence[_Ready]) -> None:
    """Start a worker: it leaves interrupts to its parent, and goes when the parent is gone."""

    def watch() -> None:
        parent = parent_process()
        assert parent is not None
        parent.join()
        os._exit(1)

    _OURS.extend(ready)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=watch, daemon=True).start()


def _count_batch(batch: Sequence[Preset], ready: Sequence[_Ready] = _OURS) -> Int[np.ndarray, "episodes settings 2"]:
    """Part and whole of the F1 of the settings of a batch, on every episode."""
    return np.stack([_count(one, batch) for one in ready])


def _count(ready: _Ready, batch: Sequence[Preset]) -> Int[np.ndarray, "settings 2"]:
    """Align by the edges of the cheapest runs, as `assign` does at a temperature of 0, and count."""
    shifted = ready.times + ready.lag(batch[0])
    order = np.lexsort((shifted[1], shifted[0]))
    costs = [preset.costs for preset in batch]
    problem = lay_out([Span(*span) for span in shifted[:, order].T.tolist()], ready.signs, costs[0])
    if ready.similarity is not None:
        usual = Costs(max_gap=costs[0].max_gap, compat=costs[0].compat)
        problem = rewarded(problem, ready.similarity[order], usual, Normalization())
    some = max(1, ROOM // (problem.width * len(order)))
    counts = []
    for at in range(0, len(batch), some):
        solution = solve(problem, price_list(costs[at : at + some]))
        first, stop = solution.first, solution.stop
        if costs[0].compat:
            rows = zip(first, stop, costs[at : at + some], strict=True)
            pieces = [refine(problem, row_first, row_stop, one) for row_first, row_stop, one in rows]
            first, stop = np.stack(pieces, axis=1)
        taken = first < stop
        edges = np.stack((problem.sign_start[np.minimum(first, len(ready.signs) - 1)], problem.sign_end[stop - 1]))
        moved = np.empty_like(edges)
        moved[:, :, order] = np.where(taken, edges, shifted[:, None, order])
        moved += np.array([preset.padding for preset in batch[at : at + some]]).T[:, :, None]
        starts, ends = moved[:, :, ready.measured]
        counted = count_runs(ready.reference, starts, ends, ready.partner)
        counted[~np.isfinite(solution.cost), 0] = 0
        counts.append(counted)
    return np.concatenate(counts)
