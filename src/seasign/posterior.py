"""All alignments at once, each weighted by exp(-cost / temperature): how likely is what, for every cue."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, Int

from seasign.solver import Prices, Problem, Sweep, sweep, tables
from seasign.spans import iou
from seasign.types import Alternative

LIKELIEST = 8  # first signs, and last signs, that the runs of a cue are made of
APART = 0.5  # seconds by which the start or the end of another choice differs
MOST, LEAST = 5, 0.01  # alternatives of a cue, and the least probability of one


@dataclass(frozen=True)
class Posterior:
    """What is likely, for every cue; column c stands for the sign `low[i] + c`, times are seconds."""

    first: Float64[np.ndarray, "cues width"]  # probability that the cue's run starts with this sign
    last: Float64[np.ndarray, "cues width"]  # and that it ends with it
    sign_start: Float64[np.ndarray, "cues width"]  # when the column's sign starts, and ends
    sign_end: Float64[np.ndarray, "cues width"]
    runs: Float64[np.ndarray, "cues runs 2"]  # start and end of its likeliest runs ...
    weights: Float64[np.ndarray, "cues runs"]  # ... and their probabilities, given that it has one
    evidence: float  # logarithm of the sum over all alignments: higher, the better the episode fits

    @property
    def signed(self) -> Float64[np.ndarray, " cues"]:
        """Probability that the cue takes a run at all."""
        signed: Float64[np.ndarray, " cues"] = np.minimum(1.0, self.last.sum(axis=1))
        return signed

    @property
    def member(self) -> Float64[np.ndarray, "cues width"]:
        """Probability that a sign is in the cue's run."""
        ended = np.cumsum(self.last, axis=1) - self.last
        member: Float64[np.ndarray, "cues width"] = np.clip(np.cumsum(self.first, axis=1) - ended, 0, 1)
        return member

    def quantiles(self, share: float) -> Float64[np.ndarray, "cues 2"]:
        """The times before which the start, and the end, lies with this probability, given that there is a run."""
        return np.stack([_quantile(self.first, self.sign_start, share), _quantile(self.last, self.sign_end, share)], 1)

    def likeliest_overlap(self) -> Float64[np.ndarray, "cues 2"]:
        """The start and end, out of the likeliest runs' and their mean, that share most time with the run expected.

        Minimum Bayes risk: the expected intersection over union with the true run is greatest.
        """
        mean = (self.runs * self.weights[..., None]).sum(axis=1, keepdims=True)
        choices = np.concatenate((mean, self.runs), axis=1)
        expected = np.empty(choices.shape[:2])
        for choice in range(choices.shape[1]):
            expected[:, choice] = (iou(choices[:, choice, None], self.runs) * self.weights).sum(axis=1)
        best = (expected >= expected.max(axis=1, keepdims=True) - 1e-12).argmax(axis=1)
        chosen: Float64[np.ndarray, "cues 2"] = choices[np.arange(len(choices)), best]
        return chosen

    def hit(self, times: Float64[np.ndarray, "cues 2"], threshold: float = 0.5) -> Float64[np.ndarray, " cues"]:
        """Probability that these times and the true run have an intersection over union of at least `threshold`."""
        near = (iou(times[:, None], self.runs) >= threshold) * self.weights
        hit: Float64[np.ndarray, " cues"] = self.signed * near.sum(axis=1)
        return hit

    def alternatives(
        self, times: Float64[np.ndarray, "cues 2"], taken: Bool[np.ndarray, " cues"]
    ) -> list[tuple[Alternative, ...]]:
        """The likeliest runs that start or end elsewhere, each as likely as all that are near it; the likeliest first.

        Args:
            times: Where the cues are put; what is near is no alternative for those that are `taken` to be there.
        """
        weights = self.weights * self.signed[:, None]
        weights[taken[:, None] & _near(self.runs, times)] = 0
        found = np.empty((len(weights), MOST, 3))
        for choice in range(MOST):
            found[:, choice, :2] = chosen = self.runs[np.arange(len(weights)), weights.argmax(axis=1)]
            near = _near(self.runs, chosen)
            found[:, choice, 2] = (weights * near).sum(axis=1)
            weights[near] = 0
        order = np.argsort(-found[..., 2], axis=1, kind="stable")
        ranked = np.take_along_axis(found, order[..., None], axis=1).tolist()
        return [tuple(Alternative(*one) for one in ones if one[2] >= LEAST) for ones in ranked]


def _near(
    runs: Float64[np.ndarray, "cues runs 2"], times: Float64[np.ndarray, "cues 2"]
) -> Bool[np.ndarray, "cues runs"]:
    """Which runs start and end less than half a second from the times of their cue."""
    near: Bool[np.ndarray, "cues runs"] = (np.abs(runs - times[:, None]) < APART).all(axis=-1)
    return near


def infer(problem: Problem, prices: Prices, temperature: float) -> Posterior:
    """Forward and backward over the episode, for one setting that may skip signs.

    A sign nested in a longer one counts as ending with it: backwards, signs have to come in the order of their ends.
    """
    (posterior,) = infer_at(problem, prices, (temperature,))
    return posterior


