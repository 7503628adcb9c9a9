"""Sentences that were translated, and single signs that were named: reference, estimate -> BLEU, chrF, ROUGE-L, shares.

Glosses that were written as a text are scored by `metrics.glosses.evaluate_words`.
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from seasign.metrics.glosses import align_words, count_errors
from seasign.types import Cue, InputError, InputWarning

TOKENIZATIONS = ("13a", "intl", "zh", "char", "none")  # those of sacrebleu that need nothing else
BY_CHARACTER = ("zh", "char")  # a Chinese character is a word
ORDERS = (1, 2, 3, 4)  # of BLEU
PREFIX = re.compile(r"sample: *(?P<name>.*?), *(?:prediction|ground-truth): *(?P<text>.*)", re.DOTALL)
HALF_WIDTH = str.maketrans("，？", ",?")  # noqa: RUF001
UNPARTED = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]{6}")  # Chinese or Japanese without spaces


@dataclass(frozen=True)
class TranslationScores:
    """How near translations are to the reference, 0 .. 100 over all sentences."""

    sentences: int
    bleu: tuple[float, float, float, float]  # BLEU-1 to BLEU-4
    chrf: float
    rouge_l: float  # mean over sentences, as in the tables of papers
    rouge_l_plain: float  # the same with every word counted as often as it stands, full stops like other words
    tokenization: str  # of BLEU; "zh" and "char" also part the words of ROUGE-L
    sacrebleu: str  # its version, which BLEU and chrF are of

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        bleu = {f"bleu_{n}": score for n, score in zip(ORDERS, self.bleu, strict=True)}
        others = {name: value for name, value in asdict(self).items() if name != "bleu"}
        return {"sentences": others.pop("sentences"), **bleu, **others}


@dataclass(frozen=True)
class IsolatedScores:
    """How many single signs were named exactly; percent."""

    signs: int
    classes: int  # different texts of the reference
    per_instance: float
    per_class: float  # the mean over the texts of the reference


@runtime_checkable
class Counted(Protocol):
    """What was counted of each sentence or sign: `uncertainty.bootstrap_texts` draws them anew."""

    @property
    def number(self) -> int:
        """Of the items."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the scores."""

    def pool(self, weights: Int[np.ndarray, "draws items"]) -> Float[np.ndarray, "draws scores"]:
        """The scores where each item counts as often as its weight says."""


def evaluate_translation(
    reference: Sequence[str], estimate: Sequence[str], *, tokenize: str = "13a"
) -> TranslationScores:
    """Score translated sentences against those of the reference, by BLEU, chrF and ROUGE-L.

    BLEU and chrF are sacrebleu's, over the corpus and with its defaults. `char` is what is published of CSL-Daily:
    every character a word, full-width comma and question mark made half-width; spaces do not matter. ROUGE-L is the f
    of every sentence, then the mean, as the package `rouge` has it that papers use: words are parted by spaces and
    counted once however often they stand, and subsequences are sought between what full stops part.

    Args:
        tokenize: One of `TOKENIZATIONS`.
    Raises:
        InputError: There are no sentences, or not as many on both sides; a reference is empty; a text begins with
            "sample: NAME, prediction: ", as files of outputs do, which would be scored with it.
        ModuleNotFoundError: There is no sacrebleu; the message is the remedy.
    Warns:
        InputWarning: Chinese or Japanese without spaces is read by words.
    Source: Papineni et al. 2002, Popovic 2015, Lin 2004 through sacrebleu and the description of `rouge`; the settings
        of Uni-Sign and Sigma (mpuu00001/Sigma @ 91cae80). Differs: an empty translation scores 0 where `rouge` stops.
    """
    counted = count_translation(reference, estimate, tokenize=tokenize)
    one, two, three, four, chrf, rouge, plain = counted.pool(np.ones((1, counted.number), int))[0].tolist()
    return TranslationScores(
        counted.number, (one, two, three, four), chrf, rouge, plain, tokenize, version("sacrebleu")
    )


def evaluate_isolated(reference: Sequence[str], estimate: Sequence[str]) -> IsolatedScores:
    """Score the names of single signs: exactly the text of the reference, or wrong; spaces around do not count.

    Raises:
        InputError: As `evaluate_translation`.
    """
    counted = count_isolated(reference, estimate)
    scores = counted.pool(np.ones((1, counted.number), int))[0].tolist()
    return IsolatedScores(counted.number, int(counted.classes.max()) + 1, *scores)


