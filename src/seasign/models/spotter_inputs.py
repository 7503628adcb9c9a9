"""Poses -> what a spotter looks at, and what its network says of frames -> places; no torch.

Source: "Pose-Based Sign Language Spotting" (arXiv:2512.08738), which reads 50 points, and skips what comes before the
first and after the last finger is seen. It does not say which eight points of the body those are: ours are those that
pose-format's reduction of Holistic leaves, so that its files do. Ours: rate, hands from their own wrists, long videos
in parts, several examples of a query, and places read from frames.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import log, nan
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32

from seasign.decoding import SemiMarkov
from seasign.models.features import HANDS, SHOULDERS, SIDES, from_wrists, normalize_shoulders, resample, select
from seasign.spotting import Query, Spot
from seasign.types import InputError, InputWarning, Poses

JOINTS = tuple(f"POSE_LANDMARKS.{side}_{joint}" for joint in ("ELBOW", "WRIST", "HIP") for side in SIDES)
LANDMARKS = (*HANDS, *SHOULDERS, *JOINTS)
PART, MARGIN = 20.0, 2.5  # seconds that are looked at together, and more on both sides of them
SPREAD, LONGEST = 0.25, 2.5  # of the logarithm of how long a sign lasts, against its query; and how many times as long
LEVELS = 8  # from the median logit to the greatest: from which on a frame speaks for the sign, in turn
WEIGHT = 0.3  # of a frame against how long a sign should be, as in `decoding.SemiMarkov`


@dataclass(frozen=True)
class Inputs:
    """What a network looks at, and what its scores mean."""

    fps: Fraction = Fraction(25)  # poses are brought to it
    wrists: bool = False  # hands are measured from their own wrists; False: from the shoulders, like the rest
    calibration: tuple[float, float] = (nan, nan)  # of spots: the weights of 1 and of the score, see `spotting`
    threshold: float = 0.0  # logit of presence from which a sign is said to be there


PUBLISHED = Inputs()


class Looked(NamedTuple):
    """Frames from the first to the last that shows a hand, as a network takes them."""

    frames: Float32[np.ndarray, "frames points 2"]  # x, y in shoulder widths; 0, 0 where a point is not seen
    first: int  # how many were before, at the network's rate


@runtime_checkable
class Network(Protocol):
    """Arrays in, arrays out."""

    def frame_logits(
        self, query: Float32[np.ndarray, "some points 2"], frames: Float32[np.ndarray, "frames points 2"]
    ) -> Float32[np.ndarray, " frames"]:
        """How much every frame looks like part of the query's sign."""

    def presence_logit(
        self, query: Float32[np.ndarray, "some points 2"], frames: Float32[np.ndarray, "frames points 2"]
    ) -> float:
        """How much it looks as if the query's sign were there, anywhere."""


@dataclass(frozen=True)
class PoseSpotter:
    """A network, and what stands before and behind it: fills `spotting.Spotter`."""

    network: Network
    inputs: Inputs
    calibration: tuple[float, float]  # that which was fitted on what was held out in training is in `inputs`

    @property
    def landmarks(self) -> tuple[str, ...]:
        """Those that it looks at."""
        return LANDMARKS

    def candidates(self, query: Query, poses: Poses) -> tuple[Spot, ...]:
        """Places whose frames look like the query, about as long; with several examples, the mean of what each says.

        Raises:
            InputError: The query is a word; as `look`.
        """
        examples = self._examples(query)
        frames, first = look(poses, self.inputs, "the poses")
        logits = np.mean([self._logits(example, frames) for example in examples], axis=0)
        length = float(np.mean([len(example) for example in examples])) / float(self.inputs.fps)
        return places(logits, length, self.inputs.fps, first)

    def presence(self, query: Query, poses: Poses) -> float:
        """The logit that the query is there; with several examples, the mean of what each says.

        Raises:
            InputError: The query is a word; as `look`.
        """
        frames, _ = look(poses, self.inputs, "the poses")
        found = [
            max(self.network.presence_logit(example, frames[part]) for part, _ in _parts(len(frames), self.inputs.fps))
            for example in self._examples(query)
        ]
        return float(np.mean(found))

    def _examples(self, query: Query) -> list[Float32[np.ndarray, "_ points 2"]]:
        if isinstance(query, str):
            raise InputError(
                f"this spotter knows no words, and {query!r} is one: give an example of the sign, or a spotter that "
                "stands on a joint space"
            )
        return [look(example, self.inputs, "the query").frames for example in query]

    def _logits(
        self, query: Float32[np.ndarray, "some points 2"], frames: Float32[np.ndarray, "frames points 2"]
    ) -> Float32[np.ndarray, " frames"]:
        found = [
            self.network.frame_logits(query, frames[part])[own] for part, own in _parts(len(frames), self.inputs.fps)
        ]
        return np.concatenate(found)


