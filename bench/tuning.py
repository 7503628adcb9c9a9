"""How fast settings are tried: 16 episodes of about 570 cues and 3,000 signs.

    python bench/tuning.py             # 10,000 settings, two processes: minutes
    python bench/tuning.py --quick     # the time of a batch alone, and nothing goes into the book

The oracle is a loop of single calls, as a script would do it: `align` by edges alone, lag given, then `evaluate`.
"""

import os
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from results import record

import seasign
from seasign import tuning
from seasign.types import Example, InputWarning, Preset

EPISODES, DURATION, SETTINGS, PROCESSES = 16, 2100.0, 10_000, 2
BATCH = 100


def example(seed: int) -> Example:
    stress = seasign.synthesis.Stress(missed=0.05, spurious=0.05, unsigned=0.05)
    episode = seasign.synthesize(seed, duration=DURATION, fps=None, stress=stress)
    return Example(episode.signs, episode.cues, episode.reference)


def cpu(call: Callable[[], object], repeats: int = 5) -> float:
    """The least CPU time of several calls: others work on this machine too."""
    found = []
    for _ in range(repeats):
        began = time.process_time()
        call()
        found.append(time.process_time() - began)
    return min(found)


def one_batch() -> dict[str, float]:
    """Milliseconds of CPU a setting: all of it, its parts, and the loop over single calls."""
    one = example(0)
    ready = tuning._prepare(one, 25.0)
    (batch,) = (some[:BATCH] for some in tuning._draw(BATCH * BATCH, 0, Preset(), search=True, similar=False)[1:2])
    whole = cpu(lambda: tuning._count(ready, batch)) / BATCH
    shifted = ready.times + ready.lag(batch[0])
    rows = np.repeat(shifted[:, None, ready.measured], BATCH, axis=1)
    score = cpu(lambda: tuning.count_runs(ready.reference, *rows, ready.partner)) / BATCH

    def single(preset: Preset) -> None:
        costs = replace(preset.costs, temperature=0.0)
        moved = seasign.align(one.signs, one.cues, costs=costs, lag=batch[0].lag, padding=preset.padding).cues
        seasign.evaluate(one.reference, moved)

    loop = cpu(lambda: [single(preset) for preset in batch[:10]], 3) / 10
    print(f"{len(one.cues)} cues, {len(one.signs)} signs")
    return {"whole": 1000 * whole, "score": 1000 * score, "loop": 1000 * loop}


def main(quick: bool) -> None:
    warnings.simplefilter("ignore", InputWarning)
    spent = one_batch()
    if quick:
        print(spent)
        return
    record("a setting on an episode, solved and scored in a batch of 100, CPU", spent["whole"], "ms", "<= 5")
    record("of which scored", spent["score"], "ms", "<= 1")
    record("a loop of align and evaluate / a batch", spent["loop"] / spent["whole"], "x")
    examples = {f"news{seed}": example(seed) for seed in range(EPISODES)}
    began, before = time.perf_counter(), os.times()
    found = tuning.tune(examples, settings=SETTINGS, processes=PROCESSES)
    wall, after = time.perf_counter() - began, os.times()
    used = sum(
        getattr(after, name) - getattr(before, name) for name in ("user", "system", "children_user", "children_system")
    )
    record("10,000 settings x 16 episodes, two processes, wall", wall, "s", "<= 300")
    record("the same, CPU of each process", used / PROCESSES, "s", "<= 300")
    record("F1@.50 of the default", found.baselines["default"].value, "%")
    record("F1@.50 of what was found, on episodes left out", found.score.value, "%")
    print(found.preset.costs, found.preset.lag, found.preset.padding, found.difference)


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
