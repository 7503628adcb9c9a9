"""One sign -> where it occurs: a query is held against a signer's poses, and the likeliest places are ranked.

The query is a word, or one or more examples of one sign. Anything that scores places is a `Spotter`: networks,
`models.subsequence_dtw` and, over any embedder, `EmbeddingWindows`. What is here suppresses places that overlap better
ones, and says how likely each is right.
"""

import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, floor
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float64, Int

from seasign.confidence import fit_weights
from seasign.embedding import Embedder, compare, embed_signs, embed_text, landmarks_of
from seasign.glosses import Lemmatizer, identity
from seasign.segmentation import SHORTEST, find_sign
from seasign.spans import iou
from seasign.types import Cue, Embeddings, InputError, InputWarning, Poses, Sign, Span

NAN = float("nan")
OVERLAP = 0.3  # temporal IoU with a better spot above which one is the same place
WORD = (0.5, 1.2)  # seconds that a sign of a word lasts, whose length nobody says
RIGHT = 0.5  # temporal IoU with a sign of the query from which a spot is right
RIDGE = 0.01  # what keeps a calibration finite, and no more: one of 1 halves its slope where scores have a long tail
TEMPO = 2.0  # a sign is at most so many times as fast as another of its kind, or as slow

Query = str | tuple[Poses, ...]  # a word, or examples of one sign


@dataclass(frozen=True)
class Spot(Span):
    """Where a query may occur."""

    score: float  # the spotter's own; higher is better
    probability: float = NAN  # that it is right: IoU of at least .5 with a sign of the query; NaN: not calibrated


Found = tuple[Sequence[Span], Sequence[Spot]]  # where a query is signed in a video, and where it was spotted


@runtime_checkable
class Spotter(Protocol):
    """Anything that looks for a query: `SubsequenceDtw`, `EmbeddingWindows`, a network, four lines in a test."""

    @property
    def calibration(self) -> tuple[float, float]:
        """The weights of 1 and of the score in the logit of a spot's probability; NaN as long as they are not known."""

    def candidates(self, query: Query, poses: Poses) -> tuple[Spot, ...]:
        """Places in seconds from the first frame, in any order; they may overlap, and scores compare between videos.

        Probabilities are left NaN, unless the spotter knows better than one logistic function of its score.
        """


def spot(
    query: Query,
    poses: Poses,
    *,
    spotter: Spotter,
    best: int | None = 10,
    least: float = 0.0,
    overlap: float = OVERLAP,
) -> tuple[Spot, ...]:
    """Find where a sign occurs: the places it is likeliest at, likeliest first; none overlaps a better one.

    Args:
        query: A word, if the spotter knows words, or examples of one sign, each trimmed to it as far as that is known.
        best: At most so many; None: all that the spotter proposes.
        least: Probability below which a place is left out; anything but 0 needs a spotter that is calibrated.
        overlap: Places share at most this temporal IoU.
    Returns:
        Seconds from the first frame of the poses; `segmentation.in_video` turns them into those of the video.
    Raises:
        InputError: The query is empty, a single frame, shows no hand or is longer than the video; the video has no
            frames or shows no hand; a score is not finite, or not calibrated; or as the spotter, such as of a word that
            it does not know.
    Warns:
        InputWarning: An example is shorter than a sign.
    """
    check_query(query, poses)
    if not isinstance(query, str) and (seconds := shortest(query, spotter)) > poses.duration:
        raise InputError(f"the query lasts {seconds:.2f} s, and the video {poses.duration:.2f} s: it cannot be in it")
    return rank(spotter.candidates(query, poses), spotter.calibration, best=best, least=least, overlap=overlap)


def rank(
    candidates: Sequence[Spot],
    calibration: tuple[float, float],
    *,
    best: int | None = 10,
    least: float = 0.0,
    overlap: float = OVERLAP,
) -> tuple[Spot, ...]:
    """What `spot` does with the candidates of a spotter: probabilities, suppression, order.

    Raises:
        InputError: A score is not finite.
    """
    scores = np.array([each.score for each in candidates], float)
    if broken := int(np.count_nonzero(~np.isfinite(scores))):
        raise InputError(f"{broken} of {len(scores)} scores are not finite: the query or the poses hold broken numbers")
    own = np.array([each.probability for each in candidates], float)
    probability = np.where(np.isnan(own), state(scores, calibration), own)
    spans = np.array([(each.start, each.end) for each in candidates], float).reshape(-1, 2)
    if least > 0 and np.isnan(probability).any():
        raise InputError("this spotter is not calibrated: ask for the best spots, not for those of some probability")
    likely = np.flatnonzero(~(probability < least))
    kept = likely[suppress(spans[likely], scores[likely], best=best, overlap=overlap)]
    return tuple(replace(candidates[row], probability=float(probability[row])) for row in kept.tolist())


