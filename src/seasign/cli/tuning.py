"""`tune` and `calibrate`: what is learned from episodes whose truth is known."""

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import click

import seasign
from seasign.cli import jobs
from seasign.cli.align import array
from seasign.cli.evaluate import FPS
from seasign.cli.options import (
    EXISTING,
    JSON,
    PRESET,
    QUIET,
    REFERENCE_TIER,
    REFERENCES,
    Lag,
    by_episode,
    episode_of,
    options,
    preset_files,
    progress_bar,
)
from seasign.formats import SUBTITLES, TABLES, TIERS
from seasign.formats.disk import sha256, write_text
from seasign.types import InputError

KNOWN = SUBTITLES | TIERS | TABLES
EXAMPLES = [
    click.argument("episodes", nargs=-1, required=True, type=EXISTING),
    click.option(
        "--reference",
        type=EXISTING,
        required=True,
        metavar="FOLDER",
        help="True cues, in files named like the episodes.",
    ),
    click.option("--signs", type=EXISTING, metavar="FOLDER", help="Signs, in files named like the episodes."),
    click.option(
        "--similarity", type=EXISTING, metavar="FOLDER", help="Cues x signs, in .npy named like the episodes."
    ),
    click.option("--sign-tier", default="SIGN", show_default=True, help="Where signs are, in an ELAN file."),
    click.option("--subtitle-tier", default="SUBTITLE", show_default=True, help="Where cues are, in an ELAN file."),
    REFERENCE_TIER,
]


@click.command()
@options(EXAMPLES)
@click.option("-o", "--output", type=EXISTING, required=True, help="The preset to write, a .json.")
@click.option("--settings", type=click.IntRange(1), default=10_000, show_default=True, help="How many settings to try.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Another seed draws other settings.")
@click.option("--lag", type=Lag(), help="`auto`: estimated in every episode; or seconds. [default: try both]")
@click.option("--compat", type=click.Choice(["sea"]), help="Tune the published arithmetic.")
@FPS
@click.option("--processes", type=click.IntRange(1), default=2, show_default=True, help="How many run in parallel.")
@QUIET
@JSON
@click.pass_obj
def tune(
    warned: list[str], /, episodes: Sequence[Path], output: Path, quiet: bool, as_json: bool, **given: Any
) -> None:
    """Find settings that suit EPISODES, and save them as a preset.

    EPISODES are files or folders: ELAN files with the tiers SIGN and SUBTITLE; or, with --signs, subtitles as they were
    delivered. Files that belong together have the same name. The same command resumes an interrupted search.
    """
    files = _pair(episodes, given)
    jobs.check_outputs({"the preset": (output, [".json"])}, _all(files))
    examples = _read(files, given)
    with jobs.scratch(output) as scratch, progress_bar("trying settings", "settings", quiet or as_json) as progress:
        tuning = seasign.tune(
            examples,
            **{name: given[name] for name in ("settings", "seed", "compat", "fps", "processes")},
            lag=given["lag"] or "search",
            scratch=scratch,
            progress=progress,
        )
        made = dict(tuning.preset.provenance or {}) | _made_of(files)
        seasign.write(output, replace(tuning.preset, provenance=made))
    if as_json:
        click.echo(json.dumps(made | {"output": str(output), "helps": tuning.helps, "warnings": warned}))
    elif not quiet:
        _print_tuning(tuning, examples, given["settings"])
        click.echo(f"\nwrote     {output}; use it: seasign align --preset {output}")


