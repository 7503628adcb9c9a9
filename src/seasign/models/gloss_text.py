"""Signs that carry glosses, compared with cues by the letters they share: no weights, no download, any script.

A word is the sum of the character n-grams in it, hashed into buckets, of length 1; RAIN and "rainy" share most of
theirs. A text is the sum of its words, a gloss the mean of its parts, so that a gloss that is one of the words scores
about 1.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from unicodedata import category, combining, normalize
from zlib import crc32

import numpy as np
from jaxtyping import Float32

from seasign.types import Embeddings, InputError, Poses, Sign

TIGHT = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u9fff"  # Thai to Han: no spaces
RUNS = re.compile(f"([{TIGHT}]+)|([^ {TIGHT}]+)")
NOTE = re.compile(r'"[^"]*"|\([^)]*\)|\b(?:fs|ns|lex|gest|num)-', re.IGNORECASE)  # of transcribers, about a gloss


PROJECTION = "gloss_text.projection"  # the one tensor of a checkpoint


@dataclass(frozen=True)
class GlossText:
    """An embedder of texts and glosses. Poses are not looked at."""

    buckets: int = 4096
    lengths: tuple[int, ...] = (3, 4, 5)  # of n-grams; a word is one of its own, too
    projection: Float32[np.ndarray, "buckets dimensions"] | None = None  # learned from pairs, or none

    @property
    def space(self) -> str:
        """The name of the space: vectors of other settings do not compare."""
        learned = "" if self.projection is None else f":{crc32(self.projection.tobytes()):08x}"
        return f"gloss-text:{self.buckets}:{'-'.join(map(str, self.lengths))}{learned}"

    def text(self, texts: Sequence[str]) -> Embeddings:
        """One row per text; a text without letters is 0."""
        return self._embed([list(dict.fromkeys(words(text, single=True))) for text in texts], mean=False)

    def signs(self, poses: Poses | None, signs: Sequence[Sign]) -> Embeddings:
        """One row per sign, by its gloss; a sign without one is 0.

        Raises:
            InputError: There are signs, and none of them has a gloss.
        """
        if signs and not any(sign.gloss for sign in signs):
            raise InputError(f"none of {len(signs)} signs has a gloss: give signs that have, or another embedder")
        return self._embed([parts(sign.gloss or "") for sign in signs], mean=True)

    @property
    def config(self) -> dict[str, Any]:
        """All that a checkpoint keeps beside the projection."""
        return {"model": "gloss-text", "buckets": self.buckets, "lengths": [*self.lengths]}

    @classmethod
    def from_checkpoint(cls, config: Mapping[str, Any], tensors: Mapping[str, Any]) -> "GlossText":
        """The embedder whose projection `seasign train` has learned.

        Raises:
            InputError: A setting is not what it should be, or does not fit the projection.
        """
        buckets, lengths = config.get("buckets"), config.get("lengths")
        if not isinstance(lengths, list) or not all(type(length) is int and length > 0 for length in lengths):
            raise InputError(f"the config says that 'lengths' is {lengths!r}; it should be a list of whole numbers")
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        if shapes.keys() != {PROJECTION} or len(shapes[PROJECTION]) != 2 or shapes[PROJECTION][0] != buckets:
            raise InputError(
                f"the tensors are {shapes}, where {PROJECTION} should have {buckets} rows and nothing else be"
            )
        projection = np.asarray(tensors[PROJECTION].float())
        if not np.isfinite(projection).all():
            raise InputError("the projection has values that are not finite: the file is damaged")
        return cls(shapes[PROJECTION][0], tuple(lengths), projection)

    def _embed(self, items: Sequence[Sequence[str]], *, mean: bool) -> Embeddings:
        vectors = np.zeros((len(items), self.buckets), np.float32)
        for row, item in zip(vectors, items, strict=True):
            for word in item:
                columns, values = spell(word, self.buckets, self.lengths)
                row[list(columns)] += values / (len(item) if mean else 1)
        return Embeddings(vectors if self.projection is None else vectors @ self.projection, self.space)


def parts(gloss: str) -> list[str]:
    """The words of a gloss, without what transcribers note beside them."""
    return words(NOTE.sub(" ", gloss))


def words(text: str, *, single: bool = False) -> list[str]:
    """Runs of letters, without case and accents: "Ça va!" is "ca va".

    What is written without spaces (Chinese, Japanese, Thai, Lao, Burmese, Khmer) comes in pairs of characters.

    Args:
        single: Give the characters of such pairs, too.
    """
    marks = (mark for mark in normalize("NFKD", text.casefold()) if not combining(mark))
    letters = "".join(mark if category(mark)[0] in "LM" else " " for mark in marks)
    found = []
    for tight, run in RUNS.findall(letters):
        found += [run or tight] if len(tight) < 2 else [tight[i : i + 2] for i in range(len(tight) - 1)]
        found += tight if single and len(tight) > 1 else ""
    return found


@lru_cache(maxsize=65_536)
def spell(word: str, buckets: int, lengths: tuple[int, ...]) -> tuple[tuple[int, ...], Float32[np.ndarray, " columns"]]:
    """The buckets of a word's n-grams, each +1 or -1 by its hash, scaled to a length of 1."""
    marked = f"<{word}>"
    grams = {marked} | {marked[i : i + n] for n in lengths for i in range(len(marked) - n + 1)}
    totals: dict[int, float] = {}
    for gram in sorted(grams):
        code = crc32(gram.encode())
        totals[code % buckets] = totals.get(code % buckets, 0.0) + (1.0 if code >> 31 else -1.0)
    values = np.array(list(totals.values()))
    return tuple(totals), (values / (np.linalg.norm(values) or 1.0)).astype(np.float32)
