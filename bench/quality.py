"""How good, where the answer is known: one made-up episode after another, each with something that goes wrong.

    python bench/quality.py             # 3 seeds of about 300 cues, two processes
    python bench/quality.py --quick     # 1 seed, and nothing goes into the book

Rows are conditions, columns are ways to move the cues: as delivered; by the true median lag alone; by the lag, then
neighbours that nearly touch as delivered made to touch; and the aligners, with their settings as they come. Where an
aligner finds no assignment, its cues count as delivered, marked * and the number of such episodes.

A new aligner is a line in `ALIGNERS`. What it says of itself is scored when it says it: `lag` (of the starts and of the
ends, in seconds) and `confidence` (one number a cue, higher is surer).
"""

import math
import sys
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import compress, pairwise
from operator import add

import numpy as np
from jaxtyping import Bool, Float
from results import record

import seasign
from seasign.synthesis import BASE, Episode, Stress, simulate_similarity, synthesize
from seasign.types import Alignment, Costs, Cue, InputError, InputWarning, Sign

Lag = tuple[float, float]  # seconds, of the starts and of the ends
Similarity = Float[np.ndarray, "cues signs"]

# --- What goes wrong ------------------------------------------------------------------------------------------------


def degrade(episode: Episode, rng: np.random.Generator) -> Episode:
    """Find the signs as an imperfect segmenter does: merge, split, drop, and jitter the edges."""
    found: list[tuple[float, float, int, int]] = []  # from when to when, and which signs that was
    for j, (sign, draw) in enumerate(zip(episode.signs, rng.random(len(episode.signs)), strict=True)):
        if found and draw < 0.25 and sign.start - found[-1][1] < 0.5:
            found[-1] = (found[-1][0], sign.end, found[-1][2], j + 1)
        else:
            found.append((sign.start, sign.end, j, j + 1))
    pieces = []
    for start, end, first, stop in found:
        if rng.random() < 0.10:
            cut = start + (end - start) * rng.uniform(0.3, 0.7)
            pieces += [(start, cut, first, stop), (cut, end, first, stop)]
        else:
            pieces.append((start, end, first, stop))
    table = np.array(pieces)[rng.random(len(pieces)) >= 0.05]
    jittered = table[:, :2].ravel() + rng.normal(0, 0.08, 2 * len(table))
    edges = np.maximum.accumulate(jittered).clip(0).round(3).reshape(-1, 2)
    seen = edges[:, 0] < edges[:, 1]
    wanted = np.array([(run.start, run.stop) for run in episode.runs])
    starts = np.searchsorted(table[seen, 3], wanted[:, 0], "right")
    stops = np.where(wanted[:, 0] < wanted[:, 1], np.searchsorted(table[seen, 2], wanted[:, 1]), starts)
    return replace(
        episode,
        signs=tuple(Sign(*span) for span in edges[seen].tolist()),
        runs=tuple(range(*run) for run in np.column_stack([starts, stops]).tolist()),
    )


def part(episode: Episode, rng: np.random.Generator) -> Episode:
    """Signs end before the next one starts, as people time them: the hands move on to it without signing."""
    share = rng.uniform(0.4, 0.9, len(episode.signs)).tolist()
    signs = tuple(
        replace(sign, end=sign.start + kept * sign.duration) for sign, kept in zip(episode.signs, share, strict=True)
    )
    return replace(episode, signs=signs)


def leave_unsigned(episode: Episode, cues: Collection[int]) -> Episode:
    """Nobody signs these cues."""
    gone = {j for i in cues for j in episode.runs[i]}
    number = np.cumsum([0] + [j not in gone for j in range(len(episode.signs))]).tolist()
    return replace(
        episode,
        signs=tuple(sign for j, sign in enumerate(episode.signs) if j not in gone),
        runs=tuple(range(number[run.start], number[run.stop]) for run in episode.runs),
        reference=tuple(
            replace(true, text=f"[{true.text}]") if i in cues else true for i, true in enumerate(episode.reference)
        ),
    )


