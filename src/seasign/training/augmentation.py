"""Poses as another camera, another detector or a left-handed signer would have made them. Times stay as they are.

Each takes what it needs of chance from a generator, so that a seed repeats it.
"""

from dataclasses import replace
from fractions import Fraction

import numpy as np
from jaxtyping import Bool, Float

from seasign.models.features import HANDS, SHOULDERS, SIDES, resample
from seasign.types import InputError, Poses

STRETCH = 0.25  # seconds: how long a hand stays unseen, on average


def mirror(poses: Poses) -> Poses:
    """The same signer in a mirror: left is right, by the names of the landmarks, and x runs the other way.

    Raises:
        InputError: The other side of a landmark is missing, or not known: those of the face mesh are numbered, and
            those of the world are not in pixels.
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