def infer_at(problem: Problem, prices: Prices, temperatures: Sequence[float]) -> list[Posterior]:
    """As `infer`, at several temperatures: side by side in one sweep they take little longer than one alone."""
    problem = replace(problem, sign_end=np.maximum.accumulate(problem.sign_end))
    prices = prices.repeated(len(temperatures))
    column = np.array(temperatures, float)[:, None]
    forward = sweep(problem, prices, np.logaddexp, column)
    backward = sweep(problem.mirrored(), prices, np.logaddexp, column)
    marginals = [_marginals(problem, forward, backward, setting) for setting in range(len(temperatures))]
    columns = np.minimum(problem.low[0][:, None] + np.arange(problem.width), len(problem.sign_start) - 1)
    starts, ends = problem.sign_start[columns], problem.sign_end[columns]
    some = min(LIKELIEST, problem.width)
    likeliest = [[np.argpartition(-gain, some - 1, axis=1)[:, :some] for gain in both[:2]] for both in marginals]
    gains = np.empty((len(temperatures), len(starts), some, some))
    for table in tables(problem, prices, np.logaddexp, column):
        rows = np.arange(table.stop - table.start)[:, None]
        cues = slice(table.start, table.stop)
        for setting, (of_cue, (_, _, after)) in enumerate(zip(likeliest, marginals, strict=True)):
            k, j = (columns[cues] for columns in of_cue)
            own = np.minimum(
                table.rising[rows, setting, k][:, :, None] + table.longer[rows, setting, j][:, None],
                table.falling[rows, setting, k][:, :, None] + table.shorter[rows, setting, j][:, None],
            )
            around = forward.free[cues, setting][rows, k][:, :, None] + after[cues][rows, j][:, None]
            from_, to = table.begin[rows, 0, j][:, None], table.end[rows, 0, j][:, None]
            fits = (k[:, :, None] >= from_) & (k[:, :, None] < to)
            gains[setting, cues] = np.where(fits, own + around, -np.inf)
    every, found = np.arange(len(starts))[:, None], []
    for gain, (k, j), (first, last, _), total in zip(gains, likeliest, marginals, forward.total.tolist(), strict=True):
        each = gain.reshape(len(gain), -1)
        best = each.max(axis=1, keepdims=True)
        weights = np.exp(each - np.where(np.isfinite(best), best, 0))
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
        runs = np.stack(np.broadcast_arrays(starts[every, k][:, :, None], ends[every, j][:, None]), axis=-1)
        runs = runs.reshape(len(gain), -1, 2)
        found.append(Posterior(np.exp(first - total), np.exp(last - total), starts, ends, runs, weights, total))
    return found


def margins(
    problem: Problem, prices: Prices, forward: Sweep, times: Float64[np.ndarray, "cues 2"], apart: float = APART
) -> Float64[np.ndarray, " cues"]:
    """By how much the best alignment in which a cue starts or ends elsewhere costs more than the best of all.

    Args:
        forward: The sweep for the best alignment.
        times: Start and end of the cues' runs there, in seconds; elsewhere is at least `apart` seconds away.
    """
    problem = replace(problem, sign_end=np.maximum.accumulate(problem.sign_end))
    first, last, _ = _marginals(problem, forward, sweep(problem.mirrored(), prices))
    columns = np.minimum(problem.low[0][:, None] + np.arange(problem.width), len(problem.sign_start) - 1)
    away = np.abs(problem.sign_start[columns] - times[:, :1]) >= apart
    away_last = np.abs(problem.sign_end[columns] - times[:, 1:]) >= apart
    other = np.maximum(_best(first, away), _best(last, away_last))
    margin: Float64[np.ndarray, " cues"] = np.maximum(0.0, forward.total[0] - other)
    return margin


def _best(
    gain: Float64[np.ndarray, "cues width"], where: Bool[np.ndarray, "cues width"]
) -> Float64[np.ndarray, " cues"]:
    best: Float64[np.ndarray, " cues"] = np.where(where, gain, -np.inf).max(axis=1)
    return best


def _marginals(
    problem: Problem, forward: Sweep, backward: Sweep, setting: int = 0
) -> tuple[Float64[np.ndarray, "cues width"], Float64[np.ndarray, "cues width"], Float64[np.ndarray, "cues width"]]:
    """Gains through every first sign and every last sign of every cue; and what comes after the last sign alone."""
    other = (problem.high - problem.low)[0][:, None] - np.arange(problem.width)  # the same sign, seen from behind
    inside, other = other >= 0, np.maximum(other, 0)
    after = np.take_along_axis(backward.free[::-1, setting], other, axis=1)
    last = forward.take[:, setting] + after
    first = forward.free[:, setting, :-1] + np.take_along_axis(backward.take[::-1, setting], other, axis=1)
    return np.where(inside, first, -np.inf), np.where(inside, last, -np.inf), after


def _quantile(
    weights: Float64[np.ndarray, "cues width"], values: Float64[np.ndarray, "cues width"], share: float
) -> Float64[np.ndarray, " cues"]:
    """The value at which the weights, which are in order of the values, sum up to their share."""
    summed = np.cumsum(weights, axis=1)
    reached: Int[np.ndarray, " cues"] = (summed >= share * summed[:, -1:] - 1e-12).argmax(axis=1)
    quantile: Float64[np.ndarray, " cues"] = values[np.arange(len(values)), reached]
    return quantile
