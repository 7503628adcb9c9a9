"""Signs compared with a dictionary: a folder of clips of single signs, each named by its word. There is no text tower.

A sign is described by where arms and fingers are over its time. Its vector says which of the dictionary's words it is,
as shares of 1; the vector of a text, which of them it has. So their dot product is the share of the text's words.
"""

import csv
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int

from seasign import formats
from seasign.models.features import HANDS, SHOULDERS, SIDES
from seasign.models.gloss_text import GlossText, words
from seasign.models.signclip_embedder import frames_of, measure
from seasign.segmentation import bouts, height
from seasign.types import Embeddings, InputError, InputWarning, Poses, Sign

ARMS = tuple(f"POSE_LANDMARKS.{side}_{joint}" for joint in ("ELBOW", "WRIST") for side in SIDES)
LANDMARKS = (*SHOULDERS, *ARMS, *HANDS)
MOMENTS = 12  # of a sign that are looked at, evenly over its time
FINGERS = 2.0  # how much the place of a finger by its wrist counts, against that of an arm by the shoulders
SHARP = 3.0  # by how much more often a sign is a word e times as likely, per standard deviation that it is closer
ALIKE = 0.5  # how many of their letters make two words one: "rain" and "rainy"
AGAIN = re.compile(r"[_ ]\d+$")  # in the name of a file: house_2 shows "house" once more
ROWS = 1024  # signs that are compared at once

Describe = Callable[[Poses, Sequence[Sign]], Float32[np.ndarray, "signs numbers"]]


def places(poses: Poses, signs: Sequence[Sign]) -> Float32[np.ndarray, "signs numbers"]:
    """Places of arms and fingers at MOMENTS within every sign, arms from the shoulders and fingers from their wrists.

    In shoulder widths, of the picture alone: z is not looked at. What is not seen at a moment is interpolated from the
    moments beside it; what is never seen within a sign is 0.

    Raises:
        InputError: A landmark is not there, or no frame shows both shoulders.
    """
    where = {name: number for number, name in enumerate(poses.landmarks)}
    if missing := [name for name in LANDMARKS if name not in where]:
        raise InputError(f"the poses have no {missing[0]}: a dictionary needs arms and hands of MediaPipe Holistic")
    xyz = poses.xyz[:, [where[name] for name in LANDMARKS]]
    whole = measure(xyz, LANDMARKS)
    if not whole[1]:
        raise InputError("no frame shows both shoulders: there is nothing to measure the signer by")
    found = np.empty((len(signs), MOMENTS, len(LANDMARKS) - 2, 2), np.float32)
    for row, (first, stop) in zip(found, frames_of(signs, poses), strict=True):
        middle, width = measure(xyz[first:stop], LANDMARKS)
        if not width:
            middle, width = whole
        row[:] = _at_moments((xyz[first:stop, 2:, :2] - middle[:2]) / np.float32(width))
    for side in range(len(SIDES)):
        hand = slice(len(ARMS) + 21 * side, len(ARMS) + 21 * (side + 1))
        wrist = found[:, :, hand][:, :, :1].copy()
        found[:, :, hand] = FINGERS * (found[:, :, hand] - wrist)
    return np.nan_to_num(found).reshape(len(signs), -1)


def _at_moments(places: Float32[np.ndarray, "frames points 2"]) -> Float32[np.ndarray, "moments points 2"]:
    """The places at MOMENTS, each point interpolated over the frames that show it; NaN where none does."""
    frames = len(places)
    when = (np.arange(MOMENTS) + 0.5) / MOMENTS * frames - 0.5
    flat = places.reshape(frames, -1)
    found = np.full((MOMENTS, flat.shape[1]), np.nan, np.float32)
    seen = np.isfinite(flat)
    for column in np.flatnonzero(seen.any(axis=0)):
        there = np.flatnonzero(seen[:, column])
        found[:, column] = np.interp(when, there, flat[there, column])
    return found.reshape(MOMENTS, -1, 2)


