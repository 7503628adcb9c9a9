"""Subtitles against subtitles: frames, runs of frames and cues, and which cues are not signed.

Scores are kept as raw counts, which add up over files; percentages are made of them last.
"""

import math
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from operator import add
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from seasign.legality import NOT_SIGNED
from seasign.metrics.counts import Found, pair_ranges, percent
from seasign.spans import NANOSECOND, join_neighbours, shift
from seasign.types import Cue, InputError, InputWarning, plain_values

# --- Raw counts and what follows from them --------------------------------------------------------------------------

THRESHOLDS = (0.10, 0.25, 0.50)  # IoU from which a run or a cue counts as found
NAMES = {f"{threshold:.2f}": k for k, threshold in enumerate(THRESHOLDS)}  # as in "f1@0.50"
TRIPLES = ("tp", "fp", "fn", "hits")  # counted once per threshold
MARGIN = 10.0  # seconds measured after the last reference cue
EXCLUDED = "{CSLR_EXCLUDED}"  # in the text of an estimated cue: leave the pair out


@dataclass(frozen=True)
class Counts:
    """What was counted on one file, or on many: counts add up. Triples go with `THRESHOLDS`; all scores are percent.

    A score of nothing at all is NaN.
    """

    frames: int = 0
    correct_frames: int = 0  # the label, which may be "no cue", is the same on both sides
    sentences: int = 0  # cues of the reference that were measured
    tp: tuple[int, int, int] = (0, 0, 0)  # runs of frames, as published
    fp: tuple[int, int, int] = (0, 0, 0)
    fn: tuple[int, int, int] = (0, 0, 0)
    start_offsets: tuple[float, ...] = ()  # seconds per pair: reference minus estimate
    end_offsets: tuple[float, ...] = ()
    estimated: int = 0  # cues of the estimate that were measured
    hits: tuple[int, int, int] = (0, 0, 0)  # pairs of cues whose spans agree
    missing: int = 0  # cues of the reference without an estimate
    extra: int = 0  # cues of the estimate without a reference
    reversed: int = 0  # cues of the estimate that end where they start, or before
    different_texts: int = 0  # pairs of cues that do not say the same
    excluded_brackets: int = 0  # cues of the reference left out: "[music]" is not signed
    excluded_marked: int = 0  # cues of the reference left out: their estimate says {CSLR_EXCLUDED}
    excluded_estimates: int = 0  # cues of the estimate left out, for either reason
    dropped: int = 0  # cues of the reference that the estimate says are not signed
    rightly_dropped: int = 0  # those of them that have brackets in the reference

    def __add__(self, other: "Counts") -> "Counts":
        def added(name: str) -> Any:
            mine, theirs = getattr(self, name), getattr(other, name)
            return _triple(map(add, mine, theirs)) if name in TRIPLES else mine + theirs

        return Counts(**{field.name: added(field.name) for field in fields(self)})

    def ratio(self, score: str) -> tuple[int, int]:
        """Part and whole of a percentage such as "f1@0.50"; both add up over files.

        Raises:
            KeyError: There is no such percentage.
        """
        name, _, threshold = score.partition("@")
        if not threshold:
            return {
                "frame_accuracy": (self.correct_frames, self.frames),
                "drop_precision": (self.rightly_dropped, self.dropped),
                "drop_recall": (self.rightly_dropped, self.excluded_brackets),
                "drop_f1": (2 * self.rightly_dropped, self.dropped + self.excluded_brackets),
            }[name]
        k = NAMES[threshold]
        tp, hits = self.tp[k], self.hits[k]
        return {
            "f1": (2 * tp, 2 * tp + self.fp[k] + self.fn[k]),
            "precision": (tp, tp + self.fp[k]),
            "recall": (tp, tp + self.fn[k]),
            "cue_f1": (2 * hits, self.sentences + self.estimated),
            "cue_precision": (hits, self.estimated),
            "cue_recall": (hits, self.sentences),
        }[name]

    @property
    def frame_accuracy(self) -> float:
        """Share of frames with the right label."""
        return percent(*self.ratio("frame_accuracy"))

    @property
    def precision(self) -> dict[float, float]:
        """Share of the estimate's runs that are right, by threshold."""
        return self._by_threshold("precision")

    @property
    def recall(self) -> dict[float, float]:
        """Share of the reference's runs that were found, by threshold."""
        return self._by_threshold("recall")

    @property
    def f1(self) -> dict[float, float]:
        """The published F1 over runs of frames, by threshold."""
        return self._by_threshold("f1")

    @property
    def cue_precision(self) -> dict[float, float]:
        """Share of the estimate's cues that are hits, by threshold."""
        return self._by_threshold("cue_precision")

    @property
    def cue_recall(self) -> dict[float, float]:
        """Share of the reference's cues that were hit, by threshold."""
        return self._by_threshold("cue_recall")

    @property
    def cue_f1(self) -> dict[float, float]:
        """F1 over cues, which a missing, dropped, empty or reversed cue cannot escape, by threshold."""
        return self._by_threshold("cue_f1")

    @property
    def drops(self) -> "Found":
        """The statement "this cue is not signed": of the brackets in the reference, how many the estimate dropped."""
        return Found(self.rightly_dropped, self.excluded_brackets, self.dropped)

    def _by_threshold(self, name: str) -> dict[float, float]:
        return {t: percent(*self.ratio(f"{name}@{text}")) for text, t in zip(NAMES, THRESHOLDS, strict=True)}

    @property
    def offsets(self) -> dict[str, float]:
        """Means and medians of the offsets, signed and absolute, in seconds; negative: the estimate is late."""
        result = {}
        for side, values in ("start", self.start_offsets), ("end", self.end_offsets):
            signed = np.array(values or (math.nan,))
            for kind, sample in ("", signed), ("abs_", np.abs(signed)):
                result[f"mean_{kind}{side}_offset"] = float(np.mean(sample))
                result[f"median_{kind}{side}_offset"] = float(np.median(sample))
        return result

    def as_json(self) -> dict[str, object]:
        """All scores, offsets and counts under their names; None where there is nothing to score."""
        scores = {"frame_accuracy": self.frame_accuracy}
        for name in "f1", "precision", "recall", "cue_f1", "cue_precision", "cue_recall":
            scores |= {f"{name}@{text}": percent(*self.ratio(f"{name}@{text}")) for text in NAMES}
        scores |= {name: percent(*self.ratio(name)) for name in ("drop_precision", "drop_recall", "drop_f1")}
        scores |= self.offsets
        counts = {name: value for name, value in vars(self).items() if not name.endswith("_offsets")}
        return plain_values(scores) | {"counts": counts}


