"""What an alignment did, in numbers that need no reference."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from seasign.alignment import SIGNED
from seasign.lag import CLEAR
from seasign.segmentation import phrases
from seasign.spans import join_neighbours, shift
from seasign.types import Alignment, Cue, Sign, Span, plain_values

UNSURE = 0.5  # a cue that lands with less probability is one to check
HOPELESS = 0.35  # mean probability below which an alignment is not to be used
MANY = 30  # cues from which on many cues without signs condemn an episode ...
VERY_MANY = 200  # ... and from which on it does that the cues fit at no lag
LOST = 0.6  # share of such cues that condemns it
MOVED = 0.0005  # seconds: less is not seen in a subtitle file


@dataclass(frozen=True)
class State:
    """The cues at one stage."""

    overlaps: int  # neighbours in time of which the earlier ends after the later starts
    on_signing: float  # share of the cues' time in which somebody signs, 0 .. 1; NaN when the cues have no length
    starts_on_sign: float  # share of the cues that start within 0.2 s of the start of a sign, 0 .. 1; NaN without cues


@dataclass(frozen=True)
class Summary:
    """How the cues were moved. Offsets are seconds, positive when the cue became later; NaN when there are no cues."""

    cues: int
    signs: int
    moved: int
    unmatched: int  # cues without a sign
    lag: tuple[float, float]  # median offset of the starts, of the ends
    half: float  # half of the starts moved by less than this, whichever way
    most: float  # 90 % of them by less than this
    delivered: State
    lag_only: State  # the cues as delivered, all shifted by `lag`: what a constant delay alone would give
    joined: State  # the same, then neighbours within a second of each other as delivered meet half way
    aligned: State

    def as_json(self) -> dict[str, object]:
        """Plain values; NaN becomes None."""
        return plain_values(asdict(self))


def summarize(delivered: Sequence[Cue], alignment: Alignment, signs: Sequence[Span]) -> Summary:
    """Compare the cues before and after, and both with a constant shift by the median offset, joined or not."""
    before, after = _times(delivered), _times(alignment.cues)
    offsets = after - before
    lag = tuple(np.median(offsets, axis=1).tolist()) if len(delivered) else (float("nan"),) * 2
    distances = np.abs(offsets[0])
    signing = phrases(signs)
    starts = np.sort([sign.start for sign in signs])
    half, most = np.quantile(distances, (0.5, 0.9)).tolist() if len(distances) else (float("nan"),) * 2
    return Summary(
        cues=len(delivered),
        signs=len(signs),
        moved=int((np.abs(offsets) >= MOVED).any(axis=0).sum()),
        unmatched=sum(not run for run in alignment.runs),
        lag=lag,
        half=half,
        most=most,
        delivered=_state(delivered, signing, starts),
        lag_only=_state(shift(delivered, lag), signing, starts),
        joined=_state(join_neighbours(delivered, lag), signing, starts),
        aligned=_state(alignment.cues, signing, starts),
    )


RESTS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8)  # seconds: where the histogram of rests is cut
LONG_BOUT, LONG_SIGN, LONG_REST = 60.0, 3.0, 5.0  # seconds from which on a stretch is one to look at
SEVERAL = 2  # whole cues make a long rest suspicious


@dataclass(frozen=True)
class Suspicion(Span):
    """A stretch in which the signs may be wrong."""

    reason: str


@dataclass(frozen=True)
class Segmentation:
    """What to look at before trusting the signs, whoever found them. NaN where there is nothing to divide by."""

    signs: int
    bouts: int
    rate: float  # signs per second of signing; people sign 2 to 3
    signing: float  # share of the time from the first sign or cue to the last, 0 .. 1
    rests: tuple[int, ...]  # between bouts, by length: up to RESTS[0], RESTS[1] ... seconds, and longer
    suspicious: tuple[Suspicion, ...]  # in order of time


def diagnose(signs: Sequence[Span], cues: Sequence[Span] = ()) -> Segmentation:
    """Count what shows when signs are wrong, and where.

    Suspicious are bouts of a minute or more without a rest, signs of 3 s or more, and rests of 5 s or more in which
    whole cues lie: signs were missed there, or nobody signs those cues.

    Args:
        cues: When they should be signed: as delivered, and later by the lag.
    """
    bouts = phrases(signs)
    rests = [Span(before.end, after.start) for before, after in pairwise(bouts)]
    signing = sum(bout.duration for bout in bouts)
    edges = [time for span in (*bouts, *cues) for time in (span.start, span.end)]
    whole = max(edges, default=0.0) - min(edges, default=0.0)
    found = [
        Suspicion(bout.start, bout.end, f"{bout.duration:.0f} s of signing without a rest: hands that rest high?")
        for bout in bouts
        if bout.duration >= LONG_BOUT
    ]
    found += [
        Suspicion(sign.start, sign.end, f"one sign of {sign.duration:.1f} s: several signs in one?")
        for sign in signs
        if sign.duration >= LONG_SIGN
    ]
    for rest in (rest for rest in rests if rest.duration >= LONG_REST):
        silent = sum(rest.start <= cue.start and cue.end <= rest.end for cue in cues)
        if silent >= SEVERAL:
            found.append(Suspicion(rest.start, rest.end, f"no signs for {rest.duration:.0f} s, but {silent} cues"))
    return Segmentation(
        signs=len(signs),
        bouts=len(bouts),
        rate=len(signs) / signing if signing else float("nan"),
        signing=signing / whole if whole else float("nan"),
        rests=tuple(np.histogram([rest.duration for rest in rests], (0.0, *RESTS, np.inf))[0].tolist()),
        suspicious=tuple(sorted(found, key=lambda one: (one.start, one.end))),
    )


@dataclass(frozen=True)
class Verdict:
    """What to do with an alignment."""

    verdict: Literal["good", "check", "do not use"] | None  # None: nothing was judged
    reason: str
    check: tuple[int, ...] = ()  # indices of cues, the least sure first

    def __str__(self) -> str:
        head = f"check {len(self.check)} cue{'s' * (len(self.check) != 1)}" if self.verdict == "check" else self.verdict
        return f"{head or 'none'}: {self.reason}"


def give_verdict(alignment: Alignment) -> Verdict:
    """Say whether an alignment is good, has cues to check, or is not to be used, such as that of another programme.

    One without confidence, such as that of `compat="sea"`, is not judged.
    """
    count = len(alignment.cues)
    sure = alignment.confidence
    unsigned = [i for i, run in enumerate(alignment.runs) if not run]
    if sure is None or not count:
        if unsigned:
            return Verdict("check", "no cue got signs", tuple(unsigned))
        return Verdict(None, "nothing was judged: there is no confidence")
    probability = np.array([one.probability for one in sure])
    taken = np.array([len(run) > 0 for run in alignment.runs])
    mean = float(probability[taken].mean()) if taken.any() else 0.0
    if count >= VERY_MANY and alignment.lag is not None and alignment.lag.clarity < CLEAR:
        return Verdict("do not use", "the cues fit the signing at no lag: are they of this programme?")
    if count >= MANY:
        if len(unsigned) > LOST * count:
            return Verdict("do not use", f"{len(unsigned)} of {count} cues fit no signs")
        if mean < HOPELESS:
            return Verdict("do not use", f"a cue is right with a probability of {mean:.2f} on average")
    order = np.argsort(probability, kind="stable").tolist()
    check = tuple(i for i in order if probability[i] < UNSURE)
    expected = f"{mean:.0%} of the cues with signs are expected to be right" if taken.any() else "no cue got signs"
    return Verdict("check" if check else "good", expected, check)


def build_report(
    delivered: Sequence[Cue],
    alignment: Alignment,
    final: Sequence[Cue],
    signs: Sequence[Sign],
    *,
    verdict: Verdict,
    summary: Summary,
    texts: Sequence[str],
    speeds: Sequence[float],
) -> dict[str, object]:
    """Everything about an alignment as plain values: docs/report.md says what is where.

    Args:
        final: The cues as they are written; removed ones are not among them, and only then are they fewer.
        texts: What the cues say, without markup.
        speeds: Characters per second of the final cues.
    """
    lag = alignment.lag
    whole = len(final) == len(delivered)
    index = {id(sign): j for j, sign in enumerate(signs)}
    shifts = alignment.shifts or [(0.0, 0.0)] * len(delivered)
    due = [Span(cue.start + start, cue.end + end) for cue, (start, end) in zip(delivered, shifts, strict=True)]
    segmentation = diagnose(signs, due)
    return {
        "verdict": asdict(verdict),
        "lag": None
        if lag is None
        else {
            "segments": [
                {
                    "cues": [part.first, part.last],
                    "start": part.start,
                    "end": part.end,
                    "interval": [part.low, part.high],
                }
                for part in lag.stretches
            ],
            "flat": lag.clarity < CLEAR,
            "words": str(lag),
        },
        "baselines": {
            "delivered": asdict(summary.delivered),
            "lag_only": asdict(summary.lag_only),
            "joined": asdict(summary.joined),
            "aligned": asdict(summary.aligned),
        },
        "segmentation": asdict(segmentation) | {"rests": {"up_to": [*RESTS, None], "counts": segmentation.rests}},
        "cost": alignment.cost,
        "signs": [[sign.start, sign.end, sign.gloss] for sign in signs],
        "phrases": [[span.start, span.end] for span in phrases(signs)],
        "cues": [
            {
                "index": i,
                "id": cue.id,
                "text": texts[i],
                "delivered": [cue.start, cue.end],
                "lag": list(shifts[i]),
                "aligned": [final[i].start, final[i].end] if whole else None,
                "pinned": i in alignment.pins,
                "dropped": not alignment.runs[i] and i not in alignment.pins,
                "why": _why(alignment, i),
                "probability": sure.probability if sure and (alignment.runs[i] or i in alignment.pins) else None,
                "signed": sure.signed if sure else None,
                "start_interval": list(sure.start) if sure and alignment.runs[i] else None,
                "end_interval": list(sure.end) if sure and alignment.runs[i] else None,
                "margin": sure.margin if sure else None,
                "terms": _terms(alignment, i),
                "alternatives": [vars(other) for other in sure.alternatives] if sure else [],
                "run": _run(alignment.runs[i], index),
                "reading_speed": speeds[i] if whole else None,
            }
            for i, (cue, sure) in enumerate(
                zip(delivered, alignment.confidence or [None] * len(delivered), strict=True)
            )
        ],
    }


def _why(alignment: Alignment, i: int) -> str | None:
    """Why a cue was dropped."""
    if alignment.runs[i] or i in alignment.pins:
        return None
    if alignment.terms is None:
        return "there are no signs"
    if alignment.confidence and alignment.confidence[i].signed < SIGNED:
        return f"without signs in {1 - alignment.confidence[i].signed:.0%} of all alignments, by their weight: too many"
    return f"every run of signs would cost more than the {alignment.terms[i].drop:g} of dropping it"


def _terms(alignment: Alignment, i: int) -> dict[str, float] | None:
    """What a cue costs, term by term: those of its run, or that of dropping it."""
    if alignment.terms is None or i in alignment.pins:
        return None
    return {
        name: cost for name, cost in vars(alignment.terms[i]).items() if (name == "drop") != bool(alignment.runs[i])
    }


def _run(run: Sequence[Sign], index: Mapping[int, int]) -> list[int] | None:
    """The first sign and the one after the last, by their places in the file, if they stand together there."""
    places = [index[id(sign)] for sign in run if id(sign) in index]
    return [places[0], places[-1] + 1] if places and len(places) == len(run) else None


def _state(cues: Sequence[Cue], signing: Sequence[Span], starts: np.ndarray) -> State:
    """One stage against the signing; `signing` is in order of time and without overlaps, `starts` sorted."""
    start, end = _times(sorted(cues, key=lambda cue: cue.start))
    edges = np.array([(span.start, span.end) for span in signing]).reshape(-1, 2)
    before = np.concatenate(([0.0], np.cumsum(edges[:, 1] - edges[:, 0])))  # seconds of signing before each bout

    def signed_until(time: np.ndarray) -> np.ndarray:
        bout = np.searchsorted(edges[:, 0], time, side="right")
        beyond = np.maximum(0, edges[bout - 1, 1] - time) if len(edges) else np.zeros(len(time))
        return before[bout] - np.where(bout > 0, beyond, 0)

    length = np.maximum(0, end - start).sum()
    signed = np.maximum(0, signed_until(end) - signed_until(start)).sum()
    near = np.searchsorted(starts, start + 0.2, side="right") > np.searchsorted(starts, start - 0.2)
    return State(
        int((end[:-1] > start[1:] + 1e-9).sum()),
        float(signed / length) if length else float("nan"),
        float(near.mean()) if len(start) else float("nan"),
    )


def _times(spans: Sequence[Span]) -> np.ndarray:
    """Starts and ends in seconds, one row each."""
    return np.array([(span.start, span.end) for span in spans], float).reshape(-1, 2).T