@dataclass(frozen=True)
class Dictionary:
    """An embedder whose dimensions are words. Glosses are not looked at."""

    words: tuple[str, ...]  # each once, perhaps of several parts ("thank you")
    clips: Float32[np.ndarray, "clips numbers"]  # what `describe` says of them
    shows: Int[np.ndarray, " clips"]  # which of the words a clip shows; ascending, and no word is without a clip
    describe: Describe = places
    landmarks: tuple[str, ...] = LANDMARKS  # those that `describe` looks at

    @classmethod
    def read(cls, folder: Path, describe: Describe = places, landmarks: Sequence[str] = LANDMARKS) -> "Dictionary":
        """The clips in a folder: .pose or .npz files named by their words, or listed in its index.csv.

        `house.pose`, `house_2.pose` and `thank_you.npz` show "house" twice and "thank you"; an index.csv has the
        columns `path` and `words`. In a clip the hands may rest at either end.

        Args:
            describe: Any function from poses and signs to a row of numbers per sign, that are close where signs are
                alike, such as those of a tower, by `landmarks`.
        Raises:
            InputError: No such folder, no clips, a clip of the index is not there, or none can be used.
        Warns:
            InputWarning: Some clips cannot be used, and are left out.
        """
        if not folder.is_dir():
            raise InputError(
                f"{folder}: no such folder; a dictionary is a folder of clips (.pose, .npz) named by words"
            )
        shown: dict[str, list[Float32[np.ndarray, " numbers"]]] = {}
        failed: list[str] = []
        for word, path in sorted(_listed(folder)):
            try:
                with warnings.catch_warnings():  # a sign of one hand never shows the other
                    warnings.simplefilter("ignore", InputWarning)
                    poses = formats.read_poses(path, landmarks)
                    (row,) = describe(poses, [_shown(poses)])
            except InputError as error:
                failed.append(str(error))
            else:
                shown.setdefault(word, []).append(row)
        if not shown:
            raise InputError(f"{folder}: none of {len(failed)} clips can be used: {failed[0]}")
        if failed:
            warnings.warn(
                f"{folder}: {len(failed)} clips cannot be used, and are left out, such as {failed[0]}",
                InputWarning,
                stacklevel=2,
            )
        clips = np.stack([row for rows in shown.values() for row in rows])
        shows = np.repeat(np.arange(len(shown)), [len(rows) for rows in shown.values()])
        return cls(tuple(shown), clips, shows, describe, tuple(landmarks))

    @property
    def space(self) -> str:
        """A name that only vectors of the same words and clips share."""
        digest = sha256(repr(self.words).encode() + self.shows.tobytes() + self.clips.tobytes())
        return f"dictionary:{digest.hexdigest()[:12]}"

    def text(self, texts: Sequence[str]) -> Embeddings:
        """One row per text: 1 for each of the dictionary's words in it, by their letters, else 0.

        Raises:
            InputError: No text has any of the words.
        """
        said = [list(dict.fromkeys(words(text, single=True))) for text in texts]
        each = list(dict.fromkeys(word for some in said for word in some))
        parts = [list(dict.fromkeys(words(word))) for word in self.words]
        own = list(dict.fromkeys(part for some in parts for part in some))
        spelled = GlossText()
        alike = spelled.text(own).vectors @ spelled.text(each).vectors.T >= ALIKE
        column, row = ({word: number for number, word in enumerate(some)} for some in (each, own))
        found = np.zeros((len(texts), len(self.words)), np.float32)
        for vector, some in zip(found, said, strict=True):
            has = alike[:, [column[word] for word in some]].any(axis=1)
            vector[:] = [bool(needed) and all(has[row[part]] for part in needed) for needed in parts]
        if len(texts) and not found.any():
            raise InputError(
                f"none of {len(texts)} texts has any of the dictionary's {len(self.words)} words "
                f"({', '.join(self.words[:4])} ...): name the clips by words of the texts"
            )
        return Embeddings(found, self.space)

    def signs(self, poses: Poses | None, signs: Sequence[Sign]) -> Embeddings:
        """One row per sign: how likely it is each of the words, if it is one of them.

        A sign is as far from a word as from the nearest of its clips; how far it is from all words is its scale.

        Raises:
            InputError: There are no poses; or as `describe`.
        """
        if poses is None:
            raise InputError("a dictionary looks at the signer, and there are only signs: give poses or a video")
        asked = self.describe(poses, signs)
        first = np.searchsorted(self.shows, np.arange(len(self.words)))
        near = np.empty((len(signs), len(self.words)), np.float32)
        for start in range(0, len(signs), ROWS):
            some = asked[start : start + ROWS]
            squares = (some**2).sum(axis=1)[:, None] + (self.clips**2).sum(axis=1) - 2 * some @ self.clips.T
            near[start : start + ROWS] = np.minimum.reduceat(np.sqrt(np.maximum(squares, 0)), first, axis=1)
        near -= near.min(axis=1, keepdims=True)
        spread = near.std(axis=1, keepdims=True)
        likely = np.exp(-SHARP * near / np.where(spread > 0, spread, 1))
        return Embeddings(likely / likely.sum(axis=1, keepdims=True), self.space)


def _listed(folder: Path) -> Iterator[tuple[str, Path]]:
    """Words, and the clips that show them."""
    index = folder / "index.csv"
    if not index.exists():
        files = [path for path in folder.iterdir() if path.suffix.lower() in formats.POSES]
        if not files:
            raise InputError(
                f"{folder}: there is no clip in it; expected *.pose or *.npz named by words, or an index.csv"
            )
        yield from ((AGAIN.sub("", path.stem).replace("_", " "), path) for path in files)
        return
    with index.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        if not {"path", "words"} <= set(rows.fieldnames or ()):
            raise InputError(f"{index}: needs the columns path and words; it has {', '.join(rows.fieldnames or ())}")
        for row in rows:
            if not row["words"] or not row["path"]:
                raise InputError(f"{index}:{rows.line_num}: a clip without its path or words")
            places = (folder / row["path"], folder / Path(row["path"]).name)  # an index may be made one folder up
            if not any(path.is_file() for path in places):
                raise InputError(f"{index}:{rows.line_num}: {row['path']} is not there")
            yield row["words"].strip(), next(path for path in places if path.is_file())


def _shown(poses: Poses) -> Sign:
    """The sign in a clip: the longest time that a hand is up; all of it when none ever is."""
    spans = bouts(height(poses), poses.fps)
    first, stop = max(spans.tolist(), key=lambda span: span[1] - span[0], default=(0, len(poses.xyz)))
    return Sign(float(first / poses.fps), float(stop / poses.fps))
