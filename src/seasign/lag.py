"""By how much the signing comes after the subtitles, from the two alone: no labels, no similarities."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Float64, Int

from seasign.posterior import infer
from seasign.solver import Prices, Problem, lay_out, price_list, sweep
from seasign.spans import nearest
from seasign.types import Costs, Lag, Span, Stretch

# What cues pay: to find about where the lag is, and then, to tell neighbouring lags apart, more for what does not fit.
ROUGH = {"w_dur": 2.0, "w_gap": 10.0, "w_sim": 0.0, "drop": 8.0, "skip": 6.0}
STRICT = {"w_dur": 5.0, "w_gap": 40.0, "w_sim": 0.0, "drop": 12.0, "skip": 6.0}
WINDOW = 40  # signs
REACH = 20.0  # seconds: lags looked at, both ways
STEP, FINE, NEAR = 1.0, 0.2, 1.2  # seconds between lags looked at first, then, and how far around the best
SHRINK = 0.6  # of the difference in length that is seen: runs are drawn towards the length of their cue
TEMPERATURE = 20.0  # in evidence: how far the runner-up lags count
CHANGE = 120.0  # evidence that a change of lag must bring
USUAL = 1.7, 1.2  # seconds: lag of an interpreter when nothing tells, and its spread (published medians: .5 to 2.7)
DOUBT = 10.0  # evidence that then counts as much as one nat of that prior
CHANCE = 4.0  # standard errors that the best of all lags reaches with similarities that know nothing, and some more
DELAY = 1.0  # seconds: how far single cues are from the lag, as similarities see it
ALONE = 10.0  # evidence: how far one cue is from the others, as long as there are none to tell
CLEAR = 1.5  # standard errors by which the best lag must stand above every other


def estimate_lag(
    cues: Sequence[Span], signs: Sequence[Span], similarity: Float[np.ndarray, "cues signs"] | None = None
) -> Lag:
    """Find the lag at which the cues fit the signs best; several lags where the evidence pays for each change.

    Both come in order of time. The evidence of a lag is the sum over all alignments of the shifted cues, and how much
    more the signs then within each cue look like it than the others do. It is looked at every second from -20 to 20 s,
    then finely around the best; the estimate is the mean, weighted by evidence. Where no lag stands out, the lags that
    interpreters usually have weigh in, and it is no more than a guess.

    Args:
        similarity: Higher is better, any scale; one that knows nothing adds nothing.

    Source: ours. The observation that the least cost of an alignment points to the lag is of this project's study of
        SEA (arXiv:2512.08094), which has no estimate.
    """
    times = np.array([(cue.start, cue.end) for cue in cues], float).T
    sign_times = np.array([(sign.start, sign.end) for sign in signs], float).T
    coarse = np.arange(-REACH, REACH + STEP / 2, STEP)
    gains = _gains(times, sign_times, np.stack((coarse, coarse))[:, :, None], ROUGH, np.maximum)
    look = None if similarity is None else _Look(times, sign_times, similarity)
    if look is not None:
        gains += look.gains(coarse[:, None])
    path = _steady_path(gains)
    others = np.abs(coarse - coarse[path][:, None]).min(axis=0) > 2 * STEP
    others |= not others.any()  # a path over all lags has no rival but itself
    rival = np.flatnonzero(others)[gains[:, others].sum(axis=0).argmax()]
    ahead = gains[np.arange(len(path)), path] - gains[:, rival]
    clarity = float(ahead.sum() / np.sqrt((len(ahead) * ahead.var()) + ALONE**2))
    if clarity < CLEAR:
        guess = gains.sum(axis=0) / DOUBT - ((coarse - USUAL[0]) / USUAL[1]) ** 2 / 2
        path = np.full(len(path), guess.argmax())
    lags = coarse[np.unique(path)]
    if len(lags) > 1:  # where it changes, they tell better when they are the only ones
        few = np.stack((lags, lags))[:, :, None]
        gains = _gains(times, sign_times, few, STRICT, np.logaddexp)
        path = _steady_path(gains if look is None else gains + look.gains(lags[:, None]))
        base = lags[path]
    else:
        base = coarse[path]
    offsets = np.arange(-NEAR, NEAR + FINE / 2, FINE)
    fine = base + offsets[:, None]
    evidence = _gains(times, sign_times, np.stack((fine, fine)), STRICT, np.logaddexp)
    if look is not None:
        evidence += look.gains(fine)
    found, start = [], np.empty_like(base)
    for first, stop in pairwise(np.flatnonzero(np.diff(base, prepend=np.nan, append=np.nan)).tolist()):
        mean, low, high = _weighted(offsets, evidence[first:stop].sum(axis=0))
        start[first:stop] = base[first] + mean
        found.append((first, stop - 1, float(base[first] + low), float(base[first] + high)))
    longer = _longer(times + start, sign_times)
    return Lag(
        tuple(Stretch(*part[:2], float(start[part[0]]), float(start[part[0]] + longer), *part[2:]) for part in found),
        clarity,
    )


def shifts(lag: Lag, count: int) -> Float64[np.ndarray, "2 cues"]:
    """The lag of the start and of the end of each cue, in order of time."""
    found = np.zeros((2, count))
    for stretch in lag.stretches:
        found[:, stretch.first : stretch.last + 1] = [[stretch.start], [stretch.end]]
    return found


def _longer(times: Float64[np.ndarray, "2 cues"], sign_times: Float64[np.ndarray, "2 signs"]) -> float:
    """By how many seconds signing lasts longer than its cue in the median, where that is clear."""
    cues, signs = ([Span(*span) for span in zip(*both.tolist(), strict=True)] for both in (times, sign_times))
    costs = Costs()
    posterior = infer(lay_out(cues, signs, costs), price_list([costs]), costs.temperature)
    found = posterior.likeliest_overlap()
    clear = posterior.hit(found) > 0.8
    longer = (found[:, 1] - found[:, 0] - (times[1] - times[0]))[clear]
    return SHRINK * float(np.median(longer)) if clear.any() else 0.0


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


class _Look:
    """How much the signs near each cue look like it, summed up so that any stretch of them is a difference."""

    def __init__(
        self,
        times: Float64[np.ndarray, "2 cues"],
        sign_times: Float64[np.ndarray, "2 signs"],
        similarity: Float[np.ndarray, "cues signs"],
    ):
        self.times, self.middles = times, np.maximum.accumulate(sign_times.mean(axis=0))
        self.first = np.searchsorted(self.middles, times[0] - REACH - NEAR)
        width = int((np.searchsorted(self.middles, times[1] + REACH + NEAR) - self.first).max(initial=1))
        columns = self.first[:, None] + np.arange(max(1, width))
        near = np.take_along_axis(similarity, np.minimum(columns, similarity.shape[1] - 1), axis=1).astype(float)
        inside = columns < similarity.shape[1]
        near -= (near * inside).sum(axis=1, keepdims=True) / np.maximum(1, inside.sum(axis=1, keepdims=True))
        near *= inside
        self.tells = np.abs(near).max(axis=1, initial=0) > 1e-9 * max(1.0, float(np.abs(similarity).max(initial=0)))
        inside &= self.tells[:, None]  # a cue that looks like every sign alike says nothing
        near /= max(float(np.sqrt((near**2).sum() / max(1, inside.sum()))), 1e-12)
        self.total = np.pad(np.cumsum(near, axis=1), ((0, 0), (1, 0)))
        coarse = np.arange(-REACH, REACH + STEP / 2, STEP)[:, None]
        seen, count = (part.sum(axis=1) for part in self._within(coarse))
        lift = seen / np.maximum(1, count)  # of a sign within its cue over others, in standard deviations
        best = int((lift * np.sqrt(count)).argmax())
        chance = CHANCE**2 / max(float(lift[best]) ** 2 * float(count[best]), 1e-12)
        self.lift = float(lift[best]) * max(0.0, 1 - chance) if lift[best] > 0 else 0.0

    def gains(self, lags: Float64[np.ndarray, "lags cues_or_one"]) -> Float64[np.ndarray, "cues lags"]:
        """What each cue adds to the evidence at each lag, wherever within its own delay it is signed."""
        some = np.arange(-2, 2.1, 0.5)
        prior = -(some**2) / 2 - np.log(np.exp(-(some**2) / 2).sum())
        total = np.full((len(lags), len(self.first)), -np.inf)
        for delay, weight in zip(some.tolist(), prior.tolist(), strict=True):
            seen, count = self._within(lags + DELAY * delay)
            total = np.logaddexp(total, weight + self.lift * (seen - self.lift / 2 * count))
        gains: Float64[np.ndarray, "cues lags"] = TEMPERATURE * total.T
        return gains

    def _within(
        self, lags: Float64[np.ndarray, "lags cues_or_one"]
    ) -> tuple[Float64[np.ndarray, "lags cues"], Int[np.ndarray, "lags cues"]]:
        """Sum and number of the signs whose middles lie within each cue at each lag."""
        last = self.total.shape[1] - 1
        start, stop = (np.clip(np.searchsorted(self.middles, edge + lags) - self.first, 0, last) for edge in self.times)
        every = np.arange(len(self.first))
        seen = self.total[every, np.maximum(start, stop)] - self.total[every, start]
        return seen, np.maximum(0, stop - start) * self.tells


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


def _weighted(
    values: Float64[np.ndarray, " lags"], evidence: Float64[np.ndarray, " lags"]
) -> tuple[float, float, float]:
    """Mean, and the 90 % in the middle, by evidence."""
    weights = np.exp((evidence - evidence.max()) / TEMPERATURE)
    weights /= weights.sum()
    mean = float((weights * values).sum())
    spread = 1.645 * float(np.sqrt((weights * (values - mean) ** 2).sum()) + FINE / 2)
    return mean, mean - spread, mean + spread
