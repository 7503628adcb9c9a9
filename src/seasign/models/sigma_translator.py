"""Poses -> what Sigma takes, and text as it says it; no torch. Fills `translation.Translator`."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int

from seasign.models.sigma_words import Pieces
from seasign.translation import Translation
from seasign.types import InputError, InputWarning, Poses

PREFIX = "Translate sign language video to {language}: "  # of every clip, as published
THIN = 4  # times as many frames as are looked at, from which most of a clip is passed over

Work = Literal["islr", "cslr", "slt"]
Unit = Literal["pixels", "shares"]  # of x and y: one length, or the picture's width and its height
SAID: dict[Unit, str] = {"pixels": "pixels", "shares": "shares of the picture's width and height"}
SQUEEZED = "their provenance has no size of the picture, so that bodies are wider or narrower to it"


@dataclass(frozen=True)
class Inputs:
    """What a network looks at, and what it writes. The defaults are the published ones."""

    language: str = "English"  # as the prefix names it
    prefix: tuple[int, ...] = ()  # its pieces
    frames: int = 256  # of a clip at most, or windows of them; longer ones are looked at here and there
    pieces: int = 50  # of a text, with its end
    unit: Unit | None = None  # of the poses that it learned from; None: not known
    work: Work | None = None  # what it was fine-tuned for: single signs, glosses, sentences


@runtime_checkable
class Network(Protocol):
    """Arrays in, arrays out."""

    inputs: Inputs

    @property
    def landmarks(self) -> Sequence[str]:
        """At which it looks, in whatever layouts it takes."""

    @property
    def windows(self) -> tuple[int, int] | None:
        """Frames of a window, and from one to the next, if those have the tokens; it thins them by itself."""

    def look(self, poses: Poses) -> Mapping[str, Float32[np.ndarray, "frames ..."]]:
        """What it looks at in poses."""

    def say(
        self, looked: Sequence[Mapping[str, Float32[np.ndarray, "_ ..."]]], *, beams: int, most: int
    ) -> list[tuple[list[int], float]]:
        """The likeliest pieces for every clip, and the probability of a piece."""


@dataclass(frozen=True)
class SigmaTranslator:
    """The network, its tokenizer, and how it is asked."""

    network: Network
    pieces: Pieces
    weights: str = "here"  # their SHA-256, or whatever they are known by
    beams: int = 4
    most: int = 100  # pieces of a translation

    @property
    def landmarks(self) -> Sequence[str]:
        """At which it looks, in whatever layouts it takes: others need not be read."""
        return self.network.landmarks

    @property
    def language(self) -> str:
        """What it writes."""
        return self.network.inputs.language

    def translate(self, clips: Sequence[Poses]) -> list[Translation]:
        """What clips say, all at once, with the probability of a piece of it: their geometric mean, the end with them.

        Raises:
            InputError: A clip has no frames, or lacks the landmarks; the message counts it from 0.
        Warns:
            InputWarning: A clip is one frame, or so long that most of it is passed over, or in another unit than
                what the network learned from, of a picture of unknown size; or as `Network.look`.
        """
        if not clips:
            return []
        looked = [look(self.network, poses, f"clip {number}") for number, poses in enumerate(clips)]
        found = self.network.say(looked, beams=self.beams, most=self.most)
        return [Translation(self.pieces.say(ids), probability) for ids, probability in found]


def look(
    network: Network, poses: Poses, name: str, rng: np.random.Generator | None = None
) -> dict[str, Float32[np.ndarray, "frames ..."]]:
    """What a network looks at in a clip, in the unit that it learned from; of too many frames some, see `spread`.

    Windows are of frames on end: a network that looks at those has all frames, and thins what it makes of them. Of
    frames that are drawn others come another time: nothing is passed over for good.

    Raises:
        InputError: As `Network.look`, with the name of the clip in front.
    Warns:
        InputWarning: As `SigmaTranslator.translate`.
    """
    unit = network.inputs.unit or units_of(poses)[0]
    if unit not in units_of(poses):
        message = f"poses in {SAID[units_of(poses)[0]]}, where the network learned from {SAID[unit]}"
        warnings.warn(f"{message}: {SQUEEZED}; expect worse", InputWarning, stacklevel=2)
    try:
        looked = network.look(in_unit(poses, unit))
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    frames, most = len(next(iter(looked.values()))), network.inputs.frames
    if len(poses.xyz) == 1:
        warnings.warn(f"{name}: is one frame, in which nothing moves", InputWarning, stacklevel=2)
    window, stride = network.windows or (1, 1)
    passed = rng is None or network.windows is not None
    if passed and (tokens := (frames - window) // stride + 1) > THIN * most:
        message = f"{name}: of {tokens} {'windows' if network.windows else 'frames'} only {most} are looked at"
        warnings.warn(f"{message}: cut it into phrases", InputWarning, stacklevel=2)
    if network.windows:
        return dict(looked)
    chosen = spread(frames, most, rng)
    return {part: values[chosen] for part, values in looked.items()}


def units_of(poses: Poses) -> tuple[Unit, ...]:
    """In what x and y are measured, pixels where their provenance names no shares; and if it has the picture's size,
    in what they can be."""
    both: tuple[Unit, Unit] = ("pixels", "shares")
    if (poses.provenance or {}).get("unit") == "shares":
        both = both[::-1]
    return both[:1] if picture_of(poses) is None else both


def in_unit(poses: Poses, unit: Unit) -> Poses:
    """Poses measured otherwise, z as x; as they are, where they are so already or the picture's size is not known."""
    own, picture = units_of(poses)[0], picture_of(poses)
    if unit == own or picture is None:
        return poses
    size = np.array([picture[0], picture[1], picture[0]], np.float32)
    xyz = poses.xyz / size if unit == "shares" else poses.xyz * size
    return replace(poses, xyz=xyz, provenance={**(poses.provenance or {}), "unit": unit})


def picture_of(poses: Poses) -> tuple[float, float] | None:
    """Width and height in pixels of the video that poses are of, if their provenance says so."""
    match (poses.provenance or {}).get("video"):
        case {"width": int() | float() as width, "height": int() | float() as height} if min(width, height) > 0:
            return width, height
    return None


def spread(frames: int, most: int, rng: np.random.Generator | None = None) -> Int[np.ndarray, " chosen"]:
    """Which frames are looked at: all, or `most` of them in order, drawn, or evenly over the clip without `rng`.

    Source: Uni-Sign, code @ 2c9028f, which draws them at test time, too, so that no two evaluations agree.
    """
    if frames <= most:
        return np.arange(frames)
    if rng is None:
        return np.linspace(0, frames - 1, most).round().astype(np.int64)
    return np.sort(rng.choice(frames, most, replace=False))
