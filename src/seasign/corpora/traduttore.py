"""The isolated signs of traduttore: ten words of ASL, many times each, as arrays of MediaPipe landmarks (MIT).

Source: github.com/traduttore/traduttore-model @ c7c2f3e, repacked: one `.npz` per word, which is the file's name.
"""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import Float

from seasign.corpora.clips import Clip
from seasign.formats.pose import BODY, HAND
from seasign.types import InputError, Poses

FPS = Fraction(20)  # not recorded: each clip of a webcam has 20 frames, and lasts about a second
SIZE = (640, 480)  # pixels of the picture, not recorded either
LANDMARKS = (
    *(f"POSE_LANDMARKS.{point}" for point in BODY),
    *(f"{side}_HAND_LANDMARKS.{point}" for side in ("LEFT", "RIGHT") for point in HAND),
)


def read(folder: Path) -> tuple[Clip, ...]:
    """Every clip, with the recording session ("block 3": 30 repetitions of a word at most) in place of its signer.

    Points come as shares of the picture and become pixels; z is left as MediaPipe has it. A hand whose points are all
    zero in a frame was not seen in it.

    Raises:
        InputError: There are no such files, or one is another kind of array.
    """
    clips = []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as arrays:
            table = {name: arrays[name] for name in arrays.files}
        try:
            poses = [_poses(table, number) for number in range(len(table["block"]))]
        except (KeyError, IndexError, ValueError) as error:
            raise InputError(f"{path}: no clips of traduttore ({error})") from None
        clips += [
            Clip(f"{path.stem}/{seq}", pose, path.stem.replace("-", " "), f"block {block}", ("en", "ase"))
            for pose, seq, block in zip(poses, table["seq"].tolist(), table["block"].tolist(), strict=True)
        ]
    if not clips:
        raise InputError(f"{folder}: holds no .npz of traduttore")
    return tuple(clips)


def _poses(table: Mapping[str, np.ndarray], number: int) -> Poses:
    """The poses of one clip."""
    body: Float[np.ndarray, "frames 33 4"] = table["pose"][number].astype(np.float32)
    hands = [table[f"{side}_hand"][number].astype(np.float32) for side in ("left", "right")]
    seen = [(hand != 0).any(axis=(1, 2), keepdims=True) for hand in hands]
    shares = [body[..., :3], *(np.where(there, hand, np.nan) for hand, there in zip(hands, seen, strict=True))]
    xyz = np.concatenate(shares, axis=1) * np.array([*SIZE, 1], np.float32)
    sure = [
        body[..., 3],
        *(np.broadcast_to(there[..., 0], hand.shape[:2]) for hand, there in zip(hands, seen, strict=True)),
    ]
    return Poses(xyz, np.concatenate(sure, axis=1).astype(np.float32), FPS, LANDMARKS)
