"""A text or a sign -> the nearest of many. Exact, in memory.

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


def search(query: Embeddings, among: Embeddings, *, best: int = 10) -> tuple[tuple[Hit, ...], ...]:
    """The `best` rows for every query, best first; of equal ones the earlier.

    Raises:
        InputError: As `compare`: the two are in different spaces; or a score is not finite.
    """
    found = [(np.empty(0, int), np.empty(0))] * len(query.vectors)
    for first in range(0, max(1, len(among.vectors)), ROWS):
        part = compare(query, Embeddings(among.vectors[first : first + ROWS], among.space))
        if not np.isfinite(part).all():
            raise InputError("there are vectors that hold numbers which are not finite: embed again")
        for number, (row, (rows, scores)) in enumerate(zip(part, found, strict=True)):
            near = _nearest(row, best)
            rows, scores = np.concatenate((rows, near + first)), np.concatenate((scores, row[near]))
            kept = np.lexsort((rows, -scores))[:best]
            found[number] = rows[kept], scores[kept]
    return tuple(
        tuple(Hit(row, score) for row, score in zip(rows.tolist(), scores.tolist(), strict=True))
        for rows, scores in found
    )


def _nearest(scores: Float[np.ndarray, " items"], best: int) -> Int[np.ndarray, "_"]:
    """Those that nothing but `best - 1` others can stand before, in order; a few more where scores are equal."""
    if len(scores) <= best:
        return np.arange(len(scores))
    least = np.partition(scores, len(scores) - best)[len(scores) - best]
    return np.flatnonzero(scores >= least)
