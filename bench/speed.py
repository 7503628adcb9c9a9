"""How fast, as ratios within one run: an hour of 1,000 cues and 5,255 signs.

    python bench/speed.py

The oracle is the published recurrence as it stands in the paper: for every cue and every sign that the cue may end on,
the least cost over all signs that it may start on. It is vectorized over those, which is generous to it.
"""

import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from results import record

import seasign
from seasign.alignment import lay_out
from seasign.embedding import normalize
from seasign.solver import solve
from seasign.types import Costs, Cue, Normalization, Sign

SCALES = {1: (1000, 5255), 4: (4000, 21020)}


def episode(scale: int) -> tuple[list[Cue], list[Sign], np.ndarray]:
    """Cues, signs and raw similarities: four seconds and five signs a cue, as an hour of interpreting has them."""
    cues, signs = SCALES[scale]
    rng = np.random.default_rng(scale)
    starts = np.cumsum(rng.lognormal(np.log(0.62), 0.35, signs))
    sign_list = [
        Sign(start, start + length)
        for start, length in zip(starts.tolist(), rng.uniform(0.2, 0.6, signs).tolist(), strict=True)
    ]
    begins = np.sort(rng.uniform(0, starts[-1] - 4, cues)).tolist()
    cue_list = [
        Cue(begin, begin + length, "x") for begin, length in zip(begins, rng.uniform(1, 6, cues).tolist(), strict=True)
    ]
    return cue_list, sign_list, rng.normal(0, 5, (cues, signs)).astype(np.float32)


def oracle(cues: list[Cue], signs: list[Sign], similarity: np.ndarray, costs: Costs) -> float:
    """The least total cost by the published recurrence, in O(cues x window x signs)."""
    start, end = np.array([sign.start for sign in signs]), np.array([sign.end for sign in signs])
    middles, sign_middles = np.array([cue.middle for cue in cues]), (start + end) / 2
    neighbours, values = normalize(similarity, middles, sign_middles, Normalization())
    gaps = np.concatenate(([0.0], np.cumsum(np.maximum(0, start[1:] - end[:-1]))))
    before = np.full(len(signs) + 1, np.inf)
    before[0] = 0
    for i, cue in enumerate(cues):
        near = np.argsort(np.abs(sign_middles - middles[i]), kind="stable")[: costs.window]
        low, high = near.min(), near.max()
        rewards = np.zeros(len(signs) + 1)
        rewards[neighbours[i] + 1] = values[i]
        rewards[: low + 1] = rewards[high + 2 :] = 0
        rewards = np.cumsum(rewards)
        after = np.full(len(signs) + 1, np.inf)
        for j in range(low + 1, high + 2):
            first = slice(0, j)
            cost = before[first] + np.abs(cue.start - start[first]) + abs(cue.end - end[j - 1])
            cost += costs.w_dur * np.abs(cue.duration - (end[j - 1] - start[first]))
            cost += costs.w_gap * (gaps[j - 1] - gaps[first]) - costs.w_sim * (rewards[j] - rewards[first])
            after[j] = cost.min()
        before = after
    return float(before.min())


def seconds(call: Callable[[], object], repeats: int) -> float:
    """The median of several calls, after one that warms up."""
    call()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return median(times)


def main() -> None:
    cues, signs, similarity = episode(1)
    hour = seconds(lambda: seasign.assign(cues, signs, similarity), 9)
    began = time.perf_counter()
    expected = oracle(cues, signs, similarity, Costs())
    published = time.perf_counter() - began
    found = seasign.assign(cues, signs, similarity).cost
    assert abs(found - expected) < 1e-6 * abs(expected), (found, expected)
    tracemalloc.start()
    seasign.assign(cues, signs, similarity)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    record("assign, an hour with similarity", 1000 * hour, "ms", "<= 100")
    record("the same, memory above what was given", peak / 1e6, "MB", "<= 50")
    record("the bench's loop over the published recurrence / assign", published / hour, "x", ">= 20")

    four = episode(4)
    record("four hours / one hour", seconds(lambda: seasign.assign(*four), 3) / hour, "x", "<= 4.5")
    everything = Costs(window=None)
    record(
        "no window at all",
        1000 * seconds(lambda: seasign.assign(cues, signs, similarity, costs=everything), 3),
        "ms",
        "<= 1000",
    )

    problem = lay_out(cues, signs, similarity)
    weights = np.random.default_rng(0).uniform(0.5, 10, (3, 256))
    record(
        "a batch of 256 settings, per setting", 1000 * seconds(lambda: solve(problem, *weights), 3) / 256, "ms", "<= 4"
    )

    aligned = seasign.assign(cues, signs, similarity).cues
    record("evaluate, an hour", 1000 * seconds(lambda: seasign.evaluate(cues, aligned), 9), "ms", "<= 10")

    poses = seasign.synthesize(duration=600.0).poses
    assert poses is not None
    record(
        "training-free segmenter, 75 landmarks",
        len(poses.xyz) / seconds(lambda: seasign.segment(poses), 3),
        "frames/s",
        ">= 20000",
    )

    with tempfile.TemporaryDirectory() as folder:
        seasign.write(Path(folder) / "signs.eaf", signs)
        seasign.write(Path(folder) / "subs.vtt", cues)
        command = [sys.executable, "-m", "seasign", "align", "signs.eaf", "subs.vtt", "-o", "out.vtt", "--lag", "2"]
        cold = seconds(lambda: subprocess.run(command, cwd=folder, check=True, capture_output=True), 5)
    record("`seasign align signs.eaf subs.vtt -o out.vtt --lag 2`, a whole process", cold, "s", "<= 1.0")

    def load(module: str) -> float:
        code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
        return float(
            subprocess.run(
                [sys.executable, "-c", f"import numpy; {code}"], check=True, capture_output=True, text=True
            ).stdout
        )

    record("import seasign, beyond numpy", 1000 * min(load("seasign") for _ in range(5)), "ms", "<= 200")


if __name__ == "__main__":
    main()
