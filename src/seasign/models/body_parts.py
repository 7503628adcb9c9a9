"""Poses -> four parts of a body, by the names of their joints; no torch.

A joint has two names, that of COCO-WholeBody and that of the landmark of MediaPipe Holistic which marks the same spot.
What poses have under neither is masked: x, y and score are 0, as where it is seen badly.

Source: Li et al. 2025 (Uni-Sign) and Sigma (arXiv:2509.21223), code @ 91cae80, for parts, edges and what becomes of
coordinates. Face mesh: Yan 2024, Mediapipe_2_Dlib_Landmarks @ db9e81e, of whose pairs for the angles of the jaw (5 and
13 of 68) we take the lower landmark.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Float32

from seasign.formats.coco import BODY
from seasign.formats.pose import HAND
from seasign.types import InputError, InputWarning, Poses

SEEN = 0.3  # a joint whose score is not above this is as good as missing
LEAST = 4  # places of the body's joints that are seen, all frames together: from fewer nobody can be measured

_UPPER = (BODY[0], *BODY[3:11])  # nose, ears, shoulders, elbows, wrists
_FACE_MESH = {  # point of the 68 -> vertex of MediaPipe's face mesh that marks it
    0: 127, 2: 93, 4: 172, 6: 150, 8: 152, 10: 379, 12: 397, 14: 323, 16: 356,  # jaw, from the right ear to the left
    60: 78, 61: 82, 62: 13, 63: 312, 64: 308, 65: 317, 66: 14, 67: 87,  # inner lips, around from the right corner
    30: 4,  # tip of the nose
}  # fmt: skip
PARTS: Mapping[str, Mapping[str, str]] = {  # part -> its joints in order, COCO-WholeBody -> MediaPipe Holistic
    "body": {f"COCO_BODY.{point}": f"POSE_LANDMARKS.{point}" for point in _UPPER},
    "left": {f"COCO_LEFT_HAND.{point}": f"LEFT_HAND_LANDMARKS.{point}" for point in HAND},
    "right": {f"COCO_RIGHT_HAND.{point}": f"RIGHT_HAND_LANDMARKS.{point}" for point in HAND},
    "face": {f"COCO_FACE.{point}": f"FACE_LANDMARKS.{vertex}" for point, vertex in _FACE_MESH.items()},
}
HOLISTIC = tuple(name for joints in PARTS.values() for name in joints.values())  # all that are looked at
ROOTS = {"left": 0, "right": 0, "face": 17}  # part -> its joint from which the others are measured: wrist, tip of nose
ANCHORS = {"left": 7, "right": 8, "face": 0}  # part -> the joint of the body that it hangs on: wrist, nose

_FINGERS = [(0, 1, 2, 3, 4), (0, 5, 6, 7, 8), (0, 9, 10, 11, 12), (0, 13, 14, 15, 16), (0, 17, 18, 19, 20)]
_CHAINS: Mapping[str, Sequence[Sequence[int]]] = {  # joints that hang together, one after the other
    "body": [(0, 1), (0, 2), (0, 3, 5, 7), (0, 4, 6, 8)],
    "left": _FINGERS,
    "right": _FINGERS,
    "face": [tuple(range(9)), (*range(9, 17), 9), *((17, joint) for joint in range(17))],
}

Parts = Mapping[str, Float32[np.ndarray, "_ _ 3"]]  # frames, joints (9, 21, 21, 18), x y score


def parts_of(poses: Poses) -> Parts:
    """The parts as a network takes them.

    Raises:
        InputError: There are no frames, or the poses name fewer than four joints of the body.
    Warns:
        InputWarning: Parts or joints have no landmark of theirs in the poses, or hardly any of the body is seen, so
            that everything is masked.
    """
    if not len(poses.xyz):
        raise InputError("the poses have no frames")
    column = {name: number for number, name in enumerate(poses.landmarks)}
    found = {
        part: [column.get(coco, column.get(holistic)) for coco, holistic in joints.items()]
        for part, joints in PARTS.items()
    }
    missing = {part: [name for name, at in zip(PARTS[part].items(), own, strict=True) if at is None]
               for part, own in found.items()}  # fmt: skip
    if len(PARTS["body"]) - len(missing["body"]) < LEAST:
        there = ", ".join(dict.fromkeys(name.rpartition(".")[0] for name in poses.landmarks))
        raise InputError(
            f"the poses have no {_named(missing['body'])} (they have {there or 'nothing'}): parts of a body need its "
            "landmarks by COCO-WholeBody or MediaPipe Holistic; estimate the poses with one of them"
        )
    if lost := [part for part, names in missing.items() if len(names) == len(PARTS[part])]:
        _warn(f"the poses have nothing of {' and '.join(_PLAIN[part] for part in lost)}: the network goes without")
    for part, names in missing.items():
        if names and part not in lost:
            root = list(PARTS[part].items())[ROOTS[part]] if part in ROOTS else None
            if root and root in names:
                _warn(
                    f"the poses have no {_named([root])}, by which {_PLAIN[part]} is measured: the network goes without"
                )
            else:
                _warn(f"the poses have no {_named(names)} of {_PLAIN[part]}: the network goes without")
    raw = {part: _points(poses, own) for part, own in found.items()}
    parts = normalize(raw)
    if not parts["body"].any():
        _warn(f"hardly any of the body is seen in {len(poses.xyz)} frames, nothing to measure it by: all is masked")
    return {part: points.astype(np.float32) for part, points in parts.items()}


def normalize(parts: Mapping[str, Float[np.ndarray, "frames _ 3"]]) -> Mapping[str, Float[np.ndarray, "frames _ 3"]]:
    """x, y, score of every joint -> the same, from -1 to 1; 0 where it is not seen.

    One square around all that is seen of the body in the whole clip, as wide as the longer side of what is seen, is
    brought to [-1, 1]. Hands are measured from their wrist and the face from the tip of its nose in every frame, in
    sides of that square, even where that joint itself is seen badly; where it is missing (NaN), all of the part is.
    Where fewer than four places of the body are seen, or all in one, everything is 0.

    Source: the released code, to the last digits of double precision.
    """
    body = parts["body"]
    places = body[body[..., 2] > SEEN][:, :2]
    low, high = (places.min(axis=0), places.max(axis=0)) if len(places) >= LEAST else (np.zeros(2), np.zeros(2))
    side = (high - low).max()
    if not side:
        return {part: np.zeros_like(points) for part, points in parts.items()}
    corner = (low + high) / 2 - side / 2
    placed = {}
    for part, points in parts.items():
        at = (points[..., :2] - corner) / side * 2 - 1 if part == "body" else _from_root(points, ROOTS[part]) / side
        placed[part] = np.concatenate((at.clip(-1, 1), points[..., 2:]), axis=2)
        placed[part][~(points[..., 2] > SEEN) | np.isnan(at).any(axis=2)] = 0
    return placed


def adjacency(part: str) -> Float[np.ndarray, "2 joints joints"]:
    """Of every joint with itself, and with its neighbours: the columns of the sum of both add up to 1."""
    edges = [pair for chain in _CHAINS[part] for pair in pairwise(chain)]
    own = np.eye(len(PARTS[part]))
    beside = np.zeros_like(own)
    for first, second in edges:
        beside[first, second] = beside[second, first] = 1
    hops: Float[np.ndarray, "2 joints joints"] = np.stack((own, beside)) / (own + beside).sum(axis=0)
    return hops


_PLAIN = {"body": "the body", "left": "the left hand", "right": "the right hand", "face": "the face"}


def _warn(message: str) -> None:
    warnings.warn(message, InputWarning, stacklevel=3)


def _named(names: Sequence[tuple[str, str]]) -> str:
    """The first few, as both layouts call them."""
    shown = [f"{coco} or {holistic}" for coco, holistic in names[:2]]
    return ", no ".join(shown) + f", and {len(names) - 2} more" * (len(names) > 2)


def _points(poses: Poses, columns: Iterable[int | None]) -> Float[np.ndarray, "frames joints 3"]:
    """x, y and confidence in these columns; NaN, NaN and 0 where there is none."""
    at = list(columns)
    points = np.full((len(poses.xyz), len(at), 3), np.nan)
    points[..., 2] = 0
    known = [number for number, column in enumerate(at) if column is not None]
    index = [column for column in at if column is not None]
    points[:, known, :2] = poses.xyz[:, index, :2]
    lost = ~np.isfinite(points[..., :2]).all(axis=2)
    points[:, known, 2] = poses.confidence[:, index]
    points[lost, :2], points[lost, 2] = np.nan, 0
    return points


def _from_root(points: Float[np.ndarray, "frames joints 3"], root: int) -> Float[np.ndarray, "frames joints 2"]:
    measured: Float[np.ndarray, "frames joints 2"] = points[..., :2] - points[:, root : root + 1, :2]
    return measured