def look(poses: Poses, inputs: Inputs, what: str = "the poses") -> Looked:
    """What a network takes of poses.

    Raises:
        InputError: As `select` and `normalize_shoulders`.
    """
    with warnings.catch_warnings():  # z is not looked at, and many signs take one hand
        warnings.simplefilter("ignore", InputWarning)
        try:
            chosen = normalize_shoulders(select(poses, LANDMARKS))
        except InputError as error:
            raise InputError(f"{what}: {error}") from None
    chosen = resample(chosen, inputs.fps)
    seen = np.flatnonzero(~np.isnan(chosen.xyz[:, : len(HANDS), 0]).all(axis=1))
    if not len(seen):
        raise InputError(f"{what}: no hand is left at {float(inputs.fps):g} frames a second: nothing to look at")
    if inputs.wrists:
        chosen = from_wrists(chosen)
    first, stop = int(seen[0]), int(seen[-1]) + 1
    return Looked(np.nan_to_num(chosen.xyz[first:stop, :, :2]), first)


def places(logits: Float[np.ndarray, " frames"], length: float, fps: Fraction, first: int = 0) -> tuple[Spot, ...]:
    """Places that frames speak for; the score is the mean of their logits, less (ln(d / m))^2 / (2 SPREAD^2).

    Here d is how long it lasts, and m is how long the query does. Frames are divided into signs and rests by the best
    sum of logits and of that, exactly (`decoding.SemiMarkov`); and this with several levels from which on a frame
    speaks for the sign, since a place that is doubtful is a place, too.

    Args:
        length: Seconds that the query lasts.
        first: Frames that come before, of which nothing is said.
    """
    decoder = SemiMarkov(m=length, s=SPREAD, longest=LONGEST * length, weight=WEIGHT)
    levels = {0.0, *np.linspace(np.median(logits), logits.max(), LEVELS)[:-1].tolist()}
    found = set()
    for level in sorted(levels):
        there = 1 / (1 + np.exp(-np.clip(logits - level, -30, 30)))
        tags = np.column_stack((there, there, 1 - there))  # a start looks like what follows it
        for span in decoder.decode(tags, fps).spans:
            found.add(
                (round(span.start * float(fps)), max(round(span.end * float(fps)), round(span.start * float(fps)) + 1))
            )
    return tuple(
        Spot(
            float((first + start) / fps),
            float((first + stop) / fps),
            float(logits[start:stop].mean() - log((stop - start) / float(fps) / length) ** 2 / (2 * SPREAD**2)),
        )
        for start, stop in sorted(found)
    )


def _parts(frames: int, fps: Fraction) -> Sequence[tuple[slice, slice]]:
    """Stretches of frames that are looked at together, and which of each are its own: all frames once, in order."""
    part, margin = round(PART * float(fps)), round(MARGIN * float(fps))
    if frames <= part + 2 * margin:
        return [(slice(0, frames), slice(0, frames))]
    found = []
    for begin in range(0, frames, part):
        end = min(begin + part, frames)
        start = max(0, begin - margin)
        found.append((slice(start, min(frames, end + margin)), slice(begin - start, end - start)))
    return found
