"""Poses in which nobody is seen for a while, or part of the signer never."""

import warnings
from itertools import groupby
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from seasign.types import InputWarning, Poses

LONG = 1.0  # seconds without anybody from which on a reader should be told
ABSENT = 0.5  # the share of frames without anybody from which on, however short the gaps
MISSING = 0.8  # the share of the other frames in which a landmark has to be missing


def warn_of_gaps(path: Path, poses: Poses, anybody: Bool[np.ndarray, " frames"] | None = None) -> None:
    """Warn, each with its count, of frames in which nobody is seen, and of landmarks that are missing.

    Frames without any landmark count when they last LONG somewhere, or are more than ABSENT of all; a landmark counts
    when it is missing in more than MISSING of the frames with somebody, and for LONG in sum. So it is no warning that
    hands are lost on and off, as in half of the frames of some usable recordings; that one hand is never seen is.

    Args:
        anybody: The frames in which any landmark of the file is seen, where `poses` holds only some of them.
    """
    seen = poses.confidence > 0
    present = np.logical_or.reduce(seen, axis=1) if anybody is None else anybody
    frames, empty = len(present), int((~present).sum())
    longest = max((len(list(run)) for there, run in groupby(present.tolist()) if not there), default=0)
    if longest >= LONG * poses.fps or empty > ABSENT * frames:
        _warn(
            f"{path}: nobody is seen in {empty} of {frames} frames, for up to {float(longest / poses.fps):.1f} s on "
            "end; kept as gaps"
        )
    missing = frames - empty - seen.sum(axis=0)
    often = np.flatnonzero((missing > MISSING * (frames - empty)) & (missing >= LONG * float(poses.fps))).tolist()
    if often:
        _warn(
            f"{path}: {len(often)} of {len(poses.landmarks)} landmarks are missing in most frames, the first is "
            f"{poses.landmarks[often[0]]}; kept as gaps"
        )


def _warn(message: str) -> None:
    warnings.warn(message, InputWarning, stacklevel=4)
