"""Texts against signs: what is found of one by the other, and by chance."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from seasign.types import InputError

AT = (1, 5, 10)  # how many of the best are looked at


@dataclass(frozen=True)
class Direction:
    """Retrieval in one direction. Shares are 0 .. 1, ranks count from 1; NaN where nothing is known."""

    queries: int
    recall: tuple[float, float, float]  # at 1, 5, 10
    precision: tuple[float, float, float] | None  # of text to sign; a sign has one right text
    median_rank: float  # of the first that is right
    mean_rank: float


@dataclass(frozen=True)
class RetrievalScores:
    """Retrieval in both directions."""

    text_to_sign: Direction
    sign_to_text: Direction

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def evaluate_retrieval(
    scores: Float[np.ndarray, "texts signs"], texts: Sequence[str], signs: Sequence[str]
) -> RetrievalScores:
    """How well texts find signs and signs find texts; equal texts count as one.

    Text to sign, over the different texts: R@k is the share of all right signs that are among the first k of their
    text, so that R@1 is below 1 where a text has several signs; P@k is the mean share of right ones among the first k.
    Sign to text, over the signs: R@k is the share whose text is among the first k different ones. Where scores are
    equal, what is right comes last. `guess_retrieval` says what chance gets, `bootstrap_retrieval` what other texts
    and signs may.

    Args:
        scores: Higher is better.
        texts: What each row says; of rows that say the same, the first is looked at.
        signs: What each column says; all of it is said by a row.
    Raises:
        InputError: There is nothing to retrieve, a sign whose text is not among the texts, or scores that are not
            finite.
    Source: SignCLIP (arXiv:2407.01264), the metrics of the authors' examples/MMPT @ a8199440. Differs: ties, which
        that code leaves to the order of the items.
    """
    counted = count_retrieval(scores, texts, signs)
    return RetrievalScores(*(ranks.named(ranks.pool(np.ones((1, len(ranks.right)), int))[0]) for ranks in counted))


def guess_retrieval(texts: Sequence[str], signs: Sequence[str]) -> RetrievalScores:
    """What `evaluate_retrieval` gives on average when the scores are drawn at random: the floor of every number.

    The median rank is that of any query and any draw.
    """
    names, shown = list(dict.fromkeys(texts)), Counter(signs)
    positives = np.array([shown[name] for name in names if shown[name]])
    if not len(positives):
        raise InputError("no sign says what a text says: there is nothing to retrieve")
    return RetrievalScores(
        _guess(positives, len(signs), precision=True), _guess(np.ones(len(signs), int), len(names), precision=False)
    )


def _guess(positives: Int[np.ndarray, " queries"], items: int, *, precision: bool) -> Direction:
    """By chance: queries with so many right ones among the items."""
    seen = np.minimum(AT, items) / items  # a right one is among the first k
    kinds, counts = np.unique(positives, return_counts=True)
    beyond, each = np.ones(items), np.ones(len(kinds))  # [r]: no right one is among the first r
    for rank in range(1, items):
        left = items - rank + 1
        each = each * np.maximum(left - kinds, 0) / left
        beyond[rank] = each @ counts / len(positives)
    return Direction(
        len(positives),
        _three(seen),
        _three(seen * positives.mean() / AT) if precision else None,
        float(1 + np.argmax(1 - np.append(beyond[1:], 0) >= 0.5 - 1e-9)),
        float(((items + 1) / (positives + 1)).mean()),
    )


@dataclass(frozen=True)
class Ranks:
    """What every query of one direction found: counted once, pooled as often as one likes."""

    hits: Int[np.ndarray, "queries 3"]  # right ones among the first 1, 5, 10
    right: Int[np.ndarray, " queries"]  # right ones that there are
    first: Float[np.ndarray, " queries"]  # the rank of the first right one
    precise: bool  # whether P@k says more than R@k

    def pool(self, weights: Int[np.ndarray, "draws queries"]) -> Float[np.ndarray, "draws 8"]:
        """R@1, 5, 10, P@1, 5, 10, median and mean rank, with every query taken as often as its weight says."""
        count, hits = weights.sum(axis=1, keepdims=True), weights @ self.hits
        order = np.argsort(self.first)
        upto = np.cumsum(weights[:, order], axis=1)
        low, high = (self.first[order[np.argmax(upto > k, axis=1)]] for k in ((count - 1) // 2, count // 2))
        recall, mean = hits / (weights @ self.right)[:, None], weights @ self.first / count[:, 0]
        return np.column_stack((recall, hits / (count * AT), (low + high) / 2, mean))

    def named(self, row: Float[np.ndarray, "8"]) -> Direction:
        """A row of `pool`, or anything of every column of it."""
        precision = _three(row[3:6]) if self.precise else None
        return Direction(len(self.right), _three(row[:3]), precision, float(row[6]), float(row[7]))


def count_retrieval(
    scores: Float[np.ndarray, "texts signs"], texts: Sequence[str], signs: Sequence[str]
) -> tuple[Ranks, Ranks]:
    """What texts find among the signs, text by text, and signs among the texts, sign by sign.

    Raises:
        InputError: As `evaluate_retrieval`.
    """
    if scores.shape != (len(texts), len(signs)) or not scores.size:
        raise InputError(f"{len(texts)} texts and {len(signs)} signs need as many scores, and there are {scores.shape}")
    if not np.isfinite(scores).all():
        raise InputError("the scores hold numbers that are not finite; compute them again")
    row: dict[str, int] = {}
    for number, text in enumerate(texts):
        row.setdefault(text, number)
    if unknown := [sign for sign in signs if sign not in row]:
        raise InputError(f"{len(unknown)} signs say what no text says, such as {unknown[0]!r}: add it to the texts")
    scores = scores[list(row.values())]
    own = {text: number for number, text in enumerate(row)}
    right = np.arange(len(row))[:, None] == np.array([own[sign] for sign in signs])
    asked = right.any(axis=1)  # a text without signs has nothing to find, yet stands in the way of others
    return _rank(scores[asked], right[asked], precise=True), _rank(scores.T, right.T, precise=False)


def _rank(
    scores: Float[np.ndarray, "queries items"], right: Bool[np.ndarray, "queries items"], *, precise: bool
) -> Ranks:
    """Of equal scores, right ones come last."""
    order: Int[np.ndarray, "queries items"] = np.lexsort((right, -scores), axis=1)
    sorted_right = np.take_along_axis(right, order, axis=1)
    hits = np.stack([sorted_right[:, :k].sum(axis=1) for k in AT], axis=1)
    return Ranks(hits, right.sum(axis=1), 1.0 + sorted_right.argmax(axis=1), precise)


def _three(values: Sequence[float] | np.ndarray) -> tuple[float, float, float]:
    one, five, ten = (float(value) for value in values)
    return one, five, ten


# As CSLR2 counts ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SentenceScores:
    """Retrieval of sentences in one direction, by ranks that count from 0 and may be halves. Shares are percent."""

    queries: int
    recall: tuple[float, float, float, float]  # at 1: rank 0 exactly; at 5, 10, 50: ranks below
    median_rank: float  # counted from 1
    mean_rank: float

    @property
    def geometric_mean(self) -> float:
        """Of recall at 1, 5 and 10."""
        return float(np.prod(self.recall[:3]) ** (1 / 3))


def evaluate_sentences(scores: Float[np.ndarray, "texts videos"]) -> tuple[SentenceScores, SentenceScores]:
    """How well sentences find their videos, and videos their sentences, as CSLR2 counts.

    Args:
        scores: Higher is better. The first rows are sentences of video 0, the next, as many, of video 1.
    Raises:
        InputError: As `rank_sentences`.
    Source: CSLR2 (arXiv:2405.10266), the authors' code @ 5f3bd69. Not comparable with `evaluate_retrieval`: R@1 there
        may be reached within ties, and a text that comes twice counts once.
    """
    by_text, by_video = rank_sentences(scores)
    return score_ranks(by_text), score_ranks(by_video)


def rank_sentences(
    scores: Float[np.ndarray, "texts videos"],
) -> tuple[Float[np.ndarray, " texts"], Float[np.ndarray, " videos"]]:
    """The rank of its video for every text, and of the best of its texts for every video; of equals, their mean place.

    Raises:
        InputError: Texts are not as many for every video, or a score is not finite.
    """
    texts, videos = scores.shape
    if not videos or texts % videos or not texts:
        raise InputError(f"{texts} texts do not go round {videos} videos: every video has as many")
    if not np.isfinite(scores).all():
        raise InputError("the scores hold numbers that are not finite; compute them again")
    own = np.arange(texts) // (texts // videos)
    right = scores[np.arange(texts), own]
    by_text = _mean_places(scores, right[:, None])
    columns = _mean_places(scores.T[own], right[:, None])
    return by_text, columns.reshape(videos, -1).min(axis=1)


def _mean_places(
    scores: Float[np.ndarray, "queries items"], right: Float[np.ndarray, "queries 1"]
) -> Float[np.ndarray, " queries"]:
    """How many stand before what is right, and half of those beside it."""
    found: Float[np.ndarray, " queries"] = (scores > right).sum(axis=1) + ((scores == right).sum(axis=1) - 1) / 2
    return found


def score_ranks(ranks: Float[np.ndarray, " queries"]) -> SentenceScores:
    """The scores of ranks that count from 0."""
    one, five, ten, fifty = (
        100 * float(np.sum(found)) / len(ranks) for found in (ranks == 0, ranks < 5, ranks < 10, ranks < 50)
    )
    return SentenceScores(len(ranks), (one, five, ten, fifty), float(np.median(ranks)) + 1, float(np.mean(ranks)) + 1)
