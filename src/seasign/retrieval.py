"""A text or a sign -> the nearest of many. Exact, in memory or in a file that is mapped there.

Every score is the dot product of two vectors in one space. Nothing is assumed of their lengths.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from seasign.embedding import compare
from seasign.types import Embeddings, InputError

ROWS = 65_536  # vectors that are compared at once


@dataclass(frozen=True)
class Hit:
    """One of many, found for a query."""

    row: int  # which of the embeddings
    score: float


def search(
    query: Embeddings, among: Embeddings, *, best: int = 10, rows: Int[np.ndarray, " _"] | None = None
) -> tuple[tuple[Hit, ...], ...]:
    """The `best` rows for every query, best first; of equal ones the earlier.

    Args:
        rows: Those that are looked at, ascending; None: all.
    Raises:
        InputError: As `compare`: the two are in different spaces; or a score is not finite.
    """
    found = [(np.empty(0, int), np.empty(0))] * len(query.vectors)
    count = len(among.vectors) if rows is None else len(rows)
    for first in range(0, max(1, count), ROWS):
        block = slice(first, first + ROWS)
        some = among.vectors[block if rows is None else rows[block]]
        part = compare(query, Embeddings(some, among.space))
        if not np.isfinite(part).all():
            raise InputError("there are vectors that hold numbers which are not finite: embed again")
        for number, (row, (places, scores)) in enumerate(zip(part, found, strict=True)):
            near = _nearest(row, best)
            own = near + first if rows is None else rows[block][near]
            places, scores = np.concatenate((places, own)), np.concatenate((scores, row[near]))
            kept = np.lexsort((places, -scores))[:best]
            found[number] = places[kept], scores[kept]
    return tuple(
        tuple(Hit(row, score) for row, score in zip(places.tolist(), scores.tolist(), strict=True))
        for places, scores in found
    )


def _nearest(scores: Float[np.ndarray, " items"], best: int) -> Int[np.ndarray, "_"]:
    """Those that nothing but `best - 1` others can stand before, in order; a few more where scores are equal."""
    if len(scores) <= best:
        return np.arange(len(scores))
    least = np.partition(scores, len(scores) - best)[len(scores) - best]
    return np.flatnonzero(scores >= least)