def _print_tuning(tuning: seasign.Tuning, examples: Mapping[str, seasign.Example], settings: int) -> None:
    """What was found, beside what needs no search."""
    costs, padding = tuning.preset.costs, tuning.preset.padding[1]
    similar = any(one.similarity is not None for one in examples.values())
    names = ["w_dur", "w_gap", *["w_sim"] * similar, "max_gap", *([] if costs.compat else ["drop", "skip", "hole"])]
    lag = tuning.preset.lag
    click.echo(f"episodes  {len(examples)}, with {sum(len(one.cues) for one in examples.values())} cues")
    click.echo(f"tried     {settings} settings; the best:")
    click.echo(f"          {', '.join(f'{name} {getattr(costs, name):g}' for name in names)},")
    words = "auto" if lag == "auto" else "{:g} s at the starts, {:g} s at the ends".format(*lag)
    click.echo(f"          lag {words}, padding {padding:g} s at the ends\n")
    click.echo("                F1@.50   95 % over episodes")
    rows = {"as delivered": tuning.baselines["delivered"], "lag only": tuning.baselines["lag_only"]}
    rows |= {"default": tuning.baselines["default"], "tuned": tuning.score}
    for name, one in rows.items():
        click.echo(f"{name:14}{one.value:8.1f}   {_interval(one, '.1f')}")
    click.echo(f"{'tuned gains':14}{tuning.difference.value:+8.1f}   {_interval(tuning.difference, '+.1f')}")
    if len(examples) > 1:
        click.echo("\nEvery episode was scored by what is best for all others.")


def _interval(one: seasign.Interval, form: str) -> str:
    """From where to where; a dash when that is not known."""
    return f"{one.low:{form}} to {one.high:{form}}" if one.low == one.low else "-"