def pause(episode: Episode, rng: np.random.Generator, seconds: float) -> Episode:
    """Nobody signs in the middle of the episode."""
    middle = episode.reference[len(episode.cues) // 2].middle
    silent = [i for i, true in enumerate(episode.reference) if abs(true.middle - middle) <= seconds / 2]
    return leave_unsigned(episode, range(silent[0], silent[-1] + 1))


def pause_of_72(episode: Episode, rng: np.random.Generator) -> Episode:
    """A cue every five seconds, and 72 of them, six minutes, in a pause."""
    kept = rng.random(len(episode.cues)) < 0.72
    thin = leave_unsigned(episode, np.flatnonzero(~kept).tolist())
    thin = replace(
        thin,
        cues=tuple(compress(thin.cues, kept)),
        reference=tuple(compress(thin.reference, kept)),
        runs=tuple(compress(thin.runs, kept)),
    )
    first = len(thin.cues) // 2 - 36
    return leave_unsigned(thin, range(first, first + 72))


def late_interpreter(episode: Episode, rng: np.random.Generator) -> Episode:
    """The first 60 cues are not signed."""
    return leave_unsigned(episode, range(60))


BREAK = 0.6  # share of the cues before the advert break


def advert(episode: Episode, rng: np.random.Generator) -> Episode:
    """14 s of adverts were cut from the video, and not from the subtitles: later cues must move by 14 s less."""
    first = round(BREAK * len(episode.cues))
    return replace(episode, cues=episode.cues[:first] + seasign.shift(episode.cues[first:], (14.0, 14.0)))


def stay_up(episode: Episode, rng: np.random.Generator) -> Episode:
    """Cues stay up until the next where that is within a second, as delivered and as signed."""

    def touch(cues: Sequence[Cue]) -> tuple[Cue, ...]:
        last = (replace(cue, end=after.start) if after.start - cue.end < 1 else cue for cue, after in pairwise(cues))
        return (*last, cues[-1])

    return replace(episode, cues=touch(episode.cues), reference=touch(episode.reference))


def wrong_subtitles(episode: Episode, rng: np.random.Generator) -> Episode:
    """The cues are those of another episode."""
    other = synthesize(int(rng.integers(1000, 2000)), duration=1100.0, fps=None)
    everything = leave_unsigned(other, range(len(other.cues)))
    return replace(everything, signs=episode.signs)


@dataclass(frozen=True)
class Condition:
    """How to make an episode. It wobbles by 1.5 s around a lag of 2 s, whatever else goes wrong."""

    stress: Stress = BASE
    change: Callable[[Episode, np.random.Generator], Episode] | None = None
    duration: float = 1100.0  # seconds
    strength: float = 0.3  # of the embeddings: 0 useless, .15 weak, .3 informative, .5 strong
    off: float = 0.0  # seconds by which the lag that is given is too long
    unpaired: bool = False  # some cues, or some signs, have no partner
    constant: bool = True  # there is one lag to find
    until: float = 1.0  # the lag that is given is the median of that share of the cues


BASIS, USELESS, PAUSE, WRONG = "base", "embeddings useless 0", "72 cues in a 6-minute pause", "wrong subtitles"
CONDITIONS = {
    BASIS: Condition(),
    USELESS: Condition(strength=0.0),
    "embeddings weak .15": Condition(strength=0.15),
    "embeddings strong .5": Condition(strength=0.5),
    "unsubtitled signing 3 %": Condition(Stress(unsubtitled=0.03), unpaired=True),
    "unsubtitled signing 10 %": Condition(Stress(unsubtitled=0.10), unpaired=True),
    "never-signed cues 5 %": Condition(Stress(unsigned=0.05), unpaired=True),
    "never-signed cues 20 %": Condition(Stress(unsigned=0.20), unpaired=True),
    "spurious signs 20 %": Condition(Stress(spurious=0.2), unpaired=True),
    "missed signs 20 %": Condition(Stress(missed=0.2)),
    "degraded signs": Condition(change=degrade),
    "signs with pauses between": Condition(change=part),
    "the same, never-signed cues 20 %": Condition(Stress(unsigned=0.20), change=part, unpaired=True),
    "wandering lag, sd 1 s": Condition(Stress(drift=math.sqrt(2)), constant=False),
    "lag given +1.5 s off": Condition(off=1.5),
    "lag given -1.5 s off": Condition(off=-1.5),
    "a 2-minute pause": Condition(change=partial(pause, seconds=120.0), unpaired=True),
    PAUSE: Condition(change=pause_of_72, duration=1800.0, unpaired=True),
    "an advert break of 14 s": Condition(change=advert, constant=False, until=BREAK),
    "late interpreter, 60 cues": Condition(change=late_interpreter, unpaired=True),
    "cues stay up until the next": Condition(change=stay_up),
    WRONG: Condition(change=wrong_subtitles, constant=False),
}


def make(condition: Condition, seed: int) -> tuple[Episode, Similarity]:
    """The episode of that seed, and what embeddings say about it."""
    episode = synthesize(seed, duration=condition.duration, fps=None, stress=condition.stress)
    if condition.change is not None:
        episode = condition.change(episode, np.random.default_rng([seed, 1]))
    return episode, simulate_similarity(episode, condition.strength, seed)


def signed(episode: Episode) -> Bool[np.ndarray, " cues"]:
    return np.array([not true.text.startswith("[") for true in episode.reference])


def true_lag(episode: Episode, until: float = 1.0) -> Lag:
    """The median lag of the starts and of the ends, over that share of the cues; 2 s where nothing is signed."""
    own = np.flatnonzero(signed(episode)[: round(until * len(episode.cues))])
    if not len(own):
        return 2.0, 2.0
    start, end = np.median((times(episode.reference) - times(episode.cues))[own], axis=0).tolist()
    return start, end


def times(cues: Sequence[Cue]) -> Float[np.ndarray, "cues 2"]:
    return np.array([(cue.start, cue.end) for cue in cues])


# --- What is done about it ------------------------------------------------------------------------------------------


BLIND: Mapping[str, Callable[[Sequence[Cue], Lag], Sequence[Cue]]] = {
    "as delivered": lambda cues, lag: cues,
    "lag only": seasign.shift,
    "lag and joined": seasign.join_neighbours,
}
# Each takes what it knows; the default knows the lag for as long as it cannot find it.
Aligner = Callable[[Sequence[Cue], Sequence[Sign], Similarity, Lag], Alignment]
SEA = Costs(compat="sea")
ALIGNERS: Mapping[str, Aligner] = {
    "compat": lambda cues, signs, similarity, lag: seasign.align(signs, cues, costs=SEA, lag=lag),
    "compat + embeddings": lambda cues, signs, similarity, lag: seasign.align(
        signs, cues, similarity=similarity, costs=SEA, lag=lag
    ),
    "default": lambda cues, signs, similarity, lag: seasign.align(signs, cues),
    "default + embeddings": lambda cues, signs, similarity, lag: seasign.align(signs, cues, similarity=similarity),
}

# --- How good it is -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scores:
    """Of one way to move the cues under one condition, pooled over the seeds; NaN where there is nothing to score."""

    f1: float  # percent at IoU .5, published protocol: never-signed cues are left out, dropped ones are where they are
    cue_f1: float  # percent at IoU .5, over cues: dropped ones are no part of the estimate, kept never-signed ones are
    right: float  # percent of the signed cues with IoU >= .5, dropped or not
    start_error: float  # seconds, median absolute, of signed cues
    near_error: float  # the same, of those at most ten cues away from one that is never signed
    drop_recall: float  # percent of the never-signed cues that were dropped
    drop_precision: float  # percent of the dropped cues that are never signed
    lag_error: float  # seconds between the lag of the starts as found and as it is; the worst seed
    auroc: float  # of "this cue is wrong", 0 .. 1: under IoU .5, or kept and never signed
    found_first: float  # of the wrong cues that could be found by looking at 30 % of all, the share that is, 0 .. 1
    infeasible: int  # episodes without an assignment


@dataclass(frozen=True)
class Outcome:
    """What became of one episode."""

    episode: Episode
    cues: Sequence[Cue]
    kept: Bool[np.ndarray, " cues"]
    infeasible: bool = False
    lag: float | None = None  # of the starts, as found
    confidence: Sequence[float] | None = None

    @property
    def near(self) -> Bool[np.ndarray, " cues"]:
        """Whether a cue is signed, and one that is not is at most ten cues away."""
        real = signed(self.episode)
        away = np.abs(np.arange(len(real))[:, None] - np.flatnonzero(~real))
        near: Bool[np.ndarray, " cues"] = real & (away.min(axis=1, initial=len(real)) <= 10)
        return near


def run(aligner: Aligner, episode: Episode, similarity: Similarity, lag: Lag) -> Outcome:
    try:
        alignment = aligner(episode.cues, episode.signs, similarity, lag)
    except InputError:
        return Outcome(episode, episode.cues, np.ones(len(episode.cues), bool), infeasible=True)
    found = alignment.lag.stretches if alignment.lag else ()
    return Outcome(
        episode,
        alignment.cues,
        np.array([len(signs) > 0 for signs in alignment.runs]),
        lag=found[0].start if found else None,
        confidence=alignment.confidence and np.array([one.probability for one in alignment.confidence]),
    )


def score(outcomes: Sequence[Outcome], constant: bool) -> Scores:
    """Score the outcomes of one column; `constant` says whether there is a lag to find."""
    true = np.concatenate([times(outcome.episode.reference) for outcome in outcomes])
    cues = np.concatenate([times(outcome.cues) for outcome in outcomes])
    kept = np.concatenate([outcome.kept for outcome in outcomes])
    real = np.concatenate([signed(outcome.episode) for outcome in outcomes])
    near = np.concatenate([outcome.near for outcome in outcomes])
    hit = real & (iou(true, cues) >= 0.5)
    error = np.abs(cues - true)[:, 0]
    told = [outcome.confidence for outcome in outcomes if outcome.confidence is not None]
    confidence = np.concatenate(told) if len(told) == len(outcomes) else np.zeros(0)
    wrong = np.where(real, ~hit, kept)[: len(confidence)]
    return Scores(
        f1=published_f1(outcomes) if real.any() else math.nan,
        cue_f1=percent(2 * int((hit & kept).sum()), int(real.sum() + kept.sum())) if real.any() else math.nan,
        right=percent(int(hit.sum()), int(real.sum())),
        start_error=float(np.median(error[real])) if real.any() else math.nan,
        near_error=float(np.median(error[near])) if near.any() else math.nan,
        drop_recall=percent(int((~kept & ~real).sum()), int((~real).sum())),
        drop_precision=percent(int((~kept & ~real).sum()), int((~kept).sum())),
        lag_error=max(
            (abs(o.lag - true_lag(o.episode)[0]) for o in outcomes if constant and o.lag is not None),
            default=math.nan,
        ),
        auroc=auroc(wrong, confidence),
        found_first=found_first(wrong, confidence),
        infeasible=sum(outcome.infeasible for outcome in outcomes),
    )


def published_f1(outcomes: Sequence[Outcome]) -> float:
    references = {str(k): outcome.episode.reference for k, outcome in enumerate(outcomes)}
    return seasign.evaluate(references, {str(k): outcome.cues for k, outcome in enumerate(outcomes)}).pooled.f1[0.5]


def iou(a: Float[np.ndarray, "spans 2"], b: Float[np.ndarray, "spans 2"]) -> Float[np.ndarray, " spans"]:
    """Of each span with its own; 0 where one of them is empty or reversed."""
    shared = np.minimum(a[:, 1], b[:, 1]) - np.maximum(a[:, 0], b[:, 0])
    union = np.maximum(a[:, 1], b[:, 1]) - np.minimum(a[:, 0], b[:, 0])
    return np.where(shared > 0, shared / np.where(union > 0, union, 1), 0.0)


def percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else math.nan


# Confidence: is the least confident cue the wrong one?


def auroc(wrong: Bool[np.ndarray, " cues"], confidence: Float[np.ndarray, " cues"]) -> float:
    """Chance that a wrong cue has less confidence than a right one, equals counting half; NaN without both kinds."""
    right = np.sort(confidence[~wrong])
    if not len(right) or not wrong.any():
        return math.nan
    below, upto = (np.searchsorted(right, confidence[wrong], side) for side in ("left", "right"))
    return float(1 - (below + upto).mean() / (2 * len(right)))


def found_first(wrong: Bool[np.ndarray, " cues"], confidence: Float[np.ndarray, " cues"], share: float = 0.3) -> float:
    """Of the wrong cues that can be found by looking at that share of the cues, the share that is found there.

    The least confident cues are looked at; among equals, any. NaN where nothing is wrong.
    """
    looked = math.ceil(share * len(wrong))
    if not looked or not wrong.any():
        return math.nan
    last = np.sort(confidence)[looked - 1]
    below, at = confidence < last, confidence == last
    found = wrong[below].sum() + wrong[at].mean() * (looked - below.sum())
    return float(found / min(looked, wrong.sum()))


def coverage(
    truth: Float[np.ndarray, " cues"], low: Float[np.ndarray, " cues"], high: Float[np.ndarray, " cues"]
) -> float:
    """Share of the times that lie within their interval, edges included."""
    return float(((low <= truth) & (truth <= high)).mean())


# --- All of it ------------------------------------------------------------------------------------------------------


def measure(name: str, seeds: int) -> dict[str, Scores]:
    """The scores of every column under one condition."""
    condition = CONDITIONS[name]
    outcomes: dict[str, list[Outcome]] = {column: [] for column in (*BLIND, *ALIGNERS)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        for seed in range(seeds):
            episode, similarity = make(condition, seed)
            start, end = true_lag(episode, condition.until)
            lag = (start + condition.off, end + condition.off)
            everything = np.ones(len(episode.cues), bool)
            for column, move in BLIND.items():
                outcomes[column].append(Outcome(episode, move(episode.cues, lag), everything))
            for column, aligner in ALIGNERS.items():
                outcomes[column].append(run(aligner, episode, similarity, lag))
        return {column: score(found, condition.constant) for column, found in outcomes.items()}


Results = Mapping[str, Mapping[str, Scores]]
TABLES = {  # title, digits
    "f1": ("F1@.50, published protocol, %", 1),
    "cue_f1": ("F1@.50 over cues, drops counted, %", 1),
    "right": ("Signed cues with IoU >= .5, %", 1),
    "start_error": ("Median absolute start error, s", 2),
    "near_error": ("Median absolute start error within ten cues of a never-signed one, s", 2),
    "drop_recall": ("Never-signed cues that were dropped, %", 1),
    "drop_precision": ("Dropped cues that are never signed, %", 1),
    "lag_error": ("Lag as found against the true median, worst seed, s", 2),
    "auroc": ("Confidence: AUROC of a wrong cue", 2),
    "found_first": ("Confidence: wrong cues found in the first 30 %, of those that could be", 2),
}


def show(results: Results) -> None:
    """Print one table per score, without rows and tables that say nothing."""
    columns = (*BLIND, *ALIGNERS)
    for name, (title, digits) in TABLES.items():
        rows = []
        for condition, scores in results.items():
            values = [getattr(scores[column], name) for column in columns]
            marks = [f"*{scores[column].infeasible}" if scores[column].infeasible else "" for column in columns]
            if not all(map(math.isnan, values)):
                cells = ["-" if math.isnan(value) else f"{value:.{digits}f}" for value in values]
                rows.append((condition, *map(add, cells, marks)))
        if rows:
            tabulate(title, ("condition", *columns), rows)


def tabulate(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print(f"\n{title}\n")
    for row in (head, ["---"] * len(head), *rows):
        print(f"| {' | '.join(row)} |")


@dataclass(frozen=True)
class Target:
    """What the default should reach."""

    condition: str
    metric: str
    value: float
    unit: str
    limit: float
    least: bool = True  # the limit is the least that will do, else the most

    @property
    def met(self) -> bool:
        return self.value >= self.limit if self.least else self.value <= self.limit

    @property
    def text(self) -> str:
        return f"{'>=' if self.least else '<='} {self.limit:.3g}"


def targets(results: Results) -> list[Target]:
    found = []
    for name, row in results.items():
        condition = CONDITIONS[name]
        if name != WRONG:
            for column, rival in ("default", "compat"), ("default + embeddings", "compat + embeddings"):
                least = max(row["lag only"].f1, row[rival].f1) + (3 if condition.unpaired else -0.5)
                found.append(Target(name, f"{column}: f1@0.50", row[column].f1, "%", least))
        if not math.isnan(error := row["default"].lag_error):
            found.append(Target(name, "default: lag error", error, "s", 0.15, least=False))
    base, useless, silent = results[BASIS], results[USELESS], results[PAUSE]
    loss = useless["default"].f1 - useless["default + embeddings"].f1
    gain, gained = (base[f"{side} + embeddings"].f1 - base[side].f1 for side in ("default", "compat"))
    found += [
        Target(USELESS, "what they cost the default: f1@0.50", loss, "points", 1, least=False),
        Target(BASIS, "what informative embeddings gain: f1@0.50", gain, "points", gained),
        Target(PAUSE, "default: cues of the pause dropped", silent["default"].drop_recall, "%", 95),
        Target(PAUSE, "default: start error outside, median", silent["default"].start_error, "s", 0.5, least=False),
        Target(PAUSE, "the same, ten cues on either side", silent["default"].near_error, "s", 0.5, least=False),
    ]
    return found


def main(quick: bool) -> None:
    with ProcessPoolExecutor(2) as pool:
        rows = pool.map(partial(measure, seeds=1 if quick else 3), CONDITIONS)
        results = dict(zip(CONDITIONS, rows, strict=True))
    show(results)
    aims = targets(results)
    tabulate(
        f"Targets: {sum(aim.met for aim in aims)} of {len(aims)} met",
        ("condition", "what", "value", "target", ""),
        [
            (aim.condition, aim.metric, f"{aim.value:.3g} {aim.unit}", aim.text, "met" if aim.met else "missed")
            for aim in aims
        ],
    )
    print()
    if not quick:
        for aim in aims:
            record(aim.metric, aim.value, aim.unit, aim.text, f"synthetic, {aim.condition}")


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
