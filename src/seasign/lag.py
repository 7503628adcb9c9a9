"""By how much the signing comes after the subtitles, from the two alone: no labels, no similarities."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float64, Int

from seasign.posterior import infer
from seasign.solver import Prices, Problem, lay_out, nearest, price_list, sweep
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
DOUBT = 5.0  # evidence that then counts as much as one nat of that prior
CLEAR = 1.5  # standard errors by which the best lag must stand above every other


def estimate_lag(cues: Sequence[Span], signs: Sequence[Span]) -> Lag:
    """Find the lag at which the cues fit the signs best; several lags where the evidence pays for each change.

    Both come in order of time. The evidence of a lag is the sum over all alignments of the shifted cues. It is looked
    at every second from -20 to 20 s, then finely around the best; the estimate is the mean, weighted by evidence. Where
    no lag stands out, the lags that interpreters usually have weigh in, and it is no more than a guess.

    Source: ours. The observation that the least cost of an alignment points to the lag is of this project's study of
        SEA (arXiv:2512.08094), which has no estimate.
    """
    times = np.array([(cue.start, cue.end) for cue in cues], float).T
    sign_times = np.array([(sign.start, sign.end) for sign in signs], float).T
    coarse = np.arange(-REACH, REACH + STEP / 2, STEP)
    gains = _gains(times, sign_times, np.stack((coarse, coarse))[:, :, None], ROUGH, np.maximum)
    path = _steady_path(gains)
    others = np.abs(coarse - coarse[path][:, None]).min(axis=0) > 2 * STEP
    others |= not others.any()  # a path over all lags has no rival but itself
    rival = np.flatnonzero(others)[gains[:, others].sum(axis=0).argmax()]
    ahead = gains[np.arange(len(path)), path] - gains[:, rival]
    clarity = float(ahead.sum() / max(1.0, ahead.std() * np.sqrt(len(ahead))))
    if clarity < CLEAR:
        guess = gains.sum(axis=0) / DOUBT - ((coarse - USUAL[0]) / USUAL[1]) ** 2 / 2
        path = np.full(len(path), guess.argmax())
    lags = coarse[np.unique(path)]
    if len(lags) > 1:  # where it changes, they tell better when they are the only ones
        few = np.stack((lags, lags))[:, :, None]
        path = _steady_path(_gains(times, sign_times, few, STRICT, np.logaddexp))
        base = lags[path]
    else:
        base = coarse[path]
    offsets = np.arange(-NEAR, NEAR + FINE / 2, FINE)
    fine = base + offsets[:, None]
    evidence = _gains(times, sign_times, np.stack((fine, fine)), STRICT, np.logaddexp)
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
