"""Poses -> Signs: the segmenter protocol, and the default that needs no weights.

The default says where somebody signs (bouts) and cuts each bout into units of about the length of signs. The bouts
are reliable; the cuts are evenly paced more than they are seen, so they stand in for sign boundaries and do not
claim them. `gate` says what to look at before trusting them.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor
from typing import Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from seasign.decoding import Argmax, B, Decoder, I, O, pace, units
from seasign.types import InputError, InputWarning, Poses, Sign, Span, Tags

Timed = TypeVar("Timed", bound=Span)

SHORTEST = 0.25  # seconds: a clip of one sign is not cut to less, and what lasts less is hardly a sign
_UNSEEN = 0.4  # seconds: a shorter gap in a landmark's track is bridged by a straight line
_ELBOW = 0.8  # shoulder widths from shoulder down to elbow, where no elbow is seen: median of signing and resting arms


Purpose = Literal["annotation", "alignment", "phrases"]


@runtime_checkable
class Segmenter(Protocol):
    """Anything that tags frames: the default below, a BIO tagger, four lines in a test.

    One whose tags are not to be read by `Argmax` carries `decoders`, a mapping of `Purpose` to `Decoder`: the signs
    that people would annotate and those that subtitles are best aligned by are not the same.
    """

    def tag(self, poses: Poses) -> Tags:
        """Say of every frame whether a sign begins, goes on, or is not there."""


@dataclass(frozen=True)
class TrainingFree:
    """Bouts of signing from the height of the hands, cut at peaks of their speed under a prior of duration.

    Lengths are seconds, heights shoulder widths. Works on any layout that names shoulders and wrists, at any frame
    rate, deterministically.

    Source: our own; no published segmenter. `m` comes from human annotation (median onset interval .38 s in DGS
        sentences, .33 s in BOSTON-104, mean sign .41 s in the BSL Corpus).
    """

    m: float = 0.39  # most likely length of a sign
    s: float = 0.5  # spread of its logarithm
    w: float = 0.6  # weight of the evidence of a boundary, per standard deviation inside the bout
    shortest: float = 0.12  # no sign is shorter, unless its bout is
    longest: float = 3.0  # no sign is longer
    active: float = -0.1  # a bout is where a hand stays higher than this over its elbow ...
    raised: float = 0.1  # ... and somewhere reaches this
    bridge: float = 0.4  # a shorter rest does not end a bout
    least: float = 0.3  # a shorter bout is no signing
    trim: tuple[float, float] = (0.12, 0.08)  # raising and lowering the hands: taken off a bout's start and end
    one_per_bout: bool = False  # no cuts: for isolated signs, which the cuts would split into about four

    def tag(self, poses: Poses) -> Tags:
        """Tag every frame with certainty: B on the first frame of a unit, I on its others, O elsewhere.

        Raises:
            InputError: There are no frames, or no shoulders or no wrists in them.
        Warns:
            InputWarning: No elbow is named or seen; hands are then held against elbows assumed below the shoulders.
        """
        label = np.full(len(poses.xyz), O)
        spans = bouts(height(poses), poses.fps, self)
        seen = np.zeros(len(label)) if self.one_per_bout else evidence(movement(poses), poses.fps)
        for first, last in spans.tolist():
            label[first:last] = I
            starts = [0] if self.one_per_bout else cut(standardize(seen[first:last]), poses.fps, self)[:-1]
            label[first + np.asarray(starts)] = B
        return Tags(signs=np.eye(3)[label], phrases=None, fps=poses.fps)


TRAINING_FREE = TrainingFree()


def segment(
    poses: Poses,
    segmenter: Segmenter = TRAINING_FREE,
    *,
    purpose: Purpose = "annotation",
    decoder: Decoder | None = None,
) -> tuple[Sign, ...]:
    """Find the signs: tag every frame, and read the tags.

    Args:
        purpose: What the signs are for: the segmenter may have a decoder for each.
        decoder: Reads the tags; None takes the segmenter's own.
    Raises:
        InputError: The poses do not hold what the segmenter needs.
    Warns:
        InputWarning: The decoder had to read the tags in another way than it should.
    """
    return find_signs(segmenter.tag(poses), decoder or choose_decoder(segmenter, purpose))


def choose_decoder(segmenter: Segmenter, purpose: Purpose) -> Decoder:
    """What a segmenter's tags are read by: its own decoder for the purpose, or `Argmax`."""
    decoders: Mapping[Purpose, Decoder] = getattr(segmenter, "decoders", {})
    return decoders.get(purpose, Argmax())


