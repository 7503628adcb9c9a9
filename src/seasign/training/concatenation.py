"""Isolated signs -> continuous signing whose boundaries are known to the frame: a lexicon becomes a corpus.

What is joined is not what people sign: there is no coarticulation, holds and tempo are drawn, and a transition is a
straight path. Networks that learned from it are to be measured on people.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from seasign.models import features
from seasign.training.recipe import Counts, Factors, Range
from seasign.types import InputError, Poses, Sign, Span

WIDTH, CENTER = 160, (640, 330, 0)  # pixels: the body that all clips get
LEAD = 0.6  # seconds of a clip before and after its sign that open and close a phrase
HAND = ("WRIST", "PINKY", "INDEX", "THUMB")  # of the body's points
ELBOW, WRIST = (
    (0.1, 0.77),
    (0.05, 1.4),
)  # of arms that hang down: outwards and down from the shoulder, in widths of both


@dataclass(frozen=True)
class Joining:
    """How signs follow each other; ranges are drawn from evenly."""

    phrase: Counts = (3, 9)  # signs between two rests
    transition: Range = (0.08, 0.25)  # seconds from a sign's end to the start of the next in its phrase
    rest: Range = (0.6, 2.0)  # seconds from what closes a phrase to what opens the next; the hands go down and up in it
    tempo: Factors = (1.0, 1.0)  # how many times as fast as they were filmed signs are played


class Piece(NamedTuple):
    """Some frames."""

    xyz: Float32[np.ndarray, "frames landmarks 3"]
    confidence: Float32[np.ndarray, "frames landmarks"]


def concatenate(
    clips: Sequence[tuple[Poses, Sign]], seed: int = 0, *, joining: Joining = Joining(), fps: Fraction | None = None
) -> tuple[Poses, tuple[Sign, ...]]:
    """Join isolated signs in their order into one episode.

    Within a phrase, signs are cut out and joined by transitions; what comes before the first and after the last one in
    their clips, raising and lowering the hands, opens and closes the phrase. In a rest, arms that do not hang down yet
    do, since many clips are cut at their sign. Every clip is measured by its shoulders and put in one place, so that
    the signer's size and place do not jump; proportions stay. A landmark that is missing at one end of a transition is
    missing in it, and one that is not in all clips is left out.

    Args:
        clips: Poses, and the sign in them, in seconds of the clip; see `segmentation.find_sign`.
        fps: Of the result; None takes that of the first clip.
    Returns:
        Poses in pixels, and the signs with their glosses: what lies between two is no sign's.
    Raises:
        InputError: There are no clips, they share no landmarks, a sign is outside of its clip, or a clip never shows
            both shoulders.
    """
    if not clips:
        raise InputError("there are no signs to join")
    fps = fps or clips[0][0].fps
    landmarks = [name for name in clips[0][0].landmarks if all(name in poses.landmarks for poses, _ in clips)]
    if not landmarks:
        raise InputError("the clips share no landmarks: estimate their poses in one way")
    rng = np.random.default_rng(seed)
    lead = round(float(LEAD * fps))
    pieces: list[Piece] = []
    signs: list[Sign] = []
    to_come = 0  # signs of the phrase
    for number, (poses, sign) in enumerate(clips):
        opens = to_come == 0
        if opens:
            to_come = int(rng.integers(joining.phrase[0], joining.phrase[1], endpoint=True))
        to_come -= 1
        closes = to_come == 0 or number == len(clips) - 1
        tempo = Fraction(rng.uniform(*joining.tempo)).limit_denominator(100)
        whole, first, stop = _play(poses, landmarks, sign, tempo, fps)
        begin, end = max(0, first - lead * opens), stop + lead * closes
        piece = Piece(whole.xyz[begin:end], whole.confidence[begin:end])
        if pieces:
            frames = round(rng.uniform(*(joining.rest if opens else joining.transition)) * float(fps))
            down = [_lower(pieces[-1], -1, landmarks), _lower(piece, 0, landmarks)] if opens else []
            stops = [pieces[-1], *down, piece]
            parts = np.diff(np.linspace(0, frames, len(stops)).astype(int)).tolist()
            pieces += [_bridge(*ends, part) for ends, part in zip(pairwise(stops), parts, strict=True)]
        start = sum(len(one.xyz) for one in pieces) + first - begin
        signs.append(Sign(float(start / fps), float((start + stop - first) / fps), sign.gloss))
        pieces.append(piece)
    xyz, confidence = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
    provenance = {"estimator": "seasign.training.concatenation", "clips": len(clips), "seed": seed}
    return Poses(xyz, confidence, fps, tuple(landmarks), provenance), tuple(signs)


def _play(poses: Poses, landmarks: Sequence[str], sign: Span, tempo: Fraction, fps: Fraction) -> tuple[Piece, int, int]:
    """A clip on the common body, at the tempo and the rate; the first frame of its sign, and that behind the last."""
    if not 0 <= sign.start < sign.end <= poses.duration + 1e-6:
        raise InputError(
            f"the sign at {sign.start:.2f} - {sign.end:.2f} s is outside of its clip of {poses.duration:.2f} s"
        )
    poses = features.normalize_shoulders(poses)
    columns = [poses.landmarks.index(name) for name in landmarks]
    poses = replace(poses, xyz=poses.xyz[:, columns], confidence=poses.confidence[:, columns], fps=poses.fps * tempo)
    poses = features.resample(poses, fps)
    first, stop = (round(edge * float(fps / tempo)) for edge in (sign.start, sign.end))
    first = min(first, len(poses.xyz) - 1)
    xyz = poses.xyz * np.float32(WIDTH) + np.array(CENTER, np.float32)
    return Piece(xyz, poses.confidence), first, min(max(stop, first + 1), len(xyz))


def _lower(piece: Piece, frame: int, landmarks: Sequence[str]) -> Piece:
    """A frame of a piece with its arms hanging down, hands as they are."""
    xyz = piece.xyz[[frame]]
    at = {name: number for number, name in enumerate(landmarks)}
    right, left = (xyz[0, at[name], :2].copy() for name in features.SHOULDERS)
    for side, shoulder, out in ("LEFT", left, left - right), ("RIGHT", right, right - left):
        hand = [
            name for name in at if name.startswith((f"{side}_HAND", *(f"POSE_LANDMARKS.{side}_{it}" for it in HAND)))
        ]
        for joint, place, moved in ("WRIST", WRIST, hand), ("ELBOW", ELBOW, [f"POSE_LANDMARKS.{side}_ELBOW"]):
            if (name := f"POSE_LANDMARKS.{side}_{joint}") in at:
                target = shoulder + WIDTH * np.array([np.sign(out[0]) * place[0], place[1]], np.float32)
                xyz[0, [at[it] for it in moved], :2] += target - xyz[0, at[name], :2]
    return Piece(xyz, piece.confidence[[frame]])


def _bridge(before: Piece, after: Piece, frames: int) -> Piece:
    """The way from the last frame of a piece to the first one of the next, with the bell-shaped speed of reaching."""
    phase = np.arange(1, frames + 1, dtype=np.float32)[:, None] / (frames + 1)
    done = phase**3 * (10 - 15 * phase + 6 * phase**2)
    xyz = before.xyz[-1] * (1 - done[..., None]) + after.xyz[0] * done[..., None]
    confidence = before.confidence[-1] * (1 - done) + after.confidence[0] * done
    return Piece(xyz, np.where(np.isnan(xyz).any(axis=2), np.float32(0), confidence))