def _triple(counts: Iterable[int]) -> tuple[int, int, int]:
    a, b, c = (int(count) for count in counts)
    return a, b, c


# --- From cues to counts --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found: counts pooled over all files, and those of every file."""

    pooled: Counts
    per_file: Mapping[str, Counts]  # empty for a single episode
    missing_files: tuple[str, ...] = ()  # in the reference only: all their cues count as missing
    extra_files: tuple[str, ...] = ()  # in the estimate only: not measured

    def as_json(self) -> dict[str, object]:
        """The pooled scores, `per_file` beside them, and the files that had no counterpart."""
        return self.pooled.as_json() | {
            "per_file": {stem: counts.as_json() for stem, counts in self.per_file.items()},
            "missing_files": list(self.missing_files),
            "extra_files": list(self.extra_files),
        }


def evaluate(
    reference: Sequence[Cue] | Mapping[str, Sequence[Cue]],
    estimate: Sequence[Cue] | Mapping[str, Sequence[Cue]],
    *,
    fps: float | Fraction | Mapping[str, float | Fraction] = 25,
    shift_start: float = 0.0,
    shift_end: float = 0.0,
    compat: Literal["sea"] | None = None,
) -> Evaluation:
    """Score estimated cues against the reference: frame accuracy, F1 and offsets.

    Both sides are one episode, or many by stem. Equal numbers of cues are paired by position. Reference cues with
    `[` and `]` in their text, and pairs whose estimate says `{CSLR_EXCLUDED}`, are left out and counted. What the
    estimate drops, by absence or by "[not signed]", is counted against those brackets; a missing file drops nothing.

    Args:
        fps: Frames per second of the raster, by stem if it varies; 23.976 is `Fraction(24000, 1001)`.
        shift_start: Seconds added to every estimated start.
        shift_end: Seconds added to every estimated end.
        compat: "sea" is the published protocol. The default gives the same numbers where the cues are equally many
            and fps is whole, but does not truncate fps; pairs unequal numbers of cues by id or text instead of
            position; and scores a file that was not estimated like an empty one.
    Raises:
        InputError: Nothing to measure in a file, times that are not finite, or fps that is not positive or not given;
            with `compat`, a file that was not estimated. The message names the file.
    Source: Jiang et al. 2025 (SEA, arXiv:2512.08094), Evaluation, and its published code. Differs: intervals instead of
        frames; a time before 0 counts as 0, where that code corrupts its frames; nothing is left out silently.
    """
    if isinstance(reference, Mapping) and isinstance(estimate, Mapping):
        references, estimates = reference, estimate
    elif isinstance(reference, Mapping) or isinstance(estimate, Mapping):
        raise InputError("one side is one episode, the other many: give both as cues, or both by stem")
    else:
        references, estimates = {"episode": reference}, {"episode": estimate}
    if not references:
        raise InputError("the reference has no files: nothing to measure")
    missing = tuple(stem for stem in references if stem not in estimates)
    extra = tuple(stem for stem in estimates if stem not in references)
    if missing and compat:
        raise InputError(f"{', '.join(missing)}: no estimate, and the published protocol has no score for that")
    for stem in missing:
        warnings.warn(f"{stem}: no estimate; all its cues count as missing", InputWarning, stacklevel=2)
    for stem in extra:
        warnings.warn(f"{stem}: no reference; not measured", InputWarning, stacklevel=2)

    per_file = {}
    for stem, cues in references.items():
        rate = fps.get(stem, math.nan) if isinstance(fps, Mapping) else fps
        if not 0 < rate < math.inf:
            raise InputError(f"{stem}: fps is {rate}: give the frames per second of every file")
        try:
            counts = _score(
                cues, estimates.get(stem, ()), int(rate) if compat else float(rate), (shift_start, shift_end), compat
            )
        except InputError as error:
            raise InputError(f"{stem}: {error}") from None
        pairs = counts.sentences - counts.missing
        if stem in missing:
            counts = replace(counts, dropped=0, rightly_dropped=0)
        elif counts.missing or counts.extra:
            warnings.warn(
                f"{stem}: {len(cues)} cues in the reference, {len(estimates[stem])} in the estimate: {pairs} paired by "
                f"{'position' if compat else 'id or text'}, {counts.missing} missing, {counts.extra} extra",
                InputWarning,
                stacklevel=2,
            )
        if 2 * counts.different_texts > pairs:
            warnings.warn(
                f"{stem}: {counts.different_texts} of {pairs} pairs of cues say different things; paired all the same: "
                f"check that both sides hold the same cues in the same order",
                InputWarning,
                stacklevel=2,
            )
        per_file[stem] = counts
    return Evaluation(
        sum(per_file.values(), Counts()), per_file if isinstance(reference, Mapping) else {}, missing, extra
    )


