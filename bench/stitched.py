"""Episodes stitched from real isolated signs, with subtitles of their words: without and with an embedder of the signs.

    python bench/stitched.py DATA RUNS

DATA is the folder of traduttore_asl, RUNS that of bench/signclip_tiny.py, whose checkpoints of seed 0 are used: an
episode is of one session, and its embedder has learned from other sessions and was chosen on another. The sessions with
four words and more make three episodes each, of 60 signs joined by `concatenate`. In these clips hands are up all the
time, so that the signing has no rests, but pauses in which hands hardly move. A cue is the words of one sign, or of
one to three in a row; cues come 2 s early, as timed to speech, and each with a jitter of its own (normal, sd .5 s,
seeded), or with none. Signs are found by the training-free segmenter. Intervals are over sessions.
"""

import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from results import record

import seasign
from seasign import checkpoints
from seasign.corpora import traduttore
from seasign.corpora.clips import Clip
from seasign.embedding import compare
from seasign.segmentation import find_sign
from seasign.training.concatenation import Joining, concatenate
from seasign.types import Cue, InputWarning, Poses, Sign

EARLY, JITTER = 2.0, 0.5  # seconds
SIGNS, EPISODES = 60, 3
JOINING = Joining(phrase=(2, 5), rest=(0.5, 2.0))


def stitch(clips: Sequence[Clip], seed: int, most: int) -> tuple[Poses, tuple[Sign, ...], tuple[Cue, ...]]:
    """Poses, the signs in them, and the cues where they are signed, each of up to `most` words."""
    rng = np.random.default_rng(seed)
    chosen = [clips[number] for number in rng.integers(len(clips), size=SIGNS)]
    pieces = []
    for clip in chosen:
        span = find_sign(clip.read())
        pieces.append((clip.read(), Sign(span.start, span.end, clip.text)))
    poses, signs = concatenate(pieces, seed, joining=JOINING)
    cues, first = [], 0
    while first < len(signs):
        own = signs[first : first + int(rng.integers(1, most, endpoint=True))]
        cues.append(Cue(own[0].start, own[-1].end, " ".join(str(sign.gloss) for sign in own)))
        first += len(own)
    return poses, signs, tuple(cues)


def deliver(truth: Sequence[Cue], seed: int, jitter: float) -> tuple[Cue, ...]:
    """The cues as they come in."""
    by = (np.random.default_rng(seed).normal(0, 1, len(truth)) * jitter - EARLY).tolist()
    return tuple(replace(cue, start=cue.start + late, end=cue.end + late) for cue, late in zip(truth, by, strict=True))


def f1(truth: Sequence[Cue], estimate: Sequence[Cue]) -> float:
    return float(seasign.evaluate(truth, estimate).as_json()["f1@0.50"])


def main(data: Path, runs: Path) -> None:
    torch.set_num_threads(1)
    clips = traduttore.read(data)
    sessions = sorted({str(clip.signer) for clip in clips})
    for most in (1, 3):
        found: dict[float, dict[str, dict[str, list[float]]]] = {
            jitter: defaultdict(lambda: defaultdict(list)) for jitter in (JITTER, 0.0)
        }
        for session in sessions:
            own = [clip for clip in clips if clip.signer == session and clip.text != "large"]
            if len({clip.text for clip in own}) < 4:
                continue
            embedder = checkpoints.load_embedder(runs / f"{session.replace(' ', '')}-seed0")
            for seed in range(EPISODES):
                poses, _, truth = stitch(own, seed, most)
                signs = seasign.segment(poses, purpose="alignment")
                similarity = compare(embedder.text([cue.text for cue in truth]), embedder.signs(poses, signs))
                for jitter, ways in found.items():
                    for name, score in scores(signs, truth, deliver(truth, seed, jitter), similarity).items():
                        ways[name][session].append(score)
        words = "one word a cue" if most == 1 else f"one to {most} words a cue"
        for jitter, ways in found.items():
            report(f"stitched traduttore_asl, {words}, {f'jitter {jitter} s' if jitter else 'no jitter'}", ways)


def scores(
    signs: Sequence[Sign], truth: Sequence[Cue], delivered: Sequence[Cue], similarity: Float[np.ndarray, "cues signs"]
) -> dict[str, float]:
    """F1@.50 of every way to place the cues."""
    found = {
        "delivered: lag unknown": f1(truth, delivered),
        "delivered: lag given": f1(truth, seasign.shift(delivered, (EARLY, EARLY))),
    }
    for name, one in ("by time alone", None), ("with SignCLIP", similarity):
        for how, lag in ("lag unknown", "auto"), ("lag given", (EARLY, EARLY)):
            placed = seasign.align(signs, delivered, similarity=one, lag=lag)
            found[f"{name}: {how}"] = f1(truth, placed.cues)
    for how in "lag unknown", "lag given":
        found[f"gain: {how}"] = found[f"with SignCLIP: {how}"] - found[f"by time alone: {how}"]
    return found


def report(corpus: str, found: dict[str, dict[str, list[float]]]) -> None:
    """Means over sessions, with what holds 95 % of them when sessions are drawn."""
    for name, sessions in found.items():
        values = np.array([np.mean(of) for of in sessions.values()])
        drawn = np.random.default_rng(0).integers(0, len(values), (10_000, len(values)))
        low, high = np.quantile(values[drawn].mean(axis=1), (0.025, 0.975)).tolist()
        record(name, float(values.mean()), "%", "", corpus, (low, high))


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore", InputWarning)  # no lag stands out in seamless signing: that is what is measured
    main(Path(sys.argv[1]), Path(sys.argv[2]))
