"""What networks do to poses before they look at them: by the names of landmarks, never by their order in a file.

Steps take Poses and give Poses, whose points are then no longer pixels; a missing landmark stays NaN throughout, and a
network fills it in at last. Every step keeps the number and order of the landmarks it is given.
"""

import json
import warnings
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from importlib.resources import files
from math import floor

import numpy as np
from jaxtyping import Float32, Int

from seasign.formats import pose
from seasign.types import InputError, InputWarning, Poses, Sign

SIDES = ("LEFT", "RIGHT")
BODY = tuple(f"POSE_LANDMARKS.{point}" for point in pose.BODY)  # MediaPipe Holistic's, in its order
HANDS = tuple(f"{side}_HAND_LANDMARKS.{point}" for side in SIDES for point in pose.HAND)
CONTOURS = (  # the face landmarks on MediaPipe's contours: eyes, brows, lips and outline
    "0 7 10 13 14 17 21 33 37 39 40 46 52 53 54 55 58 61 63 65 66 67 70 78 80 81 82 84 87 88 91 93 95 103 105 107 "
    "109 127 132 133 136 144 145 146 148 149 150 152 153 154 155 157 158 159 160 161 162 163 172 173 176 178 181 "
    "185 191 234 246 249 251 263 267 269 270 276 282 283 284 285 288 291 293 295 296 297 300 308 310 311 312 314 "
    "317 318 321 323 324 332 334 336 338 356 361 362 365 373 374 375 377 378 379 380 381 382 384 385 386 387 388 "
    "389 390 397 398 400 402 405 409 415 454 466"
)
FACE = tuple(f"FACE_LANDMARKS.{number}" for number in CONTOURS.split())
FINGERS = ("INDEX_FINGER", "MIDDLE_FINGER", "PINKY")
SHOULDERS = ("POSE_LANDMARKS.RIGHT_SHOULDER", "POSE_LANDMARKS.LEFT_SHOULDER")
ARMS = tuple(f"POSE_LANDMARKS.{side}_{joint}" for joint in ("ELBOW", "WRIST") for side in SIDES)
HIPS = ("POSE_LANDMARKS.LEFT_HIP", "POSE_LANDMARKS.RIGHT_HIP")
LEGS = tuple(f"POSE_LANDMARKS.{side}_{joint}" for joint in ("KNEE", "ANKLE", "HEEL", "FOOT_INDEX") for side in SIDES)
SMALLEST = 5.0  # pixels between shoulders; less is no pixels
DEPTH = 0.05  # shoulder widths by which z may vary; in the files that models have seen it is 0.0002 to 0.0035
Body = tuple[Float32[np.ndarray, "3"], float]  # the middle of the shoulders, and the distance between them


def select(poses: Poses, landmarks: Sequence[str]) -> Poses:
    """The named landmarks, in that order.

    Raises:
        InputError: There are no frames; no frame shows a hand; a landmark is missing, and the message names its
            component when none of that is there (a layout of OpenPose, poses without hands), else the landmark.
    Warns:
        InputWarning: No frame shows one of the hands, or z is 0 throughout.
    """
    if not len(poses.xyz):
        raise InputError("the poses have no frames")
    column = {name: number for number, name in enumerate(poses.landmarks)}
    if missing := [name for name in landmarks if name not in column]:
        there = list(dict.fromkeys(name.rpartition(".")[0] for name in poses.landmarks))
        lacking = [one for one in dict.fromkeys(name.rpartition(".")[0] for name in missing) if one not in there]
        raise InputError(
            f"the poses have no {' and no '.join(lacking or missing[:1])} (they have {', '.join(there) or 'nothing'}): "
            f"the network needs {len(landmarks)} landmarks of MediaPipe Holistic; estimate the poses with that"
        )
    index = [column[name] for name in landmarks]
    hands = {side: [column[name] for name in landmarks if name.startswith(f"{side}_HAND")] for side in SIDES}
    unseen = [side for side, hand in hands.items() if hand and np.isnan(poses.xyz[:, hand, 0]).all()]
    if len(unseen) == len(SIDES):
        raise InputError(f"none of {len(poses.xyz)} frames shows a hand: there is no signing to find")
    if unseen:
        message = f"none of {len(poses.xyz)} frames shows the {unseen[0].lower()} hand: the network goes without it"
        warnings.warn(message, InputWarning, stacklevel=2)
    z = poses.xyz[:, index, 2]
    if not (abs(z) > 0).any():
        message = "the poses have no depth (z is 0 everywhere), which the network was trained with: expect other signs"
        warnings.warn(message, InputWarning, stacklevel=2)
    if tuple(landmarks) == poses.landmarks:
        return poses  # an hour at 50 fps would take another 200 MB
    return replace(poses, xyz=poses.xyz[:, index], confidence=poses.confidence[:, index], landmarks=tuple(landmarks))


