"""Which faults of a segmentation cost an alignment most, where the true signs are known.

    python bench/perturbation.py DATA

DATA holds `how2sign` and `elan_samples` (the shared data). Made-up episodes and the story have true signs; those of
How2Sign are of the default segmenter, since no others are known. The story is one: its intervals are over deliveries.

Every fault is done to the true signs at three strengths, by the same draws, and the cues are aligned with the true lag
given, by the default and as published. An interval is of the loss, over the same episodes without the fault.
"""

import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
from real import LEAD, MOVED, deliver, how2sign
from results import record

import seasign
from seasign.metrics import cut_evenly
from seasign.synthesis import synthesize
from seasign.types import Costs, Cue, InputError, InputWarning, Sign, Span

SEEDS, DURATION = 16, 600.0  # episodes, and seconds of each: about 160 cues and 840 signs
TRANSITION, REST = 0.25, 1.0  # seconds: a gap up to the first is within signing, a rest of more than the second is long

Fault = Callable[[Sequence[Span], float, np.random.Generator], Sequence[Span]]  # signs in order, strength, draws


def split(signs: Sequence[Span], share: float, rng: np.random.Generator) -> Sequence[Span]:
    """Cut that share of the signs in two."""
    parts: list[Span] = []
    for sign, draw, where in zip(signs, *rng.random((2, len(signs))).tolist(), strict=True):
        cut = sign.start + (0.3 + 0.4 * where) * sign.duration
        parts += [Span(sign.start, cut), Span(cut, sign.end)] if draw < share else [sign]
    return parts


def merge(signs: Sequence[Span], share: float, rng: np.random.Generator) -> Sequence[Span]:
    """Join that share of the neighbours with no rest between them."""
    return _join(signs, share, rng, lambda gap: gap <= TRANSITION)


def close(signs: Sequence[Span], share: float, rng: np.random.Generator) -> Sequence[Span]:
    """Join the signs on both sides of that share of the rests, as far as these are short."""
    return _join(signs, share, rng, lambda gap: TRANSITION < gap <= REST)


def bouts(signs: Sequence[Span]) -> Sequence[Span]:
    """Join all signs with no rest between them."""
    return merge(signs, 1.0, np.random.default_rng(0))


def _join(
    signs: Sequence[Span], share: float, rng: np.random.Generator, which: Callable[[float], bool]
) -> Sequence[Span]:
    joined = [signs[0]]
    for sign, draw in zip(signs[1:], rng.random(len(signs) - 1).tolist(), strict=True):
        if draw < share and which(sign.start - joined[-1].end):
            joined[-1] = Span(joined[-1].start, max(joined[-1].end, sign.end))
        else:
            joined.append(sign)
    return joined


def delete(signs: Sequence[Span], share: float, rng: np.random.Generator) -> Sequence[Span]:
    """Leave out that share of the signs."""
    return [sign for sign, draw in zip(signs, rng.random(len(signs)).tolist(), strict=True) if draw >= share]


def insert(signs: Sequence[Span], share: float, rng: np.random.Generator) -> Sequence[Span]:
    """Find as many signs as that share of the true ones where nobody signs; a rest may fill up."""
    rests = [Span(a.end, b.start) for a, b in pairwise(signs) if b.start - a.end > TRANSITION]
    if not rests:
        return signs
    weights = np.array([rest.duration for rest in rests])
    chosen = rng.choice(len(rests), len(signs), p=weights / weights.sum())
    lengths = np.exp(rng.normal(np.log(0.38), 0.4, len(signs)))
    places = rng.random(len(signs))
    added: dict[int, list[Span]] = {}
    drawn = zip(chosen.tolist(), lengths.tolist(), places.tolist(), strict=True)
    for where, length, place in islice(drawn, round(share * len(signs))):
        rest = rests[where]
        start = rest.start + place * max(0.0, rest.duration - length)
        new = Span(start, min(start + length, rest.end))
        if all(new.end <= other.start or other.end <= new.start for other in added.get(where, [])):
            added.setdefault(where, []).append(new)
    return sorted([*signs, *(new for news in added.values() for new in news)], key=lambda sign: sign.start)


def jitter(signs: Sequence[Span], seconds: float, rng: np.random.Generator) -> Sequence[Span]:
    """Move every edge by so much (standard deviation), one that two signs share as one; none over another."""
    edges = np.array([(sign.start, sign.end) for sign in signs])
    times, own = np.unique(edges, return_inverse=True)
    moved = np.maximum.accumulate(times + seconds * rng.standard_normal(len(times)))[own.reshape(edges.shape)]
    return [Span(*edge) for edge in moved.tolist() if edge[0] < edge[1]]


