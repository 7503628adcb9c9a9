"""One command per public function: read, call, write. Printing, progress and exit codes live here and nowhere else.

Results go to stdout; warnings, errors and progress to stderr. Exit codes: 0 done, 1 an input failed, 2 usage.
"""

import json
import math
import platform
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np

import seasign
from seasign import jobs
from seasign.formats import POSES, SUBTITLES, TABLES, TIERS, VIDEOS
from seasign.formats.disk import write_text
from seasign.formats.rate import exact_rate
from seasign.formats.tables import read_pins
from seasign.formats.timed_text import plain
from seasign.pose_estimation import check_estimator
from seasign.report import plain_values
from seasign.segmentation import Gate
from seasign.types import Alignment, Costs, Cue, Embeddings, InputError, InputWarning, Normalization, Poses, Sign

NAN = float("nan")
SEGMENTERS = {"training-free": seasign.TRAINING_FREE}
EXISTING = click.Path(path_type=Path)


class Commands(click.Group):
    """Turns what goes wrong with the input into one line and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; warnings are printed as they come, and counted."""
        ctx.obj = warned = []

        def show(message: Warning | str, *_: Any) -> None:
            warned.append(str(message))
            click.echo(f"warning: {message}", err=True)

        with warnings.catch_warnings():
            warnings.simplefilter("always", InputWarning)
            warnings.showwarning = show  # type: ignore[assignment]  # what follows the message is not looked at
            try:
                return super().invoke(ctx)
            except (InputError, ModuleNotFoundError) as error:
                line = str(error)
            except OSError as error:
                line = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
        click.echo(f"error: {line}", err=True)
        ctx.exit(1)


class Number(click.FloatRange):
    """A finite number; `float` would take nan and inf too."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """A number within the range."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number", param, ctx)
        return number


# `ParamType` takes a type in brackets from click 8.4 on, and only for the type checker
class Pair(click.ParamType):  # type: ignore[type-arg]
    """Seconds for the starts and for the ends: `2.5`, or `2.6,2.1`."""

    name = "S or S,E"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """One number stands for both."""
        if isinstance(value, tuple):
            return value
        try:
            first, *rest = (float(number) for number in value.split(","))
            (second,) = rest or [first]
            if not math.isfinite(first + second):
                raise ValueError
        except ValueError:
            self.fail(f"{value!r} is neither seconds nor two of them, such as 2.6,2.1", param, ctx)
        return first, second


class Lag(Pair):
    """As `Pair`, or `auto`."""

    name = "auto or S or S,E"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """`auto` stays as it is."""
        return value if value == "auto" else super().convert(value, param, ctx)


class Crop(click.ParamType):  # type: ignore[type-arg]
    """A part of the picture in pixels: left, top, width, height."""

    name = "X,Y,W,H"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int, int, int]:
        """Four whole numbers."""
        try:
            x, y, width, height = (int(number) for number in value.split(","))
            if min(x, y) < 0 or min(width, height) < 1:
                raise ValueError
        except ValueError:
            self.fail(f"{value!r} is not four whole numbers above 0, such as 960,480,300,240", param, ctx)
        return x, y, width, height


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(seasign.__version__, prog_name="seasign")
def cli() -> None:
    """Move subtitles onto the signing that says them."""


