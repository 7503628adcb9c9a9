"""Glosses in continuous signing: reference, estimate -> word error rate, and how well signs are found in time.

Two signs match when they share a word, synonyms of the reference's words included; `seasign.glosses` says what words
are. Glosses that were written as a text, without times, match when they are the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from operator import add
from types import MappingProxyType

import numpy as np

from seasign.glosses import Lemmatizer, Synonyms, Words, identity, mean_the_same, name_of, words_of
from seasign.spans import NANOSECOND
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
    lemmatizer: str = "identity"  # what made one word of its forms

    def __add__(self, other: "GlossScores") -> "GlossScores":
        if self.lemmatizer != other.lemmatizer:
            raise InputError(f"scores by {self.lemmatizer} and by {other.lemmatizer} do not add up: score by one")

        def both(name: str) -> object:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, str):
                return mine
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

    def as_json(self) -> dict[str, float | int | str | None]:
        """The scores, in percent; what they are of, and by which lemmatizer. A score of nothing is None."""
        scores = {"wer": self.wer, "bag_iou": self.bag_iou, "temporal_iou": self.temporal_iou}
        scores |= {f"f1@{k:.2f}": value for k, value in self.f1.items()}
        return {
            **{name: None if np.isnan(value) else value for name, value in scores.items()},
            "sentences": self.sentences, "signs": self.signs, "lemmatizer": self.lemmatizer,
        }  # fmt: skip


def evaluate_glosses(
    reference: Sequence[Sequence[Sign]],
    estimate: Sequence[Sequence[Sign]],
    synonyms: Synonyms = NONE,
    *,
    lemmatize: Lemmatizer = identity,
) -> GlossScores:
    """Score the signs of sentences, in order of time, against those of the reference.

    F1 takes the estimated signs in turn: one counts as found when the sign of the reference that overlaps it most, of
    those that match, does so by at least the threshold and was not found before.

    Args:
        lemmatize: What makes one word of its forms, as `models.wordnet.wordnet`; its name is in the scores.
    Raises:
        InputError: There are not as many sentences on both sides.
    Source: CSLR2 (arXiv:2405.10266), the authors' code @ 5f3bd69; `bag_iou` is its "mIoU". Differs: `temporal_iou`
        is ours.
    """
    if len(reference) != len(estimate):
        raise InputError(f"there are {len(reference)} sentences in the reference and {len(estimate)} in the estimate")
    total = GlossScores(lemmatizer=name_of(lemmatize))
    for true, found in zip(reference, estimate, strict=True):
        if true:
            total += _score(true, found, synonyms, lemmatize)
    return total


def _score(true: Sequence[Sign], found: Sequence[Sign], synonyms: Synonyms, lemmatize: Lemmatizer) -> GlossScores:
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
        lemmatizer=name_of(lemmatize),
    )


@dataclass(frozen=True)
class FrameScores:
    """What was counted over frames that both sides have: counts add up."""

    frames: int = 0
    annotated: int = 0  # in which the reference says something
    correct: int = 0

    def __add__(self, other: "FrameScores") -> "FrameScores":
        return FrameScores(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    @property
    def accuracy(self) -> float:
        """Percent of the annotated frames."""
        return 100 * self.correct / self.annotated if self.annotated else float("nan")

    @property
    def published_accuracy(self) -> float:
        """Percent of all frames: one without a sign is wrong whatever is said, so 100 is out of reach."""
        return 100 * self.correct / self.frames if self.frames else float("nan")


def evaluate_frames(
    reference: Sequence[Sequence[Words | None]],
    estimate: Sequence[Sequence[Words | None]],
    synonyms: Synonyms = NONE,
) -> FrameScores:
    """Score what is said in the frames of sentences, None for nothing; a sentence ends where either side does.

    Raises:
        InputError: There are not as many sentences on both sides.
    Source: CSLR2 (arXiv:2405.10266), the authors' code @ 5f3bd69: `published_accuracy` is its "frame accuracy", of the
        likeliest words however unlikely.
    """
    if len(reference) != len(estimate):
        raise InputError(f"there are {len(reference)} sentences in the reference and {len(estimate)} in the estimate")
    total = FrameScores()
    for true, found in zip(reference, estimate, strict=True):
        pairs = list(zip(true, found, strict=False))
        meant = [(mean_the_same(words, synonyms), said) for words, said in pairs if words is not None]
        total += FrameScores(
            len(pairs), len(meant), sum(said is not None and bool(words & said) for words, said in meant)
        )
    return total


@dataclass(frozen=True)
class WordErrors:
    """What was counted over sentences of words: counts add up, and rates are percent of the reference's words."""

    sentences: int = 0
    words: int = 0  # of the reference
    deletions: int = 0  # as words are aligned, see `evaluate_words`
    insertions: int = 0
    substitutions: int = 0
    edits: int = 0  # the least number of the three together

    def __add__(self, other: "WordErrors") -> "WordErrors":
        return WordErrors(*(getattr(self, it.name) + getattr(other, it.name) for it in fields(self)))

    @property
    def wer(self) -> float:
        """Word error rate, as published. More than 100 when too much is said; NaN without words in the reference."""
        return self.rate(self.deletions + self.insertions + self.substitutions)

    @property
    def least_wer(self) -> float:
        """The same of the least number of edits, as `GlossScores.wer`."""
        return self.rate(self.edits)

    def rate(self, errors: int) -> float:
        """Percent of the reference's words."""
        return 100 * errors / self.words if self.words else float("nan")


