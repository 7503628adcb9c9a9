"""Frame rates as files round them, and the fractions they mean."""

from fractions import Fraction

import numpy as np

NTSC = Fraction(1000, 1001)  # 23.976, 29.97 and 59.94 are whole numbers times this
SLOWEST, FASTEST = 1e-3, 1e6  # frames/s of any recording; what lies beyond is damage
SIMPLE = 10_000  # the largest denominator to try
NEAR = 4e-6  # relative: 29.97 for 30000/1001 is off by 1e-6, two neighbouring rates differ by 1e-3


def exact_rate(fps: float | Fraction) -> Fraction:
    """The rate that was meant by a rounded one: whole, NTSC, or the simplest fraction with the same float32.

    >>> exact_rate(25.0), exact_rate(29.97), exact_rate(29.916666)
    (Fraction(25, 1), Fraction(30000, 1001), Fraction(359, 12))

    Raises:
        ValueError: `fps` is not a number between SLOWEST and FASTEST.
    """
    if not SLOWEST <= fps <= FASTEST:
        raise ValueError(f"a frame rate of {fps}")
    value = Fraction(fps)
    for meant in (Fraction(round(value)), round(value / NTSC) * NTSC):
        if abs(value - meant) < NEAR * value:
            return meant
    simplest = (value.limit_denominator(largest) for largest in range(1, SIMPLE))
    return next((rate for rate in simplest if np.float32(rate) == np.float32(fps)), value)
