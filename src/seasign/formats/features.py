""".npy arrays -> WindowFeatures: what a network made of windows of a video, a row each. What an array does not say of
itself (rate, pace, where the first window is, and what made it) is said by who reads it."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from seasign.formats.npz import DAMAGE
from seasign.formats.rate import exact_rate
from seasign.types import InputError, WindowFeatures


def read(
    path: Path, *, fps: Fraction | float = Fraction(25), source: str, stride: int = 2, first: int = 7
) -> WindowFeatures:
    """Read windows x dimensions of any kind of float, as it lies there: a large file is mapped, not loaded.

    Args:
        fps: Of the video.
        source: The name of what made them, such as "video-swin".
        stride: Frames from a window to the next.
        first: The frame at the centre of the first.
    Raises:
        InputError: It is no such array, is empty or cut short, or a row is not finite; no such rate or pace.
    """
    if stride < 1 or first < 0:
        raise InputError(f"{path}: a stride of {stride} from frame {first} on: give 1 or more, and a frame from 0 on")
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except DAMAGE as error:
        raise InputError(f"{path}: not an .npy, or cut short ({error}); expected what numpy.save writes") from None
    if not isinstance(vectors, np.ndarray) or vectors.ndim != 2 or vectors.dtype.kind != "f" or not vectors.size:
        found = f"{vectors.dtype} {vectors.shape}" if isinstance(vectors, np.ndarray) else "an archive"
        raise InputError(f"{path}: holds {found}; expected floats, windows x dimensions")
    for start in range(0, len(vectors), 4096):
        if broken := np.flatnonzero(~np.isfinite(vectors[start : start + 4096]).all(axis=1)).tolist():
            row = start + broken[0]
            time = (first + stride * row) / float(fps)
            raise InputError(
                f"{path}: window {row} at {time:.2f} s holds numbers that are not finite: extract it again"
            )
    try:
        return WindowFeatures(vectors, exact_rate(fps), source, stride, first)
    except (ValueError, ArithmeticError):
        raise InputError(f"{path}: {fps} is no rate; give frames per second, such as 25") from None