def measure(xyz: Float32[np.ndarray, "frames landmarks 3"], landmarks: Sequence[str]) -> Body:
    """The body over the frames that show both shoulders: mean middle and mean distance; a distance of 0 without any."""
    right, left = (xyz[:, landmarks.index(name)].astype(float) for name in SHOULDERS)
    both = ~np.isnan(right + left).any(axis=1)
    if not both.any():
        return np.zeros(3, np.float32), 0.0
    middle = ((right + left) / 2)[both].mean(axis=0).astype(np.float32)
    return middle, float(np.linalg.norm(right - left, axis=1)[both].mean())


def check_unit(xyz: Float32[np.ndarray, "frames landmarks 3"], body: Body) -> None:
    """Refuse poses without shoulders, and points that are shares of the picture instead of pixels.

    Warns:
        InputWarning: z varies as it does not in what the models have seen: MediaPipe's own z, which is no pixels.
    """
    if not body[1]:
        raise InputError("no frame shows both shoulders: there is nothing to measure the signer by")
    if body[1] < SMALLEST:
        raise InputError(
            f"the shoulders are {body[1]:.3g} apart, which is no number of pixels: landmarks that are shares of the "
            "picture have to be multiplied by its width and height first"
        )
    if (deep := float(np.nanstd(xyz[..., 2])) / body[1]) > DEPTH:
        warnings.warn(
            f"z varies by {deep:.2g} shoulder widths, where that of MediaPipe's files hardly does (pixels in x and y, "
            "not in z): expect other vectors",
            InputWarning,
            stacklevel=3,
        )


def frame_ranges(signs: Sequence[Sign], poses: Poses) -> list[tuple[int, int]]:
    """The frames of every sign, first .. stop - 1: those that begin within its span, at least one.

    Source: SEA (arXiv:2512.08094) takes int(start * fps) .. int(end * fps).
    """
    last = len(poses.xyz) - 1
    starts = [min(max(0, floor(sign.start * poses.fps + 1e-6)), last) for sign in signs]
    stops = [floor(sign.end * poses.fps + 1e-6) for sign in signs]
    return [(start, min(max(stop, start + 1), last + 1)) for start, stop in zip(starts, stops, strict=True)]


def in_widths(
    xyz: Float32[np.ndarray, "frames landmarks 3"], landmarks: Sequence[str], ranges: Sequence[tuple[int, int]]
) -> Iterator[Float32[np.ndarray, "_ landmarks 3"]]:
    """The frames of each range, from the middle of the shoulders, in their distance.

    Every range is measured by its own shoulders; where it never shows both, by those of all frames.

    Raises:
        InputError: As `check_unit`, of all frames.
    Warns:
        InputWarning: As `check_unit`.
    """
    whole = measure(xyz, landmarks)
    check_unit(xyz, whole)
    for first, stop in ranges:
        own = measure(xyz[first:stop], landmarks)
        middle, width = own if own[1] > 0 else whole
        yield (xyz[first:stop] - middle) / np.float32(width)


def normalize_shoulders(poses: Poses) -> Poses:
    """Put the middle of the shoulders at 0 and make them 1 apart: p' = (p - c) / w, with one c and w for the file.

    c is the mean middle and w the mean distance over the frames in which both shoulders are seen, in x, y and z; z is
    used as stored, and is about .01 shoulder widths in files of MediaPipe. So what a network sees of a frame depends
    on all frames, and a part of a file looks different when it is cut out.

    Raises:
        InputError: No frame shows both shoulders, or they lie in one point.
    Source: pose-format, `pose_normalization_info` and `normalize`, as the networks of 2023 and 2026 were trained.
    """
    center, width = measure(poses.xyz, poses.landmarks)
    if not width:
        found = f"none of {len(poses.xyz)} frames shows both shoulders, or they lie in one point"
        raise InputError(f"{found}: there is nothing to measure the signer by")
    xyz = poses.xyz - center
    xyz /= np.float32(width)
    return replace(poses, xyz=xyz)


def hide(poses: Poses, landmarks: Collection[str]) -> Poses:
    """The named landmarks are missing, as far as there are such."""
    columns = [number for number, name in enumerate(poses.landmarks) if name in landmarks]
    xyz, confidence = poses.xyz.copy(), poses.confidence.copy()
    xyz[:, columns], confidence[:, columns] = np.nan, 0
    return replace(poses, xyz=xyz, confidence=confidence)


