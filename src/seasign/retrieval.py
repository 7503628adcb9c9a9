"""A text or a sign -> the nearest of many, and how good that is. Exact, in memory.

Every score is the dot product of two vectors in one space. Nothing is assumed of their lengths.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from seasign.embedding import compare
from seasign.types import Embeddings, InputError

AT = (1, 5, 10)  # how many of the best are looked at
ROWS = 65_536  # vectors that are compared at once


@dataclass(frozen=True)
class Hit:
    """One of many, found for a query."""

    row: int  # which of the embeddings
    score: float


def search(query: Embeddings, among: Embeddings, *, best: int = 10) -> tuple[tuple[Hit, ...], ...]:
    """The `best` rows for every query, best first; of equal ones the earlier.

    Raises:
        InputError: As `compare`: the two are in different spaces.
    """
    count = min(best, len(among.vectors))
    rows = np.empty((len(query.vectors), 0), int)
    scores = np.empty((len(query.vectors), 0), np.float64)
    for first in range(0, max(1, len(among.vectors)), ROWS):
        part = compare(query, Embeddings(among.vectors[first : first + ROWS], among.space))
        rows = np.concatenate((rows, np.broadcast_to(np.arange(first, first + part.shape[1]), part.shape)), axis=1)
        scores = np.concatenate((scores, part), axis=1)
        kept = np.lexsort((rows, -scores), axis=1)[:, :count]
        rows, scores = np.take_along_axis(rows, kept, axis=1), np.take_along_axis(scores, kept, axis=1)
    return tuple(
        tuple(Hit(row, score) for row, score in zip(*pair, strict=True))
        for pair in zip(rows.tolist(), scores.tolist(), strict=True)
    )


@dataclass(frozen=True)
class Direction:
    """Retrieval in one direction. Shares are 0 .. 1, ranks count from 1; NaN without queries."""

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
    equal, what is right comes last.

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
    right = np.array([[text == sign for sign in signs] for text in row])
    asked = right.any(axis=1)  # a text without signs has nothing to find, yet stands in the way of others
    found, positives = _ranks(scores[asked], right[asked]), right[asked].sum(axis=1)
    hits = np.stack([(found <= k).sum(axis=1) for k in AT])
    first = found.min(axis=1)
    best = _ranks(scores.T, right.T).min(axis=1)
    return RetrievalScores(
        Direction(
            int(asked.sum()),
            _three(hits.sum(axis=1) / positives.sum()),
            _three(hits.mean(axis=1) / np.array(AT)),
            float(np.median(first)),
            float(first.mean()),
        ),
        Direction(
            len(signs), _three([(best <= k).mean() for k in AT]), None, float(np.median(best)), float(best.mean())
        ),
    )


def _ranks(
    scores: Float[np.ndarray, "queries items"], right: Bool[np.ndarray, "queries items"]
) -> Float[np.ndarray, "queries items"]:
    """The rank of everything that is right, from 1; infinite for what is wrong. Of equal scores, right ones last."""
    order: Int[np.ndarray, "queries items"] = np.lexsort((right, -scores), axis=1)
    rank = np.empty(scores.shape)
    np.put_along_axis(rank, order, np.arange(1.0, scores.shape[1] + 1)[None], axis=1)
    rank[~right] = np.inf
    return rank


def _three(values: Sequence[float] | np.ndarray) -> tuple[float, float, float]:
    one, five, ten = (float(value) for value in values)
    return one, five, ten
