"""`evaluate`: how good cues are."""

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

import seasign
from seasign.cli.options import (
    EXISTING,
    JSON,
    QUIET,
    Number,
)
from seasign.formats import SUBTITLES, TABLES, TIERS
from seasign.formats.rate import exact_rate
from seasign.types import Cue, InputError


@click.command()
@click.argument("reference", type=EXISTING)
@click.argument("estimate", type=EXISTING)
@click.option(
    "--fps", default="25", show_default=True, help="Frames per second of the measure: 25, 23.976, 24000/1001."
)
@click.option("--shift-start", type=Number(), default=0.0, help="Seconds added to the estimated starts.")
@click.option("--shift-end", type=Number(), default=0.0, help="Seconds added to the estimated ends.")
@click.option("--reference-tier", help="Of an ELAN file. [default: SUBTITLE_ALIGNED, else SUBTITLE]")
@click.option("--estimate-tier", help="Of an ELAN file. [default: SUBTITLE_ALIGNED, else SUBTITLE]")
@click.option("--compat", type=click.Choice(["sea"]), help="The published protocol, which does not score all failures.")
@QUIET
@JSON
@click.pass_obj
def evaluate(
    warned: list[str], /, reference: Path, estimate: Path, fps: str, quiet: bool, as_json: bool, **given: Any
) -> None:
    """Score the cues of ESTIMATE against REFERENCE.

    Two files, or two folders whose files have the same names.
    """
    try:
        rate = Fraction(fps) if "/" in fps else exact_rate(float(fps))
        if rate <= 0:
            raise ValueError
    except (ValueError, ZeroDivisionError):
        raise click.UsageError(f"--fps {fps}: expected a number above 0, such as 25, 23.976 or 24000/1001") from None
    if reference.is_dir() != estimate.is_dir():
        raise InputError(f"{reference} and {estimate}: expected two files or two folders")
    broken: list[str] = []
    sides: list[dict[str, Sequence[Cue]]] = [
        _episodes(path, given[tier], broken)
        if path.is_dir()
        else {reference.stem: seasign.read_cues(path, given[tier]).cues}
        for path, tier in ((reference, "reference_tier"), (estimate, "estimate_tier"))
    ]
    shifts = {"shift_start": given["shift_start"], "shift_end": given["shift_end"]}
    evaluation = seasign.evaluate(*sides, fps=rate, compat=given["compat"], **shifts)
    if as_json:
        click.echo(json.dumps(evaluation.as_json() | {"broken_files": broken, "warnings": warned}))
    elif not quiet:
        _print_evaluation(evaluation, rate)
    for line in broken:
        click.echo(f"error: {line}", err=True)
    if broken or evaluation.missing_files:
        raise click.exceptions.Exit(1)


def _episodes(folder: Path, tier: str | None, broken: list[str]) -> dict[str, Sequence[Cue]]:
    """The cues of every file in a folder, by stem; `news.aligned` is `news`. What cannot be read is added to `broken`.

    Raises:
        InputError: There are no files, or two have the same stem.
    """
    paths = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUBTITLES | TIERS | TABLES]
    if not paths:
        raise InputError(f"{folder}: no subtitles there; expected *{' *'.join(SUBTITLES | TIERS | TABLES)}")
    stems = [path.stem.removesuffix(".aligned") for path in paths]
    episodes: dict[str, Sequence[Cue]] = {}
    for stem, path in zip(stems, paths, strict=True):
        if stems.count(stem) > 1:
            raise InputError(f"{folder}: several files named {stem}: keep one of them there")
        try:
            episodes[stem] = seasign.read_cues(path, tier).cues
        except (InputError, OSError) as error:
            broken.append(str(error))
    return episodes


def _print_evaluation(evaluation: seasign.Evaluation, fps: Fraction) -> None:
    """A table: a row per file and, of several, the pooled one; percent."""
    rows = dict(evaluation.per_file)
    if len(rows) > 1:
        rows["all"] = evaluation.pooled
    corner = f"at {float(fps):.6g} fps"
    width = max(len(name) for name in (corner, *rows))
    click.echo(
        f"{corner:{width}}  frame acc.  F1@.10  F1@.25  F1@.50  cue F1@.50   cues  missing  start off by  end off by"
    )
    for name, counts in rows.items():
        f1 = "".join(f"{value:8.2f}" for value in counts.f1.values())
        start, end = (counts.offsets[f"median_abs_{side}_offset"] for side in ("start", "end"))
        click.echo(
            f"{name:{width}}  {counts.frame_accuracy:10.2f}{f1}  {counts.cue_f1[0.5]:10.2f}  {counts.sentences:5d}"
            f"  {counts.missing:7d}  {start:10.2f} s  {end:8.2f} s"
        )