def evaluate_words(reference: Sequence[str], estimate: Sequence[str]) -> WordErrors:
    """Score sentences of glosses, parted by spaces, against those of the reference.

    Sentences are aligned by `align_words`, and then the errors are counted; this is the error rate of published tables.
    The cheapest alignment need not have the fewest errors (three substitutions cost as much as four deletions and
    insertions), so the least number of edits is counted beside.

    Raises:
        InputError: There are not as many sentences on both sides.
    Source: Uni-Sign's and Sigma's evaluation (mpuu00001/Sigma @ 91cae80), from the description of it. Differs: its
        table of costs holds 8 bits, which a sentence of more than 85 glosses overflows.
    """
    if len(reference) != len(estimate):
        raise InputError(f"there are {len(reference)} sentences in the reference and {len(estimate)} in the estimate")
    return sum(map(count_errors, reference, estimate), WordErrors())


def count_errors(reference: str, estimate: str) -> WordErrors:
    """The errors of one sentence."""
    true, found = reference.split(), estimate.split()
    steps = align_words(true, found)
    deleted, inserted = (sum(step[side] is None for step in steps) for side in (1, 0))
    changed = sum(i is not None and j is not None and true[i] != found[j] for i, j in steps)
    fits = np.array([[a == b for b in true] for a in found], bool).reshape(len(found), len(true))
    return WordErrors(1, len(true), deleted, inserted, changed, _edits(fits))


def align_words(
    reference: Sequence[str], estimate: Sequence[str], *, indel: int = 3, substitution: int = 4
) -> tuple[tuple[int | None, int | None], ...]:
    """Which word stands for which, at the least cost: places in both, None where there is no counterpart.

    Of alignments that cost the same, the one whose insertions come latest, then substitutions, then deletions. Where
    a substitution costs more than two of `indel` there is none, and the pairs are a longest common subsequence.

    Args:
        indel: Cost of a word that is left out, or put in.
    """
    costs = [[indel * j for j in range(len(estimate) + 1)]]
    for word in reference:
        above, row = costs[-1], [costs[-1][0] + indel]
        for j, other in enumerate(estimate):
            same = above[j] if word == other else above[j] + substitution
            row.append(same if word == other else min(same, row[j] + indel, above[j + 1] + indel))
        costs.append(row)
    i, j, steps = len(reference), len(estimate), list[tuple[int | None, int | None]]()
    while i or j:
        here = costs[i][j]
        if i and j and reference[i - 1] == estimate[j - 1]:
            i, j = i - 1, j - 1
            steps.append((i, j))
        elif j and here == costs[i][j - 1] + indel:
            j -= 1
            steps.append((None, j))
        elif i and j and here == costs[i - 1][j - 1] + substitution:
            i, j = i - 1, j - 1
            steps.append((i, j))
        else:
            i -= 1
            steps.append((i, None))
    return tuple(reversed(steps))


def _edits(fits: np.ndarray) -> int:
    """The least number of insertions, deletions and substitutions, where `fits` says what needs none."""
    row = np.arange(fits.shape[1] + 1)
    for number, match in enumerate(fits, start=1):
        change = np.minimum(row[:-1] + ~match, row[1:] + 1)
        row = np.concatenate(([number], change))
        row = np.minimum.accumulate(row - np.arange(len(row))) + np.arange(len(row))
    return int(row[-1])
