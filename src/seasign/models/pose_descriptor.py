"""Signs as vectors without any weights: where the hands are, what shape they have, and how both go on.

A sign is compared with others of its kind, never with words: it is what dictionaries of clips, searches by example and
baselines of recognition stand on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from seasign.models.features import ARMS, HANDS, SHOULDERS, SIDES, frame_ranges, in_widths
from seasign.types import Embeddings, InputError, Poses, Sign

LANDMARKS = (*SHOULDERS, *ARMS, *HANDS)
WRISTS = [LANDMARKS.index(f"POSE_LANDMARKS.{side}_WRIST") for side in SIDES]


@dataclass(frozen=True)
class PoseDescriptor:
    """An embedder of signs that has learned nothing. Vectors have a length of 1.

    Half of a vector's square are elbows and wrists, from the middle of the shoulders; half are the points of each hand,
    from its own wrist; both in shoulder widths, x and y alone, since z differs between files. A landmark goes straight
    between the frames that show it, stays beyond them, and is 0 where none does.
    """

    frames: int = 16  # that the time of every sign becomes
    raised: float = 0.5  # a sign goes from when a wrist first is within this share of its rise from the top; 1: whole

    @property
    def space(self) -> str:
        """The name of the space: vectors of other settings do not compare."""
        return f"pose-descriptor:{self.frames}:{self.raised:g}"

    @property
    def landmarks(self) -> tuple[str, ...]:
        """Those that it looks at."""
        return LANDMARKS

    def text(self, texts: Sequence[str]) -> Embeddings:
        """Refused: there are no words in this space.

        Raises:
            InputError: Always.
        """
        raise InputError(f"{self.space!r} has no words: give a sign to compare with, or another embedder")

    def signs(self, poses: Poses | None, signs: Sequence[Sign]) -> Embeddings:
        """One row per sign, of the frames within its span, at least one; 0 where no landmark is seen.

        Raises:
            InputError: There are no poses, a landmark is missing in all of them, no frame shows both shoulders, or the
                points are no pixels.
        """
        if poses is None:
            raise InputError("a descriptor looks at the signer, and there are only signs: give poses or a video")
        if lacking := [name for name in LANDMARKS if name not in poses.landmarks]:
            raise InputError(
                f"the poses have no {lacking[0]}: estimate them with MediaPipe Holistic, arms and hands with it"
            )
        xyz = poses.xyz[:, [poses.landmarks.index(name) for name in LANDMARKS]] * np.array([1, 1, 0], np.float32)
        vectors = np.zeros((len(signs), self.frames * 2 * (len(ARMS) + len(HANDS))), np.float32)
        for row, clip in zip(vectors, in_widths(xyz, LANDMARKS, frame_ranges(signs, poses)), strict=True):
            row[:] = self._describe(clip[..., :2])
        return Embeddings(vectors, self.space)

    def _describe(self, xy: Float32[np.ndarray, "frames landmarks 2"]) -> Float32[np.ndarray, " dimensions"]:
        """The vector of one sign, from points in shoulder widths."""
        first, last = self._raised(xy[:, WRISTS, 1])
        times = np.linspace(first, last, self.frames)
        arms, hands = xy[:, 2:6], xy[:, 6:].reshape(len(xy), len(SIDES), -1, 2)
        hands = (hands - hands[:, :, :1]).reshape(len(xy), -1, 2)
        halves = [_unit(_at(times, points).ravel()) for points in (arms, hands)]
        return _unit(np.concatenate(halves))

    def _raised(self, heights: Float32[np.ndarray, "frames wrists"]) -> tuple[int, int]:
        """The first and the last frame in which the higher wrist is near its top; all where no wrist is seen."""
        there = np.flatnonzero(~np.isnan(heights).all(axis=1))
        if not len(there):
            return 0, len(heights) - 1
        highest = np.nanmin(heights[there], axis=1)  # y points down
        top, rest = highest.min(), highest.max()
        up = there[highest <= top + self.raised * (rest - top)] if self.raised < 1 else np.array([0, len(heights) - 1])
        return int(up[0]), int(up[-1])


def _at(
    times: Float64[np.ndarray, " times"], points: Float32[np.ndarray, "frames points 2"]
) -> Float32[np.ndarray, "times points 2"]:
    """Points at other times, which are counted in frames."""
    found = np.zeros((len(times), *points.shape[1:]), np.float32)
    for number in range(points.shape[1]):
        seen = np.flatnonzero(~np.isnan(points[:, number, 0]))
        if len(seen):
            for axis in range(2):
                found[:, number, axis] = np.interp(times, seen, points[seen, number, axis])
    return found


def _unit(vector: Float32[np.ndarray, " dimensions"]) -> Float32[np.ndarray, " dimensions"]:
    """The vector at a length of 1; 0 stays."""
    found: Float32[np.ndarray, " dimensions"] = vector / np.float32(max(float(np.linalg.norm(vector)), 1e-9))
    return found
