"""Legal subtitles on the way out: cues that overlap no other, last long enough to be read, and are all still there."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from seasign.spans import NANOSECOND
from seasign.types import Cue, InputError

MIN_DURATION = 0.833  # seconds: 20 frames at 24 fps, the least that streaming services accept
FRAME = 0.04  # seconds: less is not seen at 25 fps
NOT_SIGNED = "[not signed]"  # before the text of a cue without a partner

Policy = Literal["keep", "shift", "mark", "remove"]


@dataclass(frozen=True)
class Legality:
    """What was changed to make cues legal, and what remains. All but `speeds` are numbers of cues."""

    overlaps_before: int  # neighbours in time of which the earlier ends after the later starts
    overlaps_after: int  # always 0
    simultaneous: int  # cues that share both their times with another, and still do
    moved: int  # cues of which a time changed, for whatever reason
    delayed: int  # starts later than they came in
    shortened: int  # ends earlier than they came in
    lengthened: int  # cues given free room for the sake of `min_duration` or `max_speed`
    clamped: int  # cues whose padding found no room, or not enough
    too_short: int  # cues that still last less than `min_duration`
    too_fast: int | None  # cues that still go faster than `max_speed`; None without one
    speeds: tuple[float, ...]  # characters per second, in the order of the cues


def legalize(
    cues: Sequence[Cue],
    *,
    padding: tuple[float, float] = (0.0, 0.0),
    min_duration: float = MIN_DURATION,
    min_gap: float = 0.0,
    max_speed: float | None = None,
    dropped: Collection[int] = (),
    pinned: Collection[int] = (),
    plain: Callable[[str], str] = str,
) -> tuple[tuple[Cue, ...], Legality]:
    """Make cues legal subtitles with as little change as will do. None is lost, and the order of time stays.

    Starts stay, ends yield; in the order of time:

    1. A cue ends where the next one starts, less `min_gap`, at the latest. Only when that would leave it less than
       `min_duration`, and less than it had, the next start waits for it. A time before 0 becomes 0.
    2. Padding goes into free room only: a start moves up to the end before, an end to the start after.
    3. A cue that is too short or too fast takes free room after it, then before it; what is still missing is counted.

    Cues with the same start and the same end are simultaneous on purpose, two speakers for instance: they stay so,
    and are read in the same time. What is legal already stays to the last digit.

    Args:
        padding: Seconds added to starts and ends.
        min_gap: Seconds between neighbours; none by default, since cues that touch mostly touch when signed.
        max_speed: Characters per second; None reports the speed and leaves it.
        dropped: Indices of cues whose times are a guess. They give way: no start waits longer than a frame for them,
            and theirs wait for the end of a cue before that is no guess, as long as that leaves them `min_duration`.
        pinned: Indices of cues whose times are right: they are not padded, nor given more time, and others wait for
            them and yield to them, down to a frame. Only pins that overlap each other, or begin before 0, move.
        plain: Takes the markup out of a text, so that it is not read. Line ends are no characters.
    Raises:
        InputError: A time is not finite, or a rule is negative.
    """
    if min(min_duration, min_gap) < 0 or (max_speed is not None and max_speed <= 0):
        raise InputError(f"min_duration {min_duration}, min_gap {min_gap}, max_speed {max_speed}: give positive rules")
    for number, cue in enumerate(cues, 1):
        if not math.isfinite(cue.start + cue.end):
            raise InputError(f"cue {number} goes from {cue.start} to {cue.end} s: times must be finite")
    spans = sorted({(cue.start, cue.end) for cue in cues})  # one for all that are simultaneous
    index = {span: k for k, span in enumerate(spans)}
    own = np.array([index[cue.start, cue.end] for cue in cues], dtype=np.intp)
    letters = [sum(map(len, plain(cue.text).splitlines())) for cue in cues]
    characters = np.bincount(own, letters, len(spans))
    guesses, pins = frozenset(dropped), frozenset(pinned)
    known = np.bincount(own, [i not in guesses for i in range(len(cues))], len(spans)) > 0
    right = np.bincount(own, [i in pins for i in range(len(cues))], len(spans)) > 0

    given = np.array(spans, float).reshape(-1, 2)
    pads = np.where(right[:, None], 0, padding)
    moved = given + np.clip(pads, (0, -np.inf), (np.inf, 0))  # padding inwards moves the edge itself
    parted = _part(moved, ~known, right, min_duration, min_gap)
    wanted = parted + np.clip(pads, (-np.inf, 0), (0, np.inf))
    padded = _pad(parted, wanted, min_gap)
    needed = np.maximum(min_duration, characters / (max_speed or np.inf))
    legal = _lengthen(padded, np.where(right, 0, needed), min_gap)

    change = np.where(np.abs(legal - given) > NANOSECOND, legal - given, 0)[own]
    inwards = (padded - wanted)[own] * (1, -1)
    duration = (legal[:, 1] - legal[:, 0])[own]
    speeds = characters[own] / duration
    return tuple(
        replace(cue, start=start, end=end) if (start, end) != (cue.start, cue.end) else cue
        for cue, (start, end) in zip(cues, legal[own].tolist(), strict=True)
    ), Legality(
        overlaps_before=_count_overlaps(given),
        overlaps_after=_count_overlaps(legal),
        simultaneous=_count((np.bincount(own) > 1)[own]),
        moved=_count((change[:, 0] != 0) | (change[:, 1] != 0)),
        delayed=_count(change[:, 0] > 0),
        shortened=_count(change[:, 1] < 0),
        lengthened=_count((legal != padded).any(axis=1)[own]),
        clamped=_count((inwards > NANOSECOND).any(axis=1)),
        too_short=_count(duration < min_duration - NANOSECOND),
        too_fast=None if max_speed is None else _count(characters[own] > max_speed * (duration + NANOSECOND)),
        speeds=tuple(speeds.tolist()),
    )


def _part(
    spans: Float[np.ndarray, "spans 2"],
    guessed: Bool[np.ndarray, "spans"],
    right: Bool[np.ndarray, "spans"],
    min_duration: float,
    min_gap: float,
) -> Float[np.ndarray, "spans 2"]:
    """Take overlaps out and make room for the gap, from the first to the last."""
    parted: list[list[float]] = []
    coming = [*spans[:, 0].tolist(), math.inf, math.inf]
    earliest = 0.0
    for k, (start, end) in enumerate(spans.tolist()):
        start = max(start, 0.0)
        hold = max(min(end - start, min_duration), FRAME)
        start = start if start >= earliest - NANOSECOND else earliest
        end = end if end >= start + hold - NANOSECOND else start + hold
        if parted and parted[-1][1] > start - min_gap + NANOSECOND:
            parted[-1][1] = start - min_gap
        parted.append([start, end])
        if right[k]:
            hold = end - start
        elif guessed[k] or right[k + 1 : k + 2].any():
            hold = FRAME
        elif guessed[k + 1 : k + 2].any():
            hold = max(hold, min(end, coming[k + 2] - 2 * min_gap - min_duration) - start)
        earliest = start + hold + min_gap
    return np.array(parted).reshape(-1, 2)


def _pad(
    spans: Float[np.ndarray, "spans 2"], wanted: Float[np.ndarray, "spans 2"], min_gap: float
) -> Float[np.ndarray, "spans 2"]:
    """Grow towards the wanted times where there is room; starts come first."""
    start, end = spans.T
    start = np.minimum(start, np.maximum(wanted[:, 0], _earliest(end, min_gap)))
    return np.stack([start, np.maximum(end, np.minimum(wanted[:, 1], _latest(start, min_gap)))], axis=1)


def _lengthen(
    spans: Float[np.ndarray, "spans 2"], needed: Float[np.ndarray, "spans"], min_gap: float
) -> Float[np.ndarray, "spans 2"]:
    """Take free room after, then before, until a span has what it needs."""
    start, end = spans.T
    room = np.minimum(start + needed, _latest(start, min_gap))
    end = np.where(end - start < needed - NANOSECOND, np.maximum(end, room), end)
    room = np.maximum(end - needed, _earliest(end, min_gap))
    start = np.where(end - start < needed - NANOSECOND, np.minimum(start, room), start)
    return np.stack([start, end], axis=1)


def _earliest(ends: Float[np.ndarray, "spans"], min_gap: float) -> Float[np.ndarray, "spans"]:
    """How early each may start."""
    return np.concatenate(([0.0], ends + min_gap))[: len(ends)]


def _latest(starts: Float[np.ndarray, "spans"], min_gap: float) -> Float[np.ndarray, "spans"]:
    """How late each may end."""
    return np.concatenate((starts - min_gap, [np.inf]))[1:]


def _count_overlaps(spans: Float[np.ndarray, "spans 2"]) -> int:
    return _count(spans[:-1, 1] > spans[1:, 0] + NANOSECOND)


def _count(found: Bool[np.ndarray, "_"]) -> int:
    return int(np.count_nonzero(found))


# --- Cues without a partner -----------------------------------------------------------------------------------------


def place_dropped(
    delivered: Sequence[Cue],
    aligned: Sequence[Cue],
    dropped: Collection[int],
    policy: Policy = "shift",
    lag: tuple[float, float] | Float[np.ndarray, "cues 2"] = (0.0, 0.0),
) -> tuple[Cue, ...]:
    """The aligned cues, with those that have no partner among the signs put where `policy` says.

    Args:
        dropped: Indices of the cues without a partner.
        policy: "keep": when they were delivered. "shift": that plus the lag. "mark": as "shift", and their text begins
            with "[not signed] ", or is that. "remove": nowhere.
        lag: Seconds added to starts and ends; one pair, or one per cue where the lag changes.
    Raises:
        InputError: The cues are not as many on both sides.
    """
    if len(delivered) != len(aligned):
        raise InputError(f"{len(delivered)} cues were delivered, and {len(aligned)} aligned: give the same ones")
    lags = np.broadcast_to(np.asarray(lag, float), (len(aligned), 2)).tolist()
    placed = []
    for i, (before, cue) in enumerate(zip(delivered, aligned, strict=True)):
        if i not in dropped:
            placed.append(cue)
        elif policy != "remove":
            by = (0.0, 0.0) if policy == "keep" else lags[i]
            marked = policy == "mark" and not cue.text.startswith(NOT_SIGNED)
            text = " ".join(filter(None, (NOT_SIGNED, cue.text))) if marked else cue.text
            placed.append(replace(cue, start=before.start + by[0], end=before.end + by[1], text=text))
    return tuple(placed)


def check_nothing_lost(
    delivered: Sequence[Cue], cues: Sequence[Cue], dropped: Collection[int] = (), policy: Policy = "shift"
) -> None:
    """Check, before writing, that everything but times is as delivered; or as `policy` has it for the `dropped`.

    Raises:
        InputError: A cue is missing, is one too many, or has another text, id or settings; the message names it.
    """
    expected = place_dropped(delivered, delivered, dropped, policy)
    for number, (before, cue) in enumerate(zip_longest(expected, cues), 1):
        if cue is None:
            raise InputError(f"cue {number} ({before.text!r}) of {len(expected)} was lost: nothing may be written")
        if before is None:
            raise InputError(f"cue {number} ({cue.text!r}) was never delivered: nothing may be written")
        for name in "text", "id", "settings":
            was, now = getattr(before, name), getattr(cue, name)
            if was != now:
                raise InputError(f"cue {number} had the {name} {was!r}, now {now!r}: nothing may be written")
