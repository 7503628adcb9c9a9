"""Fit how sure the aligner says it is, and test it on episodes that it was not fitted on.

    python bench/calibration.py

Prints the constants of `seasign.confidence.CALIBRATION`. Episodes are those of bench/quality.py, with other seeds; what is
tested are seeds that the fit has not seen.
"""

import warnings

import numpy as np
from quality import CONDITIONS, auroc, found_first, make
from results import record

import seasign
from seasign.confidence import CALIBRATION, Calibration, Evidence, calibrate, examine, judge
from seasign.posterior import infer, iou
from seasign.solver import lay_out, price_list, sweep
from seasign.types import Costs, InputWarning

LEFT_OUT = ("wrong subtitles", "late interpreter, 60 cues")
FIT, TEST = range(200, 204), range(300, 303)


def look(name: str, seed: int) -> tuple[Evidence, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Align an episode as it comes, and lay its evidence beside the truth: taken, times, true times."""
    episode, _ = make(CONDITIONS[name], seed)
    alignment = seasign.align(episode.signs, episode.cues)
    shifted = [
        cue for (by, cue) in zip(alignment.shifts or (), episode.cues, strict=True) for cue in seasign.shift([cue], by)
    ]
    problem, prices = lay_out(shifted, episode.signs), price_list([Costs()])
    times = np.array([(cue.start, cue.end) for cue in alignment.cues])
    taken = np.array([len(run) > 0 for run in alignment.runs])
    signed = np.array(["[" not in cue.text for cue in episode.reference])
    truth = np.array([(cue.start, cue.end) for cue in episode.reference])
    return (
        examine(problem, prices, sweep(problem, prices), times),
        infer(problem, prices, 0.5).signed,
        taken,
        iou(times, truth) * signed,
        truth * np.where(signed, 1, np.nan)[:, None],
    )


def main() -> None:
    warnings.simplefilter("ignore", InputWarning)
    names = [name for name in CONDITIONS if name not in LEFT_OUT]
    fit = [look(name, seed) for name in names for seed in FIT]
    seen = np.concatenate([evidence.features[taken] for evidence, _, taken, _, _ in fit])
    hit = np.concatenate([overlap[taken] >= 0.5 for _, _, taken, overlap, _ in fit])
    weights = tuple(round(weight, 4) for weight in calibrate(seen, hit))
    beyond = np.concatenate(
        [np.maximum(evidence.low - truth, truth - evidence.high)[taken] for evidence, _, taken, _, truth in fit]
    )
    margin = tuple(round(float(np.nanquantile(beyond[:, side], 0.9)), 3) for side in (0, 1))
    found = Calibration(weights, margin)
    print(found)
    for calibration, label in ((found, "new"), (CALIBRATION, "default")):
        p, ok, covered, area, first = [], [], [], [], []
        for name in names:
            for seed in TEST:
                evidence, signed, taken, overlap, truth = look(name, seed)
                sure = judge(evidence, signed, taken, calibration)
                probability = np.array([one.probability for one in sure])[taken]
                right = overlap[taken] >= 0.5
                p.append(probability)
                ok.append(right)
                area.append(auroc(~right, probability))
                first.append(found_first(~right, probability))
                low = np.array([(one.start[0], one.end[0]) for one in sure])[taken]
                high = np.array([(one.start[1], one.end[1]) for one in sure])[taken]
                inside = (low <= truth[taken]) & (truth[taken] <= high)
                covered.append(inside[np.isfinite(truth[taken]).all(axis=1)])
        p_all, ok_all = np.concatenate(p), np.concatenate(ok)
        bins = np.array_split(np.argsort(p_all), 10)
        error = sum(len(part) * abs(p_all[part].mean() - ok_all[part].mean()) for part in bins) / len(p_all)
        inside = np.concatenate(covered).mean(axis=0)
        print(label, "AUROC", auroc(~ok_all, p_all), "per episode", np.nanmean(area), "found", np.nanmean(first))
        print(
            "  reliability",
            [(round(float(p_all[part].mean()), 2), round(float(ok_all[part].mean()), 2)) for part in bins],
        )
        print("  calibration error", error, "coverage", inside)
    record("confidence: AUROC of a wrong cue", 100 * auroc(~ok_all, p_all), "%", ">= 85")
    record("confidence: expected calibration error", 100 * error, "%")
    record("confidence: coverage of 90 % intervals, starts", 100 * inside[0], "%", "87 to 93")
    record("confidence: coverage of 90 % intervals, ends", 100 * inside[1], "%", "87 to 93")
    record("confidence: wrong cues found in the first 30 %", 100 * float(np.nanmean(first)), "%", ">= 80")


if __name__ == "__main__":
    main()