OUTPUT = click.option("-o", "--output", type=EXISTING, required=True, help="The file to write; its suffix says how.")
QUIET = click.option("--quiet", is_flag=True, help="Print nothing but warnings and errors.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
COST = Number(min=0)
SEGMENTER = click.option(
    "--segmenter", type=click.Choice(list(SEGMENTERS)), default="training-free", show_default=True,
    help="What finds the signs. The default looks at the height and speed of the hands and has learned nothing.",
)  # fmt: skip
ESTIMATION = [
    click.option("--crop", type=Crop(), help="Look at this part of the picture, such as an interpreter's inset."),
    click.option("--static", is_flag=True, help="Look for the signer anew in every frame: a few more hands are found."),
    click.option("--python", type=EXISTING, help="A Python that has mediapipe==0.10.21, if this one has not."),
]


def options(several: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """Several click options as one decorator."""

    def decorate(command: Any) -> Any:
        for option in reversed(several):
            command = option(command)
        return command

    return decorate


@cli.command()
@click.argument("source", metavar="INPUT", type=EXISTING)
@click.argument("subtitles", type=EXISTING)
@click.option("-o", "--output", type=EXISTING, help="The file to write; its suffix says how.")
@click.option("--in-place", is_flag=True, help="Replace SUBTITLES, and keep what it was in SUBTITLES.bak, .bak1, ...")
@click.option("--signs", type=EXISTING, help="Signs that someone else found; INPUT is then not looked at.")
@click.option("--merge", "extra", type=EXISTING, help="More signs: where they agree with one found, they replace it.")
@click.option("--sign-tier", default="SIGN", show_default=True, help="Where the signs are, in an ELAN file.")
@click.option("--subtitle-tier", help="Where the subtitles are, in an ELAN file. [default: SUBTITLE]")
@SEGMENTER
@click.option("--similarity", type=EXISTING, help="A .npy of cues x signs, higher is better.")
@click.option("--cue-embeddings", type=EXISTING, help="A .npy of cues x dimensions; needs --sign-embeddings.")
@click.option("--sign-embeddings", type=EXISTING, help="A .npy of signs x dimensions, from the same model.")
@click.option("--normalize", type=click.Choice(["softmax", "z-score", "sinkhorn", "columns", "softmax+columns"]),
              help="How similarities become rewards, as published. [default: by their evidence]")  # fmt: skip
@click.option("--threshold", type=Number(), default=0.0, show_default=True, help="Rewards up to this count as none.")
@click.option(
    "--preset", type=click.Choice(list(seasign.PRESETS)), help="Costs, lag and padding published for a corpus."
)
@click.option("--lag", type=Lag(), help="Seconds by which the signing comes after the subtitles. [default: auto]")
@click.option("--padding", type=Pair(), help="Seconds added to starts and ends at last, such as 0,1. [default: 0]")
@click.option("--w-dur", type=COST, help=f"Cost of a second of difference in length. [default: {Costs.w_dur:g}]")
@click.option("--w-gap", type=COST, help=f"Cost of a second without a sign in a cue. [default: {Costs.w_gap:g}]")
@click.option("--w-sim", type=COST, help=f"Reward of similarity. [default: {Costs.w_sim:g}]")
@click.option("--max-gap", type=COST, help=f"No cue straddles a longer pause, in seconds. [default: {Costs.max_gap:g}]")
@click.option(
    "--window", type=click.IntRange(0), help=f"Signs near a cue that it may end on; 0: all. [default: {Costs.window}]"
)
@click.option("--drop", type=COST, help=f"Price of a cue that gets no sign. [default: {Costs.drop:g}]")
@click.option("--skip", type=COST, help=f"Price of a second of signs between two cues. [default: {Costs.skip:g}]")
@click.option("--temperature", type=COST, help=f"0: the edges of the best runs. [default: {Costs.temperature:g}]")
@click.option("--compat", type=click.Choice(["sea"]), help="The published arithmetic, slips included.")
@click.option("--pins", type=EXISTING, help="A CSV of cue,start,end (cues count from 1): times that are right.")
@click.option("--dropped", type=click.Choice(["keep", "shift", "mark", "remove"]), default="shift", show_default=True,
              help="Cues without signs: as delivered, with the lag alone, marked, or left out.")  # fmt: skip
@click.option("--max-speed", type=COST, help="Characters per second: faster cues stay up longer where there is room.")
@click.option("--report", type=EXISTING, help="Also write all about it, as .json or as a page, .html.")
@click.option("--force", is_flag=True, help="Write the output even if the verdict is not to use it.")
@click.option("--skip-broken", is_flag=True, help="Pass over cues that cannot be read instead of refusing the file.")
@click.option("--timeline", type=EXISTING, help="Also draw signs and cues, before and after, as .svg.")
@options(ESTIMATION)
@click.option("--poses", type=EXISTING, help="Keep the poses of a video in this .pose, and use them if they are there.")
@QUIET
@JSON
@click.pass_obj
def align(
    warned: list[str], /, source: Path, subtitles: Path, output: Path | None, quiet: bool, as_json: bool, **given: Any
) -> None:
    """Move each cue of SUBTITLES onto the signing in INPUT.

    INPUT is a video, poses (.pose, .npz) or signs (.eaf, .csv, .json).
    """
    if (output is None) != given["in_place"]:
        raise click.UsageError("give either -o OUTPUT or --in-place")
    output = output or subtitles
    _check_files(source, subtitles, output, given)
    tier = given["subtitle_tier"] or ("SUBTITLE" if subtitles.suffix.lower() in TIERS else None)
    delivered = seasign.read_cues(subtitles, tier, skip_broken=given["skip_broken"])
    others = seasign.read_signs(given["extra"], given["sign_tier"]) if given["extra"] else None
    similarity = _similarity(given["similarity"], given["cue_embeddings"], given["sign_embeddings"])
    if similarity is not None and len(similarity) != len(delivered.cues):
        raise InputError(
            f"the similarity has {len(similarity)} rows, but there are {len(delivered.cues)} cues: "
            "compute it from the same files"
        )
    pins = read_pins(given["pins"], len(delivered.cues)) if given["pins"] else {}
    costs, lag, padding = _settings(given)
    with ExitStack() as done:
        signs, signs_from = _signs(given["signs"] or source, given, output, quiet or as_json, done)
        if others is not None:
            signs, signs_from = seasign.merge(signs, others), None
        alignment = seasign.align(
            signs,
            delivered.cues,
            similarity=similarity,
            costs=costs,
            normalization=_normalization(given["normalize"], given["threshold"]),
            lag=lag,
            padding=padding if costs.compat else (0.0, 0.0),
            pins=pins,
        )
        dropped = frozenset(i for i, run in enumerate(alignment.runs) if not run and i not in pins)
        final, legality = _legal(delivered.cues, alignment, dropped, padding, costs, given)
        verdict = seasign.give_verdict(alignment)
        whole = len(final) == len(alignment.cues)
        summary = seasign.summarize(delivered.cues, replace(alignment, cues=final) if whole else alignment, signs)
        refused = verdict.verdict == "do not use" and not given["force"]
        if not refused:
            if given["in_place"]:
                jobs.back_up(subtitles)
            _write_alignment(output, delivered, final, signs, costs, given["dropped"], (source, signs_from, subtitles))
        if given["timeline"] and not refused:
            lanes = {"signs": signs, "delivered": delivered.cues, "aligned": final}
            write_text(given["timeline"], seasign.draw_timeline(lanes))
        report = {
            "schema": seasign.SCHEMA,
            "seasign": seasign.__version__,
            "inputs": {"input": str(source), "subtitles": str(subtitles), "output": None if refused else str(output)},
            "settings": asdict(costs) | {"lag": lag, "padding": padding, "dropped": given["dropped"]},
            "warnings": warned,
        } | seasign.build_report(
            delivered.cues,
            alignment,
            final,
            signs,
            costs=costs,
            verdict=verdict,
            summary=summary,
            texts=[plain(cue.text) for cue in delivered.cues],
            speeds=legality.speeds if legality else [NAN] * len(final),
        )
        if given["report"]:
            page = given["report"].suffix.lower() == ".html"
            write_text(given["report"], (seasign.render_report if page else seasign.dump_report)(report))
    if as_json:
        found = {"cost": alignment.cost, "verdict": report["verdict"], "lag_estimate": report["lag"]}
        found |= {"output": None if refused else str(output), "warnings": warned}
        click.echo(json.dumps(plain_values(summary.as_json() | found)))
    elif not quiet:
        _print_summary(summary, alignment, verdict)
        click.echo(
            f"wrote     {output}" if not refused else "wrote     nothing; --force writes it all the same", nl=False
        )
        click.echo(f"; {len(warned)} warning{'s' * (len(warned) != 1)}, above" if warned else "")
    if refused:
        click.echo(f"error: {output}: not written: {verdict.reason}", err=True)
        raise click.exceptions.Exit(3)


def _legal(
    delivered: Sequence[Cue],
    alignment: Alignment,
    dropped: frozenset[int],
    padding: tuple[float, float],
    costs: Costs,
    given: Mapping[str, Any],
) -> tuple[tuple[Cue, ...], seasign.Legality | None]:
    """The aligned cues as legal subtitles, those without signs where they are wanted, and none lost."""
    if costs.compat or not any(alignment.runs):
        return alignment.cues, None
    lag = np.array(alignment.shifts)
    placed = seasign.place_dropped(delivered, alignment.cues, dropped, given["dropped"], lag)
    guessed = frozenset() if given["dropped"] == "remove" else dropped
    final, legality = seasign.legalize(
        placed, padding=padding, max_speed=given["max_speed"], dropped=guessed, plain=plain
    )
    seasign.check_nothing_lost(delivered, final, dropped, given["dropped"])
    return final, legality


def _check_files(source: Path, subtitles: Path, output: Path, given: Mapping[str, Any]) -> None:
    """Refuse before any work what cannot be written, or would take the place of what is read."""
    if source.suffix.lower() in SUBTITLES or subtitles.suffix.lower() in (*VIDEOS, *POSES):
        raise InputError(f"{source} {subtitles}: INPUT (a video, poses or signs) comes first, then SUBTITLES")
    inputs = [
        source,
        *(given[name] for name in ("signs", "extra", "similarity", "cue_embeddings", "sign_embeddings", "pins")),
    ]
    if given["in_place"]:
        inputs = [path for path in inputs if path and not jobs.same_file(path, subtitles)]
    elif jobs.same_file(output, subtitles):
        raise InputError(f"{output}: is an input too; choose another output, or --in-place to replace the subtitles")
    outputs: dict[str, tuple[Path, Collection[str]]] = {"subtitles": (output, SUBTITLES | TIERS | TABLES)}
    if given["timeline"]:
        outputs["the timeline"] = (given["timeline"], [".svg"])
    if given["report"]:
        outputs["the report"] = (given["report"], [".json", ".html"])
    if not given["signs"] and _is_video(source, "video, poses or signs", POSES | TIERS | TABLES) and given["poses"]:
        if given["poses"].exists():
            inputs.append(given["poses"])
        else:
            outputs["the poses"] = (given["poses"], POSES)
    jobs.check_outputs(outputs, [path for path in inputs if path])


def _is_video(path: Path, what: str, others: Iterable[str]) -> bool:
    """Whether a file is a video by its name; what is none of the `others` either is refused."""
    suffix = path.suffix.lower()
    if suffix not in VIDEOS and suffix not in others:
        raise InputError(f"{path}: is no {what}; expected *{' *'.join((*VIDEOS, *others))}")
    return suffix in VIDEOS


def _settings(
    given: Mapping[str, Any],
) -> tuple[Costs, tuple[float, float] | Literal["auto"], tuple[float, float]]:
    """Costs, lag and padding: the preset's or the default, with what was given in their place."""
    preset = seasign.PRESETS[given["preset"]] if given["preset"] else seasign.Preset(Costs(), "auto", (0.0, 0.0))
    names = ("w_dur", "w_gap", "w_sim", "max_gap", "drop", "skip", "temperature")
    costs = {name: given[name] for name in names if given[name] is not None}
    if given["window"] is not None:
        costs["window"] = given["window"] or None
    lag = preset.lag if given["lag"] is None else given["lag"]
    padding = preset.padding if given["padding"] is None else given["padding"]
    return replace(preset.costs, compat=given["compat"], **costs), lag, padding


def _normalization(name: str | None, threshold: float) -> Normalization:
    """`softmax+columns`: first over columns, then over rows; `columns`: over columns alone."""
    if name is None:
        return Normalization()
    rows, _, columns = name.partition("+")
    return Normalization(None if rows == "columns" else rows, bool(columns) or rows == "columns", threshold)  # type: ignore[arg-type]


def _similarity(matrix: Path | None, text: Path | None, signs: Path | None) -> np.ndarray | None:
    """The matrix, or the one that two files of embeddings make."""
    if (text is None) != (signs is None) or (matrix and text):
        raise click.UsageError("give --similarity, or both --cue-embeddings and --sign-embeddings")
    if text and signs:
        return seasign.compare(Embeddings(_array(text), "given"), Embeddings(_array(signs), "given"))
    return _array(matrix) if matrix else None


def _array(path: Path) -> np.ndarray:
    """A matrix of numbers from a .npy."""
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"{path}: not an array of numbers in a .npy file ({error})") from None
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "fiu":
        raise InputError(f"{path}: expected a matrix of numbers in a .npy file")
    if not np.isfinite(array).all():
        raise InputError(f"{path}: holds numbers that are not finite; compute them again")
    return array.astype(np.float32) if array.dtype.kind in "iu" else array


def _signs(
    source: Path, given: Mapping[str, Any], output: Path, quiet: bool, done: ExitStack
) -> tuple[tuple[Sign, ...], Path | None]:
    """The signs in a file of signs, poses or video; and that file, if they stand in it."""
    if source.suffix.lower() in TIERS | TABLES:
        return seasign.read_signs(source, given["sign_tier"]), source
    signs, gate = _segmented(source, SEGMENTERS[given["segmenter"]], given, output, quiet, done)
    if not quiet:
        click.echo(f"signs     {gate}")
    return signs, None


def _segmented(
    source: Path, segmenter: seasign.Segmenter, given: Mapping[str, Any], output: Path, quiet: bool, done: ExitStack
) -> tuple[tuple[Sign, ...], Gate]:
    """The signs in poses or a video, in the time of the video, and the gate."""
    poses = _poses(source, given, output, quiet, done)
    signs = seasign.segment(poses, segmenter)
    return jobs.in_video(signs, poses), seasign.gate(signs, poses)


def _poses(source: Path, given: Mapping[str, Any], output: Path, quiet: bool, done: ExitStack) -> Poses:
    """The poses in a file, or those of a video: estimated now, unless they were kept."""
    if source.suffix.lower() in POSES:
        return jobs.read_body(source)
    keep = given.get("poses")
    if keep and keep.exists():
        return jobs.read_kept(keep, source, crop=given["crop"], static=given["static"])
    poses = _estimated(source, given, keep or output, quiet, done)
    if keep:
        seasign.write(keep, poses)
    return poses


def _estimated(video: Path, given: Mapping[str, Any], output: Path, quiet: bool, done: ExitStack) -> Poses:
    """Estimate poses with a progress bar. Until all is `done`, what there is stays beside `output` for another run."""
    names = ("start", "end", "crop", "static", "python")
    settings = {name: given[name] for name in names if name in given}
    scratch = done.enter_context(jobs.scratch(output))
    try:
        with _progress("estimating poses", quiet) as progress:
            return seasign.estimate_poses(video, **settings, scratch=scratch, progress=progress)
    except KeyboardInterrupt:
        kept = "every whole minute of video done so far is kept in it, and the same command goes on from there"
        click.echo(f"\nstopped   {scratch}: {kept}", err=True)
        raise


@contextmanager
def _progress(what: str, quiet: bool) -> Iterator[Callable[[int, int | None], None] | None]:
    """A bar with frames per second and the time left, on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None, rate="")

        def report(done: int, total: int | None) -> None:
            speed = bar.tasks[task].speed
            bar.update(task, completed=done, total=total, rate=f"{speed:.1f} frames/s" if speed else "")

        yield report


def _write_alignment(
    output: Path,
    delivered: seasign.Subtitles,
    aligned: tuple[Cue, ...],
    signs: Sequence[Sign],
    costs: Costs,
    dropped: str,
    sources: tuple[Path, Path | None, Path],
) -> None:
    """Write the moved cues; into an ELAN file, the signs and the cues as delivered too.

    Args:
        sources: INPUT, the file that holds just these signs, and the subtitles.
    """
    if output.suffix.lower() not in TIERS:
        same = dropped in ("keep", "shift") or (
            len(aligned) == len(delivered.cues)
            and all(before.text == after.text for before, after in zip(delivered.cues, aligned, strict=True))
        )
        seasign.write(output, replace(delivered, cues=aligned) if same else seasign.Subtitles(aligned))
        return
    if costs.compat:  # the published ELAN files cut times to the millisecond below
        aligned = tuple(
            replace(cue, start=int(cue.start * 1000) / 1000, end=int(cue.end * 1000) / 1000) for cue in aligned
        )
    source, signs_from, subtitles = sources
    before = (output,) if jobs.same_file(output, subtitles) else (source, subtitles, output)
    like = next((path for path in before if path.suffix.lower() in TIERS and path.exists()), None)
    tiers = jobs.lay_tiers(
        delivered.cues, aligned, signs, like=like, output=output, cues_from=subtitles, signs_from=signs_from
    )
    seasign.write(output, tiers, like=like, media=[source] if source.suffix.lower() in VIDEOS else [])


def _print_summary(summary: seasign.Summary, alignment: Alignment, verdict: seasign.Verdict) -> None:
    """What was done, beside what a constant shift would have done, and what to do with it."""
    click.echo(f"moved     {summary.moved} of {summary.cues} cues onto {summary.signs} signs", nl=False)
    click.echo(f"; {summary.unmatched} have no signs" if summary.unmatched else "")
    if not summary.cues:
        return
    click.echo(f"by        {summary.half:.2f} s in the median, {summary.most:.2f} s at most for 90 %")
    if alignment.lag is not None:
        click.echo(f"lag       {alignment.lag}, estimated")
    elif alignment.shifts:
        click.echo("lag       {:+.2f} s at the starts, {:+.2f} s at the ends, given".format(*alignment.shifts[0]))
    click.echo("")
    click.echo("                 overlaps   time on signing   starts on a sign")
    stages = {"as delivered": summary.delivered, "lag only": summary.lag_only, "aligned": summary.aligned}
    for name, state in stages.items():
        shares = f"{100 * state.on_signing:15.1f} % {100 * state.starts_on_sign:16.1f} %"
        click.echo(f"{name:14}{state.overlaps:11d} {shares}")
    click.echo(f"\nverdict   {verdict}")


@cli.command("estimate-poses")
@click.argument("video", type=EXISTING)
@OUTPUT
@options(ESTIMATION)
@click.option("--start", type=Number(min=0), default=0.0, help="Seconds; the poses begin there.")
@click.option("--end", type=Number(min=0, min_open=True), help="Seconds; the poses end there.")
@QUIET
@JSON
def estimate_poses(video: Path, output: Path, quiet: bool, as_json: bool, **given: Any) -> None:
    """Find the landmarks of the signer in VIDEO.

    MediaPipe Holistic does it. An interrupted run goes on where it stopped when the same command is given again.
    """
    _is_video(video, "video", ())
    jobs.check_outputs({"poses": (output, POSES)}, [video])
    with ExitStack() as done:
        poses = _estimated(video, given, output, quiet or as_json, done)
        seasign.write(output, poses)
        frames, landmarks, fps, provenance = len(poses.xyz), len(poses.landmarks), str(poses.fps), poses.provenance
        del poses  # its arrays are files of the folder that goes now
    if as_json:
        found = {"frames": frames, "fps": fps, "landmarks": landmarks, "provenance": provenance, "output": str(output)}
        click.echo(json.dumps(found))
    elif not quiet:
        click.echo(f"wrote     {output}: {frames} frames of {landmarks} landmarks at {fps} fps")


@cli.command()
@click.argument("poses", type=EXISTING)
@OUTPUT
@SEGMENTER
@click.option("--one-per-bout", is_flag=True, help="Do not cut bouts of signing: for isolated signs.")
@options(ESTIMATION)
@QUIET
@JSON
def segment(
    poses: Path, output: Path, segmenter: str, one_per_bout: bool, quiet: bool, as_json: bool, **given: Any
) -> None:
    """Find the signs in POSES.

    POSES is a video or a file of poses (.pose, .npz). The signs go to the tier SIGN of an .eaf and their bouts to
    PHRASE, or the signs alone to a .csv or .json.
    """
    if one_per_bout and segmenter != "training-free":
        raise click.UsageError("--one-per-bout goes with the training-free segmenter")
    is_video = _is_video(poses, "video or poses", POSES)
    jobs.check_outputs({"signs": (output, TIERS | TABLES)}, [poses])
    chosen = replace(SEGMENTERS[segmenter], one_per_bout=one_per_bout)
    with ExitStack() as done:
        signs, gate = _segmented(poses, chosen, given, output, quiet or as_json, done)
        if output.suffix.lower() in TIERS:
            like = output if output.exists() else None
            tiers = jobs.beside({"SIGN": signs, "PHRASE": seasign.phrases(signs)}, like)
            seasign.write(output, tiers, like=like, media=[poses] if is_video else [])
        else:
            seasign.write(output, signs)
    if as_json:
        click.echo(json.dumps(plain_values(asdict(gate)) | {"segmenter": segmenter, "output": str(output)}))
    elif not quiet:
        click.echo(f"signs     {gate}\nby        {segmenter} segmenter\nwrote     {output}")


@cli.command()
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


@cli.command()
@click.option("-o", "--output", type=EXISTING, default=Path("demo"), show_default=True, help="A folder for the files.")
@click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="Another seed makes another episode."
)
@click.option("--seconds", type=Number(min=5), default=300.0, show_default=True, help="Length of the episode.")
@QUIET
def demo(output: Path, seed: int, seconds: float, quiet: bool) -> None:
    """Do the main job on a made-up episode.

    A moving signer, and subtitles that come too early. It is aligned from its poses alone and scored against the
    truth, which is known since it was planted.
    """
    episode = seasign.synthesize(seed, duration=seconds)
    assert episode.poses is not None
    signs = seasign.segment(episode.poses)
    alignment = seasign.align(signs, episode.cues)
    dropped = frozenset(i for i, run in enumerate(alignment.runs) if not run)
    usual = {"dropped": "shift", "max_speed": None}
    aligned, _ = _legal(episode.cues, alignment, dropped, (0.0, 0.0), Costs(), usual)
    tiers = {"SIGN": signs, "PHRASE": seasign.phrases(signs), "SUBTITLE": episode.cues}
    truth = {"SIGN_PLANTED": episode.signs, "SUBTITLE_REFERENCE": episode.reference}
    lanes = {"planted signs": episode.signs, "found signs": signs, "delivered": episode.cues}
    picture = seasign.draw_timeline(lanes | {"aligned": aligned, "reference": episode.reference})

    output.mkdir(parents=True, exist_ok=True)
    files = {"episode.pose": episode.poses, "episode.vtt": episode.cues, "episode.reference.vtt": episode.reference}
    files |= {"episode.aligned.vtt": aligned, "episode.eaf": tiers | {"SUBTITLE_ALIGNED": aligned} | truth}
    for name, value in files.items():
        seasign.write(output / name, value)
    write_text(output / "timeline.svg", picture)
    if quiet:
        return
    click.echo(
        f"episode   {seconds:g} s, {len(episode.signs)} signs, {len(episode.cues)} subtitles that come too early"
    )
    click.echo(f"signs     {seasign.gate(signs, episode.poses)}")
    click.echo(f"lag       {alignment.lag}, estimated")
    click.echo(f"verdict   {seasign.give_verdict(alignment)}\n")
    click.echo("against the truth   frame acc.   F1@.50   start off by")
    lag_only = [
        cue for by, cue in zip(alignment.shifts or (), episode.cues, strict=True) for cue in seasign.shift([cue], by)
    ]
    for name, cues in ("as delivered", episode.cues), ("lag only", lag_only), ("aligned", aligned):
        counts = seasign.evaluate(episode.reference, cues).pooled
        off = counts.offsets["median_abs_start_offset"]
        click.echo(f"{name:18}{counts.frame_accuracy:12.1f}{counts.f1[0.5]:9.1f}{off:13.2f} s")
    click.echo(f"\nwrote     {', '.join([*files, 'timeline.svg'])} in {output}")


@cli.command()
@JSON
def doctor(as_json: bool) -> None:
    """Say what works, and what to install."""
    found = {"seasign": seasign.__version__, "python": platform.python_version(), "system": platform.platform()}
    found |= {name: version(name) for name in ("numpy", "lxml", "pose-format", "av", "click", "rich")}
    works = {name: _attempt(check) for name, check in CHECKS.items()}
    if as_json:
        working = {name: ok for name, (ok, _) in works.items()}
        notes = {name: note for name, (_, note) in works.items()}
        click.echo(json.dumps({"found": found, "works": working, "notes": notes}))
    else:
        for name, what in found.items():
            click.echo(f"{name:16}{what}")
        click.echo("")
        for name, (ok, note) in works.items():
            click.echo(f"{'works' if ok else 'MISSING':16}{name}: {note}")
    if not works["align"][0]:
        raise click.exceptions.Exit(1)


def _attempt(check: Callable[[], str]) -> tuple[bool, str]:
    """Whether it works, and a note or the remedy."""
    try:
        return True, check()
    except (ImportError, OSError, ValueError) as error:
        return False, str(error)


def _check_align() -> str:
    """A small episode, from poses to cues."""
    episode = seasign.synthesize(duration=20.0)
    assert episode.poses is not None
    alignment = seasign.align(episode.poses, episode.cues)
    return f"from poses or signs ({len(alignment.cues)} cues of a made-up episode aligned)"


def _check_estimation() -> str:
    """A worker that starts and has all it needs."""
    hello = check_estimator()
    return f"from video, with {hello.get('estimator')} {hello.get('version')}"


CHECKS: dict[str, Callable[[], str]] = {"align": _check_align, "estimate-poses": _check_estimation}


def main() -> None:
    """The entry point."""
    cli(prog_name="seasign")