def evaluate_baselines(
    reference: Sequence[Cue] | Mapping[str, Sequence[Cue]],
    delivered: Sequence[Cue] | Mapping[str, Sequence[Cue]],
    *,
    fps: float | Fraction | Mapping[str, float | Fraction] = 25,
    compat: Literal["sea"] | None = None,
) -> dict[str, Evaluation]:
    """Score what takes no aligner: the cues as "delivered", moved by the "lag_only", and then "joined".

    The lag of an episode is the median offset of its starts, and of its ends, to the reference: fitted on the answer,
    which no aligner has. Nothing is dropped.

    Raises:
        InputError: As `evaluate`.
    """
    with naming("as delivered"):
        found = {"delivered": evaluate(reference, delivered, fps=fps, compat=compat)}
    many = isinstance(delivered, Mapping)
    episodes = delivered if isinstance(delivered, Mapping) else {"episode": delivered}
    counted = found["delivered"].per_file if many else {"episode": found["delivered"].pooled}
    lags = {
        stem: (float(np.median(counts.start_offsets or 0)), float(np.median(counts.end_offsets or 0)))
        for stem, counts in counted.items()
    }
    for name, move in ("lag_only", shift), ("joined", join_neighbours):
        moved = {stem: move(cues, lags[stem]) for stem, cues in episodes.items() if stem in lags}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InputWarning)  # said of them as delivered
            found[name] = evaluate(reference, moved if many else moved["episode"], fps=fps, compat=compat)
    return found