def state(scores: Float64[np.ndarray, " spots"], calibration: tuple[float, float]) -> Float64[np.ndarray, " spots"]:
    """The probabilities of scores."""
    stated: Float64[np.ndarray, " spots"] = (1 + np.tanh((calibration[0] + calibration[1] * scores) / 2)) / 2
    return stated


def fit_calibration(found: Sequence[Found]) -> tuple[float, float]:
    """The calibration that suits spots whose truth is known, by logistic regression.

    Args:
        found: Of every query and video, as `spot` gives them, with as many spots as one means to look at.
    Raises:
        InputError: All of the spots are right, or none, or those that score higher are so less often.
    """
    spots = [one for _, some in found for one in some]
    right = np.array([is_right(one, signs) for signs, some in found for one in some], bool)
    if right.all() or not right.any():
        raise InputError(
            f"{int(right.sum())} of {len(right)} spots are right: a calibration is learned from both kinds"
        )
    first, second = fit_weights(np.array([[one.score] for one in spots], float), right, ridge=RIDGE)
    if second <= 0:
        raise InputError(f"of {len(right)} spots those that score higher are right less often: nothing can be stated")
    return first, second


def is_right(spotted: Span, signs: Sequence[Span]) -> bool:
    """Whether a spot overlaps a sign of its query by half."""
    spans = np.array([(sign.start, sign.end) for sign in signs], float).reshape(-1, 2)
    return bool((iou(np.array([spotted.start, spotted.end], float), spans) >= RIGHT).any())


def suppress(
    spans: Float64[np.ndarray, "spans 2"],
    scores: Float64[np.ndarray, " spans"],
    *,
    best: int | None = None,
    overlap: float = OVERLAP,
) -> Int[np.ndarray, " kept"]:
    """Non-maximum suppression: the rows that overlap no better one that is kept, best first; of equals the earlier."""
    left = np.lexsort((np.arange(len(scores)), spans[:, 1], spans[:, 0], -scores))
    kept: list[int] = []
    while len(left) and (best is None or len(kept) < best):
        kept.append(int(left[0]))
        left = left[1:][iou(spans[left[0]], spans[left[1:]]) <= overlap]
    return np.array(kept, int)


def check_query(query: Query, poses: Poses) -> None:
    """Refuse what cannot be looked for, or looked at; the message says which.

    Raises:
        InputError: See `spot`.
    """
    check_hands(poses, "the poses")
    if not query or (isinstance(query, str) and not query.strip()):
        raise InputError("there is no query: give a word, or an example of a sign")
    if isinstance(query, str):
        return
    for number, example in enumerate(query, 1):
        check_example(example, "the query" if len(query) == 1 else f"example {number} of the query")


def check_example(example: Poses, what: str) -> None:
    """Refuse what is no example of a sign, and warn of what is hardly one.

    Raises:
        InputError: It has no frames or a single one, or shows no hand.
    Warns:
        InputWarning: It is shorter than a sign.
    """
    check_hands(example, what)
    if len(example.xyz) == 1:
        raise InputError(f"{what} is a single frame, and a sign moves: name all of it")
    if example.duration < SHORTEST:
        message = f"{what} lasts {example.duration:.2f} s, and hardly a sign is as short: much will look like it"
        warnings.warn(message, InputWarning, stacklevel=2)


def shortest(examples: Sequence[Poses], spotter: Spotter) -> float:
    """Seconds of the shortest example, cut to its sign unless the spotter `trims` none."""
    trims = getattr(spotter, "trims", True)
    return float(min((trim(example) if trims else example).duration for example in examples))


def check_hands(poses: Poses, what: str) -> None:
    """Refuse poses without frames, and those whose layout has hands of which no frame shows any."""
    if not len(poses.xyz):
        raise InputError(f"{what} {'have' if what.endswith('poses') else 'has'} no frames")
    if not shows_hand(poses):
        raise InputError(f"none of {len(poses.xyz)} frames of {what} shows a hand: there is no signing to look at")


def shows_hand(poses: Poses) -> bool:
    """Whether any frame shows a hand; in a layout without hands, anything."""
    hands = [column for column, name in enumerate(poses.landmarks) if "hand" in name.partition(".")[0].lower()]
    return any(not np.isnan(poses.xyz[:, column, 0]).all() for column in hands or range(len(poses.landmarks)))


def trim(poses: Poses) -> Poses:
    """A clip of one sign, cut to where the sign is: see `segmentation.find_sign`."""
    span = find_sign(poses)
    first, stop = (round(edge * poses.fps) for edge in (span.start, span.end))
    if stop - first == len(poses.xyz):
        return poses
    return replace(poses, xyz=poses.xyz[first:stop], confidence=poses.confidence[first:stop])


