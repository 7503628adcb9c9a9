"""What an alignment did, in numbers that need no reference."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from seasign.alignment import shift
from seasign.lag import CLEAR
from seasign.segmentation import phrases
from seasign.types import Alignment, Costs, Cue, Sign, Span

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
    aligned: State

    def as_json(self) -> dict[str, object]:
        """Plain values; NaN becomes None."""
        return plain_values(asdict(self))


def summarize(delivered: Sequence[Cue], alignment: Alignment, signs: Sequence[Span]) -> Summary:
    """Compare the cues before and after, and both with a constant shift by the median offset."""
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
        aligned=_state(alignment.cues, signing, starts),
    )


@dataclass(frozen=True)
class Verdict:
    """What to do with an alignment."""

    verdict: Literal["good", "check", "do not use"]
    reason: str
    check: tuple[int, ...] = ()  # indices of cues, the least sure first

    def __str__(self) -> str:
        head = f"check {len(self.check)} cues" if self.verdict == "check" else self.verdict
        return f"{head}: {self.reason}"


def give_verdict(alignment: Alignment) -> Verdict:
    """Say whether an alignment is good, has cues to check, or is not to be used, such as that of another programme."""
    count = len(alignment.cues)
    sure = alignment.confidence
    if sure is None or not count:
        return Verdict("good", "nothing was judged: there is no confidence")
    unsigned = [i for i, run in enumerate(alignment.runs) if not run]
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
    expected = f"{mean:.0%} of the cues with signs are expected to be right"
    return Verdict("check" if check else "good", expected, check)


def build_report(
    delivered: Sequence[Cue],
    alignment: Alignment,
    final: Sequence[Cue],
    signs: Sequence[Sign],
    *,
    costs: Costs,
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
            "joined": None,
            "aligned": asdict(summary.aligned),
        },
        "signs": [[sign.start, sign.end, sign.gloss] for sign in signs],
        "phrases": [[span.start, span.end] for span in phrases(signs)],
        "cues": [
            {
                "index": i,
                "id": cue.id,
                "text": texts[i],
                "delivered": [cue.start, cue.end],
                "aligned": [final[i].start, final[i].end] if whole else None,
                "dropped": not alignment.runs[i],
                "why": None if alignment.runs[i] else "every run of signs would cost more than dropping it",
                "probability": sure.probability if sure and alignment.runs[i] else None,
                "signed": sure.signed if sure else None,
                "start_interval": list(sure.start) if sure and alignment.runs[i] else None,
                "end_interval": list(sure.end) if sure and alignment.runs[i] else None,
                "margin": sure.margin if sure else None,
                "terms": _terms(cue, alignment, i, costs),
                "alternatives": [],
                "run": _run(alignment.runs[i], index),
                "reading_speed": speeds[i] if whole else None,
            }
            for i, (cue, sure) in enumerate(
                zip(delivered, alignment.confidence or [None] * len(delivered), strict=True)
            )
        ],
    }


def _terms(cue: Cue, alignment: Alignment, i: int, costs: Costs) -> dict[str, float] | None:
    """What the run of a cue costs, term by term, without similarities."""
    run = alignment.runs[i]
    if not run:
        return None
    lag = alignment.shifts[i] if alignment.shifts else (0.0, 0.0)
    start, end = cue.start + lag[0], cue.end + lag[1]
    gap = sum(max(0.0, after.start - before.end) for before, after in pairwise(run))
    return {
        "start": abs(start - run[0].start),
        "end": abs(end - run[-1].end),
        "duration": costs.w_dur * abs(end - start - (run[-1].end - run[0].start)),
        "gap": costs.w_gap * gap,
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


def plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as JSON has them: None for NaN."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return plain_values(value)
        if isinstance(value, list | tuple):
            return [plain(inner) for inner in value]
        return None if value != value else value

    return {key: plain(value) for key, value in values.items()}
