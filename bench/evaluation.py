"""Evaluation of an hour of 1,000 cues, beside a direct raster of its frames: python bench/evaluation.py."""

import time
import warnings
from collections.abc import Callable

import numpy as np

from seasign.metrics import THRESHOLDS, count_cues, evaluate, prepare_cues
from seasign.types import Cue, InputWarning

FPS = 25


def hour(cues: int = 1000) -> tuple[list[Cue], list[Cue]]:
    """A reference, and an estimate that is about half a second off and stays up a second longer, over its neighbour."""
    random = np.random.default_rng(0)
    starts = np.arange(cues) * 3600 / cues
    ends = starts + random.uniform(1, 3.4, cues)
    moved = starts + random.normal(0, 0.5, cues), ends + 1 + random.normal(0, 0.5, cues)
    return tuple(
        [Cue(round(start, 3), round(end, 3), f"Line {i}") for i, (start, end) in enumerate(zip(*times, strict=True))]
        for times in ((starts, ends), moved)
    )


def raster(reference: list[Cue], estimate: list[Cue]) -> tuple[int, ...]:
    """Correct frames and true positives, straight from the description: paint frames, collect runs, compare."""
    limit = reference[-1].end + 10
    sides = []
    for cues in reference, estimate:
        frames = np.full(round(FPS * limit), -1)
        for i, cue in enumerate(cues):
            frames[round(FPS * max(0.0, min(cue.start, limit))) : round(FPS * max(0.0, min(cue.end, limit)))] = i
        sides.append(frames)
    runs = []
    for frames in sides:
        found, first = [], 0
        for frame in range(1, len(frames) + 1):
            if frame == len(frames) or frames[frame] != frames[first]:
                if frames[first] >= 0:
                    found.append((frames[first], first, frame))
                first = frame
        runs.append(found)
    hits: list[set[int]] = [set() for _ in THRESHOLDS]
    for label, start, end in runs[1]:
        best, where = 0.0, -1
        for i, (other, true_start, true_end) in enumerate(runs[0]):
            common = min(end, true_end) - max(start, true_start)
            if other == label and common > 0 and common / (end - start + true_end - true_start - common) > best:
                best, where = common / (end - start + true_end - true_start - common), i
        for hit, threshold in zip(hits, THRESHOLDS, strict=True):
            if best >= threshold:
                hit.add(where)
    return int(np.sum(sides[0] == sides[1])), *map(len, hits)


def milliseconds(run: Callable[[], object], times: int) -> float:
    """The best of several, after one to warm up."""
    run()
    spent = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        spent.append(time.perf_counter() - start)
    return min(spent) * 1000


def main() -> None:
    reference, estimate = hour()
    counts = evaluate(reference, estimate).pooled
    assert (counts.correct_frames, *counts.tp) == raster(reference, estimate)
    prepared, times = (np.array([(cue.start, cue.end) for cue in cues]).T for cues in (reference, estimate))
    truth = prepare_cues(*prepared, FPS)
    ours = milliseconds(lambda: evaluate(reference, estimate).as_json(), 50)
    warnings.simplefilter("ignore", InputWarning)
    by_text = milliseconds(lambda: evaluate(reference, [*estimate, estimate[-1]]).as_json(), 10)
    candidate = milliseconds(lambda: count_cues(truth, *times).f1, 50)
    direct = milliseconds(lambda: raster(reference, estimate), 3)
    print(f"an hour, {len(reference)} cues: the raster of frames takes {direct:.0f} ms, and counts the same")
    for name, spent, target in (
        ("evaluate, from cues to scores", ours, 10),
        ("the same, one cue too many", by_text, 10),
        ("count_cues, one more estimate", candidate, 1),
    ):
        print(f"{name:30} {spent:6.2f} ms (target: {target:2}), {direct / spent:4.0f} x faster than the raster")


if __name__ == "__main__":
    main()
