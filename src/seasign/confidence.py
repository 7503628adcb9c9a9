"""How sure is the aligner of each cue: features of the posterior, and their calibration."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from jaxtyping import Bool, Float64

from seasign.posterior import Posterior, infer_at, margins
from seasign.solver import Prices, Problem, Sweep
from seasign.types import Alternative, Calibration, Confidence, InputError

NAN = float("nan")
CERTAIN = Confidence(1.0, 1.0, (NAN, NAN), (NAN, NAN), float("inf"))  # a person said so
UNSIGNED = Confidence(0.0, 0.0, (NAN, NAN), (NAN, NAN), NAN)  # there is no sign it could be
TEMPERATURES = (1.0, 3.0)  # at which the probability of a hit is looked at
LIMIT = 1e-4  # probabilities are kept this far from 0 and 1
SHORT, LONG = 0.05, 3.0  # seconds: pauses that differ by less, or are longer, are alike
RIDGE = 100.0  # how firmly weights stay near those that were there: the more cues, the less it matters


# Measured on synthetic episodes: bench/calibration.py
CALIBRATION = Calibration((-1.1616, 0.347, -0.1204, -0.3382, -0.0965, 2.9785, -1.8549, -1.1432, 0.4692), (0.0, 0.141))


@dataclass(frozen=True)
class Evidence:
    """What speaks for the times of every cue, before calibration."""

    features: Float64[np.ndarray, "cues features"]
    low: Float64[np.ndarray, "cues 2"]  # 5 % and 95 % of the start and of the end, in seconds
    high: Float64[np.ndarray, "cues 2"]
    margin: Float64[np.ndarray, " cues"]


def examine(
    problem: Problem,
    prices: Prices,
    best: Sweep,
    times: Float64[np.ndarray, "cues 2"],
    wide: Sequence[Posterior] = (),
) -> Evidence:
    """Look at times for the cues, in seconds, at several temperatures.

    Args:
        best: The sweep for the best alignment.
        wide: What is likely at TEMPERATURES, if it is there.
    """
    wide = wide or infer_at(problem, prices, TEMPERATURES)
    margin = margins(problem, prices, best, times)
    seen = features(problem, [one.hit(times) for one in wide], margin, times)
    return Evidence(seen, wide[-1].quantiles(0.05), wide[-1].quantiles(0.95), margin)


def judge(
    evidence: Evidence,
    signed: Float64[np.ndarray, " cues"],
    taken: Bool[np.ndarray, " cues"],
    calibration: Calibration = CALIBRATION,
    alternatives: Sequence[tuple[Alternative, ...]] = (),
) -> list[Confidence | None]:
    """The confidence in every cue; `taken` says which have a run.

    Raises:
        InputError: The calibration was fitted on other features.
    """
    if len(calibration.weights) != evidence.features.shape[1] + 1:
        found, expected = len(calibration.weights), evidence.features.shape[1] + 1
        raise InputError(f"the calibration has {found} weights, not {expected}: it is of another version; fit it again")
    probability = 1 / (1 + np.exp(-(calibration.weights[0] + evidence.features @ np.array(calibration.weights[1:]))))
    middle = (evidence.low + evidence.high) / 2  # a margin below 0 leaves no less than that
    low = np.minimum(evidence.low - calibration.margin, middle)
    high = np.maximum(evidence.high + calibration.margin, middle)
    return [
        Confidence(p if has else 0.0, certain, (start, end), (from_, to), gap if has else NAN, others, tuple(seen))
        for p, has, certain, (start, from_), (end, to), gap, seen, others in zip(
            *(c.tolist() for c in (probability, taken, signed, low, high, evidence.margin, evidence.features)),
            alternatives or repeat((), len(taken)),
            strict=True,
        )
    ]


def features(
    problem: Problem,
    hits: list[Float64[np.ndarray, " cues"]],
    margin: Float64[np.ndarray, " cues"],
    times: Float64[np.ndarray, "cues 2"],
) -> Float64[np.ndarray, "cues features"]:
    """What the probability of a hit is made of; each grows or falls with it."""
    clipped = [np.clip(hit, LIMIT, 1 - LIMIT) for hit in hits]
    before = problem.cue_start[0]
    length = np.maximum(0.1, problem.cue_end[0] - before)
    moved = times[:, 0] - before
    around = np.pad(moved, 3, mode="edge")
    usual = np.median(np.lib.stride_tricks.sliding_window_view(around, 7), axis=1)
    nearby = np.lib.stride_tricks.sliding_window_view(np.pad(clipped[1], 2, mode="edge"), 5)
    stretched = np.abs(np.log(np.maximum(0.1, times[:, 1] - times[:, 0]) / length))
    beside = np.pad(stretched, 1)
    return np.stack(
        (
            *(np.log(hit / (1 - hit)) for hit in clipped),
            np.log1p(margin),
            np.abs(moved - usual),
            nearby.mean(axis=1),
            stretched,
            (beside[:-2] + beside[2:]) / 2,
            _set_apart(problem, times),
        ),
        axis=1,
    )


def _set_apart(problem: Problem, times: Float64[np.ndarray, "cues 2"]) -> Float64[np.ndarray, " cues"]:
    """By how much, as a logarithm, the pauses around the signs at these times are longer than those among them."""
    middles = np.maximum.accumulate((problem.sign_start + problem.sign_end) / 2)
    pauses = problem.sign_start[1:] - np.maximum.accumulate(problem.sign_end)[:-1]
    pauses = np.concatenate(([LONG], np.clip(pauses, 0, LONG), [LONG]))  # before every sign, and after the last
    first, stop = np.searchsorted(middles, times.T)
    among = np.zeros(len(times))
    for cue in np.flatnonzero(stop - first > 1):
        among[cue] = pauses[first[cue] + 1 : stop[cue]].max()
    around = np.minimum(pauses[first], pauses[stop])
    apart: Float64[np.ndarray, " cues"] = np.log((SHORT + around) / (SHORT + among))
    return apart


def fit_weights(
    evidence: Float64[np.ndarray, "cues features"],
    hit: Bool[np.ndarray, " cues"],
    towards: Sequence[float] | None = None,
    ridge: float = RIDGE,
) -> tuple[float, ...]:
    """The weights of a logistic regression, of 1 and of every feature, by Newton's method.

    Args:
        towards: Weights that a ridge on standardized features draws to; None: to 0.
    """
    center, scale = evidence.mean(axis=0), np.maximum(evidence.std(axis=0), 1e-9)
    rows = np.column_stack((np.ones(len(evidence)), (evidence - center) / scale))
    penalty = np.r_[1e-9, np.full(len(center), ridge)]
    aim = np.zeros(rows.shape[1])
    if towards is not None:
        slopes = np.array(towards[1:])
        aim = np.r_[towards[0] + slopes @ center, slopes * scale]
    weights = aim.copy()
    for _ in range(100):
        p = 1 / (1 + np.exp(-rows @ weights))
        slope = rows.T @ (p - hit) + penalty * (weights - aim)
        step = np.linalg.solve((rows * (p * (1 - p))[:, None]).T @ rows + np.diag(penalty), slope)
        weights -= step / max(1.0, np.abs(step).max())  # no further than 1, lest it overshoot
        if np.abs(step).max() < 1e-8:
            break
    slopes = weights[1:] / scale
    return tuple(round(weight, 4) for weight in (float(weights[0] - slopes @ center), *slopes.tolist()))
