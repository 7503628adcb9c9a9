"""A seed -> an episode whose answer is known: someone signs, subtitles lag, and nobody was filmed.

For the demo, the tests and the benchmarks. It moves like signing where the segmenter and the aligner look (hands go
up for a phrase, every sign starts with a fast movement to a new place, speech runs ahead) and like nobody elsewhere:
numbers made on it compare methods and predict nothing about people.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from math import ceil, inf, log, pi, sin, sqrt

import numpy as np
from jaxtyping import Float, Float32

from seasign.types import Cue, Poses, Sign

_HEAD = {  # shoulder widths from the middle of the shoulders, y down; the signer's left is on our right
    "NOSE": (0.0, -0.6),
    **{f"LEFT_EYE{part}": (0.06 + 0.04 * i, -0.7) for i, part in enumerate(("_INNER", "", "_OUTER"))},
    **{f"RIGHT_EYE{part}": (-0.06 - 0.04 * i, -0.7) for i, part in enumerate(("_INNER", "", "_OUTER"))},
    **{"LEFT_EAR": (0.2, -0.65), "RIGHT_EAR": (-0.2, -0.65), "MOUTH_LEFT": (0.08, -0.5), "MOUTH_RIGHT": (-0.08, -0.5)},
}
_LIMBS = {  # of the left side, arms at rest
    **{"SHOULDER": (0.5, 0.0), "ELBOW": (0.6, 0.77), "WRIST": (0.55, 1.4)},
    **{"PINKY": (0.58, 1.6), "INDEX": (0.52, 1.6), "THUMB": (0.48, 1.5)},
    **{"HIP": (0.32, 1.4), "KNEE": (0.3, 2.4), "ANKLE": (0.28, 3.3), "HEEL": (0.28, 3.45), "FOOT_INDEX": (0.25, 3.6)},
}
_BODY = _HEAD | {
    f"{side}_{name}": (x * y, z) for name, (y, z) in _LIMBS.items() for side, x in (("LEFT", 1), ("RIGHT", -1))
}
_HAND = (
    "WRIST",
    *(
        f"{finger}_{joint}"
        for finger in ("THUMB", "INDEX_FINGER", "MIDDLE_FINGER", "RING_FINGER", "PINKY")
        for joint in (("CMC", "MCP", "IP", "TIP") if finger == "THUMB" else ("MCP", "PIP", "DIP", "TIP"))
    ),
)
LANDMARKS = (
    *(f"POSE_LANDMARKS.{name}" for name in _BODY),
    *(f"{side}_HAND_LANDMARKS.{name}" for side in ("LEFT", "RIGHT") for name in _HAND),
)

_SENTENCES = (  # one of each; a starred word is signed
    ("*tonight", "*tomorrow", "this *morning", "on *Friday", "late *Sunday *evening", "", ""),
    ("*heavy *rain", "a *cold *wind", "thick *fog", "the *bridge", "the *council", "a *long *strike"),
    ("will *reach", "is *moving towards", "may *close", "will *slow", "has *surprised", "could still *change"),
    ("the *coast", "the *northern *valleys", "every *school", "the *motorway", "the *islands"),
    ("", "", "", "", "before *noon", "for *three *days", "and the *roads are *icy"),
)


@dataclass(frozen=True)
class Stress:
    """What goes wrong in an episode; any of it together. Shares are 0 .. 1, and draws of one do not move the others."""

    missed: float = 0.0  # share of the signs that the segmenter did not find
    spurious: float = 0.0  # signs found in pauses where nobody signs, as a share of those signed
    unsubtitled: float = 0.0  # share of the sentences that are signed but have no cue
    unsigned: float = 0.0  # share of the sentences that have a cue but are never signed
    drift: float = 0.0  # seconds by which the lag swings to either side, once in ten minutes
    wobble: float = 1.5  # seconds, standard deviation of the lag from cue to cue, on top


@dataclass(frozen=True)
class Episode:
    """Subtitles as delivered, and what they should become. Times are whole milliseconds; signs keep their gloss."""

    cues: tuple[Cue, ...]  # timed to the speech
    reference: tuple[Cue, ...]  # the same, timed to the signing; text in [brackets] when it is never signed
    signs: tuple[Sign, ...]  # as signed, less the missed, plus the spurious; in order of time, without overlap
    runs: tuple[range, ...]  # runs[i]: the signs of cues[i]; empty when it has none
    poses: Poses | None  # of all that is signed, missed signs included


BASE = Stress()


def synthesize(
    seed: int = 0,
    *,
    duration: float = 20.0,
    lag: float = 2.0,
    fps: Fraction | None = Fraction(25),
    stress: Stress = BASE,
) -> Episode:
    """Make up an episode; the same seed and settings make the same.

    About 1,000 cues and 5,200 signs an hour, all within `duration`. A cue is about as long as its signing. The signer
    rests between sentences, or holds still where the pause is short.

    Args:
        duration: Of the video, in seconds.
        lag: Median time from the start of a cue to the start of its signing, in seconds, as far as they fit.
        fps: Of the poses, which have 75 landmarks in pixels, named as MediaPipe does; None makes no poses.
    """
    script, motion, faults = np.random.default_rng(seed).spawn(3)
    phrases: list[list[Sign]] = []
    said: list[tuple[Cue, Cue, int | None]] = []  # as delivered, as signed, and by which phrase
    picks = [0] * len(_SENTENCES)
    heard = 0.0  # the end of the last cue
    signed = 0.5  # the end of the last phrase, and a moment
    late = 0.0  # seconds on top of the lag
    while True:
        text, glosses = _say(script, picks)
        lengths = script.lognormal(log(0.4), 0.35, len(glosses)).clip(0.16, 1.2)
        start = heard + 0.25 + script.exponential(1.1)
        heard = start + max(0.8, float(lengths.sum() * script.lognormal(0.0, 0.3)))
        late = 0.7 * late + sqrt(1 - 0.7**2) * stress.wobble * script.standard_normal()
        begin = max(0.0, start + lag + late + stress.drift * sin(2 * pi * start / 600))
        fate = script.random()
        silent, unheard = fate >= 1 - stress.unsigned, fate < stress.unsubtitled
        edges = np.round((begin if silent else max(begin, signed)) + np.cumsum([0, *lengths]), 3).tolist()
        if max(edges[-1], heard) > duration - 0.6:
            break
        if not unheard:
            true = Cue(edges[0], edges[-1], f"[{text}]" if silent else text)
            said.append((Cue(start, heard, text), true, None if silent else len(phrases)))
        if not silent:
            phrases.append([Sign(*span, gloss) for span, gloss in zip(pairwise(edges), glosses, strict=True)])
            signed = edges[-1] + 0.35
    wait = 0.0  # phrases that wait for the one before come later than meant: let the speech wait for the median
    if said:
        wait = float(np.median([true.start - cue.start for cue, true, _ in said])) - lag
        wait = min(max(wait, -said[0][0].start), duration - said[-1][0].end)
    signs, runs = _find(phrases, stress, duration, faults)
    return Episode(
        cues=tuple(replace(cue, start=round(cue.start + wait, 3), end=round(cue.end + wait, 3)) for cue, _, _ in said),
        reference=tuple(true for _, true, _ in said),
        signs=signs,
        runs=tuple(range(0) if phrase is None else runs[phrase] for _, _, phrase in said),
        poses=_move(_plan(phrases, motion), fps, duration, motion) if fps else None,
    )


def simulate_similarity(episode: Episode, strength: float = 0.3, seed: int = 0) -> Float32[np.ndarray, "cues signs"]:
    """Compare cues with signs as embeddings of that strength would; higher is better.

    Dimensions and scale are such that the published aligner gains from informative and suffers from weak embeddings
    about as much as it does on other synthetic data: from .80 of the cues right to .90, .57 and .17 (SEA's settings
    for BOBSL; strengths of 0.3, 0.15 and 0).

    Args:
        strength: Cosine between a cue and its own signs, before the noise that so few dimensions make, 0 .. 1: 0.5 is
            strong, 0.3 informative, 0.15 weak, 0 useless.
    """
    rng = np.random.default_rng(seed)
    text, signs = (_draw_directions(len(spans), rng) for spans in (episode.cues, episode.signs))
    for cue, run in zip(text, episode.runs, strict=True):
        signs[run.start : run.stop] = strength * cue + sqrt(1 - strength**2) * signs[run.start : run.stop]
    similarity: Float32[np.ndarray, "cues signs"] = 30 * text @ (signs / np.linalg.norm(signs, axis=1, keepdims=True)).T
    return similarity


def synthesize_signs(
    words: int, tokens: int, *, seed: int = 0, fps: Fraction = Fraction(25)
) -> tuple[tuple[Poses, Sign], ...]:
    """Isolated signs, each word signed several times: clips, and where in them the sign is.

    A word is one or two places and shapes of the right hand, or of both; its tokens differ a little in where, in how
    far fingers are bent, and in tempo. Before and after it the hands are down. Glosses are "SIGN 0", "SIGN 1" ...
    """
    still = (-inf, 1.0, 0.0, 0.0, *_shape([0] * 5, pi))
    found = []
    for word in range(words):
        rng = np.random.default_rng([seed, word])
        targets = [
            (rng.uniform((-0.7, -1.65), (0.05, -0.95)), rng.uniform(0, 1, 5), rng.uniform(-0.6, 0.6))
            for _ in range(rng.integers(1, 3))
        ]
        both, lasting = rng.random() < 0.4, rng.uniform(0.5, 0.9)
        for token in range(tokens):
            own = np.random.default_rng([seed, word, token])
            sign = Sign(0.5, round(0.5 + lasting * own.lognormal(0.0, 0.1), 3), f"SIGN {word}")
            right = [still]
            for number, (place, curls, turn) in enumerate(targets):
                where = place + 0.04 * own.standard_normal(2)
                shape = _shape((curls + 0.06 * own.standard_normal(5)).clip(0, 1).tolist(), turn)
                starts = sign.start - 0.3 if number == 0 else sign.middle - 0.15
                right.append((starts, 0.3, *where, *shape))
            right.append((sign.end, 0.4, *still[2:]))
            plan = [np.array(right if both else [still]), np.array(right)]
            found.append((_move(plan, fps, sign.end + 0.5, own), sign))
    return tuple(found)


def _draw_directions(number: int, rng: np.random.Generator) -> Float32[np.ndarray, "number 16"]:
    rows = rng.standard_normal((number, 16), dtype=np.float32)
    directions: Float32[np.ndarray, "number 16"] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return directions


def _say(rng: np.random.Generator, picks: list[int]) -> tuple[str, list[str]]:
    """A sentence that repeats no part of the last one, whose parts are `picks`; and the glosses of its signs."""
    picks[:] = [
        (pick + int(rng.integers(1, len(part)))) % len(part) for pick, part in zip(picks, _SENTENCES, strict=True)
    ]
    words = " ".join(part[pick] for pick, part in zip(picks, _SENTENCES, strict=True)).split()
    text = " ".join(words).replace("*", "")
    return text[0].upper() + text[1:] + ".", [word[1:].upper() for word in words if word.startswith("*")]


def _find(
    phrases: Sequence[Sequence[Sign]], stress: Stress, duration: float, rng: np.random.Generator
) -> tuple[tuple[Sign, ...], list[range]]:
    """The signs that a segmenter reports, faults included, and which of them are each phrase's."""
    signs = [sign for phrase in phrases for sign in phrase]
    found = [sign for sign, draw in zip(signs, rng.random(len(signs)), strict=True) if draw >= stress.missed]
    rests = np.array(
        [
            [0.0, *(phrase[-1].end for phrase in phrases)],
            [*(phrase[0].start for phrase in phrases), duration],
        ]
    )
    until = np.cumsum(rests[1] - rests[0])
    rested = np.sort(rng.uniform(0, until[-1], round(stress.spurious * len(signs))))  # time, counted in rests alone
    rest = np.searchsorted(until, rested, side="right")
    starts = rests[1, rest] - (until[rest] - rested)
    ends = np.minimum(starts + rng.lognormal(log(0.4), 0.35, len(starts)), rests[1, rest])
    spans = np.round(np.column_stack([starts, np.minimum(ends, np.append(starts[1:], inf))]), 3).tolist()
    found = sorted(found + [Sign(*span) for span in spans if span[0] < span[1]], key=lambda sign: sign.start)
    edges = np.array([[phrase[0].start, phrase[-1].end] for phrase in phrases]).reshape(-1, 2)
    runs = np.searchsorted([sign.start for sign in found], edges)
    return tuple(found), [range(first, last) for first, last in runs.tolist()]


