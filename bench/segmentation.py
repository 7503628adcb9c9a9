"""Sign boundaries that people set, against cuts without weights, with the outer span given.

    python bench/segmentation.py BOSTON104

BOSTON104 is the folder with `hands.csv` and `signs.csv` of RWTH-BOSTON-104 (hands and nose, 30 fps; see the shared
data). A sentence lasts from its first sign's start to its last sign's end; every method cuts that span into units
without gaps. The evidence is the speed of both hands in pixels, as `seasign.segment` reads it from poses.

The published rows are of 88 sentences with 410 signs, the selection of which is not stated. We score all 113 (478
signs), and beside them the 89 (416 signs) with four signs or more, which come near.
"""

import csv
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from seasign.metrics import SignScores, evaluate_signs
from seasign.segmentation import TRAINING_FREE, cut, evidence, speed, standardize
from seasign.types import Span

FPS = Fraction(30)
PUBLISHED = {  # count, F1@.50, mF1S, mF1B, onset F1; of 88 sentences
    "even cuts, true count": (1.00, 72, 57.3, 39.9, 65),
    "even cuts of .39 s": (1.02, 73, 58.3, 44.9, 68),
    "DP, w .3": (0.99, 71, 57.9, 51.0, 71),
    "DP, w .6": (0.98, 71, 56.9, 49.5, 70),
}


@dataclass(frozen=True)
class Sentence:
    """A video: both hands frame by frame in pixels, and its signs as half-open ranges of frames."""

    speaker: str
    hands: np.ndarray  # 2 x frames x 2
    signs: Sequence[tuple[int, int]]


Cutter = Callable[[Sentence, int, int], np.ndarray]  # sentence, first and last frame of the span -> edges, from 0


def read(folder: Path) -> list[Sentence]:
    hands, signs, speakers = defaultdict(list), defaultdict(list), {}
    with (folder / "hands.csv").open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            hands[row["video"]].append([[float(row[f"{side}-{axis}"]) for axis in "xy"] for side in ("left", "right")])
    with (folder / "signs.csv").open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            signs[row["video"]].append((int(row["startframe"]), int(row["endframe"]) + 1))
            speakers[row["video"]] = row["speaker"]
    return [Sentence(speakers[video], np.array(hands[video]).swapaxes(0, 1), signs[video]) for video in signs]


def even(units: Callable[[Sentence, float], int]) -> Cutter:
    return lambda sentence, first, last: np.linspace(0, last - first, units(sentence, (last - first) / 30) + 1).round()


def dp(w: float, frames_later: int = 0) -> Cutter:
    def edges(sentence: Sentence, first: int, last: int) -> np.ndarray:
        seen = evidence(speed(sentence.hands.swapaxes(0, 1), FPS).T, FPS)
        seen = np.concatenate([np.full(frames_later, np.nan), seen])[: len(seen)]
        return cut(standardize(seen[first:last]), FPS, replace(TRAINING_FREE, w=w))

    return edges


CUTTERS = {
    "even cuts, true count": even(lambda sentence, seconds: len(sentence.signs)),
    "even cuts of .39 s": even(lambda sentence, seconds: max(1, round(seconds / 0.39))),
    "DP, w .3": dp(0.3),
    "DP, w .6": dp(0.6),
    "DP, w .6, boundaries a frame later": dp(0.6, 1),
}


def score(sentences: Sequence[Sentence], cutter: Cutter) -> SignScores:
    episodes = []
    for sentence in sentences:
        first, last = sentence.signs[0][0], max(stop for _, stop in sentence.signs)
        edges = (first + cutter(sentence, first, last)) / 30
        reference = [Span(start / 30, stop / 30) for start, stop in sentence.signs]
        episodes.append((reference, [Span(*span) for span in np.column_stack([edges[:-1], edges[1:]]).tolist()]))
    return evaluate_signs(episodes)


def measure(folder: Path) -> Mapping[str, Mapping[str, SignScores]]:
    """Scores of every cutter on every selection."""
    sentences = read(folder)
    selections = {
        "all": sentences,
        "4 signs or more": [sentence for sentence in sentences if len(sentence.signs) >= 4],
        **{
            name: [sentence for sentence in sentences if sentence.speaker == name]
            for name in sorted({sentence.speaker for sentence in sentences})
        },
    }
    return {
        f"{name}: {len(chosen)} sentences, {sum(len(sentence.signs) for sentence in chosen)} signs": {
            label: score(chosen, cutter) for label, cutter in CUTTERS.items()
        }
        for name, chosen in selections.items()
    }


if __name__ == "__main__":
    tables = {"published: 88 sentences, 410 signs": PUBLISHED}
    tables |= {
        name: {label: astuple(row) for label, row in rows.items()} for name, rows in measure(Path(sys.argv[1])).items()
    }
    for name, rows in tables.items():
        print(f"\n{name:<48} count  F1@.50  mF1S  mF1B  onset F1")
        for label, (count, f1, mf1s, mf1b, onset) in rows.items():
            print(f"  {label:<46} {count:5.2f}  {f1:6.1f}  {mf1s:4.1f}  {mf1b:4.1f}  {onset:8.1f}")
