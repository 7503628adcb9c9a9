"""A text or a sign -> the nearest of many. Exact, in memory.

Every score is the dot product of two vectors in one space. Nothing is assumed of their lengths.
"""

from dataclasses import dataclass

import numpy as np

from seasign.embedding import compare
from seasign.types import Embeddings

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