@contextmanager
def naming(side: str) -> Iterator[None]:
    """Put in front of warnings and errors which of several estimates they are of."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", InputWarning)
        try:
            yield
        except InputError as error:
            raise InputError(f"{side}: {error}") from None
    for warning in said:
        warnings.warn(f"{side}: {warning.message}", warning.category, stacklevel=4)


def _score(
    reference: Sequence[Cue], estimate: Sequence[Cue], fps: float, shift: tuple[float, float], compat: str | None
) -> Counts:
    """Pair the cues of one file, leave out what is not measured, and count the rest."""
    partner = (_pair_as_published if compat else pair_cues)(reference, estimate)
    bracketed = {i for i, cue in enumerate(reference) if is_bracketed(cue)}
    dropped = _dropped(len(reference), partner, estimate)
    marked = {i for i, cue in zip(partner, estimate, strict=True) if i >= 0 and EXCLUDED in cue.text} - bracketed
    cues, measured = match(reference, estimate, partner)
    times = np.array([(estimate[j].start, estimate[j].end) for j, _ in measured], dtype=float).reshape(-1, 2) + shift
    own = np.array([i for _, i in measured], dtype=np.intp)
    counts = count_cues(prepare_cues(*_times(cues), fps), times[:, 0], times[:, 1], own)
    return replace(
        counts,
        different_texts=sum(i >= 0 and not _say_the_same(cues[i], estimate[j]) for j, i in measured),
        excluded_brackets=len(bracketed),
        excluded_marked=len(marked),
        excluded_estimates=len(estimate) - len(measured),
        dropped=len(dropped),
        rightly_dropped=len(dropped & bracketed),
    )


def match(
    reference: Sequence[Cue], estimate: Sequence[Cue], partner: Sequence[int] | None = None
) -> tuple[list[Cue], list[tuple[int, int]]]:
    """The cues of the reference that are measured; and of the estimate, each with the place of its own among those.

    The place is -1 where a cue has none. Times do not matter: one match serves every estimate with the same texts.

    Args:
        partner: Per estimated cue, the index of its reference cue, or -1; None pairs as `evaluate` does.
    """
    partner = pair_cues(reference, estimate) if partner is None else partner
    marked = {i for i, cue in zip(partner, estimate, strict=True) if i >= 0 and EXCLUDED in cue.text}
    left = [i for i, cue in enumerate(reference) if not (is_bracketed(cue) or i in marked)]
    kept = {i: place for place, i in enumerate(left)}
    return [reference[i] for i in left], [
        (j, kept.get(i, -1))
        for j, (i, cue) in enumerate(zip(partner, estimate, strict=True))
        if (i in kept if i >= 0 else not (is_bracketed(cue) or EXCLUDED in cue.text))
    ]


def _times(cues: Sequence[Cue]) -> tuple[Float[np.ndarray, "cues"], Float[np.ndarray, "cues"]]:
    return np.array([cue.start for cue in cues], float), np.array([cue.end for cue in cues], float)


def is_bracketed(cue: Cue) -> bool:
    """Whether the text says that the cue is not signed, such as "[music]"."""
    return "[" in cue.text and "]" in cue.text


def _words(cue: Cue) -> str:
    """What a cue says, however its lines are broken and whatever we marked it with."""
    return " ".join(cue.text.replace(EXCLUDED, "").replace(NOT_SIGNED, "").split())


def _say_the_same(a: Cue, b: Cue) -> bool:
    return a.text == b.text or _words(a) == _words(b)


def pair_cues(reference: Sequence[Cue], estimate: Sequence[Cue]) -> list[int]:
    """Per estimated cue, the index of its own reference cue, or -1.

    Equal numbers go by position; unequal ones by ids that are unique on both sides, unless the texts say that one
    side was numbered anew; else by text.
    """
    if len(reference) == len(estimate):
        return list(range(len(reference)))
    ids = {cue.id: i for i, cue in enumerate(reference)}
    by_text = _pair_by_text(reference, estimate)
    if len(ids) < len(reference) or len({cue.id for cue in estimate}) < len(estimate) or None in ids:
        return by_text
    by_id = [ids.get(cue.id, -1) for cue in estimate]
    agree = sum(i >= 0 and _say_the_same(reference[i], cue) for i, cue in zip(by_id, estimate, strict=True))
    return by_id if agree >= len(estimate) - by_text.count(-1) else by_text


def _pair_by_text(reference: Sequence[Cue], estimate: Sequence[Cue]) -> list[int]:
    """Pair as many equal texts as keep both orders, and of these ways the one closest in time."""
    where: dict[str, list[int]] = {}
    for j, cue in enumerate(estimate):
        where.setdefault(_words(cue), []).append(j)
    starts = np.array([cue.start for cue in estimate])
    best = np.zeros((len(reference) + 1, len(estimate) + 1))  # the best pairing of the first i with the first j
    for i, cue in enumerate(reference):
        best[i + 1] = best[i]
        same = np.array(where.get(_words(cue), ()), int)
        closeness = 1 / (1 + np.abs(starts[same] - cue.start))  # all of it together weighs less than one pair
        paired = best[i, same] + 1 + closeness / (1 + len(reference))
        best[i + 1, same + 1] = np.maximum(best[i, same + 1], paired)
        np.maximum.accumulate(best[i + 1], out=best[i + 1])
    partner = [-1] * len(estimate)
    i, j = len(reference), len(estimate)
    while i and j:
        if best[i, j] == best[i - 1, j]:
            i -= 1
        elif best[i, j] == best[i, j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            partner[j] = i
    return partner


def _pair_as_published(reference: Sequence[Cue], estimate: Sequence[Cue]) -> list[int]:
    """Per estimated cue, the index of the reference cue at its position, or -1.

    Unequal numbers count the unbracketed cues only, if these are equally many.
    """
    spoken, estimated = ([i for i, cue in enumerate(cues) if not is_bracketed(cue)] for cues in (reference, estimate))
    if len(reference) != len(estimate) and len(spoken) == len(estimated):
        own = dict(zip(estimated, spoken, strict=True))
        return [own.get(j, -1) for j in range(len(estimate))]
    return [j if j < len(reference) else -1 for j in range(len(estimate))]


# --- The arithmetic, on arrays of seconds ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Runs:
    """A painted time axis: maximal runs of frames with one label. Run k covers frames [edges[k], edges[k + 1])."""

    labels: Int[np.ndarray, "runs"]  # the cue seen in the run, -1 for none
    edges: Int[np.ndarray, "runs+1"]


@dataclass(frozen=True)
class PreparedCues:
    """The reference's side of the count, done once for any number of estimates."""

    starts: Float[np.ndarray, "cues"]  # seconds
    ends: Float[np.ndarray, "cues"]
    fps: float
    limit: float  # seconds: nothing is measured from here on
    runs: Runs


