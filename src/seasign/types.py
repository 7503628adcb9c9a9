"""The nouns: what every stage takes and returns. All are frozen, and none checks itself: readers do.

Inside `seasign` there are only seconds, counted from the first frame; spans are half-open. Milliseconds live in
`formats`, frames in `Poses`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Float32


class InputError(ValueError):
    """Input that cannot be used. One line: where, what was found, what to do."""


class TierError(InputError):
    """A file has no tier of the name that is asked for; whoever asked knows how another is chosen."""


class InputWarning(UserWarning):
    """Input that is odd but usable. One line: where, what was found, what was done about it."""


@dataclass(frozen=True)
class Span:
    """A stretch of time [start, end), in seconds. It may be reversed or negative after a shift."""

    start: float
    end: float

    @property
    def duration(self) -> float:
        """Seconds; negative when the span is reversed."""
        return self.end - self.start

    @property
    def middle(self) -> float:
        """Seconds."""
        return (self.start + self.end) / 2


@dataclass(frozen=True)
class Cue(Span):
    """One subtitle: when, and everything else as it came in."""

    text: str
    id: str | None = None
    settings: str | None = None


@dataclass(frozen=True)
class Sign(Span):
    """One sign as produced; without a gloss until someone names it."""

    gloss: str | None = None
    score: float | None = None


@dataclass(frozen=True)
class Document:
    """A subtitle file as it came in, cut at its times, so that the way out can change those alone.

    `between[0] + stamps[0] + between[1] + ... + stamps[-1] + between[-1]`, encoded, is the file, byte for byte.
    """

    suffix: str  # the format: ".vtt", ".srt", ".ttml"
    encoding: str  # the codec that decoded the file and encodes it again; "utf-8-sig" carries a byte order mark
    between: tuple[str, ...]  # one more than the stamps
    stamps: tuple[str, ...]  # as written: the start and the end of every cue, in the order of the file


@dataclass(frozen=True)
class Subtitles:
    """The cues of one file, and the document they stand in (None: made here, not read)."""

    cues: tuple[Cue, ...]
    document: Document | None = None


@dataclass(frozen=True)
class Poses:
    """One signer's landmarks at a constant frame rate."""

    xyz: Float32[np.ndarray, "frames landmarks 3"]  # pixels; NaN where a landmark was not seen
    confidence: Float32[np.ndarray, "frames landmarks"]  # 0 .. 1
    fps: Fraction  # exact: 23.976 is Fraction(24000, 1001)
    landmarks: tuple[str, ...]  # "COMPONENT.POINT", e.g. "POSE_LANDMARKS.LEFT_WRIST", "LEFT_HAND_LANDMARKS.WRIST"
    provenance: Mapping[str, object] | None = None  # what made them: estimator, version, settings, video

    @property
    def duration(self) -> float:
        """Seconds."""
        return float(len(self.xyz) / self.fps)


@dataclass(frozen=True)
class Tags:
    """What a segmenter says of every frame: the probabilities of B (a sign begins), I (it goes on) and O (none)."""

    signs: Float[np.ndarray, "frames 3"]  # B, I, O in that order; rows sum to 1
    phrases: Float[np.ndarray, "frames 3"] | None  # the same of phrases; None: the segmenter does not say
    fps: Fraction  # of the tags, from the first frame of the poses on; a network may have a rate of its own


@dataclass(frozen=True)
class Embeddings:
    """Vectors of texts or signs, one a row, and the space they live in; two spaces do not compare."""

    vectors: Float[np.ndarray, "items dimensions"]
    space: str
    provenance: Mapping[str, object] | None = None  # what made them


@dataclass(frozen=True)
class WindowFeatures:
    """What a network makes of windows of frames, a row each, at an even pace."""

    vectors: Float[np.ndarray, "windows dimensions"]
    fps: Fraction  # of the video
    source: str  # what made them: a network takes those that it was trained on
    stride: int = 2  # frames from a window to the next
    first: int = 7  # the frame at the centre of the first window; those of 16 frames begin with frame 0
    provenance: Mapping[str, object] | None = None

    @property
    def times(self) -> Float[np.ndarray, " windows"]:
        """The centres of the windows, in seconds."""
        return (self.first + self.stride * np.arange(len(self.vectors))) / float(self.fps)


Rows = Literal["evidence", "softmax", "z-score", "sinkhorn", None]


@dataclass(frozen=True)
class Normalization:
    """How raw similarities become rewards."""

    rows: Rows = "evidence"  # None: leave the rows as they are
    columns: bool = False  # first a softmax over the cues nearest to each sign
    threshold: float = 0.0  # rewards up to this become 0; evidence has none


