"""Tags -> spans of signs: how the probabilities that a segmenter gives every frame are read.

How they are read is half of a segmenter: with one network, thresholds of .3 and of .6 agree in half of the signs.
Columns of tags are B (a sign begins), I (it goes on) and O (none). Every decoder takes any frame rate and any length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor
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


@dataclass(frozen=True)
class SemiMarkov:
    """Weigh how frames look against how fast people sign, and find the best signs exactly.

    Time is divided into units and rests. A unit lasts from the start of a sign to the next start or rest: B, then I
    while the sign lasts, then O until the unit ends. Maximized is the sum of `weight` * ln(P(tag) / shares(tag)) over
    the frames, less (ln(d / m))^2 / (2 s^2) for every unit of d seconds. Rests may last. At other rates than 25 frames
    a second, frames of I and O count by how long they are.

    The prior is of intervals between starts, and not of signs. People who annotate agree in the first: medians of .35,
    .37 and .33 s in the DGS Corpus, BOSTON-104 and NCSLGR, standard deviation of the logarithm .56, .41 and .63. They
    do not agree in where a sign ends: signs there have medians of .16, .33 and .17 s.

    A probability over the share of its tag is a likelihood. The loss of the 2023 networks weighs tags by the inverse
    of their shares, so they say likelihoods as they are; dividing by those weights, too, would read a sign a second
    and less. `weight` and `s` were chosen on BOSTON-104, where what is best for one signer gives the other half a point
    of mF1S more than they do (docs/segmentation.md).

    Source: our own; a hidden Markov model with explicit durations (Levinson 1986).
    """

    m: float = 0.38  # seconds: the most likely interval
    s: float = 0.55  # spread of its logarithm
    longest: float = 3.0  # seconds: no interval is longer
    weight: float = 0.3  # of a frame, less than 1 since neighbours say much the same; 0: the prior alone
    shares: tuple[float, float, float] = (1.0, 1.0, 1.0)  # of B, I and O, where the network was trained; any scale

    def __post_init__(self) -> None:
        if not (min(self.m, self.s, self.longest, *self.shares) > 0 and self.weight >= 0):
            raise InputError(f"{self}: give m, s, longest and shares above 0, and a weight that is not below")

    def decode(self, tags: Float[np.ndarray, "frames 3"], fps: Fraction) -> Decoded:
        """Find the best signs. Time is frames x frames of the longest interval, memory the frames."""
        likelihood = self.weight * np.log(np.maximum(tags, 1e-9) / self.shares)
        begin, inside, outside = (likelihood * (1, float(25 / fps), float(25 / fps))).T
        prior = pace(max(1, floor(self.longest * fps)), fps, self.m, self.s)
        found = units(begin, inside, outside, outside, prior)
        return Decoded(_spans([(start, end - 1) for start, end, _ in found], len(tags), fps, None))


def pace(longest: int, fps: Fraction, m: float, s: float) -> Float[np.ndarray, "lengths"]:
    """How well lengths of 1 .. `longest` frames agree with signs of `m` seconds: -(ln(d / m))^2 / (2 s^2)."""
    seconds = np.arange(1, longest + 1) / float(fps)
    return -(np.log(seconds / m) ** 2) / (2 * s**2)


def units(
    begin: Float[np.ndarray, "frames"],
    inside: Float[np.ndarray, "frames"],
    after: Float[np.ndarray, "frames"],
    rest: Float[np.ndarray, "frames"],
    prior: Float[np.ndarray, "lengths"],
) -> list[tuple[int, int, int]]:
    """Divide frames into units and rests with the greatest sum of scores, exactly.

    A unit has a first frame (scored by `begin`), perhaps frames `inside` and then perhaps frames `after`, and its
    length has a score too: `prior[k]` for k + 1 frames, -inf where it may not be. All other frames `rest`.

    Returns:
        Of every unit the first frame, and those at which its inside and the unit itself have ended.
    """
    frames, longest = len(begin), len(prior)
    before = np.cumsum(np.append(0.0, inside)), np.cumsum(np.append(0.0, after))  # sums over the frames before
    switch = before[0] - before[1]  # what it is worth that the inside ends at a frame, and not at the first
    backwards = prior[::-1].copy()
    best = np.empty(frames + 1)  # of all that ends at a frame
    back = np.empty(frames + 1, dtype=int)  # where the last unit starts; -1: a rest
    best[0] = 0.0
    opened = np.full(longest + frames, -np.inf)  # of units that start at a frame, `longest` frames of margin in front
    inner = np.full(longest + frames, -np.inf)  # their best switch so far
    for end in range(1, frames + 1):
        opened[longest + end - 1] = best[end - 1] + begin[end - 1] - before[0][end]
        starts = slice(end, longest + end)
        np.maximum(inner[starts], switch[end], out=inner[starts])
        score = opened[starts] + inner[starts] + backwards
        start = int(score.argmax())
        unit = score[start] + before[1][end]
        rested = best[end - 1] + rest[end - 1]
        best[end], back[end] = (unit, end - longest + start) if unit >= rested else (rested, -1)
    found = []
    end = frames
    while end > 0:
        start = int(back[end])
        if start >= 0:
            found.append((start, start + 1 + int(switch[start + 1 : end + 1].argmax()), end))
        end = start if start >= 0 else end - 1
    return found[::-1]


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