def find_signs(tags: Tags, decoder: Decoder) -> tuple[Sign, ...]:
    """Read the signs from tags, in order of time.

    Warns:
        InputWarning: The decoder had to read them in another way than it should.
    """
    return tuple(Sign(span.start, span.end) for span in _read(tags.signs, tags.fps, decoder, "sign"))


def find_phrases(tags: Tags, signs: Sequence[Span], decoder: Decoder) -> tuple[Span, ...]:
    """Read the phrases from tags that say something of them; otherwise join the signs that touch.

    Warns:
        InputWarning: As `find_signs`.
    """
    return phrases(signs) if tags.phrases is None else _read(tags.phrases, tags.fps, decoder, "phrase")


def _read(tags: Float[np.ndarray, "frames 3"], fps: Fraction, decoder: Decoder, what: str) -> tuple[Span, ...]:
    decoded = decoder.decode(tags, fps)
    if decoded.fallback:
        message = f"no frame looks like the start of a {what}: stretches that look like its inside were taken instead"
        warnings.warn(message, InputWarning, stacklevel=3)
    return decoded.spans


def phrases(signs: Sequence[Span]) -> tuple[Span, ...]:
    """Join signs that touch or overlap: the bouts of signing, in order of time."""
    joined: list[Span] = []
    for sign in sorted(signs, key=lambda sign: sign.start):
        if joined and sign.start <= joined[-1].end:
            joined[-1] = Span(joined[-1].start, max(joined[-1].end, sign.end))
        else:
            joined.append(Span(sign.start, sign.end))
    return tuple(joined)


def merge(signs: Sequence[Sign], others: Sequence[Sign], *, min_iou: float | None = 0.2) -> tuple[Sign, ...]:
    """Let the signs of another source replace those they overlap; the result is in order of time.

    Each of the others comes in when it overlaps one sign that is still there with an IoU above `min_iou`, or in any
    case when that is None, and every sign that it overlaps goes. The others are not weighed against each other, and
    what was computed per sign (embeddings, similarities) no longer fits afterwards.

    Source: SEA (arXiv:2512.08094), merging of segments in the authors' code. Differs: linear in the signs.
    """
    signs = sorted(signs, key=lambda sign: (sign.start, sign.end))
    starts, ends = (np.array([getattr(sign, edge) for sign in signs], dtype=float) for edge in ("start", "end"))
    reach = np.maximum.accumulate(ends)
    there = np.ones(len(signs), dtype=bool)
    came = []
    for other in sorted(others, key=lambda sign: (sign.start, sign.end)):
        near = np.arange(np.searchsorted(reach, other.start, side="right"), np.searchsorted(starts, other.end))
        near = near[there[near] & (ends[near] > other.start)]
        shared = np.minimum(ends[near], other.end) - np.maximum(starts[near], other.start)
        if min_iou is None or (shared > min_iou * (ends[near] - starts[near] + other.duration - shared)).any():
            there[near] = False
            came.append(other)
    kept = [sign for sign, stays in zip(signs, there.tolist(), strict=True) if stays]
    return tuple(sorted(kept + came, key=lambda sign: (sign.start, sign.end)))


@dataclass(frozen=True)
class Gate:
    """What to look at before trusting signs that nobody checked. NaN where nothing was found to divide by."""

    signs: int
    bouts: int
    rate: float  # signs per second of signing; people sign 2 to 3
    video_rate: float  # signs per second of video
    signing: float  # share of the video that is signing, 0 .. 1; near 1: hands that rest high look like signing
    single: float  # share of the bouts that are one unit, 0 .. 1

    def __str__(self) -> str:
        signs, bouts = (
            f"{count} {word}{'s' * (count != 1)}" for count, word in ((self.signs, "sign"), (self.bouts, "bout"))
        )
        if not self.signs or self.video_rate != self.video_rate:  # NaN: nothing to divide by
            return f"{signs} in {bouts}"
        return (
            f"{signs} in {bouts}: {self.rate:.2f} per second of signing, {self.video_rate:.2f} per second of video; "
            f"{self.signing:.0%} of the video is signing, {self.single:.0%} of the bouts one sign"
        )


