"""Fit how sure the aligner says it is, and test it on episodes that it was not fitted on.

    python bench/calibration.py

Prints the constants of `seasign.confidence.CALIBRATION`, and measures those that are there. Episodes are those of
bench/quality.py, with other seeds; what is tested are seeds that the fit has not seen. No similarities, no lag given.
"""

import warnings
from collections.abc import Iterable

import numpy as np
from quality import CONDITIONS, found_first, make
from results import record

from seasign.calibration import Seen, look, measure, state
from seasign.confidence import CALIBRATION, fit_weights
from seasign.types import Calibration, Example, InputWarning, Preset

LEFT_OUT = ("wrong subtitles", "late interpreter, 60 cues")
NAMES = [name for name in CONDITIONS if name not in LEFT_OUT and not name.startswith("embeddings")]
FIT, TEST = range(200, 204), range(300, 303)
BARE = Calibration(CALIBRATION.weights, (0.0, 0.0))


def see(seeds: Iterable[int]) -> list[Seen]:
    """Episodes of all conditions, aligned as they come, beside the truth."""
    episodes = [make(CONDITIONS[name], seed)[0] for name in NAMES for seed in seeds]
    return [look(Example(one.signs, one.cues, one.reference), Preset(), BARE) for one in episodes]


def main() -> None:
    warnings.simplefilter("ignore", InputWarning)
    fit, test = see(FIT), see(TEST)
    weights = fit_weights(
        np.concatenate([one.evidence for one in fit]), np.concatenate([one.hit for one in fit]), None, 1
    )
    margin = np.nanquantile(np.concatenate([one.beyond for one in fit]), 0.9, axis=0).round(3).tolist()
    new = Calibration(weights, (margin[0], margin[1]))
    print(new)
    for label, calibration in ("new", new), ("as it is", CALIBRATION):
        found = measure(test, [calibration] * len(test))
        first = np.nanmean([found_first(~one.hit, state(one, calibration)) for one in test])
        print(
            f"{label}: AUROC {found.auroc:.4f}, error {found.error:.4f}, coverage {found.coverage}, first {first:.4f}"
        )
        print("   ", [(round(part.stated, 2), round(part.right, 2)) for part in found.bins])
    record("confidence: AUROC of a wrong cue", 100 * found.auroc, "%", ">= 85")
    record("confidence: expected calibration error", 100 * found.error, "%")
    record("confidence: coverage of 90 % intervals, starts", 100 * found.coverage[0], "%", "87 to 93")
    record("confidence: coverage of 90 % intervals, ends", 100 * found.coverage[1], "%", "87 to 93")
    record("confidence: wrong cues found in the first 30 %", 100 * float(first), "%", ">= 80")


if __name__ == "__main__":
    main()
