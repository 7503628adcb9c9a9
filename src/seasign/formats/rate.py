"""Frame rates as files round them, and the fractions they mean."""

from fractions import Fraction

import numpy as np

NTSC = Fraction(1000, 1001)  # 23.976, 29.97 and 59.94 are whole numbers times this
NEAR = 4e-6  # relative: 29.97 for 30000/1001 is off by 1e-6, two neighbouring rates differ by 1e-3


def exact_rate(fps: float | Fraction) -> Fraction:
    """The rate that was meant by a rounded one: whole, NTSC, or the simplest fraction with the same float32.

    >>> exact_rate(25.0), exact_rate(29.97), exact_rate(29.916666)
    (Fraction(25, 1), Fraction(30000, 1001), Fraction(359, 12))

    Raises:
        ValueError: `fps` is not a positive number.
    """
    if not 0 < fps < float("inf"):
        raise ValueError(f"a frame rate of {fps}")
    value = Fraction(fps)
    for meant in (Fraction(round(value)), round(value / NTSC) * NTSC):
        if abs(value - meant) < NEAR * value:
            return meant
    largest = 1
    while np.float32(simplest := value.limit_denominator(largest)) != np.float32(fps):
        largest += 1
    return simplest