@click.command()
@options(EXAMPLES)
@click.option(
    "-o", "--output", type=EXISTING, required=True, help="The preset to write, a .json, with its calibration."
)
@PRESET
@click.option("--diagram", type=EXISTING, help="Also draw stated against true probabilities, as .svg.")
@QUIET
@JSON
@click.pass_obj
def calibrate(
    warned: list[str],
    /,
    episodes: Sequence[Path],
    output: Path,
    preset: seasign.Preset,
    quiet: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Fit the confidence of cues to EPISODES, and save it in a preset.

    EPISODES are files or folders: ELAN files with the tiers SIGN and SUBTITLE; or, with --signs, subtitles as they were
    delivered. Files that belong together have the same name.
    """
    files = _pair(episodes, given)
    outputs: dict[str, tuple[Path, Sequence[str]]] = {"the preset": (output, [".json"])}
    if given["diagram"]:
        outputs["the diagram"] = (given["diagram"], [".svg"])
    jobs.check_outputs(outputs, [*_all(files), *preset_files()])
    examples = _read(files, given)
    with progress_bar("aligning", "episodes", quiet or as_json) as progress:
        found = seasign.calibrate(examples, preset, progress=progress)
    made = dict(found.calibration.provenance or {}) | _made_of(files)
    seasign.write(output, replace(preset, calibration=replace(found.calibration, provenance=made)))
    if given["diagram"]:
        write_text(given["diagram"], seasign.draw_reliability(found))
    if as_json:
        click.echo(json.dumps(made | {"output": str(output), "warnings": warned}))
    elif not quiet:
        _print_calibration(found, len(examples))
        drawn = f", {given['diagram']}" if given["diagram"] else ""
        click.echo(f"\nwrote     {output}{drawn}; use it: seasign align --preset {output}")


def _print_calibration(found: seasign.Calibrated, episodes: int) -> None:
    """What confidence was worth before, and what it is worth now."""
    before, after = found.before, found.after
    click.echo(f"episodes  {episodes}, with {after.cues} cues on signs, {after.wrong} of them wrongly\n")
    rows = {
        "calibration error": (before.error, after.error, ".3f", ""),
        "wrong cues rank below right ones": (100 * before.auroc, 100 * after.auroc, ".1f", " %"),
        "90 % intervals hold the start": (100 * before.coverage[0], 100 * after.coverage[0], ".1f", " %"),
        "90 % intervals hold the end": (100 * before.coverage[1], 100 * after.coverage[1], ".1f", " %"),
    }
    click.echo(f"{'':34}{'before':>10}{'after':>10}")
    for name, (old, new, form, unit) in rows.items():
        click.echo(f"{name:34}{f'{old:{form}}{unit}':>10}{f'{new:{form}}{unit}':>10}")
    if episodes > 1:
        click.echo("\nEvery episode was judged by what was fitted on all others.")


# Files that belong together -------------------------------------------------------------------------------------------

Files = Mapping[str, Mapping[str, Path]]  # episode -> what is in it -> where


def _pair(episodes: Sequence[Path], given: Mapping[str, Any]) -> Files:
    """The files of every episode, by its name; what has no counterpart is listed, a line each, and refused."""
    kinds = KNOWN if given["signs"] else TIERS
    problems: list[str] = []
    files: dict[str, dict[str, Path]] = {}
    for path in _listed(episodes, kinds, problems):
        if path.suffix.lower() not in kinds:
            what = (
                f"expected *{' *'.join(kinds)}" if given["signs"] else "holds no signs; say where they are by --signs"
            )
            problems.append(f"{path}: {what}")
        elif (name := episode_of(path)) in files:
            problems.append(f"{path}: is named like {files[name]['cues']}; every episode needs a name of its own")
        else:
            files[name] = {"cues": path, "signs": path}
    sides = {"reference": KNOWN, "signs": TIERS | TABLES, "similarity": {".npy": "npy"}}
    for side, suffixes in sides.items():
        if given[side] and not given[side].exists():
            problems.append(f"{given[side]}: there is no such folder")
        elif given[side]:
            for name, own in files.items():
                try:
                    role = ".reference" * (side == "reference")
                    own[side] = _find(given[side], name, role, suffixes, alone=len(files) == 1)
                except InputError as error:
                    problems.append(str(error))
    _refuse(problems)
    return files


def _listed(episodes: Sequence[Path], kinds: Mapping[str, str], problems: list[str]) -> list[Path]:
    """All files that were named, or are in folders that were."""
    paths = []
    for path in episodes:
        if not path.exists():
            problems.append(f"{path}: there is no such file")
        elif not path.is_dir():
            paths.append(path)
        elif inside := by_episode(path, kinds):
            paths += chain.from_iterable(inside.values())
        else:
            signs = ", or subtitles and --signs FOLDER" * (kinds is TIERS)
            problems.append(f"{path}: no episodes there; expected *{' *'.join(kinds)}{signs}")
    return paths


def _find(folder: Path, name: str, role: str, suffixes: Mapping[str, str], alone: bool) -> Path:
    """The file of an episode in a folder; or the file that was given for the only one."""
    if alone and folder.is_file():
        return folder
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder with a file for {name}")
    found = by_episode(folder, suffixes, role).get(name, [])
    if not found:
        raise InputError(f"{folder}: no file for {name}; expected {name}*{' *'.join(suffixes)}")
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise InputError(f"{folder}: several files for {name} ({names}); keep one of them there")
    return found[0]


def _read(files: Files, given: Mapping[str, Any]) -> dict[str, seasign.Example]:
    """The episodes; all that cannot be read is listed, a line each, and refused."""
    examples, problems = {}, []
    for name, own in files.items():
        try:
            cues = seasign.read_cues(own["cues"], given["subtitle_tier"]).cues
            reference = seasign.read_cues(own["reference"], given["reference_tier"] or REFERENCES).cues
            if [(cue.start, cue.end) for cue in cues] == [(cue.start, cue.end) for cue in reference]:
                same = f"has the times of {own['cues']}; the reference holds the cues on their signing"
                raise InputError(f"{own['reference']}: {same}")
            signs = seasign.read_signs(own["signs"], given["sign_tier"])
            similarity = array(own["similarity"]) if "similarity" in own else None
            examples[name] = seasign.Example(signs, cues, reference, similarity)
        except InputError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"{error.filename}: {error.strerror}")
    _refuse(problems)
    return examples


def _refuse(problems: Sequence[str]) -> None:
    """End with a line for everything that is wrong."""
    for line in problems:
        click.echo(f"error: {line}", err=True)
    if problems:
        raise click.exceptions.Exit(1)


def _all(files: Files) -> list[Path]:
    return [path for own in files.values() for path in own.values()]


def _made_of(files: Files) -> dict[str, object]:
    """When and from which files something was made."""
    sums = {name: {side: sha256(path) for side, path in own.items()} for name, own in files.items()}
    return {"date": datetime.date.today().isoformat(), "sha256": sums}