def _move(
    plan: Sequence[Float[np.ndarray, "_ numbers"]], fps: Fraction, duration: float, rng: np.random.Generator
) -> Poses:
    """Somebody whose left and right hand do that."""
    frames = ceil(duration * fps)
    time = np.arange(frames) / float(fps)
    xy = np.empty((frames, len(LANDMARKS), 2), dtype=np.float32)
    xy[:, : len(_BODY)] = list(_BODY.values())
    unseen = np.zeros((frames, len(LANDMARKS)), dtype=bool)
    for side, moves in zip(("LEFT", "RIGHT"), plan, strict=True):
        first = LANDMARKS.index(f"{side}_HAND_LANDMARKS.WRIST")
        hand = slice(first, first + len(_HAND))
        path = _glide(time, moves).reshape(frames, -1, 2) * (1 if side == "LEFT" else -1, 1)
        at = {name: LANDMARKS.index(f"POSE_LANDMARKS.{side}_{name}") for name in _LIMBS}
        xy[:, at["ELBOW"]] += 0.1 * path[:, 0]
        xy[:, at["WRIST"]] += path[:, 0]
        xy[:, hand] = xy[:, [at["WRIST"]]]
        xy[:, hand][:, 1:] += path[:, 1:]
        for name, point in (("PINKY", "PINKY_MCP"), ("INDEX", "INDEX_FINGER_MCP"), ("THUMB", "THUMB_IP")):
            xy[:, at[name]] = xy[:, hand][:, _HAND.index(point)]
        for start in rng.uniform(0, duration, rng.poisson(0.1 * duration)):
            unseen[ceil(start * fps) : ceil((start + rng.uniform(0.05, 0.4)) * fps), hand] = True
    xyz = np.zeros((frames, len(LANDMARKS), 3), dtype=np.float32)
    xyz[..., :2] = xy * 160 + (640, 330) + 0.8 * rng.standard_normal(xy.shape, dtype=np.float32)
    xyz[unseen] = np.nan
    confidence = np.where(unseen, 0, 1).astype(np.float32)
    return Poses(xyz, confidence, fps, LANDMARKS, {"estimator": "seasign.synthesis"})


