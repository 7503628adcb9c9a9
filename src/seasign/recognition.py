"""Signs -> glosses: an isolated sign is given the gloss of the examples that it is nearest to, and continuous signing
is read window by window, by the words that it is nearest to.

Examples and signs are vectors in one space. Who signs the examples must not sign what is tested: `folds` divides by
signer or recording session, never at random.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float64, Int

from seasign.decoding import Decoder, SemiMarkov
from seasign.glosses import Lemmatizer, Synonyms, Words, group, identity, spell, walk, words_of
from seasign.metrics.glosses import GlossScores, evaluate_glosses
from seasign.types import Embeddings, InputError, Poses, Sign, Span, WindowFeatures
from seasign.uncertainty import Interval, bootstrap_share

Method = Literal["nearest", "neighbours", "prototypes"]


@dataclass(frozen=True)
class Guesses:
    """What signs may be, one row a sign."""

    glosses: tuple[str, ...]  # the columns
    scores: Float64[np.ndarray, "signs glosses"]  # higher is likelier; comparable within a row

    @property
    def best(self) -> tuple[str, ...]:
        """The likeliest gloss of every sign; of equal ones the first."""
        return tuple(self.glosses[column] for column in self.scores.argmax(axis=1).tolist())


Classifier = Callable[[Embeddings, Embeddings, Sequence[str]], Guesses]  # signs, examples, and what each example is


def classify(
    signs: Embeddings, examples: Embeddings, glosses: Sequence[str], *, method: Method = "neighbours"
) -> Guesses:
    """Guess the gloss of every sign from examples of glosses.

    Dimensions are first centred and scaled by the examples.

    Args:
        glosses: What each example is.
        method: "nearest" is the nearest example; "neighbours" the majority of the k nearest, with
            k = round(sqrt(examples)), and of equal votes, none among them, the gloss of the nearest example;
            "prototypes" the nearest mean of the examples of a gloss.
    Raises:
        InputError: There are no examples, or the two are in different spaces.
    Source: SignCLIP (arXiv:2407.01264), few-shot recognition: standardized vectors and k neighbours. Differs: equal
        votes, which are ranked there by the order of the classes.
    """
    if signs.space != examples.space:
        raise InputError(f"cannot compare {signs.space!r} with {examples.space!r}: embed both with one model")
    if not len(glosses) or len(glosses) != len(examples.vectors):
        raise InputError(f"{len(examples.vectors)} examples have {len(glosses)} glosses: give one to each")
    middle, spread = examples.vectors.mean(axis=0), np.maximum(examples.vectors.std(axis=0), 1e-6)
    known, asked = ((one.vectors - middle) / spread for one in (examples, signs))
    names = tuple(dict.fromkeys(glosses))
    label = np.array([names.index(gloss) for gloss in glosses])
    if method == "prototypes":
        known = np.stack([known[label == column].mean(axis=0) for column in range(len(names))])
        return Guesses(names, -_distances(asked, known))
    distance = _distances(asked, known)
    nearest = np.stack([distance[:, label == column].min(axis=1) for column in range(len(names))], axis=1)
    if method == "nearest":
        return Guesses(names, -nearest)
    votes = 1 / (2.0 + nearest.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable"))  # less than one vote
    rows = np.arange(len(asked))
    for neighbour in np.argsort(distance, axis=1, kind="stable")[:, : max(1, round(len(glosses) ** 0.5))].T:
        votes[rows, label[neighbour]] += 1
    return Guesses(names, votes)


@dataclass(frozen=True)
class RecognitionScores:
    """How well signs of others are recognized. Shares are 0 .. 1; their intervals are for other groups like these."""

    each: int | None  # examples of every gloss; None: all that there are
    tested: int  # signs, each in every draw
    unseen: int  # signs that were left out, since nobody else shows their gloss
    chance: float  # of a gloss drawn from those of the examples
    top1: Interval
    top5: Interval
    baseline: Interval | None  # top-1 of the nearest example in the vectors of the baseline, from the same draws
    gain: Interval | None  # top-1 above that

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def evaluate_recognition(
    signs: Embeddings,
    glosses: Sequence[str],
    groups: Sequence[str],
    *,
    each: int | None = 5,
    method: Method | Classifier = "neighbours",
    baseline: Embeddings | None = None,
    seeds: int = 5,
) -> RecognitionScores:
    """How well signs of one signer or session are recognized by examples of all others, each left out in turn.

    A gloss that nobody else shows cannot be known: its signs are left out and counted. Among up to five glosses top-5
    says nothing.

    Args:
        groups: The signer or recording session of every sign, never a random part.
        each: How many examples of every gloss, of all others together, drawn anew for every seed; None takes all.
        method: As in `classify`, or anything that guesses as it does, such as a linear probe.
        baseline: The same signs in a space that takes no training, such as that of a pose descriptor.
    Raises:
        InputError: There is one group alone, or no gloss in two; or not as many glosses, groups or vectors of the
            baseline as signs.
    """
    if {len(glosses), len(groups), len((baseline or signs).vectors)} != {len(signs.vectors)}:
        raise InputError(
            f"{len(signs.vectors)} signs have {len(glosses)} glosses, {len(groups)} groups and "
            f"{len((baseline or signs).vectors)} vectors of a baseline: give one to each"
        )
    guess = partial(classify, method=method) if isinstance(method, str) else method
    rival = partial(classify, method="nearest")
    counted = []
    for rest, held in folds(groups):
        known = {glosses[i] for i in rest}
        asked = [i for i in held.tolist() if glosses[i] in known]
        counts = np.array([len(asked), len(held) - len(asked), len(asked) / len(known), 0, 0, 0, 0], float)
        for seed in range(seeds if each else 1):
            examples = rest[shots([glosses[i] for i in rest], each or len(rest), seed)].tolist()
            place = _places(guess, signs, glosses, examples, asked)
            counts[3:6] += len(asked), (place < 1).sum(), (place < 5).sum()
            if baseline:
                counts[6] += (_places(rival, baseline, glosses, examples, asked) < 1).sum()
        counted.append(counts)
    tested, unseen, chance, *_ = np.sum(counted, axis=0)
    if not tested:
        raise InputError(
            "no gloss is shown by two signers or sessions: nothing can be recognized by examples of others"
        )
    whole, top1, top5, nearest = np.array([counts[3:] for counts in counted if counts[0]]).T
    return RecognitionScores(
        each,
        int(tested),
        int(unseen),
        float(chance / tested),
        bootstrap_share(top1, whole),
        bootstrap_share(top5, whole),
        bootstrap_share(nearest, whole) if baseline else None,
        bootstrap_share(top1 - nearest, whole) if baseline else None,
    )


def _places(
    guess: Classifier, signs: Embeddings, glosses: Sequence[str], examples: Sequence[int], asked: Sequence[int]
) -> Int[np.ndarray, " asked"]:
    """How many glosses are thought likelier than the right one, for every sign that is asked."""
    few, those = (Embeddings(signs.vectors[list(rows)], signs.space) for rows in (examples, asked))
    guesses = guess(those, few, [glosses[i] for i in examples])
    own = np.array([guesses.glosses.index(glosses[i]) for i in asked], int)
    order = np.argsort(-guesses.scores, axis=1, kind="stable")
    place: Int[np.ndarray, " asked"] = (order == own[:, None]).argmax(axis=1)
    return place


def folds(groups: Sequence[str]) -> Iterator[tuple[Int[np.ndarray, " rest"], Int[np.ndarray, " held"]]]:
    """Leave out each signer or session in turn: the others, and those left out.

    Raises:
        InputError: There is only one group, and nothing could be learned from others.
    """
    names = list(dict.fromkeys(groups))
    if len(names) < 2:
        raise InputError(
            f"all items are of one group ({names[0] if names else 'none'}): recognition is tested on others"
        )
    of = np.array([names.index(group) for group in groups])
    for number in range(len(names)):
        yield np.flatnonzero(of != number), np.flatnonzero(of == number)


def shots(glosses: Sequence[str], each: int, seed: int) -> Int[np.ndarray, " chosen"]:
    """That many examples of every gloss, drawn; all of a gloss that has fewer. In order."""
    rng = np.random.default_rng(seed)
    of: dict[str, list[int]] = {}
    for number, gloss in enumerate(glosses):
        of.setdefault(gloss, []).append(number)
    chosen = [rng.choice(rows, min(each, len(rows)), replace=False) for rows in of.values()]
    return np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, int)


def _distances(
    a: Float[np.ndarray, "rows dimensions"], b: Float[np.ndarray, "columns dimensions"]
) -> Float64[np.ndarray, "rows columns"]:
    """Squared, without a constant for every row."""
    b = b.astype(float)
    found: Float64[np.ndarray, "rows columns"] = (b**2).sum(axis=1) - 2 * a.astype(float) @ b.T
    return found


# Continuous signing ---------------------------------------------------------------------------------------------------

TEMPERATURE = 0.05  # of similarities, as published
BEST = 5  # words that are kept of every window
AT_ONCE = 4_000_000  # scores in memory: 16 MB, and 32 MB to sort them
THRESHOLDS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
HALF = 8  # frames of a window behind its centre


@dataclass(frozen=True)
class Vocabulary:
    """The words that may be signed. Vectors are data: a word is added without training."""

    words: tuple[str, ...]
    vectors: Embeddings | None = None  # of the recognizer's text encoder; None: it makes them itself
    synonyms: Synonyms = field(default_factory=dict)  # closed, see `glosses.close`


@runtime_checkable
class Recognizer(Protocol):
    """Anything that puts windows of signing and words into one space."""

    def windows(self, signing: Poses | WindowFeatures) -> WindowFeatures:
        """A vector of length 1 for every window; its source is the name of the space."""

    def words(self, texts: Sequence[str], vectors: Embeddings | None = None) -> Embeddings:
        """A vector of length 1 for every word, out of those of a text encoder when they are there already."""


@dataclass(frozen=True)
class WindowGuesses:
    """What windows may say: the likeliest words of each, likeliest first."""

    words: Int[np.ndarray, "windows best"]  # which of the vocabulary
    probabilities: Float[np.ndarray, "windows best"]  # among the whole vocabulary
    vocabulary: tuple[str, ...]
    windows: WindowFeatures  # when they are; vectors are not looked at


@runtime_checkable
class Reading(Protocol):
    """How guesses are read as signs."""

    def runs(self, guesses: WindowGuesses, synonyms: Synonyms) -> list[tuple[int, int, int]]:
        """The first window, the one behind the last, and which word of the vocabulary, of every sign."""


def recognize(
    signing: Poses | WindowFeatures,
    vocabulary: Vocabulary,
    recognizer: Recognizer,
    *,
    reading: Reading | None = None,
) -> tuple[Sign, ...]:
    """Find the signs of continuous signing, and which word of a vocabulary each is.

    The score of a sign is the mean probability of its word over its windows. `guess_words` and `read_guesses` are the
    two halves, and `find_alternatives` says what else a sign may be.

    Args:
        reading: None is `Walk()`.
    Raises:
        InputError: As the recognizer and `guess_words`.
    Source: CSLR2 (arXiv:2405.10266).
    """
    words = recognizer.words(vocabulary.words, vocabulary.vectors)
    guesses = guess_words(recognizer.windows(signing), words, vocabulary.words)
    return read_guesses(guesses, reading or Walk(), vocabulary.synonyms)


def guess_words(
    windows: WindowFeatures,
    words: Embeddings,
    vocabulary: Sequence[str],
    *,
    best: int = BEST,
    temperature: float = TEMPERATURE,
) -> WindowGuesses:
    """The likeliest words of every window: a softmax of similarities over the whole vocabulary, of which few are kept.

    Memory does not grow with windows times words. Of equal words the earlier comes first.

    Raises:
        InputError: The two are in different spaces; there are no words, or not as many as vectors; a vector is not
            finite.
    """
    if windows.source != words.space:
        raise InputError(f"cannot compare {windows.source!r} with {words.space!r}: embed both with one model")
    if not len(vocabulary) or len(vocabulary) != len(words.vectors):
        raise InputError(f"{len(vocabulary)} words have {len(words.vectors)} vectors: give one to each, and some")
    for what, vectors in ("windows", windows.vectors), ("words", words.vectors):
        if broken := int(np.count_nonzero(~np.isfinite(vectors).all(axis=1))):
            raise InputError(f"{broken} of {len(vectors)} {what} hold numbers that are not finite")
    best = min(best, len(vocabulary))
    columns = (words.vectors.astype(np.float32) / np.float32(temperature)).T
    found = np.empty((len(windows.vectors), best), np.int64)
    sure = np.empty((len(windows.vectors), best), np.float32)
    step = max(1, AT_ONCE // len(vocabulary))
    for first in range(0, len(found), step):
        some = slice(first, first + step)
        scores = windows.vectors[some].astype(np.float32) @ columns
        near = np.sort(np.argpartition(scores, len(vocabulary) - best, axis=1)[:, -best:], axis=1)
        high = np.take_along_axis(scores, near, axis=1)
        order = np.argsort(-high, axis=1, kind="stable")
        found[some], high = (np.take_along_axis(each, order, axis=1) for each in (near, high))
        top = high[:, :1].copy()
        scores -= top
        np.exp(scores, out=scores)
        sure[some] = np.exp(high - top) / scores.sum(axis=1, keepdims=True)
    return WindowGuesses(found, sure, tuple(vocabulary), windows)


def group_guesses(guesses: WindowGuesses, synonyms: Synonyms) -> WindowGuesses:
    """Give each word the probabilities of all that mean the same, see `glosses.group`."""
    if not synonyms:
        return guesses
    number = {guesses.vocabulary[place]: place for place in np.unique(guesses.words).tolist()}
    words, probabilities = guesses.words.copy(), guesses.probabilities.astype(float)
    for row in range(len(words)):
        said = [guesses.vocabulary[word] for word in words[row].tolist()]
        if any(spell(word) in synonyms for word in said):
            grouped, summed = group(said, probabilities[row].tolist(), synonyms)
            words[row], probabilities[row] = [number[word] for word in grouped], summed
    return replace(guesses, words=words, probabilities=probabilities)


@dataclass(frozen=True)
class Walk:
    """Runs of windows whose likeliest words mean the same and are likely enough; a run keeps its first word.

    Source: CSLR2 (arXiv:2405.10266), the authors' code @ 5f3bd69, which tunes both on sequences learned from.
        Differs: synonyms are grouped once, there twice.
    """

    threshold: float = 0.2  # probability; below it nothing is signed
    shortest: int = 3  # windows

    def __post_init__(self) -> None:
        if not (self.threshold >= 0 and self.shortest >= 1):
            raise InputError(f"{self}: give a threshold from 0 on, and a shortest sign of a window or more")

    def runs(self, guesses: WindowGuesses, synonyms: Synonyms) -> list[tuple[int, int, int]]:
        """Walk through the windows."""
        return self.grouped_runs(group_guesses(guesses, synonyms), synonyms)

    def grouped_runs(self, grouped: WindowGuesses, synonyms: Synonyms) -> list[tuple[int, int, int]]:
        """Walk through windows whose synonyms are grouped already."""
        likely, top = grouped.probabilities[:, 0] >= self.threshold, grouped.words[:, 0].tolist()
        parts = {word: words_of(grouped.vocabulary[word]) for word in set(top)}
        said = [parts[word] if sure else None for word, sure in zip(top, likely.tolist(), strict=True)]
        return [(first, stop, top[first]) for first, stop, _ in walk(said, synonyms, shortest=self.shortest)]


@dataclass(frozen=True)
class Decode:
    """Runs as a decoder of tags cuts them: a sign goes on as long as the words do, and begins where they change.

    A window is signing with odds of its likeliest probability against `threshold`; it begins a sign as far as the
    words of the window before are others. The word of a run is the likeliest over all of it, and at least as likely as
    the threshold.
    """

    decoder: Decoder = field(default_factory=SemiMarkov)
    threshold: float = 0.2

    def runs(self, guesses: WindowGuesses, synonyms: Synonyms) -> list[tuple[int, int, int]]:
        """Cut, then name."""
        grouped = group_guesses(guesses, synonyms)
        sure = np.minimum(grouped.probabilities[:, 0], 1.0).astype(float)
        signing = sure / np.maximum(sure + self.threshold, 1e-9)
        same = np.zeros(len(sure))
        for row in range(1, len(sure)):
            before = dict(zip(guesses.words[row - 1].tolist(), guesses.probabilities[row - 1].tolist(), strict=True))
            both = sum(
                min(p, before.get(word, 0.0))
                for word, p in zip(guesses.words[row].tolist(), guesses.probabilities[row].tolist(), strict=True)
            )
            same[row] = both / max(float(guesses.probabilities[row].sum()), sum(before.values()), 1e-9)
        tags = np.column_stack([signing * (1 - same), signing * same, 1 - signing])
        rate = guesses.windows.fps / guesses.windows.stride
        found = []
        for span in self.decoder.decode(tags, rate).spans:
            first, stop = (round(float(edge * rate)) for edge in (span.start, span.end))
            if stop > first and (best := _ranked(grouped, first, stop)[0])[1] >= self.threshold:
                found.append((first, stop, best[0]))
        return found


def read_guesses(
    guesses: WindowGuesses, reading: Reading, synonyms: Synonyms = MappingProxyType({})
) -> tuple[Sign, ...]:
    """The signs in guesses, in seconds of the video, with the mean probability of their words."""
    signs = []
    for first, stop, word in reading.runs(guesses, synonyms):
        score = dict(_ranked(guesses, first, stop))[word]
        signs.append(Sign(*_edges(guesses.windows, first, stop), guesses.vocabulary[word], score))
    return tuple(signs)


def likeliest_words(guesses: WindowGuesses, synonyms: Synonyms = MappingProxyType({})) -> tuple[Words, ...]:
    """What frames say at their likeliest, a window for as many as lie between two: for `evaluate_frames`."""
    top = group_guesses(guesses, synonyms).words[:, 0].tolist()
    parts = {word: words_of(guesses.vocabulary[word]) for word in set(top)}
    return tuple(parts[word] for word in top for _ in range(guesses.windows.stride))


def find_alternatives(
    signs: Sequence[Sign], guesses: WindowGuesses, *, best: int = BEST
) -> tuple[tuple[tuple[str, float], ...], ...]:
    """What each sign may be: words and their mean probabilities over its windows, likeliest first."""
    found = []
    for sign in signs:
        first, stop = (
            round((edge * float(guesses.windows.fps) - guesses.windows.first) / guesses.windows.stride)
            for edge in (sign.start, sign.end)
        )
        found.append(tuple((guesses.vocabulary[word], p) for word, p in _ranked(guesses, first, stop)[:best]))
    return tuple(found)


def _ranked(guesses: WindowGuesses, first: int, stop: int) -> list[tuple[int, float]]:
    """Words and their mean probabilities over windows, likeliest first; a word that is not kept of one is 0 there."""
    words, column = np.unique(guesses.words[first:stop], return_inverse=True)
    sums = np.bincount(column.ravel(), guesses.probabilities[first:stop].ravel().astype(float), len(words))
    order = np.argsort(-sums, kind="stable")
    return list(zip(words[order].tolist(), (sums[order] / max(stop - first, 1)).tolist(), strict=True))


# Windows and time -----------------------------------------------------------------------------------------------------


def window_at(windows: WindowFeatures, frame: int) -> int:
    """The window whose centre is the last up to a frame; the first for frames before it.

    Source: CSLR2, max(0, (frame - 7) // 2).
    """
    return max(0, (frame - windows.first) // windows.stride)


def cut_windows(windows: WindowFeatures, span: Span) -> slice:
    """The windows of a span of the video, as CSLR2 cuts its clips: from that at its start to that before its end.

    Raises:
        InputError: No window is in the span, or the video ends before it does.
    """
    first, stop = (window_at(windows, int(float(windows.fps) * edge)) for edge in (span.start, span.end))
    end = (windows.first + windows.stride * len(windows.vectors) + HALF) / float(windows.fps)
    if span.start < 0 or span.end > end:
        raise InputError(
            f"{span.start:.2f} - {span.end:.2f} s is outside of the video, whose windows end at {end:.2f} s"
        )
    if first >= min(stop, len(windows.vectors)):
        raise InputError(f"{span.start:.2f} - {span.end:.2f} s holds no window: it is shorter than one")
    return slice(first, min(stop, len(windows.vectors)))


def cut_guesses(guesses: WindowGuesses, span: Span) -> WindowGuesses:
    """The guesses of a span of the video; see `cut_windows`."""
    some, windows = cut_windows(guesses.windows, span), guesses.windows
    cut = replace(windows, vectors=windows.vectors[some], first=windows.first + windows.stride * some.start)
    return replace(guesses, words=guesses.words[some], probabilities=guesses.probabilities[some], windows=cut)


def _edges(windows: WindowFeatures, first: int, stop: int) -> tuple[float, float]:
    """Seconds of windows first .. stop - 1: each lasts from its centre to the next."""
    start, end = ((windows.first + windows.stride * window) / windows.fps for window in (first, stop))
    return float(start), float(end)


# Learning from guesses ------------------------------------------------------------------------------------------------


def label_windows(
    guesses: WindowGuesses, synonyms: Synonyms = MappingProxyType({}), *, shortest: int = 6, least: float = 0.6
) -> tuple[Int[np.ndarray, " labelled"], Int[np.ndarray, " labelled"]]:
    """Which windows are sure enough to learn from, and which word of the vocabulary each says.

    A window is, where its likeliest word has been the likeliest for at least `shortest` windows on end and has at least
    a probability of `least` in itself.

    Source: CSLR2 (arXiv:2405.10266), the authors' code @ 5f3bd69.
    """
    grouped = group_guesses(guesses, synonyms)
    top, sure = grouped.words[:, 0], grouped.probabilities[:, 0]
    edges = np.flatnonzero(np.diff(top, prepend=-1, append=-1))
    lengths = np.repeat(np.diff(edges), np.diff(edges))
    kept = np.flatnonzero((lengths >= shortest) & (sure >= least) & (sure > 0))  # 0: it has no label at all
    return kept, top[kept]


@dataclass(frozen=True)
class RecognitionTuning:
    """What `tune_recognition` found, and where."""

    walk: Walk
    split: str  # that it was tuned on
    scores: GlossScores  # on it: no measure of what others get


def tune_recognition(
    sentences: Sequence[tuple[WindowGuesses, Sequence[Sign]]],
    synonyms: Synonyms = MappingProxyType({}),
    *,
    split: str,
    thresholds: Sequence[float] = THRESHOLDS,
    shortest: Sequence[int] = range(1, 11),
    lemmatize: Lemmatizer = identity,
) -> RecognitionTuning:
    """Find the threshold and the shortest sign with the least word error rate; of equals, the first.

    Args:
        sentences: Of each the guesses, and its signs in seconds of the same video.
        split: The name of the part of the corpus that they are of. One of which a word begins with test is refused.
    Raises:
        InputError: That; or no sentence has signs.
    Source: CSLR2 (arXiv:2405.10266), the authors' code @ 5f3bd69, whose grid this is.
    """
    if any(word.startswith("test") for word in re.split("[^a-z]+", split.lower())):
        raise InputError(f"settings tuned on {split!r} say nothing about {split!r}: tune on another part of the corpus")
    reference = [signs for _, signs in sentences]
    if not any(reference):
        raise InputError(f"none of {len(reference)} sentences of {split!r} has signs: there is nothing to tune on")
    best: tuple[Walk, GlossScores] | None = None
    grouped = [group_guesses(guesses, synonyms) for guesses, _ in sentences]
    for threshold in thresholds:
        walked = [Walk(threshold, 1).grouped_runs(guesses, synonyms) for guesses in grouped]
        for least in shortest:
            found = [
                [
                    Sign(*_edges(one.windows, *run[:2]), one.vocabulary[run[2]])
                    for run in runs
                    if run[1] - run[0] >= least
                ]
                for one, runs in zip(grouped, walked, strict=True)
            ]
            scores = evaluate_glosses(reference, found, synonyms, lemmatize=lemmatize)
            if best is None or scores.wer < best[1].wer:
                best = Walk(threshold, least), scores
    assert best is not None
    return RecognitionTuning(best[0], split, best[1])