def gate(signs: Sequence[Span], poses: Poses) -> Gate:
    """Count signs and bouts of any segmenter, and the rates that show when it went wrong."""
    spans = phrases(signs)
    signing = sum(span.duration for span in spans)
    starts = np.sort([sign.start for sign in signs])
    first, stop = np.searchsorted(starts, np.array([(span.start, span.end) for span in spans]).reshape(-1, 2).T)
    single = int((stop - first == 1).sum())
    return Gate(
        signs=len(signs),
        bouts=len(spans),
        rate=len(signs) / signing if signing else float("nan"),
        video_rate=len(signs) / poses.duration if poses.duration else float("nan"),
        signing=signing / poses.duration if poses.duration else float("nan"),
        single=single / len(spans) if spans else float("nan"),
    )


# The pieces of the default -------------------------------------------------------------------------------------------


def height(poses: Poses) -> Float[np.ndarray, "frames"]:
    """How high the higher hand is over its elbow, in shoulder widths; NaN where no hand is seen.

    Positive is raised (y points down in pixels). A hand is the mean of the body's wrist, thumb, index and little
    finger, as far as they are named: the body's points are there also when no hand was detected. An elbow that is
    not seen is assumed straight below its shoulder.
    """
    width = _shoulder_width(poses)
    over, seen = [], False
    for side in _SIDES:
        elbow = _track(poses, side.elbow)[:, 1]
        seen = seen or not np.isnan(elbow).all()
        below = _track(poses, side.shoulder)[:, 1] + _ELBOW * width
        over.append((np.where(np.isnan(elbow), below, elbow) - _hand(poses, side)[:, 1]) / width)
    if not seen:
        warnings.warn(
            "no elbows in the poses: hands count as raised by their height against the shoulders",
            InputWarning,
            stacklevel=2,
        )
    return smooth(np.fmax(*over), poses.fps)


def bouts(
    height: Float[np.ndarray, "frames"], fps: Fraction, settings: TrainingFree = TRAINING_FREE
) -> Int[np.ndarray, "bouts 2"]:
    """Where somebody signs, as half-open ranges of frames in order of time; they neither overlap nor touch.

    Hands held up between sentences do not end a bout. Splitting where both are slow for 0.4 s finds such pauses on
    the synthetic signer, but cuts isolated signs and single sentences of real signers in two, at any threshold.
    """
    edges = np.diff(np.concatenate([[0], height > settings.active, [0]]))
    spans = np.column_stack([np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)])
    reached = [bool((height[first:last] >= settings.raised).any()) for first, last in spans]
    spans = spans[np.array(reached, dtype=bool)]
    short = np.flatnonzero(spans[1:, 0] - spans[:-1, 1] < float(settings.bridge * fps))
    spans = np.column_stack([np.delete(spans[:, 0], short + 1), np.delete(spans[:, 1], short)])
    spans = spans[spans[:, 1] - spans[:, 0] >= float(settings.least * fps)]
    trim = np.array([round(float(settings.trim[0] * fps)), -round(float(settings.trim[1] * fps))])
    spans = spans + np.where(spans == [0, len(height)], 0, trim)  # nobody is seen raising a hand in a first frame
    spans = spans[spans[:, 0] < spans[:, 1]]
    return spans


def find_sign(poses: Poses) -> Span:
    """Where in a clip its one sign is, in seconds from its first frame: the longest time that a hand is up.

    All of it where there is no elbow to tell by, or that is shorter than any sign: hands that stay low.

    Raises:
        InputError: There are no frames, or no shoulders or no wrists in them.
    """
    whole = Span(0.0, poses.duration)
    if not any("elbow" in name.lower() for name in poses.landmarks):
        return whole
    spans = bouts(height(poses), poses.fps).tolist()
    first, stop = max(spans, key=lambda span: span[1] - span[0], default=(0, 0))
    found = Span(float(first / poses.fps), float(stop / poses.fps))
    return found if found.duration >= SHORTEST else whole


def movement(poses: Poses) -> Float[np.ndarray, "2 frames"]:
    """How much each hand (left, right) moves: shoulder widths per second, plus a fifth of the change of its shape.

    NaN where the hand is not seen. Shape changes by the mean speed of the hand's landmarks against its wrist, in hand
    sizes per second; it counts nothing where a layout or a frame has no fingers.
    """
    width = _shoulder_width(poses)
    return np.stack(
        [speed(_hand(poses, side) / width, poses.fps) + 0.2 * _shape_change(poses, side) for side in _SIDES]
    )