def join_cues(reference: Sequence[Cue], estimate: Sequence[Cue]) -> tuple[str, ...]:
    """What the estimate says during each cue of the reference: pairs for `evaluate_translation`.

    A cue of the estimate goes to the one that it shares most time with, or else to the nearest in time, so that nothing
    that was said is left out; several are joined in order of time.

    Raises:
        InputError: There are no cues in the reference.
    """
    if not reference:
        raise InputError("there are no cues in the reference to translate")
    starts, ends = (np.array([getattr(cue, edge) for cue in reference], float) for edge in ("start", "end"))
    said: list[list[str]] = [[] for _ in reference]
    for cue in sorted(estimate, key=lambda cue: cue.start):
        said[int(np.argmax(np.minimum(ends, cue.end) - np.maximum(starts, cue.start)))].append(cue.text)
    return tuple(" ".join(texts) for texts in said)


def count_translation(
    reference: Sequence[str], estimate: Sequence[str], *, tokenize: str = "13a"
) -> "CountedTranslation":
    """What `evaluate_translation` counts of every sentence.

    Raises:
        InputError, ModuleNotFoundError: As there.
    """
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ModuleNotFoundError:
        raise ModuleNotFoundError("scoring translations needs sacrebleu: pip install sacrebleu") from None
    if tokenize not in TOKENIZATIONS:
        raise InputError(f"there is no tokenization {tokenize!r}: choose one of {', '.join(TOKENIZATIONS)}")
    true, found = _checked(reference, estimate)
    if tokenize in BY_CHARACTER:
        true, found = ([text.translate(HALF_WIDTH) for text in side] for side in (true, found))
    elif any(map(UNPARTED.search, true)):
        message = f"the reference has Chinese or Japanese without spaces, and {tokenize} reads words: tokenize by char"
        warnings.warn(message, InputWarning, stacklevel=3)
    bleus = [BLEU(max_ngram_order=order, tokenize=tokenize, force=True) for order in ORDERS]
    chrf = CHRF()
    part = bleus[-1].tokenizer if tokenize in BY_CHARACTER else str
    words = [(part(a).split(), part(b).split()) for a, b in zip(true, found, strict=True)]
    return CountedTranslation(
        len(true),
        (*bleus, chrf),
        np.array(bleus[-1]._extract_corpus_statistics(found, [true]), dtype=np.int64),
        np.array(chrf._extract_corpus_statistics(found, [true]), dtype=np.int64),
        np.array([(100 * rouge_l(a, b), 100 * rouge_l_plain(a, b)) for a, b in words]),
    )


@dataclass(frozen=True)
class CountedTranslation:
    """What was counted of every sentence."""

    names: ClassVar = (*(f"bleu_{n}" for n in ORDERS), "chrf", "rouge_l", "rouge_l_plain")
    number: int
    measures: tuple[Any, ...]  # of sacrebleu: BLEU of orders 1 to 4, chrF
    bleu: Int[np.ndarray, "sentences 10"]  # length, that of the reference, n-grams that match, n-grams
    chrf: Int[np.ndarray, "sentences counts"]
    rouge: Float[np.ndarray, "sentences 2"]

    def pool(self, weights: Int[np.ndarray, "draws items"]) -> Float[np.ndarray, "draws scores"]:
        """As `names`."""
        bleus, ours = weights @ self.bleu, weights @ self.rouge / weights.sum(axis=1, keepdims=True)
        last = 2 + ORDERS[-1]
        parts = [np.hstack((bleus[:, : 2 + n], bleus[:, last : last + n])) for n in ORDERS] + [weights @ self.chrf]
        theirs = [
            [measure._compute_score_from_stats(row).score for row in part.tolist()]
            for measure, part in zip(self.measures, parts, strict=True)
        ]
        return np.column_stack((*theirs, ours))


def count_isolated(reference: Sequence[str], estimate: Sequence[str]) -> "CountedIsolated":
    """What `evaluate_isolated` counts of every sign.

    Raises:
        InputError: As there.
    """
    true, found = _checked(reference, estimate)
    classes = np.unique(true, return_inverse=True)[1]
    return CountedIsolated(len(true), np.array([a == b for a, b in zip(true, found, strict=True)]), classes)