def _plan(
    phrases: Sequence[Sequence[Sign]], rng: np.random.Generator
) -> tuple[Float[np.ndarray, "moves_left numbers"], Float[np.ndarray, "moves_right numbers"]]:
    """What the hands do, left and right, movement by movement: when it starts, how long it lasts (seconds), and
    where it ends: the wrist against where it rests, then the other landmarks against the wrist, as on the left side.
    """
    shapes = [_shape(rng.uniform(0, 1, 5).tolist(), rng.uniform(-0.6, 0.6)) for _ in range(24)]
    still = (-inf, 1.0, 0.0, 0.0, *_shape([0] * 5, pi))  # hands hang down
    left, right = [still], [still]
    here = np.zeros(2)

    def go(hand: list[tuple[float, ...]], peak: float, lasting: float, where: Sequence[float]) -> None:
        hand.append((peak - lasting / 2, lasting, *where))

    for phrase, following in zip(phrases, [*(phrase[0].start for phrase in phrases), inf][1:], strict=True):
        for sign in phrase:
            place = here
            while np.hypot(*(place - here)) < 0.25:
                place = rng.uniform((-0.7, -1.65), (0.05, -0.95))
            here = place
            where = (*here, *shapes[rng.integers(len(shapes))])
            hands = [right, left] if rng.random() < 0.4 else [right]
            quick = rng.uniform(0.2, 0.32)
            again = rng.random() < 0.5 and sign.duration >= 0.5
            for hand in hands:
                up = hand[-1][2:] != still[2:]
                go(hand, sign.start if up else sign.start - 0.12, quick if up else 0.5, where)
                if again:
                    go(hand, sign.middle, 0.18, (where[0] + 0.15, where[1], *where[2:]))
        for hand in (left, right):
            if following - phrase[-1].end >= 0.9 and hand[-1][2:] != still[2:]:
                go(hand, phrase[-1].end + 0.15, 0.5, still[2:])
    return np.array(left), np.array(right)


