"""`evaluate`: how good cues are; `compare-runs`: whether others are better."""

import json
import math
import stat
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

import seasign
from seasign.cli.options import (
    EXISTING,
    JSON,
    QUIET,
    REFERENCE_TIER,
    REFERENCES,
    Finite,
    by_episode,
)
from seasign.formats import SUBTITLES, TABLES, TIERS
from seasign.formats.rate import exact_rate
from seasign.types import Cue, InputError, plain_values
from seasign.uncertainty import SCORES

BASELINES = {"delivered": "as delivered", "lag_only": "lag only", "joined": "lag and joined"}
FITTED = "lag: the median of each file, fitted on the reference, which no aligner sees"
FEW = 5  # files from which on an interval is about as wide as it should be
Episodes = dict[str, Sequence[Cue]]


# As in options.py
class Rate(click.ParamType):  # type: ignore[type-arg]
    """Frames per second, exactly."""

    name = "FPS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Fraction:
        """23.976 stands for 24000/1001."""
        try:
            rate = Fraction(value) if "/" in value else exact_rate(float(value))
            if rate <= 0:
                raise ValueError
        except (ValueError, ZeroDivisionError):
            self.fail(f"{value}: expected a number above 0, such as 25, 23.976 or 24000/1001", param, ctx)
        return rate


FPS = click.option(
    "--fps", type=Rate(), default="25", show_default=True,
    help="Frames per second in which to measure: 25, 23.976, 24000/1001.",
)  # fmt: skip
ESTIMATE_TIER = click.option("--estimate-tier", help="Of an ELAN file. [default: SUBTITLE_ALIGNED, else SUBTITLE]")
DELIVERED = click.option(
    "--delivered", type=EXISTING,
    help="The cues before alignment (of an ELAN file: SUBTITLE). Also score these, moved by the lag, and joined.",
)  # fmt: skip


