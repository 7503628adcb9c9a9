"""Tags -> spans of signs: how the probabilities that a segmenter gives every frame are read.

How they are read is half of a segmenter: with one network, thresholds of .3 and of .6 agree in half of the signs.
Columns of tags are B (a sign begins), I (it goes on) and O (none). Every decoder takes any frame rate and any length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from seasign.types import InputError, Span

B, I, O = range(3)  # noqa: E741 - the tags' own names; the columns of all tags


@dataclass(frozen=True)
class Decoded:
    """What a decoder read: signs in order of time, and whether it had to read them in another way than it should."""

    spans: tuple[Span, ...]
    fallback: bool = False  # no frame looked enough like a start, so runs of likely I were taken for signs


@runtime_checkable
class Decoder(Protocol):
    """Anything that reads tags."""

    def decode(self, tags: Float[np.ndarray, "frames 3"], fps: Fraction) -> Decoded:
        """Read the probabilities of B, I and O, whose rows sum to 1."""


@dataclass(frozen=True)
class Argmax:
    """Take the likeliest tag of every frame.

    A sign starts where a run of B starts, or an I that follows an O, and lasts until the next O or start.

    Source: with `split=False` and `shortest=3`, the segments of sign-language-processing/segmentation @ 22ca3a6 (2026).
        Differs: times are half-open, where the published ones end a frame early.
    """

    split: bool = True  # False: a B inside does not start another sign, so signs are runs of anything but O
    shortest: int = 0  # frames; a shorter sign is left out, after bridging
    bridge: int = 0  # frames; a rest of up to so many between two signs is read as I

    def decode(self, tags: Float[np.ndarray, "frames 3"], fps: Fraction) -> Decoded:
        """Read the likeliest tags."""
        label = tags.argmax(axis=1)
        rests = np.flatnonzero(np.diff(np.concatenate([[0], label == O, [0]]))).reshape(-1, 2)
        for first, stop in rests[(rests[:, 0] > 0) & (rests[:, 1] < len(label))].tolist():
            if stop - first <= self.bridge:
                label[first:stop] = I
        before = np.concatenate([[O], label[:-1]])
        begins = (label == B) & (before != B) | (label == I) & (before == O) if self.split else before == O
        starts = np.flatnonzero(begins & (label != O))
        stops = np.append(np.flatnonzero(label == O), len(label))
        ends = np.minimum(np.append(starts[1:], len(label)), stops[np.searchsorted(stops, starts)])
        long = ends - starts >= self.shortest
        return Decoded(_spans(np.column_stack([starts, ends - 1])[long].tolist(), len(label), fps, None))


Compat = Literal["published"]


@dataclass(frozen=True)
class Threshold:
    """A sign starts where B is likelier than `begin`, and ends where B falls and rises again or O exceeds `outside`.

    Exactly: B must first fall below `begin`; from the next frame on the sign ends where B rises above it, which starts
    the next sign unless O is above `outside`, or where O is. Probabilities count in whole percent (halves to even),
    and one that equals a threshold is neither above nor below. If no frame reaches `begin`, signs are the stretches
    that start with I above and go on with I at least at 50 %, and `Decoded.fallback` says so.

    Source: the 2023 tool of Moryossef et al. (EMNLP Findings 2023), sign-language-processing/segmentation @ 5abf908:
        .6 and .5 for signs, .9 and .9 for phrases; SEA (arXiv:2512.08094) takes .3 and .5. Differs: times are
        half-open. The published ones are in whole milliseconds, rounded down, and end a frame early, all but that of a
        sign that is still open at the end; so one of a single frame lasts 0 s. `compat="published"` gives those.
    """

    begin: float = 0.3
    outside: float = 0.5
    compat: Compat | None = None

    def __post_init__(self) -> None:
        if not (0 <= self.begin <= 1 and 0 <= self.outside <= 1):
            raise InputError(f"thresholds of {self.begin} and {self.outside}: give probabilities between 0 and 1")

    def decode(self, tags: Float[np.ndarray, "frames 3"], fps: Fraction) -> Decoded:
        """Scan the frames with two thresholds."""
        percent = np.rint(100 * tags)
        begin = np.full(len(tags), round(100 * self.begin, 9))
        outside = np.full(len(tags), round(100 * self.outside, 9))
        return _scan(percent, begin, outside, bool((percent[:, B] >= begin).any()), fps, self.compat)


@dataclass(frozen=True)
class Likeliest:
    """As `Threshold`, with thresholds that follow the other tags: a tag is above when it is likelier than both others.

    B is held against the likelier of I and O, and O against that of B and I. The fallback is for tags whose B never
    reaches 50 %, although thresholds are lower in places.

    Source: "likeliest" of the 2023 tool, as `Threshold`. The 2026 tool gives another decoder that name: see `Argmax`.
    """

    compat: Compat | None = None

    def decode(self, tags: Float[np.ndarray, "frames 3"], fps: Fraction) -> Decoded:
        """Scan the frames with the likelier of the other tags as threshold."""
        percent = np.rint(100 * tags)
        begin = np.maximum(percent[:, I], percent[:, O])
        outside = np.maximum(percent[:, B], percent[:, I])
        return _scan(percent, begin, outside, bool((percent[:, B] >= 50).any()), fps, self.compat)


def _scan(
    percent: Float[np.ndarray, "frames 3"],
    begin: Float[np.ndarray, "frames"],
    outside: Float[np.ndarray, "frames"],
    begins: bool,
    fps: Fraction,
    compat: Compat | None,
) -> Decoded:
    """The published scan, in jumps from event to event; without a frame that `begins`, the published fallback."""
    frames = len(percent)
    ranges = []  # first and last frame; the last is one past the end for a sign that is still open there
    if not begins:
        high, low = _next(percent[:, I] > 50), _next(percent[:, I] < 50)
        start = high[0]
        while start < frames:
            end = low[start]
            ranges.append((start, end - 1))
            start = high[end]
        return Decoded(_spans(ranges, frames, fps, compat), fallback=True)
    over = percent[:, O] > outside
    high, low = _next(percent[:, B] > begin), _next(percent[:, B] < begin)
    close = _next((percent[:, B] > begin) | over)
    start = high[0]
    while start < frames:
        end = close[min(low[start] + 1, frames)]
        ranges.append((start, end - (end < frames)))
        start = end if end == frames or not over[end] else high[end + 1]
    return Decoded(_spans(ranges, frames, fps, compat))


def _next(where: Bool[np.ndarray, "frames"]) -> list[int]:
    """From every frame on, and from behind the last: the first frame where it holds, or the number of frames."""
    at = np.append(np.where(where, np.arange(len(where)), len(where)), len(where))
    return np.minimum.accumulate(at[::-1])[::-1].tolist()  # type: ignore[no-any-return]


def _spans(ranges: Sequence[Sequence[int]], frames: int, fps: Fraction, compat: Compat | None) -> tuple[Span, ...]:
    """Seconds of ranges whose last frame is included, or is one past all frames: then the range goes to their end."""
    if compat:
        return tuple(Span(start * 1000 // fps / 1000, end * 1000 // fps / 1000) for start, end in ranges)
    return tuple(Span(float(start / fps), float(min(end + 1, frames) / fps)) for start, end in ranges)
