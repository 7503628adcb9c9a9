"""Signs compared with a dictionary: a folder of clips of single signs, each named by its word. There is no text tower.

A sign's vector says which of the dictionary's words it is, as shares of 1; the vector of a text, which of them it has.
So their dot product is the share of the text's words.
"""

import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from seasign import formats
from seasign.formats.tables import read_rows
from seasign.models.gloss_text import GlossText, words
from seasign.models.pose_descriptor import PoseDescriptor
from seasign.types import Embeddings, InputError, InputWarning, Poses, Sign

SHARP = 3.0  # a word one standard deviation nearer is exp(3) times as likely
ALIKE = 0.5  # how many of their letters make two words one: "rain" and "rainy"
AGAIN = re.compile(r"[_ ]\d+$")  # in the name of a file: house_2 shows "house" once more
ROWS = 1024  # signs that are compared at once

DESCRIPTOR = PoseDescriptor()


@runtime_checkable
class Tower(Protocol):
    """The half of an embedder that puts signs into a space, close to those that are alike."""

    @property
    def landmarks(self) -> tuple[str, ...]:
        """Those that it looks at."""

    def signs(self, poses: Poses | None, signs: Sequence[Sign]) -> Embeddings:
        """One row per sign."""


@dataclass(frozen=True)
class Dictionary:
    """An embedder whose dimensions are words. Glosses are not looked at."""

    words: tuple[str, ...]  # each once, perhaps of several parts ("thank you")
    clips: Float[np.ndarray, "clips dimensions"]  # their vectors, by the tower
    shows: Int[np.ndarray, " clips"]  # which of the words a clip shows; ascending, and no word is without a clip
    tower: Tower = DESCRIPTOR

    @classmethod
    def read(cls, folder: Path, tower: Tower = DESCRIPTOR) -> "Dictionary":
        """The clips in a folder: .pose or .npz files named by their words, or listed in its index.csv.

        `house.pose`, `house_2.pose` and `thank_you.npz` show "house" twice and "thank you"; an index.csv has the
        columns `path` and `words`.

        Args:
            tower: Says what is alike: the pose descriptor, or an embedder such as SignCLIP.
        Raises:
            InputError: No such folder, no clips, a clip of the index is not there, or none can be used.
        Warns:
            InputWarning: Some clips cannot be used, and are left out.
        """
        shown: dict[str, list[np.ndarray]] = {}
        failed: list[str] = []
        for word, path in sorted(clips_in(folder)):
            try:
                with warnings.catch_warnings():  # a sign of one hand never shows the other
                    warnings.simplefilter("ignore", InputWarning)
                    poses = formats.read_poses(path, tower.landmarks)
                    (row,) = tower.signs(poses, [Sign(0, poses.duration)]).vectors
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
        return cls(tuple(shown), clips, shows, tower)

    @property
    def landmarks(self) -> tuple[str, ...]:
        """Those that its tower looks at."""
        return self.tower.landmarks

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
            InputError: There are no poses; or as the tower.
        """
        if poses is None:
            raise InputError("a dictionary looks at the signer, and there are only signs: give poses or a video")
        asked = self.tower.signs(poses, signs).vectors
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


def clips_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """Words, and the clips that show them; see `Dictionary.read`."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; a dictionary is a folder of clips (.pose, .npz) named by words")
    index = folder / "index.csv"
    if not index.exists():
        files = [path for path in folder.iterdir() if path.suffix.lower() in formats.POSES]
        if not files:
            raise InputError(
                f"{folder}: there is no clip in it; expected *.pose or *.npz named by words, or an index.csv"
            )
        yield from ((AGAIN.sub("", path.stem).replace("_", " "), path) for path in files)
        return
    for where, cells in read_rows(index, ("path", "words"), ("path", "words")):
        path, shown = str(cells["path"]), str(cells["words"])
        places = (folder / path, folder / Path(path).name)  # an index may be made one folder up
        if not any(place.is_file() for place in places):
            raise InputError(f"{where}: {path} is not there")
        yield shown, next(place for place in places if place.is_file())
