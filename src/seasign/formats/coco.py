"""Pickles of COCO-WholeBody keypoints (.pkl) -> Poses, as Uni-Sign and Sigma keep them, of RTMPose's making.

A dictionary: `keypoints`, per frame (1, 133, 2), shares of the picture's width and height; `scores`, per frame
(1, 133); perhaps `start` and `end`, the frames that are meant, the last one not included.

Source: the files that the authors' code reads (ZechengLi19/Uni-Sign @ 2c9028f, mpuu00001/Sigma @ 91cae80), from a
description of it.
"""

import warnings
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from seasign.formats import pickles
from seasign.formats.pose import HAND
from seasign.types import InputError, InputWarning, Poses

FPS = Fraction(25)  # what is taken where nobody says: the files do not
SHARES = (1, 1)  # a picture of no known size: coordinates stay shares of it

BODY = (
    "NOSE LEFT_EYE RIGHT_EYE LEFT_EAR RIGHT_EAR LEFT_SHOULDER RIGHT_SHOULDER LEFT_ELBOW RIGHT_ELBOW LEFT_WRIST "
    "RIGHT_WRIST LEFT_HIP RIGHT_HIP LEFT_KNEE RIGHT_KNEE LEFT_ANKLE RIGHT_ANKLE"
).split()
_FEET = [f"{side}_{point}" for side in ("LEFT", "RIGHT") for point in ("BIG_TOE", "SMALL_TOE", "HEEL")]
COCO_WHOLEBODY = (  # its 133 landmarks, in its order; the face's are those of the 68 points, counted from 0
    *(f"COCO_BODY.{point}" for point in BODY),
    *(f"COCO_FOOT.{point}" for point in _FEET),
    *(f"COCO_FACE.{point}" for point in range(68)),
    *(f"COCO_{side}_HAND.{point}" for side in ("LEFT", "RIGHT") for point in HAND),
)


def read(
    path: Path,
    landmarks: Sequence[str] | None = None,
    *,
    fps: Fraction = FPS,
    picture: tuple[int, int] = SHARES,
) -> Poses:
    """Read the poses of one clip, or of its landmarks only those named, in that order. z is 0.

    Args:
        fps: Of the video; the file does not say it.
        picture: Its width and height in pixels; without them x and y stay shares of two different lengths.
    Raises:
        InputError: It is no such pickle, or one that carries code; there are several people in a frame, no frames, or
            nobody in any; arrays do not fit, or start and end do not.
    Warns:
        InputWarning: Frames without anybody, or numbers that are not finite; both become gaps.
    """
    table = pickles.read(path)
    if not isinstance(table, Mapping) or not {"keypoints", "scores"} <= table.keys():
        found = ", ".join(map(repr, list(table)[:6])) if isinstance(table, Mapping) else f"a {type(table).__name__}"
        raise InputError(f"{path}: no keypoints and scores of COCO-WholeBody in it: found {found or 'nothing'}")
    keypoints, scores = table["keypoints"], table["scores"]
    if not (_is_row(keypoints) and _is_row(scores) and len(keypoints)):
        raise InputError(f"{path}: the keypoints are no frames; expected (1, {len(COCO_WHOLEBODY)}, 2) for each")
    if len(keypoints) != len(scores):
        raise InputError(f"{path}: {len(keypoints)} frames of keypoints have {len(scores)} of scores")
    first, stop = _range(path, table, len(keypoints))
    points = np.full((stop - first, len(COCO_WHOLEBODY), 3), np.nan)
    empty = 0
    for number in range(first, stop):
        frame = _frame(f"{path}: frame {number}", keypoints[number], scores[number])
        if frame is None:
            empty += 1
        else:
            points[number - first] = frame
    if empty == len(points):
        raise InputError(f"{path}: nobody is seen in any of {len(points)} frames")
    seen = np.isfinite(points).all(axis=2)
    broken = int(np.any(~seen, axis=1).sum()) - empty
    if not seen.any():
        raise InputError(f"{path}: none of the numbers of {len(points)} frames is finite")
    for count, what in (empty, "show nobody"), (broken, "hold numbers that are not finite"):
        if count:
            warnings.warn(f"{path}: {count} of {len(points)} frames {what}; kept as gaps", InputWarning, stacklevel=2)
    names = COCO_WHOLEBODY if landmarks is None else tuple(landmarks)
    if missing := [name for name in names if name not in COCO_WHOLEBODY]:
        raise InputError(f"{path}: no landmark {missing[0]!r}; it has those of COCO-WholeBody, as {COCO_WHOLEBODY[0]}")
    columns = [COCO_WHOLEBODY.index(name) for name in names]
    xyz = np.zeros((len(points), len(names), 3), np.float32)
    xyz[..., :2] = points[:, columns, :2] * picture
    xyz[~seen[:, columns]] = np.nan
    confidence = np.where(seen, points[..., 2], 0)[:, columns].astype(np.float32)
    made: dict[str, object] = {"estimator": "COCO-WholeBody keypoints", "unit": "shares"}
    if picture != SHARES:
        made |= {"unit": "pixels", "video": {"width": picture[0], "height": picture[1]}}
    return Poses(xyz, confidence, fps, names, made)


def _is_row(value: Any) -> bool:
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _range(path: Path, table: Mapping[str, Any], frames: int) -> tuple[int, int]:
    """The frames that are meant."""
    start, end = table.get("start", 0), table.get("end", frames)
    if not all(isinstance(it, int | np.integer) and not isinstance(it, bool) for it in (start, end)):
        raise InputError(f"{path}: start {start!r:.40} and end {end!r:.40} are no numbers of frames")
    if not 0 <= start < end <= frames:
        raise InputError(f"{path}: start {start} and end {end} are no part of {frames} frames")
    return int(start), int(end)


def _frame(where: str, keypoints: Any, scores: Any) -> Float[np.ndarray, "landmarks 3"] | None:
    """x, y and score of one person; None: there is nobody."""
    try:
        points, sure = (np.asarray([] if it is None else it, float) for it in (keypoints, scores))
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{where}: the keypoints are no numbers") from None
    if not points.size:
        return None
    count = len(COCO_WHOLEBODY)
    if points.ndim == 3 and len(points) > 1:
        raise InputError(f"{where}: holds {len(points)} people; keep the keypoints of the signer alone")
    if points.shape not in {(1, count, 2), (count, 2)} or sure.size != count:
        raise InputError(
            f"{where}: keypoints {points.shape}, scores {sure.shape}; expected (1, {count}, 2) and (1, {count})"
        )
    return np.column_stack((points.reshape(count, 2), sure.ravel()))