def prepare_cues(starts: Float[np.ndarray, "cues"], ends: Float[np.ndarray, "cues"], fps: float) -> PreparedCues:
    """Prepare the reference for `count_cues`; the axis ends 10 s after the last cue in the order given.

    Raises:
        InputError: No cue, no frame on the axis, or a time that is not finite.
    """
    if not len(starts):
        raise InputError("no cue in the reference to measure against")
    limit = float(ends[-1]) + MARGIN
    _check_finite(starts, ends)
    if round(fps * limit) < 1:
        raise InputError(f"the last reference cue ends at {ends[-1]:.2f} s: no frame to measure at {fps} fps")
    return PreparedCues(starts, ends, fps, limit, _paint(starts, ends, fps, limit))


def count_cues(
    reference: PreparedCues,
    starts: Float[np.ndarray, "estimates"],
    ends: Float[np.ndarray, "estimates"],
    partner: Int[np.ndarray, "estimates"] | None = None,
) -> Counts:
    """Count what the estimate got right, over frames, runs of frames, and cues.

    Args:
        partner: Per estimate, the index of its own reference cue, or -1; None pairs by position.
    Raises:
        InputError: A time is not finite, or there is no partner although the numbers differ.
    """
    _check_finite(starts, ends)
    if partner is None:
        if len(starts) != len(reference.starts):
            raise InputError(
                f"{len(starts)} cues for {len(reference.starts)} in the reference: say who is whose partner"
            )
        partner = np.arange(len(starts))
    paired = partner >= 0
    own = partner[paired]

    # Published: frames and runs. Cut at the edges of both sides, each piece lies in one run of each.
    truth = reference.runs
    painted = _paint(starts, ends, reference.fps, reference.limit)
    names = np.append(np.where(paired, partner, len(reference.starts) + np.arange(len(partner))), -1)
    labels = names[painted.labels]  # label -1 takes the last name, -1
    edges = _distinct(truth.edges, painted.edges)
    width = np.diff(edges)
    true_run = np.searchsorted(truth.edges, edges[:-1], side="right") - 1
    run = np.searchsorted(painted.edges, edges[:-1], side="right") - 1
    equal = truth.labels[true_run] == labels[run]
    met = np.flatnonzero(equal & (labels[run] >= 0))  # where a run meets a true run of its label, in order of time
    true_run, run, common = true_run[met], run[met], width[met]
    iou = common / (np.diff(truth.edges)[true_run] + np.diff(painted.edges)[run] - common)
    best = np.lexsort((-iou, run))[np.flatnonzero(np.diff(run, prepend=-1))]  # of a run's equals, the first
    hit = np.zeros((len(THRESHOLDS), len(truth.labels)), dtype=bool)  # a true run counts once, whoever hits it
    for found, threshold in zip(hit, THRESHOLDS, strict=True):
        found[true_run[best[iou[best] >= threshold]]] = True
    tp = _triple(np.count_nonzero(hit, axis=1).tolist())
    whole, true_whole = int(np.count_nonzero(labels >= 0)), int(np.count_nonzero(truth.labels >= 0))

    # Ours: each cue against its own, in seconds.
    true_starts, true_ends = reference.starts[own], reference.ends[own]
    overlap = np.minimum(ends[paired], true_ends) - np.maximum(starts[paired], true_starts)
    union = np.maximum(ends[paired], true_ends) - np.minimum(starts[paired], true_starts)
    return Counts(
        frames=int(edges[-1]),
        correct_frames=int(width[equal].sum()),
        sentences=len(reference.starts),
        tp=tp,
        fp=_triple(whole - hit for hit in tp),
        fn=_triple(true_whole - hit for hit in tp),
        start_offsets=tuple((true_starts - starts[paired]).tolist()),
        end_offsets=tuple((true_ends - ends[paired]).tolist()),
        estimated=len(starts),
        hits=_triple(np.sum((overlap > 0) & (overlap >= t * union - NANOSECOND)) for t in THRESHOLDS),
        missing=len(reference.starts) - len(own),
        extra=len(starts) - len(own),
        reversed=int(np.count_nonzero(ends <= starts)),
    )


