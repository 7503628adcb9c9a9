"""By how much the signing comes after the subtitles, from the two alone: no labels, no similarities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int

from seasign.solver import Prices, Problem, nearest, sweep
from seasign.types import Span

# What cues pay: to find about where the lag is, and then, to tell neighbouring lags apart, more for what does not fit.
ROUGH = {"w_dur": 2.0, "w_gap": 10.0, "w_sim": 0.0, "drop": 8.0, "skip": 6.0}
STRICT = {"w_dur": 5.0, "w_gap": 40.0, "w_sim": 0.0, "drop": 12.0, "skip": 6.0}
WINDOW = 40  # signs
REACH = 20.0  # seconds: lags looked at, both ways
STEP, FINE, NEAR = 1.0, 0.2, 1.2  # seconds between lags looked at first, then, and how far around the best
TEMPERATURE = 20.0  # in evidence: how far the runner-up lags count
CHANGE = 60.0  # evidence that a change of lag must bring
CLEAR = 1.5  # standard errors by which the best lag must stand above every other


@dataclass(frozen=True)
class Stretch:
    """A stretch of cues with one lag, in seconds."""

    first: int  # cues first .. last, in order of time
    last: int
    start: float  # of the starts
    end: float  # of the ends
    low: float  # 90 % of what the lag of the starts may be
    high: float


@dataclass(frozen=True)
class Lag:
    """What was found; nothing when no lag stands out."""

    stretches: tuple[Stretch, ...]
    clarity: float  # by how many standard errors the best lag stands above every other that is not near

    @property
    def clear(self) -> bool:
        """Whether the subtitles fit the signing at this lag and at no other."""
        return self.clarity >= CLEAR

    def of(self, count: int) -> Float64[np.ndarray, "2 cues"]:
        """The lag of the start and of the end of each cue."""
        lags = np.zeros((2, count))
        for stretch in self.stretches:
            lags[:, stretch.first : stretch.last + 1] = [[stretch.start], [stretch.end]]
        return lags

    def __str__(self) -> str:
        if not self.stretches:
            return "no lag stands out"
        words = [f"{part.last - part.first + 1} cues {part.start:+.2f} s" for part in self.stretches]
        if len(words) == 1:
            part = self.stretches[0]
            return f"{part.start:+.2f} s at the starts, {part.end:+.2f} s at the ends (90 %: {part.low:+.2f} to {part.high:+.2f})"
        return ", then ".join(words)


def estimate_lag(cues: Sequence[Span], signs: Sequence[Span]) -> Lag:
    """Find the lag at which the cues fit the signs best; several lags where the evidence pays for each change.

    Both come in order of time. The evidence of a lag is the sum over all alignments of the shifted cues. It is looked at
    every second from -20 to 20 s, then finely around the best; the estimate is the mean, weighted by evidence.

    Source: ours. The observation that the least cost of an alignment points to the lag is of this project's study of
        SEA (arXiv:2512.08094), which has no estimate.
    """
    times = np.array([(cue.start, cue.end) for cue in cues], float).T
    sign_times = np.array([(sign.start, sign.end) for sign in signs], float).T
    coarse = np.arange(-REACH, REACH + STEP / 2, STEP)
    gains = _gains(times, sign_times, np.stack((coarse, coarse))[:, :, None], ROUGH, np.maximum)
    path = _steady_path(gains)
    edges = np.flatnonzero(np.diff(path, prepend=-1, append=-1))
    others = np.abs(coarse - coarse[path][:, None]).min(axis=0) > 2 * STEP
    rival = np.flatnonzero(others)[gains[:, others].sum(axis=0).argmax()]
    ahead = gains[np.arange(len(path)), path] - gains[:, rival]
    clarity = float(ahead.sum() / max(1.0, ahead.std() * np.sqrt(len(ahead))))
    if clarity < CLEAR:
        return Lag((), clarity)
    base = coarse[path]
    offsets = np.arange(-NEAR, NEAR + FINE / 2, FINE)
    fine = base + offsets[:, None]
    stretches = []
    starts = _gains(times, sign_times, np.stack((fine, fine)), STRICT, np.logaddexp)
    start = np.empty_like(base)
    found = []
    for first, stop in zip(edges[:-1], edges[1:], strict=True):
        mean, low, high = _weighted(offsets, starts[first:stop].sum(axis=0))
        start[first:stop] = base[first] + mean
        found.append((int(first), int(stop) - 1, base[first] + low, base[first] + high))
    fine = start + offsets[:, None]
    ends = _gains(times, sign_times, np.stack((np.broadcast_to(start, fine.shape), fine)), STRICT, np.logaddexp)
    for first, last, low, high in found:
        mean, _, _ = _weighted(offsets, ends[first : last + 1].sum(axis=0))
        stretches.append(Stretch(first, last, float(start[first]), float(start[first] + mean), float(low), float(high)))
    return Lag(tuple(stretches), clarity)


def _gains(
    times: Float64[np.ndarray, "2 cues"],
    sign_times: Float64[np.ndarray, "2 signs"],
    lags: Float64[np.ndarray, "2 lags cues_or_one"],
    prices: Mapping[str, float],
    plus: np.ufunc,
) -> Float64[np.ndarray, "cues lags"]:
    """What each cue adds to the evidence at each lag."""
    start, end = times[:, None] + lags
    sign_start, sign_end = sign_times
    low, high = np.empty(start.shape, int), np.empty(start.shape, int)
    for row in range(len(start)):
        reach = nearest((start[row] + end[row]) / 2, (sign_start + sign_end) / 2, WINDOW)
        low[row] = np.minimum.accumulate(reach.min(axis=1)[::-1])[::-1]
        high[row] = np.maximum.accumulate(reach.max(axis=1))
    problem = Problem(start, end, sign_start, sign_end, low, high, np.zeros(len(sign_start), int))
    charged = Prices(**{name: np.full(len(start), price) for name, price in prices.items()})
    totals = sweep(problem, charged, plus).totals
    return np.diff(totals, axis=0, prepend=0)


def _steady_path(gains: Float64[np.ndarray, "cues lags"]) -> Int[np.ndarray, " cues"]:
    """The lag of every cue that gains most in all, where each change costs CHANGE."""
    best, came = gains[0], np.empty(gains.shape, int)
    stay = np.arange(gains.shape[1])
    for cue in range(1, len(gains)):
        jump = int(best.argmax())
        came[cue] = np.where(best >= best[jump] - CHANGE, stay, jump)
        best = np.maximum(best, best[jump] - CHANGE) + gains[cue]
    path = np.empty(len(gains), int)
    path[-1] = best.argmax()
    for cue in range(len(gains) - 1, 0, -1):
        path[cue - 1] = came[cue, path[cue]]
    return path


def _weighted(values: Float64[np.ndarray, " lags"], evidence: Float64[np.ndarray, " lags"]) -> tuple[float, float, float]:
    """Mean, and the 90 % in the middle, by evidence."""
    weights = np.exp((evidence - evidence.max()) / TEMPERATURE)
    weights /= weights.sum()
    mean = float((weights * values).sum())
    spread = 1.645 * float(np.sqrt((weights * (values - mean) ** 2).sum()) + FINE / 2)
    return mean, mean - spread, mean + spread