def resample(poses: Poses, fps: Fraction) -> Poses:
    """Poses at another rate; the first frame stays where it is, and none comes after the last one.

    Where the new rate is a whole part of the old one (50 -> 25), every n-th frame as it is. Otherwise points are
    interpolated linearly in time, and one that is missing in either of its two neighbours is missing.
    """
    step = poses.fps / fps
    if step == 1:
        return poses
    count = (len(poses.xyz) - 1) // step + 1
    before, part = np.divmod(np.arange(count) * step.numerator, step.denominator)
    if step.denominator == 1:
        return replace(poses, xyz=poses.xyz[before], confidence=poses.confidence[before], fps=fps)
    weight = (part / step.denominator).astype(np.float32)
    after = before + (part > 0)
    xyz, confidence = _between(poses.xyz, before, after, weight), _between(poses.confidence, before, after, weight)
    confidence[np.isnan(xyz).any(axis=2)] = 0
    return replace(poses, xyz=xyz, confidence=confidence, fps=fps)


def flow(xyz: Float32[np.ndarray, "frames points 3"], fps: Fraction) -> Float32[np.ndarray, "frames points"]:
    """How far every point has moved since the frame before, per second; NaN in the first frame, and where it is missing
    in either.

    Source: the 2023 networks E3 and E4, "optical flow"; they take 0 for NaN.
    """
    moved = np.full(xyz.shape[:2], np.nan, np.float32)
    step = np.diff(xyz, axis=0)
    np.sqrt(np.einsum("tpc,tpc->tp", step, step), out=moved[1:])
    moved *= np.float32(fps)
    return moved


def turn_hand(poses: Poses, side: str) -> Float32[np.ndarray, "frames 21 3"]:
    """Turn the hand of a side to face the viewer, middle finger up, with its wrist at 0 and its palm 1 long.

    Meant to make hands comparable whichever way they point, and it does not do all of that: the axes x and y of the
    plane of the hand are not made 1 long again, as published, and since z of MediaPipe's files is hardly more than 0
    the turn is one within the picture, and hands seen from the side grow without bounds. A frame in which the hand is
    missing, or its plane or palm has no extent, is NaN.

    Source: pose-format, `PoseNormalizer`, as the 2023 networks E4 were trained: plane of the wrist and the knuckles of
        little and index finger, line from the wrist to the knuckle of the middle finger.
    """
    hand = [poses.landmarks.index(f"{side}_HAND_LANDMARKS.{point}") for point in pose.HAND]
    points = poses.xyz[:, hand] - poses.xyz[:, hand[:1]]
    index, middle, pinky = (points[:, pose.HAND.index(f"{finger}_MCP")] for finger in FINGERS)
    with np.errstate(divide="ignore", invalid="ignore"):
        n = np.cross(pinky, index)
        n /= np.linalg.norm(n, axis=1, keepdims=True)
        y = np.cross(np.array([1, 0, 0], np.float32), n)
        x = np.cross(n, y)
        line = np.einsum("acf,fc->af", [x.T, y.T, n.T], middle)
        cos, sin = line[:2] / np.hypot(line[0], line[1])
        axes = np.stack([cos * y.T - sin * x.T, -cos * x.T - sin * y.T, n.T]) / np.linalg.norm(line, axis=0)
    turned: Float32[np.ndarray, "frames 21 3"] = np.einsum("acf,fpc->fpa", axes, points)
    return turned


def _between(
    values: Float32[np.ndarray, "frames *points"],
    before: Int[np.ndarray, "times"],
    after: Int[np.ndarray, "times"],
    weight: Float32[np.ndarray, "times"],
) -> Float32[np.ndarray, "times *points"]:
    """Values between two frames each, in place of three copies."""
    low, mixed = np.take(values, before, axis=0), np.take(values, after, axis=0)
    mixed -= low
    mixed *= weight.reshape(-1, *(1,) * (values.ndim - 1))
    mixed += low
    return mixed


# What only the taggers of 2026 do ------------------------------------------------------------------------------------


def from_wrists(poses: Poses) -> Poses:
    """Measure every hand from its own wrist, that of the hand model."""
    xyz = poses.xyz.copy()
    for side in SIDES:
        hand = [poses.landmarks.index(name) for name in HANDS if name.startswith(f"{side}_")]
        xyz[:, hand] -= xyz[:, hand[:1]]
    return replace(poses, xyz=xyz)


def velocity(xyz: Float32[np.ndarray, "frames points 3"], fps: Fraction) -> Float32[np.ndarray, "frames points 3"]:
    """How far every point has moved since the frame before, per second and axis; 0 in the first frame."""
    moved = np.zeros_like(xyz)
    np.subtract(xyz[1:], xyz[:-1], out=moved[1:])
    moved *= np.float32(fps)
    return moved


def statistics_2026() -> dict[str, list[object]]:
    """Points, and their mean and standard deviation, that the published weights of 2026 were trained with.

    They come with no checkpoint, but with another package, so they are kept here.

    Source: sign-language-processing/pose-anonymization @ fd10f15 (MIT), pose_normalization.json, its 50 points.
    """
    table = json.loads((files("seasign.models") / "statistics_2026.json").read_text(encoding="utf-8"))
    mean, std = zip(*table.values(), strict=True)
    return {"points": list(table), "mean": list(mean), "std": list(std)}