def count_runs(
    reference: PreparedCues,
    starts: Float[np.ndarray, "rows estimates"],
    ends: Float[np.ndarray, "rows estimates"],
    partner: Int[np.ndarray, "estimates"],
    threshold: float = 0.5,
) -> Int[np.ndarray, "rows 2"]:
    """Part and whole of the F1 over runs of frames, as `count_cues` counts them, for many estimates of one episode.

    The estimates are painted one behind the other on one axis.

    Args:
        partner: Per cue of an estimate, the index of its own reference cue, or -1; the same in every row.
    """
    rows, cues = starts.shape
    frames = round(reference.fps * reference.limit)
    behind = frames * np.arange(rows)[:, None]
    first, last = (
        (np.rint(reference.fps * np.clip(times, 0, reference.limit)).astype(np.intp) + behind).ravel()
        for times in (starts, ends)
    )
    painted = _paint_frames(first, last, rows * frames)
    seen = np.flatnonzero(painted.labels >= 0)
    row, cue = np.divmod(painted.labels[seen], cues)
    begin, end, own = painted.edges[seen] - frames * row, painted.edges[seen + 1] - frames * row, partner[cue]

    # a run meets the true runs of its own cue, which mostly are one
    truth = reference.runs
    order = np.argsort(truth.labels, kind="stable")
    labels = truth.labels[order]
    stop = np.where(own < 0, 0, np.searchsorted(labels, own, side="right"))
    run, place = pair_ranges(np.where(own < 0, 0, np.searchsorted(labels, own)), stop)
    true_run = order[place]
    true_begin, true_end = truth.edges[true_run], truth.edges[true_run + 1]
    common = np.minimum(end[run], true_end) - np.maximum(begin[run], true_begin)
    iou = common / (end[run] - begin[run] + true_end - true_begin - common)
    best = np.lexsort((-iou, run))[np.flatnonzero(np.diff(run, prepend=-1))]
    hit = best[(iou[best] >= threshold) & (common[best] > 0)]
    hits = np.unique(row[run[hit]] * len(truth.labels) + true_run[hit]) // len(truth.labels)
    tp = np.bincount(hits, minlength=rows)
    whole = np.bincount(row, minlength=rows) + np.count_nonzero(truth.labels >= 0)
    return np.stack((2 * tp, whole), axis=1)