@dataclass(frozen=True)
class CountedIsolated:
    """Whether each sign was named exactly, and the number of its text."""

    names: ClassVar = ("per_instance", "per_class")
    number: int
    right: np.ndarray
    classes: Int[np.ndarray, " items"]

    def pool(self, weights: Int[np.ndarray, "draws items"]) -> Float[np.ndarray, "draws scores"]:
        """As `names`; per class: of the classes that were drawn."""
        order = np.argsort(self.classes, kind="stable")
        firsts = np.searchsorted(self.classes[order], np.arange(self.classes.max() + 1))
        asked, hit = (np.add.reduceat(it[:, order], firsts, axis=1) for it in (weights, weights * self.right))
        share = np.where(asked, hit / np.maximum(asked, 1), np.nan)
        return 100 * np.column_stack((hit.sum(axis=1) / asked.sum(axis=1), np.nanmean(share, axis=1)))


def count_glosses(reference: Sequence[str], estimate: Sequence[str]) -> "CountedGlosses":
    """What `metrics.glosses.evaluate_words` counts of every sentence.

    Raises:
        InputError: As `evaluate_translation`.
    """
    errors = [count_errors(a, b) for a, b in zip(*_checked(reference, estimate), strict=True)]
    counts = [(it.words, it.deletions, it.insertions, it.substitutions, it.edits) for it in errors]
    return CountedGlosses(len(errors), np.array(counts))


@dataclass(frozen=True)
class CountedGlosses:
    """Words, deletions, insertions, substitutions and least edits of every sentence."""

    names: ClassVar = ("wer", "deletions", "insertions", "substitutions", "least_wer")
    number: int
    counts: Int[np.ndarray, "sentences 5"]

    def pool(self, weights: Int[np.ndarray, "draws items"]) -> Float[np.ndarray, "draws scores"]:
        """As `names`, percent of the words."""
        words, *errors = (weights @ self.counts).T
        rates: Float[np.ndarray, "draws 5"] = 100 * np.column_stack((sum(errors[:3]), *errors)) / words[:, None]
        return rates


def rouge_l(reference: Sequence[str], estimate: Sequence[str]) -> float:
    """ROUGE-L f of one sentence as the package `rouge` 1.0 has it, 0 .. 1.

    A word counts once, and is found when it stands in a longest common subsequence of any two of the pieces that full
    stops part. A piece without words counts as one word, the empty one; what follows the last stop is none.
    """
    true, found = _pieces(reference), _pieces(estimate)
    shared = {
        a[i]
        for a in true
        for b in found
        for i, j in align_words(a, b, indel=1, substitution=3)
        if i is not None and j is not None
    }
    return _f(len(shared), len({word for it in true for word in it}), len({word for it in found for word in it}))


def rouge_l_plain(reference: Sequence[str], estimate: Sequence[str]) -> float:
    """ROUGE-L f of one sentence, 0 .. 1: the longest common subsequence of all words, each as often as it stands."""
    steps = align_words(reference, estimate, indel=1, substitution=3)
    return _f(sum(None not in step for step in steps), len(reference), len(estimate))


def _f(shared: int, true: int, found: int) -> float:
    """Harmonic mean of precision and recall, with the 1e-8 of `rouge`."""
    if not shared:
        return 0.0
    precision, recall = shared / found, shared / true
    return 2 * precision * recall / (precision + recall + 1e-8)


def _pieces(words: Sequence[str]) -> list[list[str]]:
    """What full stops part, also within words."""
    return [piece.split() or [""] for piece in " ".join(words).split(".") if piece]


def _checked(reference: Sequence[str], estimate: Sequence[str]) -> tuple[list[str], list[str]]:
    """Both sides with single spaces, if they can be scored."""
    if len(reference) != len(estimate):
        raise InputError(f"there are {len(reference)} sentences in the reference and {len(estimate)} in the estimate")
    if not len(reference):
        raise InputError("there are no sentences to score")
    true, found = ([" ".join(text.split()) for text in side] for side in (reference, estimate))
    if empty := [number for number, text in enumerate(true, start=1) if not text]:
        are = "is" if len(empty) == 1 else "are"
        count = f"{len(empty)} of {len(true)} references {are} empty"
        raise InputError(f"{count}, the first is number {empty[0]}: leave it out")
    for side, texts in ("reference", true), ("estimate", found):
        if marked := next((text for text in texts if PREFIX.match(text)), None):
            raise InputError(f"the {side} has {marked[:40]!r}: take 'sample: NAME, prediction: ' off every text")
    return true, found