@dataclass(frozen=True)
class Costs:
    """What an alignment pays for. Seconds are the unit: a weight of 5 makes one second cost 5."""

    w_dur: float = 1.0  # per second by which a cue's run is longer or shorter than the cue
    w_gap: float = 5.0  # per second without a sign inside a run
    w_sim: float = 10.0  # reward per unit of normalized similarity
    max_gap: float = 10.0  # seconds: no run has a longer pause in it
    window: int | None = 50  # how many signs nearest to a cue it may end on; None: all
    drop: float | None = 6.0  # per cue that gets no sign; None: every cue gets one
    skip: float | None = 12.0  # per second of signs left between two runs; None: runs leave no holes
    hole: float | None = 8.0  # opens a hole between two runs, in which a second costs skip / 6; None: no such discount
    temperature: float = 0.4  # alignments weigh exp(-cost / temperature); 0: only the best counts
    compat: Literal["sea"] | None = None  # "sea": the published arithmetic, slips included; nothing dropped or skipped


@dataclass(frozen=True)
class Calibration:
    """What turns evidence into probabilities and intervals."""

    weights: tuple[float, ...]  # of a logistic regression: of 1, then of the features of `confidence`
    margin: tuple[float, float]  # seconds by which the interval of the start, of the end reaches beyond its quantiles
    provenance: Mapping[str, object] | None = None  # what it was fitted on, and how good it was elsewhere


@dataclass(frozen=True)
class Preset:
    """Settings that belong together. Seconds for the starts and for the ends of the cues."""

    costs: Costs = Costs()
    lag: tuple[float, float] | Literal["auto"] = "auto"
    padding: tuple[float, float] = (0.0, 0.0)
    calibration: Calibration | None = None  # None: as it comes
    provenance: Mapping[str, object] | None = None  # how it was found


@dataclass(frozen=True)
class Example:
    """An episode whose truth is known: to tune and to calibrate on."""

    signs: tuple[Sign, ...]
    cues: tuple[Cue, ...]  # as delivered
    reference: tuple[Cue, ...]  # the same cues on their signing; those that nobody signs in [brackets]
    similarity: Float[np.ndarray, "cues signs"] | None = None  # higher is better


@dataclass(frozen=True)
class Stretch:
    """A stretch of cues with one lag, in seconds."""

    first: int  # cues first .. last, in order of time
    last: int
    start: float  # of the starts
    end: float  # of the ends
    low: float  # 90 % of what the lag of the starts may be
    high: float


@dataclass(frozen=True)
class Lag:
    """By how much the signing comes after the cues."""

    stretches: tuple[Stretch, ...]  # in order of time; of all cues
    clarity: float  # by how many standard errors the best lag stands above every other that is not near

    def __str__(self) -> str:
        if len(self.stretches) == 1:
            (part,) = self.stretches
            return f"{part.start:+z.2f} s at the starts, {part.end:+z.2f} s at the ends"
        counts = [part.last - part.first + 1 for part in self.stretches]
        words = [
            f"{count} cue{'s' * (count != 1)} {part.start:+z.2f} s"
            for count, part in zip(counts, self.stretches, strict=True)
        ]
        return ", then ".join(words)


@dataclass(frozen=True)
class Alternative(Span):
    """Where else a cue may be signed."""

    probability: float


@dataclass(frozen=True)
class Confidence:
    """How sure the aligner is of one cue."""

    probability: float  # that the cue lands on its signing: IoU of at least .5 with the truth
    signed: float  # that the cue is signed at all
    start: tuple[float, float]  # seconds: 90 % of the times that the start may have
    end: tuple[float, float]
    margin: float  # by how much the best alternative, at least half a second away, costs more; NaN: there is no run
    alternatives: tuple[Alternative, ...] = ()  # half a second away or more, likeliest first
    evidence: tuple[float, ...] = ()  # what the probability is made of, before calibration; none of a pin


@dataclass(frozen=True)
class Terms:
    """What a cue adds to the cost of an alignment."""

    start: float  # seconds from its start to that of its run
    end: float
    duration: float  # the difference in length, at its price
    gap: float  # pauses inside the run, at their price; below 0 where they are shorter than pauses usually are
    similarity: float  # below 0: a reward
    drop: float  # the price, if it was dropped
    skip: float  # signs left between the run before and this one, at their price


@dataclass(frozen=True)
class Alignment:
    """Cues moved onto signing: as many as came in and in the same order, times unrounded."""

    cues: tuple[Cue, ...]
    runs: tuple[tuple[Sign, ...], ...]  # runs[i]: the signs of cue i; empty when it was dropped
    boundaries: tuple[int, ...]  # in order of time: cue i took signs from b[i] on; the last is the end of the last run
    cost: float  # of these runs: the least there is, unless doubtful cues were dropped on top
    confidence: tuple[Confidence, ...] | None = None  # one per cue
    lag: Lag | None = None  # as it was estimated, if it was
    shifts: tuple[tuple[float, float], ...] | None = None  # the lag of each cue's start and end, added first
    terms: tuple[Terms, ...] | None = None  # of each cue; they add up to the cost
    pins: Mapping[int, tuple[float, float]] = field(default_factory=dict)  # cues whose times were given


def plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as JSON has them: None for NaN."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return plain_values(value)
        if isinstance(value, list | tuple):
            return [plain(inner) for inner in value]
        return None if value != value else value

    return {key: plain(value) for key, value in values.items()}