def evidence(movement: Float[np.ndarray, "hands frames"], fps: Fraction) -> Float[np.ndarray, "frames"]:
    """How much every frame looks like the start of a sign; in the unit of `movement`, NaN where no hand is known.

    Signs start at peaks of speed, not at minima, and at once: one frame later, mF1S on BOSTON-104 falls from 62 to 59
    (published segmenters say B 0.12 s later). The hand that moves more in all speaks first; another says 0.7 of it.
    """
    total = np.nansum(movement, axis=1)
    return smooth(np.fmax.reduce(movement * np.where(total == total.max(), 1, 0.7)[:, None]), fps)


def standardize(evidence: Float[np.ndarray, "frames"]) -> Float[np.ndarray, "frames"]:
    """Count evidence in standard deviations from the mean of its bout, -2 .. 3; 0 where it is unknown."""
    known = evidence[~np.isnan(evidence)]
    spread = known.std() if len(known) else 0
    return np.zeros(len(evidence)) if not spread else np.nan_to_num(((evidence - known.mean()) / spread).clip(-2, 3))


def cut(
    z: Float[np.ndarray, "frames"], fps: Fraction, settings: TrainingFree = TRAINING_FREE
) -> Int[np.ndarray, "edges"]:
    """Cut a span of frames into units, exactly: the edges, from 0 to the number of frames.

    Maximizes the sum of w * z at every inner edge, less (ln(d / m))^2 / (2 s^2) for every unit of d seconds. A unit
    is at least two frames long, so that a tag can start it and another carry it on; a span too short for two units
    is one. Time is frames x lengths a unit may have; memory is the frames.
    """
    shortest = max(2, ceil(settings.shortest * fps))
    longest = max(2 * shortest - 1, floor(settings.longest * fps))  # so that every span can be tiled
    if len(z) < 2 * shortest:
        return np.array([0, len(z)])
    prior = pace(longest, fps, settings.m, settings.s)
    prior[: shortest - 1] = -np.inf
    silent = np.zeros(len(z))  # frames inside a unit say nothing
    return np.array([0, *(end for *_, end in units(settings.w * z, silent, silent, silent - np.inf, prior))])


def speed(track: Float[np.ndarray, "frames *points 2"], fps: Fraction) -> Float[np.ndarray, "frames *points"]:
    """Length moved per second, from the frame before to the frame after; NaN where either is unknown."""
    if len(track) < 2:
        return np.zeros(track.shape[:-1])
    step = np.gradient(track, axis=0)
    length: Float[np.ndarray, "frames ..."] = np.hypot(step[..., 0], step[..., 1]) * float(fps)
    return length


def smooth(track: Float[np.ndarray, "frames"], fps: Fraction, seconds: float = 0.04) -> Float[np.ndarray, "frames"]:
    """Average with a Gaussian of that standard deviation over what is known; NaN stays NaN."""
    reach = ceil(4 * seconds * fps)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / float(seconds * fps)) ** 2)
    known = ~np.isnan(track)
    total, weight = (
        np.convolve(values, kernel)[reach : len(track) + reach] for values in (np.where(known, track, 0.0), known)
    )
    mean = np.full(len(track), np.nan)
    np.divide(total, weight, out=mean, where=known)
    return mean


class _Side(NamedTuple):
    """The names of one side's landmarks, MediaPipe's, OpenPose's and COCO-WholeBody's: a layout has those it has."""

    shoulder: tuple[str, ...]
    elbow: tuple[str, ...]
    hand: tuple[str, ...]
    wrist: tuple[str, ...]  # the one of the hand model
    fingers: tuple[str, ...]  # how the hand model's names start


def _side(side: str) -> _Side:
    body, body_2d = f"POSE_LANDMARKS.{side.upper()}_", f"pose_keypoints_2d.{side[0].upper()}"
    fingers, fingers_2d = f"{side.upper()}_HAND_LANDMARKS.", f"hand_{side}_keypoints_2d."
    coco, coco_fingers = f"COCO_BODY.{side.upper()}_", f"COCO_{side.upper()}_HAND."
    return _Side(
        shoulder=(f"{body}SHOULDER", f"{body_2d}Shoulder", f"{coco}SHOULDER"),
        elbow=(f"{body}ELBOW", f"{body_2d}Elbow", f"{coco}ELBOW"),
        hand=(*(f"{body}{point}" for point in ("WRIST", "PINKY", "INDEX", "THUMB")), f"{body_2d}Wrist", f"{coco}WRIST"),
        wrist=(f"{fingers}WRIST", f"{fingers_2d}BASE", f"{coco_fingers}WRIST"),
        fingers=(fingers, fingers_2d, coco_fingers),
    )


