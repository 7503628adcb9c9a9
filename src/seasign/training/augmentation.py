"""Poses as another camera, another detector, a left-handed or a slower signer would have made them.

Each takes what it needs of chance from a generator, so that a seed repeats it. Times stay as they are, but for `pace`.
"""

from dataclasses import replace
from fractions import Fraction

import numpy as np
from jaxtyping import Bool, Float

from seasign.models.features import FACE, HANDS, SHOULDERS, SIDES, resample
from seasign.types import InputError, Poses

STRETCH = 0.25  # seconds: how long a hand stays unseen, on average
_LATERAL = [name for name in FACE if name.partition(".")[2] not in "0 10 13 14 17 152".split()]  # one side, the other
MIRRORED = dict(zip(_LATERAL, _LATERAL[len(_LATERAL) // 2 :] + _LATERAL[: len(_LATERAL) // 2], strict=True))


def mirror(poses: Poses) -> Poses:
    """The same signer in a mirror: left is right, by the names of the landmarks, and x runs the other way.

    Raises:
        InputError: The other side of a landmark is missing, or not known: of the face mesh only the contours are, and
            points of the world are not in pixels.
    """
    names = [_other(name) for name in poses.landmarks]
    missing = [name for name, other in zip(poses.landmarks, names, strict=True) if other not in poses.landmarks]
    if missing:
        raise InputError(f"cannot mirror {missing[0]}: no landmark is known as its other side; leave it out")
    columns = [poses.landmarks.index(name) for name in names]
    xyz = poses.xyz[:, columns]
    xyz[..., 0] = 2 * _middle(poses)[0] - xyz[..., 0]
    return replace(poses, xyz=xyz, confidence=poses.confidence[:, columns])


def _other(name: str) -> str:
    """The landmark of the other side, or itself."""
    component, _, point = name.partition(".")
    if name in FACE:
        return MIRRORED.get(name, name)
    if component.upper().startswith(("FACE", "POSE_WORLD")):
        return ""
    for one, other in ("LEFT", "RIGHT"), ("left", "right"):
        name = name.replace(one, "\0").replace(other, one).replace("\0", other)
    if component == "pose_keypoints_2d" and point[:1] in "LR" and point[1:2].isupper():  # OpenPose: LWrist
        return f"{component}.{'R' if point[0] == 'L' else 'L'}{point[1:]}"
    return name


def warp(poses: Poses, rng: np.random.Generator, *, scale: float = 0.0, rotation: float = 0.0) -> Poses:
    """Stretch and turn the picture around the middle of the shoulders.

    Width and height are stretched apart, since networks that measure by the shoulders do not see what both share.

    Args:
        scale: Standard deviation of the logarithm of either factor.
        rotation: Standard deviation of the angle, in degrees.
    """
    angle = np.radians(rotation * rng.standard_normal())
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    change = turn * np.exp(scale * rng.standard_normal(2))
    middle = _middle(poses)
    xyz = poses.xyz.copy()
    xyz[..., :2] = (xyz[..., :2] - middle) @ change.T + middle
    return replace(poses, xyz=xyz)


def shear(poses: Poses, rng: np.random.Generator, spread: float) -> Poses:
    """Shear, turn and stretch the picture around the middle of the shoulders: (x, y) Shear_x(a) Rot(b) Scale_y(1 + c).

    Args:
        spread: Standard deviation of a, b (radians) and c, which are drawn in that order.
    Source: SignCLIP (arXiv:2407.01264), its augmentation in 2-D, there with a spread of .2.
    """
    slant, angle, longer = spread * rng.standard_normal(3)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    change = np.array([[1, slant], [0, 1]]) @ turn * np.array([1, 1 + longer])
    middle = _middle(poses)
    xyz = poses.xyz.copy()
    xyz[..., :2] = (xyz[..., :2] - middle) @ change + middle
    return replace(poses, xyz=xyz)


def pace(poses: Poses, rng: np.random.Generator, spread: float, most: int | None = None) -> Poses:
    """Signed more slowly or more quickly: more or fewer frames between the first and the last one.

    Points are interpolated linearly between the frames that show them, over gaps too, and are missing before and after.
    The rate is given as frames per second of the old time, as published, and is whole.

    Args:
        spread: Standard deviation of the ratio, around 1.
        most: Frames; where there would be as many or more, nothing is changed.
    Source: SignCLIP (arXiv:2407.01264), its temporal augmentation, there with a spread of .2. Differs: a ratio that
        leaves fewer than two frames a second changes nothing.
    """
    ratio = 1 + spread * rng.standard_normal()
    fps = round(float(poses.fps) * ratio)
    frames = len(poses.xyz)
    count = round(frames * fps / float(poses.fps)) if fps > 1 else 0
    if count < 2 or frames < 2 or (most is not None and frames * ratio >= most):
        return poses
    before, after = np.linspace(0, 1, frames), np.linspace(0, 1, count)
    xyz = np.full((count, *poses.xyz.shape[1:]), np.nan, np.float32)
    confidence = np.zeros(xyz.shape[:2], np.float32)
    patterns, which = np.unique(~np.isnan(poses.xyz).any(axis=2).T, axis=0, return_inverse=True)
    for pattern, seen in enumerate(patterns):  # of a hand all points are seen or none, as a rule
        if seen.any():
            points, known = np.flatnonzero(which == pattern), np.flatnonzero(seen)
            inside = np.flatnonzero((before[known[0]] <= after) & (after <= before[known[-1]]))
            place = np.interp(after[inside], before[known], np.arange(len(known)))
            low = place.astype(int)
            high, part = np.minimum(low + 1, len(known) - 1), (place - low).astype(np.float32)
            for old, new in (poses.xyz, xyz), (poses.confidence, confidence):
                rows = old[known][:, points]
                share = part.reshape(-1, *(1,) * (rows.ndim - 1))
                new[np.ix_(inside, points)] = rows[low] * (1 - share) + rows[high] * share
    return replace(poses, xyz=xyz, confidence=confidence, fps=Fraction(fps))


def shake(poses: Poses, rng: np.random.Generator, spread: float) -> Poses:
    """Every point of every frame somewhere around where it is, in x, y and z; `spread` in the unit of the poses.

    Source: SignCLIP (arXiv:2407.01264), its noise, there of .001 shoulder widths.
    """
    noise = rng.standard_normal(poses.xyz.shape, np.float32)
    return replace(poses, xyz=poses.xyz + np.float32(spread) * noise)


def film(poses: Poses, rng: np.random.Generator, slowest: float, fastest: float) -> Poses:
    """As a camera of another rate would have seen it: a whole number of frames a second, and no more than there are."""
    fastest = min(fastest, float(poses.fps))
    return resample(poses, Fraction(round(rng.uniform(slowest, fastest)))) if slowest < fastest else poses


def drop_frames(poses: Poses, rng: np.random.Generator, share: float) -> Poses:
    """A share of the frames in which nobody is seen, here and there."""
    return _unseen(poses, (rng.random(len(poses.xyz)) < share)[:, None])


def drop_hands(poses: Poses, rng: np.random.Generator, share: float) -> Poses:
    """Hands that are not detected for a share of the time, each in stretches of its own; the body's points stay."""
    unseen = np.zeros(poses.confidence.shape, dtype=bool)
    for side in SIDES:
        hand = [number for number, name in enumerate(poses.landmarks) if name in HANDS and name.startswith(side)]
        rate = -np.log1p(-min(share, 0.99)) / STRETCH  # of starts: 1 - exp(-rate * length) of the time lies under them
        starts = rng.uniform(-2 * STRETCH, poses.duration, rng.poisson(rate * (poses.duration + 2 * STRETCH)))
        for start, length in zip(starts, rng.uniform(0, 2 * STRETCH, len(starts)), strict=True):
            first, stop = (max(0, round(edge * float(poses.fps))) for edge in (start, start + length))
            unseen[first:stop, hand] = True
    return _unseen(poses, unseen)


def _unseen(poses: Poses, where: Bool[np.ndarray, "frames #landmarks"]) -> Poses:
    return replace(
        poses,
        xyz=np.where(where[..., None], np.float32(np.nan), poses.xyz),
        confidence=np.where(where, np.float32(0), poses.confidence),
    )


def _middle(poses: Poses) -> Float[np.ndarray, "2"]:
    """x and y of the middle of the shoulders, the mean over the frames that show them; the signer's place."""
    left, right = (poses.xyz[:, poses.landmarks.index(name), :2].astype(float) for name in SHOULDERS)
    middle = (left + right) / 2
    middle = middle[~np.isnan(middle).any(axis=1)]
    return middle.mean(axis=0) if len(middle) else np.zeros(2)
