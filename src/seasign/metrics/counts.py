"""What is counted everywhere: how many were found, in percent, and which ranges meet."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int


@dataclass(frozen=True)
class Found:
    """How many of a reference were found, one to one; found in many episodes, they add up. Scores are percent.

    A score of nothing at all is NaN.
    """

    hits: int = 0
    reference: int = 0
    estimate: int = 0

    def __add__(self, other: "Found") -> "Found":
        return Found(self.hits + other.hits, self.reference + other.reference, self.estimate + other.estimate)

    @property
    def precision(self) -> float:
        """Share of the estimate that is in the reference."""
        return percent(self.hits, self.estimate)

    @property
    def recall(self) -> float:
        """Share of the reference that was found."""
        return percent(self.hits, self.reference)

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        return percent(2 * self.hits, self.reference + self.estimate)


def percent(part: int, whole: int) -> float:
    """NaN of nothing."""
    return 100 * part / whole if whole else math.nan


def pair_ranges(
    first: Int[np.ndarray, "rows"], stop: Int[np.ndarray, "rows"]
) -> tuple[Int[np.ndarray, "pairs"], Int[np.ndarray, "pairs"]]:
    """Each row with every column of its range."""
    size = np.maximum(stop - first, 0)
    rows = np.repeat(np.arange(len(size)), size)
    return rows, np.arange(len(rows)) - (np.cumsum(size) - size - first)[rows]