_SIDES = (_side("left"), _side("right"))


def _points(poses: Poses, names: Sequence[str]) -> Float[np.ndarray, "frames points 2"]:
    """x and y of the named landmarks, as far as they are there; short gaps bridged by straight lines."""
    points = poses.xyz[:, [poses.landmarks.index(name) for name in names if name in poses.landmarks], :2].astype(
        float, order="C"
    )
    frames = np.arange(len(points))
    for values in points.reshape(len(points), -1).T:
        known = np.flatnonzero(~np.isnan(values))
        if 0 < len(known) < len(values):
            gap = np.diff(known, prepend=-np.inf, append=np.inf)[np.searchsorted(known, frames)] - 1
            bridged = np.isnan(values) & (gap < float(_UNSEEN * poses.fps))
            values[bridged] = np.interp(frames[bridged], known, values[known])
    return points


def _track(poses: Poses, names: Sequence[str]) -> Float[np.ndarray, "frames 2"]:
    """The middle of the named landmarks in pixels; NaN where none is seen."""
    points = _points(poses, names)
    known = ~np.isnan(points)
    middle = np.full((len(points), 2), np.nan)
    np.divide(np.where(known, points, 0).sum(axis=1), known.sum(axis=1), out=middle, where=known.any(axis=1))
    return middle


def _hand(poses: Poses, side: _Side) -> Float[np.ndarray, "frames 2"]:
    """Where the hand is, in pixels: by the body's points, or by the hand model's wrist where there are none."""
    track = _track(poses, side.hand)
    return _track(poses, side.wrist) if np.isnan(track).all() else track


def in_video(spans: Sequence[Timed], poses: Poses) -> tuple[Timed, ...]:
    """Signs, phrases or cues of `poses`, as seconds of the video: poses may begin later, as their provenance says."""
    return _later(spans, _begin(poses))


def in_poses(spans: Sequence[Timed], poses: Poses) -> tuple[Timed, ...]:
    """The other way round: signs, phrases or cues in the video, as seconds from the first frame of `poses`."""
    return _later(spans, -_begin(poses))


def _begin(poses: Poses) -> float:
    """Where in its video the first frame is, in seconds."""
    start = (poses.provenance or {}).get("start", 0.0)
    return start if isinstance(start, int | float) and 0 < start < float("inf") else 0.0


def _later(spans: Sequence[Timed], by: float) -> tuple[Timed, ...]:
    """The spans, so many seconds later."""
    return tuple(replace(span, start=span.start + by, end=span.end + by) for span in spans) if by else tuple(spans)


def _shoulder_width(poses: Poses) -> float:
    """Pixels; the median over the frames.

    Raises:
        InputError: There are no frames, or no shoulders or no wrists in them.
    """
    if not len(poses.xyz):
        raise InputError("the poses have no frames")
    left, right = (_track(poses, side.shoulder) for side in _SIDES)
    seen = {
        "both shoulders": not np.isnan(left + right).all(),
        "a wrist": not all(np.isnan(_hand(poses, side)).all() for side in _SIDES),
    }
    if missing := [what for what, there in seen.items() if not there]:
        names = ", ".join(name for side in _SIDES for name in (side.shoulder[0], side.hand[0]))
        raise InputError(
            f"the poses ({len(poses.landmarks)} landmarks, {len(poses.xyz)} frames) never show "
            f"{' and '.join(missing)}: finding signs without a model needs {names}, or the same points of OpenPose"
        )
    width = float(np.nanmedian(np.hypot(*(left - right).T)))
    if not width:
        raise InputError("the shoulders lie in one point in most frames: nothing to measure the hands by")
    return width


def _shape_change(poses: Poses, side: _Side) -> Float[np.ndarray, "frames"]:
    """Mean speed of the hand's landmarks against its wrist, in hand sizes per second; 0 where they are not seen."""
    wrist = _points(poses, side.wrist)
    fingers = _points(poses, [name for name in poses.landmarks if name.startswith(side.fingers)])
    if np.isnan(wrist).all():
        return np.zeros(len(poses.xyz))
    fingers -= wrist
    reach = np.hypot(fingers[..., 0], fingers[..., 1]).mean(axis=1)
    reach = reach[reach > 0]  # not where a finger is unknown, or the wrist is all there is
    if not len(reach):
        return np.zeros(len(poses.xyz))
    change = speed(fingers, poses.fps).mean(axis=1) / np.median(reach)
    return np.where(np.isnan(change), 0, change)