def _distinct(*frames: Int[np.ndarray, "_"]) -> Int[np.ndarray, "_"]:
    """Sorted, each once; several times as fast as `np.unique` where most of it is in order."""
    merged = np.sort(np.concatenate(frames), kind="stable")
    return merged[np.flatnonzero(np.diff(merged, prepend=-1))]


def _check_finite(starts: Float[np.ndarray, "cues"], ends: Float[np.ndarray, "cues"]) -> None:
    broken = np.flatnonzero(~np.isfinite(starts + ends))
    if len(broken):
        raise InputError(f"cue {broken[0]} goes from {starts[broken[0]]} to {ends[broken[0]]} s: times must be finite")


def _paint(starts: Float[np.ndarray, "cues"], ends: Float[np.ndarray, "cues"], fps: float, limit: float) -> Runs:
    """Paint the cues in the order given, later over earlier, on frames [0, round(fps * limit)); halves go to even."""
    first, last = (np.rint(fps * np.clip(times, 0, limit)).astype(np.intp) for times in (starts, ends))
    return _paint_frames(first, last, round(fps * limit))


def _paint_frames(first: Int[np.ndarray, "cues"], last: Int[np.ndarray, "cues"], frames: int) -> Runs:
    """Paint the cues, which cover the frames [first, last), in the order given, later over earlier.

    The axis is cut where any cue starts or ends, so a piece shows the largest index among the cues that cover it. Each
    cue is entered as two blocks of 2^k pieces that cover it, and blocks are halved from the largest down: O(n log n).
    """
    edges = _distinct(np.array([0, frames]), first, last)
    first, last = np.searchsorted(edges, first), np.searchsorted(edges, last)
    cues = np.flatnonzero(first < last)
    size = np.frexp(last[cues] - first[cues])[1] - 1
    seen = np.full((size.max(initial=0) + 1, len(edges) - 1), -1)  # [k, p]: the last cue over pieces p .. p + 2^k - 1
    blocks = np.stack([first[cues], last[cues] - (1 << size)], axis=1)
    seen[size[:, None], blocks] = cues[:, None]  # of two cues in one place the last stays
    for k in range(len(seen) - 1, 0, -1):
        half = 1 << (k - 1)
        np.maximum(seen[k - 1], seen[k], out=seen[k - 1])
        np.maximum(seen[k - 1, half:], seen[k, :-half], out=seen[k - 1, half:])
    change = np.flatnonzero(np.diff(seen[0], prepend=-2))
    return Runs(seen[0, change], np.append(edges[change], edges[-1]))


# --- Cues that are not signed ---------------------------------------------------------------------------------------


def evaluate_drops(reference: Sequence[Cue], dropped: Collection[int]) -> Found:
    """Score the statement "this cue is not signed", whatever the times.

    The reference says it by `[` and `]` in the text, as `evaluate` has it.

    Args:
        dropped: Indices of reference cues; `find_dropped` reads them from a file.
    Raises:
        InputError: An index is not one of the reference.
    """
    said = set(dropped)
    if said - set(range(len(reference))):
        raise InputError(f"there are {len(reference)} cues, and none has the index {max(said, key=abs)}")
    true = {i for i, cue in enumerate(reference) if is_bracketed(cue)}
    return Found(len(true & said), len(true), len(said))


def find_dropped(reference: Sequence[Cue], estimate: Sequence[Cue]) -> frozenset[int]:
    """Indices of the reference cues that are not in the estimate, or are there as "[not signed]".

    Cues are paired as in `evaluate`.
    """
    return _dropped(len(reference), pair_cues(reference, estimate), estimate)


def _dropped(count: int, partner: Sequence[int], estimate: Sequence[Cue]) -> frozenset[int]:
    """Which of so many reference cues are no estimate's partner, or of one that says "[not signed]"."""
    return frozenset(range(count)) - {i for i, cue in zip(partner, estimate, strict=True) if NOT_SIGNED not in cue.text}