# Over any embedder ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EmbeddingWindows:
    """A spotter over an embedder: windows of several lengths, by the cosine of their vectors with that of the query.

    The vector of a word is that of its text, and windows of lengths within `WORD` are looked at: among the many shorter
    ones the best is often one by chance. That of examples is the mean of theirs at a length of 1, and windows of
    lengths that their mean allows are, by `TEMPO`. The windows of the poses that were looked at last are kept, so that
    a second query costs no more than comparing.
    """

    embedder: Embedder
    calibration: tuple[float, float] = (NAN, NAN)  # of this embedder: see `fit_calibration`
    lengths: tuple[float, ...] = (0.4, 0.65, 1.0, 1.5)  # of windows, in seconds
    step: float = 0.25  # from a window to the next, in its length
    most: int = 1000  # candidates: the best
    trims: bool = True  # examples are first cut by `trim`; False: they are cut to their sign already
    _kept: list[tuple[Poses, Embeddings, Float64[np.ndarray, "windows 2"]]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    @property
    def landmarks(self) -> tuple[str, ...]:
        """Those that the embedder looks at."""
        return landmarks_of(self.embedder)

    def candidates(self, query: Query, poses: Poses) -> tuple[Spot, ...]:
        """The windows that are nearest to the query.

        Raises:
            InputError: As the embedder; or the query is nothing at all in its space, such as a word that it does not
                know.
        """
        wanted, seconds = self._embed(query)
        vectors, spans = self.windows(poses)
        lengths = np.round(spans[:, 1] - spans[:, 0], 9)
        low, high = WORD if seconds is None else (seconds / TEMPO, seconds * TEMPO)
        off = np.maximum(np.log(low / lengths), np.log(lengths / high)).clip(min=0)
        rows = np.flatnonzero(off <= off.min(initial=np.inf) + 1e-9)
        scores = compare(wanted, vectors)[0][rows]
        if len(scores) > self.most:
            near = np.argpartition(-scores, self.most)[: self.most]
            rows, scores = rows[near], scores[near]
        return tuple(
            Spot(start, end, score) for (start, end), score in zip(spans[rows].tolist(), scores.tolist(), strict=True)
        )

    def windows(self, poses: Poses) -> tuple[Embeddings, Float64[np.ndarray, "windows 2"]]:
        """The vectors of all windows, at a length of 1, and their times. The last of a length ends with the poses."""
        if self._kept and self._kept[0][0] is poses:
            return self._kept[0][1:]
        starts = []
        for length in self.lengths:
            if length <= poses.duration:
                first = np.arange(0, poses.duration - length, self.step * length)
                starts += [(one, one + length) for one in (*first.tolist(), poses.duration - length)]
        spans = np.array(starts or [(0.0, poses.duration)])
        found = _unit(embed_signs(poses, [Sign(start, end) for start, end in spans.tolist()], self.embedder))
        if not found.vectors.any():
            raise InputError(f"the windows are nothing at all in the space {found.space!r}: take one that poses are in")
        self._kept[:] = [(poses, found, spans)]
        return found, spans

    def _embed(self, query: Query) -> tuple[Embeddings, float | None]:
        """A vector, and how long the sign lasts if that is known."""
        if isinstance(query, str):
            found, seconds = embed_text([query], self.embedder), None
        else:
            signs = [trim(example) if self.trims else example for example in query]
            seconds = float(np.mean([sign.duration for sign in signs]))
            each = [_unit(embed_signs(sign, [Sign(0.0, sign.duration)], self.embedder)) for sign in signs]
            found = replace(each[0], vectors=np.mean([one.vectors for one in each], axis=0))
        if not found.vectors.any():
            what = f"{query!r} is" if isinstance(query, str) else "the examples are"
            raise InputError(f"{what} nothing at all in the space {found.space!r}: look for something else")
        return _unit(found), seconds


def _unit(embeddings: Embeddings) -> Embeddings:
    """Vectors at a length of 1; 0 stays."""
    lengths: Float[np.ndarray, "items 1"] = np.linalg.norm(embeddings.vectors, axis=1, keepdims=True)
    return replace(embeddings, vectors=embeddings.vectors / np.maximum(lengths, 1e-9))


# The words of subtitles -----------------------------------------------------------------------------------------------


def spot_words(
    cues: Sequence[Cue],
    poses: Poses,
    queries: Mapping[str, Query],
    *,
    spotter: Spotter,
    margin: float = 1.0,
    least: float = 0.5,
    overlap: float = OVERLAP,
    lemmatize: Lemmatizer = identity,
) -> tuple[Sign, ...]:
    """Find the words of aligned cues near their times: signs that a recognizer can learn from.

    A word is looked for as often as its cue says it, and kept by its calibrated probability. Of signs that overlap, of
    whatever words and cues, the likelier stays. What a cue says that is not signed, or is signed otherwise, is not
    found, as far as probabilities are right; that nobody looked for is not said to be absent.

    Args:
        cues: Seconds from the first frame of the poses, after alignment.
        queries: What to look for, by the word or words that say it, in whatever case: examples of the sign, or the
            word itself where the spotter knows words.
        margin: Seconds before and after a cue in which its words may be signed.
        least: Probability below which a spot is left out.
        lemmatize: Makes one word of its forms, in cues and in `queries`.
    Returns:
        In order of time; the gloss is the key of `queries`, the score the probability.
    Raises:
        InputError: There are no queries, two are of the same words, an example shows no hand, the spotter is not
            calibrated, or as the spotter around every cue.
    Warns:
        InputWarning: As the spotter around some cues, where nothing more is found.
    Source: in place of the rule of CSLR2 (arXiv:2405.10266), the same word six windows in a row and .6 in each; see
        `recognition.label_windows`.
    """
    if not queries:
        raise InputError("there are no words to look for: give a vocabulary, or examples of signs")
    for word, query in queries.items():
        for example in () if isinstance(query, str) else query:
            check_example(example, f"an example of {word!r}")
    keys: dict[tuple[str, ...], str] = {}
    for word in queries:
        if (other := keys.setdefault(tuple(tokens(word, lemmatize)), word)) != word:
            raise InputError(f"{other!r} and {word!r} are the same words: keep one, with the examples of both")
    longest = max(map(len, keys))
    found: list[tuple[Spot, str]] = []
    tried, failed = 0, list[str]()
    for cue in cues:
        said = tokens(cue.text, lemmatize)
        runs = (tuple(said[at : at + size]) for size in range(1, longest + 1) for at in range(len(said) - size + 1))
        words = Counter(keys[run] for run in runs if run in keys)
        first = max(0, floor((cue.start - margin) * poses.fps))
        stop = max(first, ceil((cue.end + margin) * poses.fps))
        near = replace(poses, xyz=poses.xyz[first:stop], confidence=poses.confidence[first:stop])
        begin = float(first / poses.fps)
        if not words or not shows_hand(near):
            continue
        tried += 1
        try:
            for word, times in words.items():
                spots = spotter.candidates(queries[word], near)
                for one in rank(spots, spotter.calibration, best=times, least=least, overlap=overlap):
                    found.append((replace(one, start=one.start + begin, end=one.end + begin), word))
        except InputError as error:
            failed.append(str(error))
    if failed and len(failed) == tried:
        raise InputError(failed[0])
    if failed:
        warnings.warn(f"around {len(failed)} of {tried} cues: {failed[0]}", InputWarning, stacklevel=2)
    spans = np.array([(one.start, one.end) for one, _ in found], float).reshape(-1, 2)
    kept = suppress(spans, np.array([one.probability for one, _ in found], float), overlap=overlap)
    signs = [Sign(one.start, one.end, word, one.probability) for one, word in (found[row] for row in kept.tolist())]
    return tuple(sorted(signs, key=lambda sign: (sign.start, sign.end)))


def label_spots(
    signs: Sequence[Sign], times: Float64[np.ndarray, " windows"], vocabulary: Sequence[str], *, best: int = 5
) -> tuple[Int[np.ndarray, "windows best"], Float[np.ndarray, "windows best"]]:
    """Signs as labels of windows, as CSLR2 reads them: the likeliest words of each, and their probabilities.

    A window is of the signs that its centre lies in. One without has the label 0 at a probability of 0, as published.

    Args:
        times: The centres, in seconds: `WindowFeatures.times`.
        vocabulary: The words that the numbers of labels stand for.
    Raises:
        InputError: A sign is of none of these words, or has no score.
    """
    number = {word: place for place, word in enumerate(vocabulary)}
    if lacking := [sign for sign in signs if sign.gloss not in number or sign.score is None]:
        what = "is not in the vocabulary" if lacking[0].gloss not in number else "has no score"
        raise InputError(f"{len(lacking)} signs cannot be labels, such as {lacking[0].gloss!r}, which {what}")
    labels, sure = np.zeros((len(times), best), np.int64), np.zeros((len(times), best))
    free = np.zeros(len(times), int)
    for sign in sorted(signs, key=lambda sign: -(sign.score or 0.0)):
        own = np.flatnonzero((times >= sign.start) & (times < sign.end) & (free < best))
        labels[own, free[own]], sure[own, free[own]] = number[sign.gloss or ""], sign.score
        free[own] += 1
    return labels, sure


def tokens(text: str, lemmatize: Lemmatizer = identity) -> list[str]:
    """The words of a text, without case and signs."""
    return [lemmatize(word) for word in re.findall(r"\w+(?:['\u2019]\w+)*", text.casefold())]
