"""Items of any lengths, run together with little padding between them; no torch."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Float32

PACKED = 4096  # frames, or tokens, that run at once


def in_batches(
    run: Callable[[np.ndarray, np.ndarray], np.ndarray], items: Sequence[np.ndarray]
) -> Float32[np.ndarray, "items hidden"]:
    """What `run` makes of items of any lengths, in their order: items of about one length run together."""
    found: np.ndarray | None = None
    for some in packed([len(item) for item in items]):
        padded = np.zeros((len(some), len(items[some[0]]), *items[some[0]].shape[1:]), items[some[0]].dtype)
        there = np.zeros(padded.shape[:2], bool)
        for row, i in enumerate(some):
            padded[row, : len(items[i])], there[row, : len(items[i])] = items[i], True
        vectors = run(padded, there)
        found = np.empty((len(items), vectors.shape[1]), np.float32) if found is None else found
        found[some] = vectors
    return np.empty((0, 0), np.float32) if found is None else found


def packed(lengths: Sequence[int], most: int = PACKED) -> Iterator[list[int]]:
    """Batches of indices, the longest item of each first: padded, a batch holds at most `most` steps, or one item.

    Items of a batch differ in length by a tenth, or by two steps.
    """
    batch: list[int] = []
    for i in np.argsort(lengths, kind="stable")[::-1].tolist():
        longest = lengths[batch[0]] if batch else 0
        if batch and (longest * (len(batch) + 1) > most or longest - lengths[i] > max(2, longest // 10)):
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
