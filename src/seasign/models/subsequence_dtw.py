"""Spotting without weights: an example of a sign is bent in time until it fits a stretch of the video best.

A baseline, and for those who have no network. It knows no words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int

from seasign.models.features import ARMS, HANDS, SHOULDERS, SIDES, check_unit, measure, resample
from seasign.models.pose_descriptor import LANDMARKS
from seasign.spotting import Query, Spot, trim
from seasign.types import InputError, Poses

UNSEEN = 0.4  # seconds: a shorter gap is bridged by a straight line
HAND = 4.0  # how much the shape of a hand counts for its arm's 1; both are measured in shoulder widths
LOST = 0.5  # shoulder widths that what only one of two frames shows is apart
CALM = 0.2  # shoulder widths that are added to how far the frames of an example are from each other


class Part(NamedTuple):
    """An arm or a hand in all frames, in shoulder widths; 0 where it is not seen."""

    points: Float32[np.ndarray, "frames numbers"]
    seen: Bool[np.ndarray, " frames"]


@dataclass(frozen=True)
class SubsequenceDtw:
    """A spotter that has learned nothing but two numbers of calibration.

    Frames are as far apart as the root mean square of their points, in shoulder widths: elbow and wrist from the middle
    of the shoulders of that frame, and, four times as much, the points of a hand from its own wrist; x and y alone.
    Each side counts by the square root of how far the wrist of the example goes, so a hand that rests hardly does. The
    score is the mean distance along the best warp, see `warp`, negated, over that between any two frames of the example
    plus .2: what hardly moves is near to much. A landmark that a file lacks is left out, so that shoulders and wrists
    are enough.

    Calibrated on shared data, by how many of the best spots are right: those of one example in the clips of another
    session of `traduttore`, 40 joined by `concatenate`, with up to 10 words in each of 6 sessions; and, all of them
    wrong, those in 37 sentences of How2Sign. Where a sign is rarer, or another signs it, probabilities are too high.

    Source: subsequence dynamic time warping, Müller 2007, "Information Retrieval for Music and Motion", 4.4. Differs:
        steps, of which none lets one frame stand for more than two.
    """

    combine: Literal["best", "mean"] = "best"  # of several examples: the nearest counts, or the mean of all
    trims: bool = True  # examples are first cut by `spotting.trim`; False: they are cut to their sign already
    fps: Fraction = Fraction(15)  # that poses are brought to
    calibration: tuple[float, float] = (4.5, 11.8)

    @property
    def landmarks(self) -> tuple[str, ...]:
        """Those that it looks at."""
        return LANDMARKS

    def candidates(self, query: Query, poses: Poses) -> tuple[Spot, ...]:
        """The ends of warps that are no dearer than those a frame before and after.

        Raises:
            InputError: The query is a word; a file has no shoulders, or shares neither wrists nor hands with others;
                or its points are no pixels.
        """
        if isinstance(query, str):
            raise InputError(f"{query!r} is a word, and warping compares poses: give an example, or a spotter of words")
        shared = [name for name in LANDMARKS if all(name in one.landmarks for one in (poses, *query))]
        if not any(name in shared for name in (*ARMS[2:], *HANDS)):
            raise InputError("query and video share neither wrists nor hands: estimate both with MediaPipe Holistic")
        video = self._look(poses, shared)
        examples = [self._look(trim(one) if self.trims else one, shared) for one in query]
        warps = [warp(_costs(one, video) / (_costs(one, one).mean() + np.float32(CALM))) for one in examples]
        every, starts = (np.stack(one) for one in zip(*warps, strict=True))
        cost = every.min(axis=0) if self.combine == "best" else every.mean(axis=0)
        start = starts[every.argmin(axis=0), np.arange(len(cost))]
        around = np.pad(cost, 1, constant_values=np.inf)
        ends = np.flatnonzero((cost <= around[:-2]) & (cost < around[2:]))
        rate, last = float(self.fps), poses.duration
        return tuple(
            Spot(first / rate, min((end + 1) / rate, last), -value)
            for first, end, value in zip(start[ends].tolist(), ends.tolist(), cost[ends].tolist(), strict=True)
        )

    def _look(self, poses: Poses, shared: Sequence[str]) -> list[Part]:
        """Arm and hand of the left, then of the right."""
        if lacking := [name for name in SHOULDERS if name not in poses.landmarks]:
            raise InputError(f"the poses have no {lacking[0]}: estimate them with MediaPipe Holistic")
        names = (*SHOULDERS, *(name for name in shared if name not in SHOULDERS))
        columns = [poses.landmarks.index(name) for name in names]
        some = replace(poses, xyz=poses.xyz[:, columns], confidence=poses.confidence[:, columns], landmarks=names)
        xyz = resample(some, self.fps).xyz * np.array([1, 1, 0], np.float32)
        body = measure(xyz, names)
        check_unit(xyz, body)
        xy = xyz[..., :2] / np.float32(body[1])
        both = np.flatnonzero(~np.isnan(xy[:, :2, 0]).any(axis=1))
        middle = xy[:, :2].mean(axis=1)
        for axis in middle.T:
            axis[:] = np.interp(np.arange(len(xy)), both, axis[both])
        found = []
        for side in SIDES:
            arm, hand = (
                [names.index(name) for name in some if name in shared and side in name] for some in (ARMS, HANDS)
            )
            for own, base in (arm, middle[:, None]), (hand, xy[:, hand[:1]]):
                points = ((xy[:, own] - base) / np.float32(max(1, len(own)) ** 0.5)).reshape(len(xy), -1)
                found.append(Part(*_fill(points, round(UNSEEN * float(self.fps)))))
        return found


def _fill(
    points: Float32[np.ndarray, "frames numbers"], gap: int
) -> tuple[Float32[np.ndarray, "frames numbers"], Bool[np.ndarray, " frames"]]:
    """Points with gaps of fewer frames bridged, 0 where they are not known; and where they are."""
    at = np.flatnonzero(~np.isnan(points).any(axis=1)) if points.shape[1] else np.zeros(0, int)
    if not len(at):
        return np.zeros_like(points), np.zeros(len(points), bool)
    frames = np.arange(len(points))
    low = at[np.maximum(np.searchsorted(at, frames, side="right") - 1, 0)]
    high = at[np.minimum(np.searchsorted(at, frames), len(at) - 1)]
    seen = (low <= frames) & (frames <= high) & (high - low <= gap)
    share = ((frames - low) / np.maximum(high - low, 1)).astype(np.float32)[:, None]
    filled = points[low] * (1 - share) + points[high] * share
    return np.where(seen[:, None], filled, np.float32(0)), seen


def _costs(query: Sequence[Part], video: Sequence[Part]) -> Float32[np.ndarray, "query frames"]:
    """How far every frame of the query is from every one of the video."""
    went = np.array([np.abs(np.diff(arm.points[arm.seen], axis=0)).sum() for arm in query[::2]])
    sides = np.sqrt(went / went.max()) if went.any() else np.ones(len(SIDES))
    weights = [weight for side in sides.tolist() for weight in (side, HAND * side)]
    total = np.zeros((len(query[0].seen), len(video[0].seen)), np.float32)
    for weight, one, other in zip(weights, query, video, strict=True):
        apart = (one.points**2).sum(axis=1)[:, None] + (other.points**2).sum(axis=1) - 2 * one.points @ other.points.T
        apart = np.sqrt(np.maximum(apart, 0))
        apart[one.seen[:, None] ^ other.seen] = LOST
        apart[~one.seen[:, None] & ~other.seen] = 0
        total += np.float32(weight / sum(weights)) * apart
    return total


def warp(
    cost: Float32[np.ndarray, "query frames"],
) -> tuple[Float32[np.ndarray, " frames"], Int[np.ndarray, " frames"]]:
    """The cheapest warp of the whole query that ends with each frame: its mean cost, and the frame that it starts with.

    A step takes a frame of the query to one frame of the video or to two, which share it, or two frames of the query to
    one: the tempo stays between half and twice that of the query throughout. Every frame of the query counts once, so
    warps of all lengths compare, and the best mean is the best sum. Infinite where the query has no room.

    Time is frames of the query times frames of the video, all of these at once; memory is a few rows.
    """
    rows, frames = cost.shape
    none = np.full(2, np.inf, np.float32)
    before, began = np.append(none[:1], np.zeros(frames + 1, np.float32)), np.arange(-1, frames + 1)  # two in front:
    earlier, sooner = np.full(frames + 2, np.inf, np.float32), began  # [j + 2] is what ends with frame j
    for number, row in enumerate(cost):
        shared = (np.append(none[:1], row[:-1]) + row) / 2
        ways = [before[1:-1] + row, before[:-2] + shared, earlier[1:-1] + row + cost[number - 1]]
        best = np.minimum(np.minimum(ways[0], ways[1]), ways[2])
        start = np.where(ways[0] == best, began[1:-1], np.where(ways[1] == best, began[:-2], sooner[1:-1]))
        earlier, sooner = before, began
        before, began = np.append(none, best), np.append([0, 0], start)
    return before[2:] / np.float32(rows), began[2:]
