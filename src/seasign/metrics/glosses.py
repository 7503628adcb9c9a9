"""Glosses in continuous signing: reference, estimate -> word error rate, and how well signs are found in time.

Two signs match when they share a word, synonyms of the reference's words included; `seasign.glosses` says what words
are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import add
from types import MappingProxyType

import numpy as np

from seasign.glosses import Synonyms, mean_the_same, words_of
from seasign.metrics.counts import NANOSECOND
from seasign.types import InputError, Sign

OVERLAPS = (0.1, 0.25, 0.5, 0.75, 0.9)  # temporal IoU from which a sign counts as found
NONE: Synonyms = MappingProxyType({})


@dataclass(frozen=True)
class GlossScores:
    """What was counted over sentences: counts add up, and scores are percent. NaN where there is nothing to score."""

    sentences: int = 0  # that have signs; others are not scored
    signs: int = 0  # of the reference
    edits: int = 0  # insertions, deletions and substitutions
    bag: float = 0.0  # sum over sentences
    overlap: float = 0.0  # sum over sentences
    tp: tuple[int, ...] = (0,) * len(OVERLAPS)
    fp: tuple[int, ...] = (0,) * len(OVERLAPS)
    fn: tuple[int, ...] = (0,) * len(OVERLAPS)

    def __add__(self, other: "GlossScores") -> "GlossScores":
        def both(name: str) -> object:
            mine, theirs = getattr(self, name), getattr(other, name)
            return tuple(map(add, mine, theirs)) if isinstance(mine, tuple) else mine + theirs

        return GlossScores(**{field.name: both(field.name) for field in fields(self)})  # type: ignore[arg-type]

    @property
    def wer(self) -> float:
        """Word error rate: edits per sign of the reference. More than 100 when too much is found."""
        return 100 * self.edits / self.signs if self.signs else float("nan")

    @property
    def bag_iou(self) -> float:
        """Of the signs that either side has, the share found, whenever it is: the "mIoU" of CSLR2, over sentences."""
        return 100 * self.bag / self.sentences if self.sentences else float("nan")

    @property
    def temporal_iou(self) -> float:
        """Of the time in which either side has a sign, the share in which both have it, mean of sentences."""
        return 100 * self.overlap / self.sentences if self.sentences else float("nan")

    @property
    def f1(self) -> Mapping[float, float]:
        """F1 at each of `OVERLAPS`."""
        return {
            k: 200 * tp / (2 * tp + fp + fn) if tp + fp + fn else float("nan")
            for k, tp, fp, fn in zip(OVERLAPS, self.tp, self.fp, self.fn, strict=True)
        }


def evaluate_glosses(
    reference: Sequence[Sequence[Sign]],
    estimate: Sequence[Sequence[Sign]],
    synonyms: Synonyms = NONE,
    *,
    lemmatize: Callable[[str], str] = str,
) -> GlossScores:
    """Score the signs of sentences, in order of time, against those of the reference.

    F1 takes the estimated signs in turn: one counts as found when the sign of the reference that overlaps it most, of
    those that match, does so by at least the threshold and was not found before.

    Raises:
        InputError: There are not as many sentences on both sides.
    Source: CSLR2 (arXiv:2405.10266), the authors' code @ 5f3bd69; `bag_iou` is its "mIoU". Differs: `temporal_iou`
        is ours.
    """
    if len(reference) != len(estimate):
        raise InputError(f"there are {len(reference)} sentences in the reference and {len(estimate)} in the estimate")
    total = GlossScores()
    for true, found in zip(reference, estimate, strict=True):
        if true:
            total += _score(true, found, synonyms, lemmatize)
    return total


def _score(
    true: Sequence[Sign], found: Sequence[Sign], synonyms: Synonyms, lemmatize: Callable[[str], str]
) -> GlossScores:
    """One sentence."""
    meant = [mean_the_same(words_of(sign.gloss, lemmatize), synonyms) for sign in true]
    said = [words_of(sign.gloss, lemmatize) for sign in found]
    fits = np.array([[bool(words & wanted) for wanted in meant] for words in said]).reshape(len(said), len(meant))
    shared = np.array([[max(0.0, min(a.end, b.end) - max(a.start, b.start)) for b in true] for a in found]).reshape(
        fits.shape
    )
    lengths, found_lengths = (np.array([span.duration for span in side]) for side in (true, found))
    union = found_lengths[:, None] + lengths - shared
    iou = np.where(fits, shared / np.maximum(union, 1e-12), 0.0)
    counts = []
    for threshold in OVERLAPS:
        used: set[int] = set()
        for row in iou:
            best = int(row.argmax())
            if row[best] >= threshold - NANOSECOND and best not in used:
                used.add(best)
        counts.append((len(used), len(said) - len(used), len(meant) - len(used)))
    both = float(np.where(fits, shared, 0).sum())
    tp, fp, fn = zip(*counts, strict=True)
    return GlossScores(
        sentences=1,
        signs=len(true),
        edits=_edits(fits),
        bag=float(fits.any(axis=0).sum() / (len(meant) + (~fits.any(axis=1)).sum())),
        overlap=both / max(float(lengths.sum() + found_lengths.sum()) - both, 1e-12),
        tp=tp,
        fp=fp,
        fn=fn,
    )


def _edits(fits: np.ndarray) -> int:
    """The least number of insertions, deletions and substitutions, where `fits` says what needs none."""
    row = np.arange(fits.shape[1] + 1)
    for number, match in enumerate(fits, start=1):
        change = np.minimum(row[:-1] + ~match, row[1:] + 1)
        row = np.concatenate(([number], change))
        row = np.minimum.accumulate(row - np.arange(len(row))) + np.arange(len(row))
    return int(row[-1])