SHARES = {"10 %": 0.1, "25 %": 0.25, "50 %": 0.5}
FAULTS: Mapping[str, tuple[Fault, Mapping[str, float]]] = {
    "split signs": (split, SHARES),
    "merge neighbours": (merge, SHARES),
    "close rests up to 1 s": (close, SHARES),
    "delete signs": (delete, SHARES),
    "insert signs in rests": (insert, SHARES),
    "jitter edges": (jitter, {"0.05 s": 0.05, "0.10 s": 0.1, "0.20 s": 0.2}),
}
CONTROLS: Mapping[str, Callable[[Sequence[Span]], Sequence[Span]]] = {
    "even cuts of the bouts": lambda signs: cut_evenly(bouts(signs)),
    "every bout one sign": bouts,
    "even cuts from the first sign to the last": lambda signs: cut_evenly([Span(signs[0].start, signs[-1].end)]),
}
SETTINGS = {"default": Costs(), "as published": Costs(compat="sea")}

Episode = tuple[Sequence[Cue], Sequence[Cue], Sequence[Sign], tuple[float, float]]  # delivered, true, signs, lag


def perturbed(signs: Sequence[Sign], seed: int) -> dict[str, Sequence[Span]]:
    """The signs under every fault at every strength; the same draws whatever the strength."""
    found: dict[str, Sequence[Span]] = {"nothing": signs}
    for k, (name, (fault, strengths)) in enumerate(FAULTS.items()):
        for label, strength in strengths.items():
            found[f"{name}, {label}"] = fault(signs, strength, np.random.default_rng([seed, k]))
    return found | {name: control(signs) for name, control in CONTROLS.items()}


def aligned(episode: Episode, spans: Sequence[Span], costs: Costs) -> Sequence[Cue]:
    """The cues aligned to these signs; or moved by the lag alone, where there is no assignment."""
    cues, _, _, lag = episode
    try:
        return seasign.align([Sign(span.start, span.end) for span in spans], cues, costs=costs, lag=lag).cues
    except InputError:
        return seasign.shift(cues, lag)


def measure(episodes: Sequence[Episode], corpus: str) -> None:
    reference = {str(k): episode[1] for k, episode in enumerate(episodes)}
    faulty = [perturbed(signs, k) for k, (_, _, signs, _) in enumerate(episodes)]
    for setting, costs in SETTINGS.items():
        runs = {
            name: {str(k): aligned(episode, faulty[k][name], costs) for k, episode in enumerate(episodes)}
            for name in faulty[0]
        }
        runs["lag only"] = {str(k): seasign.shift(cues, lag) for k, (cues, _, _, lag) in enumerate(episodes)}
        whole = runs.pop("nothing")
        score = seasign.bootstrap(seasign.evaluate(reference, whole))
        record(f"nothing, F1@.50: {setting}", score.value, "points", corpus=corpus, interval=(score.low, score.high))
        for name, run in runs.items():
            lost = seasign.compare_runs(reference, whole, run).difference
            record(f"{name}: {setting}", lost.value, "points", corpus=corpus, interval=(lost.low, lost.high))


def made_up() -> list[Episode]:
    episodes = []
    for seed in range(SEEDS):
        made = synthesize(seed, duration=DURATION, fps=None)
        late = [
            (true.start - cue.start, true.end - cue.end) for cue, true in zip(made.cues, made.reference, strict=True)
        ]
        start, end = np.median(late, axis=0).tolist()
        episodes.append((made.cues, made.reference, made.signs, (start, end)))
    return episodes


def filmed(folder: Path) -> list[Episode]:
    """The videos of `real.py`, segmented by default: no sign is known there, but every sentence."""
    episodes = []
    with tempfile.TemporaryDirectory() as scratch:
        how2sign(folder, Path(scratch) / "how2sign", 0)
        for path in sorted((Path(scratch) / "how2sign" / "truth").iterdir()):
            truth = seasign.read(path).cues
            signs = seasign.segment(seasign.read_poses(path.parents[1] / "in" / f"{path.stem}.pose"))
            episodes.append((deliver(truth, seed=len(truth)), truth, signs, (MOVED, MOVED)))
    return episodes


def told(path: Path) -> list[Episode]:
    """The story of `real.py`, whose signs were timed by people, delivered many times."""
    truth = [_later(cue) for cue in seasign.read_cues(path, "English translation").cues]
    signs = sorted((_later(sign) for sign in seasign.read_signs(path, "main gloss")), key=lambda sign: sign.start)
    return [(deliver(truth, seed), truth, signs, (MOVED, MOVED)) for seed in range(SEEDS)]


def _later(span: Cue | Sign) -> Cue | Sign:
    return replace(span, start=span.start + LEAD, end=span.end + LEAD)


if __name__ == "__main__":
    warnings.simplefilter("ignore", InputWarning)  # cues and signs that overlap, and nobody there before the start
    data = Path(sys.argv[1])
    measure(made_up(), f"synthetic, {SEEDS} x {DURATION:.0f} s")
    measure(told(data / "elan_samples" / "ncslgr_asl_story.eaf"), f"ncslgr story, {SEEDS} deliveries")
    measure(filmed(data / "how2sign"), "how2sign, 6 videos joined")
