"""What an alignment did, in numbers that need no reference."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from seasign.alignment import shift
from seasign.segmentation import phrases
from seasign.types import Alignment, Cue, Span

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