@click.command()
@click.argument("reference", type=EXISTING)
@click.argument("estimate", type=EXISTING)
@FPS
@click.option("--shift-start", type=Finite(), default=0.0, help="Seconds added to the estimated starts.")
@click.option("--shift-end", type=Finite(), default=0.0, help="Seconds added to the estimated ends.")
@REFERENCE_TIER
@ESTIMATE_TIER
@DELIVERED
@click.option("--compat", type=click.Choice(["sea"]), help="The published protocol, which does not score all failures.")
@QUIET
@JSON
@click.pass_obj
def evaluate(
    warned: list[str],
    /,
    reference: Path,
    estimate: Path,
    fps: Fraction,
    delivered: Path | None,
    quiet: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Score the cues of ESTIMATE against REFERENCE.

    Both are files, or folders whose files have the same names. With several files, each score has a 95 % interval for
    other files like these.
    """
    sides, broken = _read(
        reference, (estimate, delivered), (given["reference_tier"] or REFERENCES, given["estimate_tier"])
    )
    how = {"fps": fps, "compat": given["compat"]}
    evaluation = seasign.evaluate(*sides[:2], shift_start=given["shift_start"], shift_end=given["shift_end"], **how)
    baselines = seasign.evaluate_baselines(sides[0], sides[2], **how) if delivered else {}
    if as_json:
        found = _as_json(evaluation) | {"baselines": {name: _as_json(one) for name, one in baselines.items()}}
        click.echo(json.dumps(found | {"broken_files": broken, "warnings": warned}))
    elif not quiet:
        _print_evaluation(evaluation, baselines, fps)
    _end(broken, any(one.missing_files for one in (evaluation, *baselines.values())))


@click.command()
@click.argument("a", metavar="A", type=EXISTING)
@click.argument("b", metavar="B", type=EXISTING)
@click.option("--reference", type=EXISTING, required=True, help="The true cues of both runs.")
@click.option("--score", type=click.Choice(SCORES), default="f1@0.50", show_default=True, metavar="SCORE",
              help=f"One of {', '.join(SCORES)}.")  # fmt: skip
@FPS
@REFERENCE_TIER
@ESTIMATE_TIER
@DELIVERED
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the random draws.")
@QUIET
@JSON
@click.pass_obj
def compare_runs(
    warned: list[str],
    /,
    a: Path,
    b: Path,
    reference: Path,
    score: str,
    fps: Fraction,
    delivered: Path | None,
    seed: int,
    quiet: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Test whether the runs A and B on one reference differ by more than chance.

    A, B and the reference are three files, or three folders whose files have the same names. Runs are paired by file:
    the interval resamples files, and the test swaps the runs within files.
    """
    tiers = given["reference_tier"] or REFERENCES, given["estimate_tier"], given["estimate_tier"]
    (truth, *runs), broken = _read(reference, (a, b, delivered), tiers)
    compared = seasign.compare_runs(truth, *runs[:2], fps=fps, score=score, seed=seed)
    baselines = seasign.evaluate_baselines(truth, runs[2], fps=fps) if delivered else {}
    scores = {name: one.as_json()[score] for name, one in baselines.items()}
    if as_json:
        found = compared.as_json() | {"baselines": scores, "broken_files": broken, "warnings": warned}
        click.echo(json.dumps(found))
    elif not quiet:
        _print_comparison(compared, {"A": a, "B": b}, scores, fps)
    _end(broken, any(set(truth) - set(run) for run in runs))


def _read(
    reference: Path, others: Sequence[Path | None], tiers: Sequence[str | Sequence[str] | None]
) -> tuple[list[Episodes], list[str]]:
    """The cues of all sides that there are, reference first, by file; and a line for each file that cannot be read.

    Raises:
        InputError: They are not all files or all folders; or the only file of a side cannot be read.
    """
    paths = [path for path in (reference, *others) if path]
    if len({stat.S_ISDIR(path.stat().st_mode) for path in paths}) > 1:
        number = {2: "two", 3: "three", 4: "four"}[len(paths)]
        found = f"{', '.join(map(str, paths[:-1]))} and {paths[-1]}"
        raise InputError(f"{found}: expected {number} files or {number} folders")
    broken: list[str] = []
    sides: list[Episodes] = []
    roles = [".reference", *[".aligned"] * (len(tiers) - 1), ""]
    for path, tier, role in zip(paths, (*tiers, "SUBTITLE"), roles, strict=False):
        if path.is_dir():
            sides.append(_episodes(path, role, tier, broken))
        else:
            sides.append({reference.stem: seasign.read_cues(path, tier).cues})
    return sides, broken


def _episodes(folder: Path, role: str, tier: str | Sequence[str] | None, broken: list[str]) -> Episodes:
    """The cues of every episode in a folder, by name. What cannot be read is added to `broken`.

    Raises:
        InputError: There are no files, or several of an episode and not one named for its role.
    """
    known = SUBTITLES | TIERS | TABLES
    files = by_episode(folder, known, role)
    if not files:
        raise InputError(f"{folder}: no subtitles there; expected *{' *'.join(known)}")
    episodes: Episodes = {}
    for name, (path, *more) in files.items():
        if more:
            names = ", ".join(one.name for one in (path, *more))
            raise InputError(f"{folder}: several files for {name} ({names}); keep one of them there")
        try:
            episodes[name] = seasign.read_cues(path, tier).cues
        except (InputError, OSError) as error:
            broken.append(str(error))
    return episodes


def _end(broken: Sequence[str], missing: bool) -> None:
    """Name what could not be read; exit code 1 if there is any, or a file has no counterpart."""
    for line in broken:
        click.echo(f"error: {line}", err=True)
    if broken or missing:
        raise click.exceptions.Exit(1)


def _as_json(evaluation: seasign.Evaluation) -> dict[str, object]:
    """The scores, and with several files the interval of each."""
    several = len(evaluation.per_file) > 1
    intervals = {score: seasign.bootstrap(evaluation, score=score) for score in SCORES} if several else {}
    found = {score: [interval.low, interval.high] for score, interval in intervals.items()}
    return evaluation.as_json() | plain_values({"intervals": found or None})


COLUMNS = {  # score: head, width, unit
    "frame_accuracy": ("frame acc.", 10, ""),
    "f1@0.10": ("F1@.10", 6, ""),
    "f1@0.25": ("F1@.25", 6, ""),
    "f1@0.50": ("F1@.50", 6, ""),
    "cue_f1@0.50": ("cue F1@.50", 10, ""),
    "median_abs_start_offset": ("start off by", 12, " s"),
    "median_abs_end_offset": ("end off by", 10, " s"),
}


def _print_evaluation(
    evaluation: seasign.Evaluation, baselines: Mapping[str, seasign.Evaluation], fps: Fraction
) -> None:
    """A table: a row per file and, of several, the pooled one with its interval, then the baselines; percent."""
    several = len(evaluation.per_file) > 1
    corner = f"at {float(fps):.6g} fps"
    width = max(map(len, (corner, *evaluation.per_file, *(BASELINES.values() if baselines else ()), "95 % from")))

    def row(name: str, scores: Mapping[str, Any], counts: seasign.Counts | None = None) -> None:
        values = [_number(scores[score], unit).rjust(size) for score, (_, size, unit) in COLUMNS.items()]
        found = f"{counts.sentences:6}{counts.missing:9}" if counts else " " * 15
        click.echo(f"{name:{width}}  {'  '.join(values[:5])}{found}  {'  '.join(values[5:])}".rstrip())

    heads = [head.rjust(size) for head, size, _ in COLUMNS.values()]
    click.echo(f"{corner:{width}}  {'  '.join(heads[:5])}  cues  missing  {'  '.join(heads[5:])}")
    for name, counts in evaluation.per_file.items():
        row(name, counts.as_json(), counts)
    if several:
        row("all", evaluation.pooled.as_json(), evaluation.pooled)
        intervals = {score: seasign.bootstrap(evaluation, score=score) for score in COLUMNS}
        row("95 % from", {score: interval.low for score, interval in intervals.items()})
        row("to".rjust(9), {score: interval.high for score, interval in intervals.items()})
    for name, one in baselines.items():
        row(BASELINES[name], one.pooled.as_json(), one.pooled)
    drops = evaluation.pooled.drops
    notes = []
    if drops.reference or drops.estimate:
        unsigned = f"not signed: {drops.reference} cues by the reference, {drops.estimate} by the estimate, "
        rates = f"precision {_number(drops.precision)}, recall {_number(drops.recall)}, F1 {_number(drops.f1)}"
        interval = seasign.bootstrap(evaluation, score="drop_f1") if several else None
        around = f" (95 % from {_number(interval.low)} to {_number(interval.high)})" if interval else ""
        notes.append(f"{unsigned}{drops.hits} by both: {rates}{around}")
    if baselines:
        notes.append(FITTED)
    if 1 < len(evaluation.per_file) < FEW:
        notes.append(f"intervals of {len(evaluation.per_file)} files are too narrow: they have seen little")
    click.echo("\n" + "\n".join(notes) if notes else "", nl=bool(notes))


def _print_comparison(
    compared: seasign.Comparison, runs: Mapping[str, Path], baselines: Mapping[str, Any], fps: Fraction
) -> None:
    """Both runs by file, their difference, and whether it is one."""
    files, offset = len(compared.per_file), compared.score.endswith("_offset")
    several = files > 1
    rows = {**compared.per_file, **({"all": (compared.a, compared.b)} if several else {})}
    corner = f"{compared.score}, {'s' if offset else '%'}, at {float(fps):.6g} fps"
    width = max(map(len, (corner, *rows, *(BASELINES.values() if baselines else ()))))
    for name, path in runs.items():
        click.echo(f"{name}: {path}")
    click.echo(f"\n{corner:{width}}         A         B     B - A")
    for name, (a, b) in rows.items():
        click.echo(f"{name:{width}}{_number(a):>10}{_number(b):>10}{_number(b - a, sign='+'):>10}")
    for name, value in baselines.items():
        click.echo(f"{BASELINES[name]:{width}}{_number(value):>10}")
    difference = compared.difference
    click.echo("")
    if several:
        low, high = (_number(edge, sign="+") for edge in (difference.low, difference.high))
        a, b = compared.wins
        unit = "s" if offset else "points"
        click.echo(f"B - A = {_number(difference.value, sign='+')} {unit} (95 % from {low} to {high})", nl=False)
        click.echo(f", p = {compared.p:.2g}; of {files} files A is better in {a}, B in {b}")
    if (least := 2 / 2**files) >= 0.05:
        click.echo(
            f"{files} file{'s' * several}: p cannot be below {least:g}; only 6 files or more can show a difference"
        )
    if baselines:
        click.echo(FITTED)


def _number(value: float | None, unit: str = "", sign: str = "") -> str:
    """Two decimals; a dash for what is not known."""
    return "-" if value is None or math.isnan(value) else f"{value:{sign}z.2f}{unit}"
