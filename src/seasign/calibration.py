"""How sure is sure: fit confidence on episodes whose truth is known, and measure it on episodes it has not seen."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version

import numpy as np
from jaxtyping import Bool, Float64

from seasign.alignment import align
from seasign.confidence import CALIBRATION, fit_weights
from seasign.metrics import is_bracketed, naming, pair_cues
from seasign.spans import iou
from seasign.types import Calibration, Example, InputError, InputWarning, Preset, plain_values

LEAST, EITHER = 100, 10  # cues to fit on; right ones and wrong ones among them
LEVEL = 0.9  # share of the true times that intervals should hold
BINS = 10


@dataclass(frozen=True)
class Bin:
    """Cues whose probabilities are next to each other."""

    stated: float  # their mean probability
    right: float  # the share of them that is right
    cues: int


@dataclass(frozen=True)
class Reliability:
    """Whether probabilities and intervals are what they say, over cues that have signs."""

    cues: int
    wrong: int  # IoU with the truth under .5, or never signed
    error: float  # expected calibration error, 0 .. 1: mean distance of the bins from what they state
    auroc: float  # how often a wrong cue has less probability than a right one of its episode; NaN without both
    coverage: tuple[float, float]  # share of true starts, and of true ends, that lie in their interval
    bins: tuple[Bin, ...]  # in order of probability, about equally many cues in each


@dataclass(frozen=True)
class Calibrated:
    """A calibration, and how good it is."""

    calibration: Calibration
    before: Reliability  # by the calibration that was there
    after: Reliability  # every episode by what was fitted on all others; one alone by what was fitted on itself


def calibrate(
    examples: Mapping[str, Example],
    preset: Preset = Preset(),
    *,
    progress: Callable[[int, int | None], None] | None = None,
) -> Calibrated:
    """Fit what confidence says to what was right.

    Aligns the examples as the preset says. The probability of a hit is a logistic regression over the evidence of every
    cue that has signs, drawn by a ridge to the weights that were there, so that few cues change little. Intervals are
    widened, or narrowed, by as much as it takes to hold 90 % of the true times (split conformal: the rank is that of
    one more cue). Cues of one episode are alike, so what is promised for others is measured by leaving out an episode
    at a time.

    Args:
        examples: By name.
        preset: How to align; a calibration in it is where the fit starts.
        progress: Called with the number of episodes done and of all.
    Raises:
        InputError: Fewer than 100 cues, or fewer than 10 right or 10 wrong ones; settings without confidence; an
            example that cannot be aligned. The message says what to do.
    Source: Vovk et al. 2005, conformal prediction; the rest is ours.
    """
    if not examples:
        raise InputError("there are no episodes to calibrate on")
    start = preset.calibration or CALIBRATION
    bare = Calibration(start.weights, (0.0, 0.0))
    seen: dict[str, Seen] = {}
    for name, example in examples.items():
        with naming(name):
            seen[name] = look(example, preset, bare)
        if progress is not None:
            progress(len(seen), len(examples))
    everything = _join(list(seen.values()))
    count, right = len(everything.hit), int(everything.hit.sum())
    if count < LEAST or not EITHER <= right <= count - EITHER:
        what = f"{count} cues have signs, {right} rightly and {count - right} wrongly"
        raise InputError(f"{what}: calibrating takes {LEAST}, {EITHER} of them right and {EITHER} wrong; add episodes")
    folds = [_join([one for other, one in seen.items() if other != name] or [everything]) for name in seen]
    unseen = [_fit(fold, start) for fold in folds]
    before = measure(list(seen.values()), [start] * len(seen))
    after = measure(list(seen.values()), unseen)
    if len(seen) == 1:
        what = "the numbers are of what was fitted on, and say nothing about others"
        warnings.warn(f"there is one episode: {what}", InputWarning, stacklevel=2)
    fitted = _fit(everything, start)
    measured = {"before": _plain(before), "after": _plain(after)}
    provenance = {"by": f"seasign calibrate {version('seasign')}", "episodes": list(seen), **measured}
    return Calibrated(Calibration(fitted.weights, fitted.margin, provenance), before, after)


@dataclass(frozen=True)
class Seen:
    """The cues of an episode that have signs, and a counterpart in the reference."""

    evidence: Float64[np.ndarray, "cues features"]
    hit: Bool[np.ndarray, " cues"]
    beyond: Float64[np.ndarray, "cues 2"]  # seconds by which true times lie outside the bare interval; NaN: unsigned


def look(example: Example, preset: Preset, bare: Calibration) -> Seen:
    """Align an episode, and lay what speaks for its cues beside the truth."""
    alignment = align(
        example.signs,
        example.cues,
        similarity=example.similarity,
        costs=preset.costs,
        lag=preset.lag,
        padding=preset.padding,
        calibration=bare,
    )
    if alignment.confidence is None:
        raise InputError(
            "these settings give no confidence: calibrate with skipping, a temperature, and without compat"
        )
    partner = pair_cues(example.reference, example.cues)
    own = [j for j, i in enumerate(partner) if i >= 0 and alignment.confidence[j].evidence and alignment.runs[j]]
    true = [example.reference[partner[j]] for j in own]
    found = np.array([(alignment.cues[j].start, alignment.cues[j].end) for j in own]).reshape(-1, 2)
    truth = np.array([(cue.start, cue.end) for cue in true]).reshape(-1, 2)
    signed = np.array([not is_bracketed(cue) for cue in true], bool)
    sure = [alignment.confidence[j] for j in own]
    interval = np.array([(one.start, one.end) for one in sure]).reshape(-1, 2, 2)
    beyond = np.maximum(interval[..., 0] - truth, truth - interval[..., 1])
    evidence = np.array([one.evidence for one in sure]).reshape(len(own), len(bare.weights) - 1)
    return Seen(evidence, signed & (iou(found, truth) >= 0.5), np.where(signed[:, None], beyond, np.nan))


def _join(several: Sequence[Seen]) -> Seen:
    """The cues of several episodes."""
    return Seen(*(np.concatenate([getattr(one, name) for one in several]) for name in ("evidence", "hit", "beyond")))


def _fit(seen: Seen, start: Calibration) -> Calibration:
    """Weights and margins."""
    margins = []
    for side in seen.beyond.T:
        beyond = np.sort(side[np.isfinite(side)])
        rank = math.ceil(LEVEL * (len(beyond) + 1))
        margins.append(math.ceil(1000 * beyond[min(rank, len(beyond)) - 1]) / 1000 if len(beyond) else 0.0)
    return Calibration(fit_weights(seen.evidence, seen.hit, start.weights), (margins[0], margins[1]))


def measure(seen: Sequence[Seen], calibrations: Sequence[Calibration]) -> Reliability:
    """How good the calibration of every episode is there."""
    whole = _join(seen)
    stated = [state(one, by) for one, by in zip(seen, calibrations, strict=True)]
    p = np.concatenate(stated)
    beyond = np.concatenate([one.beyond - by.margin for one, by in zip(seen, calibrations, strict=True)])
    parts = [part for part in np.array_split(np.argsort(p, kind="stable"), BINS) if len(part)]
    bins = tuple(Bin(float(p[part].mean()), float(whole.hit[part].mean()), len(part)) for part in parts)
    error = sum(one.cues * abs(one.stated - one.right) for one in bins) / len(p)
    known = beyond[np.isfinite(beyond).all(axis=1)]
    start, end = (known <= 1e-9).mean(axis=0).tolist() if len(known) else (math.nan, math.nan)
    return Reliability(
        len(p), int((~whole.hit).sum()), error, _auroc(stated, [one.hit for one in seen]), (start, end), bins
    )


def state(seen: Seen, calibration: Calibration) -> Float64[np.ndarray, " cues"]:
    """The probability of a hit."""
    logit = calibration.weights[0] + seen.evidence @ np.array(calibration.weights[1:])
    stated: Float64[np.ndarray, " cues"] = 1 / (1 + np.exp(-logit))
    return stated


def _auroc(stated: Sequence[Float64[np.ndarray, " _"]], hits: Sequence[Bool[np.ndarray, " _"]]) -> float:
    """Over all pairs of a right and a wrong cue of one episode; equals count half.

    Not of several: where each is judged by what was fitted on the others, one with more wrong cues than they have would
    be given more probability for it.
    """
    below = pairs = 0.0
    for p, hit in zip(stated, hits, strict=True):
        right = np.sort(p[hit])
        below += sum(np.searchsorted(right, p[~hit], side).sum() for side in ("left", "right")) / 2
        pairs += len(right) * np.count_nonzero(~hit)
    return 1 - below / pairs if pairs else math.nan


def _plain(reliability: Reliability) -> dict[str, object]:
    """As JSON has it."""
    return plain_values({name: value for name, value in asdict(reliability).items() if name != "bins"})


# The picture ----------------------------------------------------------------------------------------------------------

SIZE, LEFT, TOP = 360, 72, 64  # pixels: of the square, and where it begins
COLORS = {"before": "#999999", "after": "#0072b2"}  # told apart by colour-blind eyes (Okabe and Ito)


def draw_reliability(calibrated: Calibrated) -> str:
    """Draw the share of right cues over what was stated, before and after, as one SVG document.

    A point stands for a bin of cues; its bar holds the true share nine times in ten (Wilson). On the diagonal a
    probability is what it says.
    """
    sides = {"before": calibrated.before, "after": calibrated.after}
    bottom, right = TOP + SIZE, LEFT + SIZE
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{right + 30}" height="{bottom + 60}" font-family="sans-serif" '
        'font-size="12">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<path d="M{LEFT} {TOP}H{right}V{bottom}H{LEFT}Z" fill="none" stroke="#444444"/>',
        f'<path d="M{LEFT} {bottom}L{right} {TOP}" stroke="#444444" stroke-dasharray="4 4"/>',
    ]
    for tick in range(0, 101, 20):
        x, y = _at(tick / 100, tick / 100)
        lines += [
            f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{tick} %</text>',
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick} %</text>',
        ]
    half = SIZE / 2
    lines += [
        f'<text x="{LEFT + half}" y="{bottom + 42}" text-anchor="middle">probability of a cue, as stated</text>',
        f'<text transform="translate(16 {TOP + half}) rotate(-90)" text-anchor="middle">share that is right</text>',
    ]
    for row, (name, one) in enumerate(sides.items()):
        color = COLORS[name]
        words = f"{name}: calibration error {one.error:.3f}, {one.cues} cues"
        lines.append(f'<circle cx="{LEFT + 6}" cy="{18 + 20 * row}" r="4" fill="{color}"/>')
        lines.append(f'<text x="{LEFT + 18}" y="{22 + 20 * row}">{words}</text>')
        for part in one.bins:
            x, y = _at(part.stated, part.right)
            low, high = (_at(0, share)[1] for share in _wilson(part.right, part.cues))
            title = f"{name}: {part.cues} cues, stated {part.stated:.3f}, right {part.right:.3f}"
            lines.append(f'<g stroke="{color}" fill="{color}"><title>{title}</title>')
            lines.append(f'<path d="M{x:.1f} {low:.1f}V{high:.1f}"/><circle cx="{x:.1f}" cy="{y:.1f}" r="4"/></g>')
    return "\n".join([*lines, "</svg>\n"])


def _at(stated: float, right: float) -> tuple[float, float]:
    """Where it is drawn."""
    return LEFT + SIZE * stated, TOP + SIZE * (1 - right)


def _wilson(share: float, count: int, z: float = 1.645) -> tuple[float, float]:
    """The 90 % interval of a share of so many."""
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    reach = z * math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2) / (1 + z * z / count)
    return middle - reach, middle + reach
