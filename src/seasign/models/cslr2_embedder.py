"""Poses, features of windows and texts -> what CSLR2 takes, and places in its joint space; no torch.

Source: Raude et al. 2024 (arXiv:2405.10266). Ours: windows of poses in place of those of pictures, long signing in
parts, and the embedder of the aligner.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby, islice
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32

from seasign.models.body_parts import parts_of
from seasign.models.features import ARMS, HANDS, SHOULDERS, from_wrists, normalize_shoulders, resample, select
from seasign.models.gloss_text import GlossText, words
from seasign.models.sentence_text import SentenceText
from seasign.types import Embeddings, InputError, InputWarning, Poses, Sign, WindowFeatures

LANDMARKS = ("POSE_LANDMARKS.NOSE", *SHOULDERS, *ARMS, *HANDS)
PART, MARGIN = 250, 12  # windows that see each other, 20 s at the published pace, and more on both sides of them
TOGETHER = 4  # parts that are encoded in one call
AROUND = 2.0  # seconds before and after the middle of a sign in which its sentence is looked for; more if it is longer


@dataclass(frozen=True)
class Inputs:
    """What a network looks at. The defaults are the published ones."""

    landmarks: tuple[str, ...] = ()  # of poses; none: it takes features that another network made
    fps: Fraction = Fraction(25)  # poses are brought to it; features have to have it
    window: int = 16  # frames
    stride: int = 2  # frames from a window to the next
    features: str = "video-swin"  # the name of what made the features, unless they come of poses
    text: str = "t5-large"  # the name of the text encoder
    threshold: float = 0.2  # of recognition: probability from which a word is signed,
    shortest: int = 3  # and windows on end
    graph: bool = False  # poses are looked at as parts of a body, by `pose_encoder`
    taught: tuple[str, ...] = ("words", "sentences")  # what it learned to meet; maps of the other are as drawn


PUBLISHED = Inputs()


@runtime_checkable
class Network(Protocol):
    """Arrays in, arrays out."""

    def pose_features(self, frames: Float32[np.ndarray, "frames numbers"]) -> Float32[np.ndarray, "windows features"]:
        """What windows of poses are to the encoder."""

    def encoded(
        self, clips: Float32[np.ndarray, "clips windows features"]
    ) -> Float32[np.ndarray, "clips windows features"]:
        """What the encoder makes of clips."""

    def step_vectors(self, encoded: Float32[np.ndarray, "windows features"]) -> Float32[np.ndarray, "windows joint"]:
        """Windows where words are."""

    def sequence_vectors(self, pooled: Float32[np.ndarray, "clips features"]) -> Float32[np.ndarray, "clips joint"]:
        """Clips, of which the greatest of every number is taken, where sentences are."""

    def word_vectors(self, vectors: Float32[np.ndarray, "words text"]) -> Float32[np.ndarray, "words joint"]:
        """Words in the joint space."""

    def sentence_vectors(
        self, vectors: Float32[np.ndarray, "sentences text"]
    ) -> Float32[np.ndarray, "sentences joint"]:
        """Sentences in the joint space."""


@runtime_checkable
class TextEncoder(Protocol):
    """What makes vectors of texts, which no training changes: `GlossText`, `SentenceText`, `T5Text`."""

    @property
    def space(self) -> str:
        """The name of what it makes."""

    def text(self, texts: Sequence[str]) -> Embeddings:
        """One row per text."""


@dataclass(frozen=True)
class Cslr2Embedder:
    """The network, what stands before it, and the encoder of its texts (None: there is none at hand)."""

    network: Network
    inputs: Inputs
    weights: str  # their SHA-256, or whatever only vectors of the same weights share
    encoder: TextEncoder | None = None

    @property
    def space(self) -> str:
        """The name of the joint space."""
        return f"cslr2:{self.weights[:12]}"

    @property
    def landmarks(self) -> tuple[str, ...]:
        """Those that it looks at."""
        return self.inputs.landmarks

    # As a recognizer

    def windows(self, signing: Poses | WindowFeatures) -> WindowFeatures:
        """A vector for every window, where words are.

        Raises:
            InputError: As `features`; or the network learned no words.
        """
        self.check_taught("words")
        encoded, found = self._encode(signing)
        return WindowFeatures(
            self.network.step_vectors(encoded), found.fps, f"{self.space}:words", found.stride, found.first
        )

    def words(self, texts: Sequence[str], vectors: Embeddings | None = None) -> Embeddings:
        """A vector for every word, where windows are.

        Args:
            vectors: Those of the text encoder, when they are there already.
        Raises:
            InputError: They are another encoder's, or not as many; there are none and no encoder to make them; a word
                is empty, or has none (of letters: it has no letter); or the network learned no words.
        """
        self.check_taught("words")
        if vectors is not None and vectors.space != self.inputs.text:
            raise InputError(
                f"the vectors of the words are {vectors.space!r}, where this CSLR2 reads {self.inputs.text!r}"
            )
        if vectors is not None and len(vectors.vectors) != len(texts):
            raise InputError(f"{len(texts)} words have {len(vectors.vectors)} vectors: give one to each")
        own = self._read(texts) if vectors is None else check_vectors(texts, vectors.vectors.astype(np.float32))
        return Embeddings(self.network.word_vectors(own), f"{self.space}:words")

    def sentences(self, texts: Sequence[str]) -> Embeddings:
        """A vector for every sentence, where clips are.

        Raises:
            InputError: There is no encoder; a sentence is empty, or has no vector; or the network learned none.
        """
        self.check_taught("sentences")
        return Embeddings(self.network.sentence_vectors(self._read(texts)), f"{self.space}:sentences")

    def clip(self, signing: Poses | WindowFeatures) -> Embeddings:
        """One vector for the whole of a clip, where sentences are."""
        self.check_taught("sentences")
        encoded, _ = self._encode(signing)
        return Embeddings(self.network.sequence_vectors(encoded.max(axis=0)[None]), f"{self.space}:sentences")

    # As an embedder

    def text(self, texts: Sequence[str]) -> Embeddings:
        """One row per text: the mean of its words, and beside it the sentence, each of the same weight.

        A text without letters is 0. What the network did not learn is left out.
        """
        said = [words(text) for text in texts]
        if not said:
            return Embeddings(np.zeros((0, 0), np.float32), self.space)
        each = list(dict.fromkeys(word for some in said for word in some)) or ["a"]  # which says how long vectors are
        row = {word: number for number, word in enumerate(each)}
        halves = []
        if "words" in self.inputs.taught:
            vectors = self.words(each).vectors
            halves.append(
                _unit(np.stack([vectors[[row[word] for word in some or each[:1]]].mean(axis=0) for some in said]))
            )
        if "sentences" in self.inputs.taught:
            halves.append(self.sentences([" ".join(some) or each[0] for some in said]).vectors)
        both = np.hstack(halves) / np.float32(len(halves) ** 0.5)
        both[[not some for some in said]] = 0
        return Embeddings(both, self.space)

    def signs(self, poses: Poses | None, signs: Sequence[Sign]) -> Embeddings:
        """One row per sign: the mean of its windows, and beside it what is signed for two seconds around its middle.

        A span that lasts longer, such as a sentence, is looked at as a whole.

        Raises:
            InputError: There are no poses, or the network takes none.
        """
        if poses is None:
            raise InputError("CSLR2 looks at the signer, and there are only signs: give poses or a video")
        if not self.inputs.landmarks:
            raise InputError(
                f"this CSLR2 looks at features of {self.inputs.features}, and not at poses: train one that does"
            )
        if not signs:
            return Embeddings(np.zeros((0, 0), np.float32), self.space)
        encoded, found = self._encode(poses)
        steps, times = self.network.step_vectors(encoded), found.times
        own, around = [], []
        for sign in signs:
            own.append(steps[_rows(times, sign.start, sign.end)].mean(axis=0))
            start, end = min(sign.start, sign.middle - AROUND), max(sign.end, sign.middle + AROUND)
            around.append(encoded[_rows(times, start, end)].max(axis=0))
        halves = []
        if "words" in self.inputs.taught:
            halves.append(_unit(np.stack(own)))
        if "sentences" in self.inputs.taught:
            halves.append(self.network.sequence_vectors(np.stack(around)))
        return Embeddings(np.hstack(halves) / np.float32(len(halves) ** 0.5), self.space)

    # What stands before the network

    def features(self, signing: Poses | WindowFeatures) -> WindowFeatures:
        """The features of windows that the encoder takes: those given, if they are of its kind, or those of poses.

        Raises:
            InputError: The network takes the other kind; features of another pace, rate or source, or not finite; poses
                shorter than a window, without hands or shoulders, or without a landmark that is looked at.
        """
        asked = self.inputs
        if isinstance(signing, Poses):
            if not asked.landmarks:
                raise InputError(
                    f"this CSLR2 looks at features of {asked.features}, and not at poses: give an .npy of them"
                )
            frames = frames_of(signing, asked)
            stretches = [frames] if asked.graph else _stretches(frames, asked)
            vectors = np.concatenate([self.network.pose_features(some) for some in stretches])
            first = (asked.window - 1) // 2
            return WindowFeatures(vectors, asked.fps, "poses", asked.stride, first)
        if asked.landmarks:
            raise InputError(f"this CSLR2 looks at poses, and not at features of {signing.source}: give poses")
        for what, found, wanted in (
            ("stride", signing.stride, asked.stride), ("fps", signing.fps, asked.fps),
            ("source", signing.source, asked.features),
        ):  # fmt: skip
            if found != wanted:
                raise InputError(f"the features have {what} {found}, where the network was trained with {wanted}")
        if not len(signing.vectors):
            raise InputError("there are no windows: the clip is shorter than one")
        if broken := np.flatnonzero(~np.isfinite(signing.vectors).all(axis=1)).tolist():
            raise InputError(
                f"window {broken[0]} at {signing.times[broken[0]]:.2f} s holds numbers that are not finite"
            )
        return signing

    def _encode(
        self, signing: Poses | WindowFeatures
    ) -> tuple[Float32[np.ndarray, "windows features"], WindowFeatures]:
        """What the encoder makes of windows, in parts that see a little of their neighbours; and the features."""
        found = self.features(signing)
        count = len(found.vectors)
        size = PART if count > PART + 2 * MARGIN else count
        parts = [(first, max(0, first - MARGIN), min(count, first + size + MARGIN)) for first in range(0, count, size)]
        encoded: list[np.ndarray] = []
        for _, alike in groupby(parts, key=lambda part: part[2] - part[1]):
            while some := tuple(islice(alike, TOGETHER)):
                clips = np.stack([found.vectors[start:end] for _, start, end in some]).astype(np.float32)
                made = zip(some, self.network.encoded(clips), strict=True)
                encoded += [part[first - start : first - start + size] for (first, start, _), part in made]
        return np.concatenate(encoded), found

    def check_taught(self, what: str) -> None:
        """Refuse to ask for words, or sentences, that the network did not learn.

        Raises:
            InputError: It did not.
        """
        if what not in self.inputs.taught:
            other = " and ".join(self.inputs.taught)
            raise InputError(f"this CSLR2 learned {other} alone, and knows no {what}: train one with both losses")

    def _read(self, texts: Sequence[str]) -> Float32[np.ndarray, "texts text"]:
        """What the text encoder makes of texts."""
        if empty := [number for number, text in enumerate(texts) if not text.strip()]:
            raise InputError(f"text {empty[0] + 1} of {len(texts)} is empty: leave it out")
        if self.encoder is None:
            raise InputError(
                f"the texts of this CSLR2 are read by {self.inputs.text!r}, which is not here: "
                "put the folder of that encoder into the checkpoint's, as `text`"
            )
        if self.encoder.space != self.inputs.text:
            raise InputError(f"the texts of this CSLR2 are read by {self.inputs.text!r}, not by {self.encoder.space!r}")
        return check_vectors(texts, self.encoder.text(texts).vectors)


def check_vectors(
    texts: Sequence[str], vectors: Float32[np.ndarray, "texts text"]
) -> Float32[np.ndarray, "texts text"]:
    """The vectors of texts, if each has one that says something.

    Raises:
        InputError: One is 0, or holds a number that is not finite.
    """
    if lacking := np.flatnonzero(~vectors.any(axis=1) | ~np.isfinite(vectors).all(axis=1)).tolist():
        raise InputError(
            f"{len(lacking)} of {len(texts)} texts have no vector, such as {texts[lacking[0]]!r}: "
            "write them in letters, or leave them out"
        )
    return vectors


def frames_of(poses: Poses, inputs: Inputs) -> Float32[np.ndarray, "frames numbers"]:
    """What a frame of poses is to the network: of every landmark x, y and whether it is seen; 0, 0, 0 when it is not.

    In shoulder widths from the middle of the shoulders, hands from their own wrists, at the network's rate; to a graph
    network, the parts of a body one after the other, as `parts_of` makes them.

    Raises:
        InputError: As `select` and `normalize_shoulders`, or as `parts_of`; or the poses are shorter than a window.
    """
    with warnings.catch_warnings():  # z is not looked at
        warnings.filterwarnings("ignore", "the poses have no depth", InputWarning)
        chosen = resample(poses if inputs.graph else select(poses, inputs.landmarks), inputs.fps)
    if len(chosen.xyz) < inputs.window:
        least = float(inputs.window / inputs.fps)
        raise InputError(
            f"poses of {poses.duration:.2f} s are shorter than one window of {least:.2f} s: nothing to read"
        )
    if inputs.graph:
        return np.concatenate([*parts_of(chosen).values()], axis=1).reshape(len(chosen.xyz), -1)
    xyz = from_wrists(normalize_shoulders(chosen)).xyz.copy()
    xyz[..., 2] = ~np.isnan(xyz[..., :2]).any(axis=2)
    xyz[xyz[..., 2] == 0] = 0
    return xyz.reshape(len(xyz), -1)


def _stretches(
    frames: Float32[np.ndarray, "frames numbers"], inputs: Inputs
) -> Iterator[Float32[np.ndarray, "_ numbers"]]:
    """Frames of a thousand windows each, all windows in turn."""
    count, step = (len(frames) - inputs.window) // inputs.stride + 1, 1024
    for first in range(0, count, step):
        last = min(first + step, count) - 1
        yield frames[first * inputs.stride : last * inputs.stride + inputs.window]


def _rows(times: Float[np.ndarray, " windows"], start: float, end: float) -> slice:
    """The windows whose centres are within seconds; else the nearest one."""
    first, stop = np.searchsorted(times, (start, end)).tolist()
    if first < stop:
        return slice(first, stop)
    nearest = int(np.abs(times - (start + end) / 2).argmin())
    return slice(nearest, nearest + 1)


def _unit(vectors: Float32[np.ndarray, "rows dimensions"]) -> Float32[np.ndarray, "rows dimensions"]:
    """Rows of length 1; 0 stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: Float32[np.ndarray, "rows dimensions"] = vectors / np.maximum(lengths, np.float32(1e-9))
    return found


# Text encoders --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Letters:
    """Words and sentences by the letters that they share, of length 1: where no encoder is at hand."""

    buckets: int = 512

    @property
    def space(self) -> str:
        """The name of what it makes."""
        return f"letters:{self.buckets}"

    def text(self, texts: Sequence[str]) -> Embeddings:
        """One row per text."""
        return Embeddings(_unit(GlossText(self.buckets).text(texts).vectors), self.space)


def read_encoder(name: str, folder: Path | None) -> TextEncoder | None:
    """The text encoder of that name: of letters, or what lies in a folder.

    Raises:
        InputError: There is a folder, and it holds no encoder.
    """
    kind, _, number = name.partition(":")
    if kind == "letters" and number.isdigit():
        return Letters(int(number))
    if folder is None or not folder.is_dir():
        return None
    raw = name.endswith(":raw") or name == PUBLISHED.text
    return replace(SentenceText.read(folder), unit=not raw)