def _shape(curls: Sequence[float], turn: float) -> tuple[float, ...]:
    """The landmarks of a left hand after its wrist: how far each finger is bent (0 .. 1), and a turn in radians."""
    points = []
    for curl, spread, palm, finger in zip(
        curls, (0.9, 0.25, 0.0, -0.25, -0.5), (0.12, 0.25, 0.25, 0.23, 0.2), (0.2, 0.22, 0.24, 0.2, 0.16), strict=True
    ):
        reach = palm + finger * np.arange(4) / 3 * (1 - 0.8 * curl)
        points += [reach * -np.sin(spread + turn), reach * -np.cos(spread + turn)]
    return tuple(np.array(points).reshape(5, 2, 4).transpose(0, 2, 1).ravel().tolist())


def _glide(
    time: Float[np.ndarray, "frames"], moves: Float[np.ndarray, "moves numbers"]
) -> Float[np.ndarray, "frames coordinates"]:
    """Where everything is: each movement has the bell-shaped speed of reaching, and ends before the next starts."""
    starts, lasting, targets = moves[:, 0], moves[:, 1], moves[:, 2:]
    lasting = np.minimum(lasting, np.diff(starts, append=inf))
    move = np.searchsorted(starts, time, side="right") - 1
    phase = ((time - starts[move]) / lasting[move]).clip(0, 1)
    done = (phase**3 * (10 - 15 * phase + 6 * phase**2))[:, None]
    path: Float[np.ndarray, "frames coordinates"] = targets[np.maximum(move - 1, 0)] * (1 - done) + targets[move] * done
    return path
