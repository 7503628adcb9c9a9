"""One command per public function: read, call, write. Printing, progress and exit codes live here and nowhere else.

Results go to stdout; warnings, errors and progress to stderr. Exit codes: 0 done, 1 an input failed, 2 usage.
"""

import json
import platform
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np

import seasign
from seasign.formats import POSES, SUBTITLES, TABLES, TIERS, VIDEOS
from seasign.formats.disk import replacing
from seasign.formats.rate import exact_rate
from seasign.formats.timed_text import plain
from seasign.pose_estimation import REMEDY, find_interpreter
from seasign.types import Alignment, Costs, Cue, Embeddings, InputError, InputWarning, Normalization, Poses, Sign, Span

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


class Pair(click.ParamType[tuple[float, float]]):
    """Seconds for the starts and for the ends: `2.5`, or `2.6,2.1`."""

    name = "S or S,E"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """One number stands for both."""
        if isinstance(value, tuple):
            return value
        try:
            first, *rest = (float(number) for number in value.split(","))
            (second,) = rest or [first]
        except ValueError:
            self.fail(f"{value!r} is neither seconds nor two of them, such as 2.6,2.1", param, ctx)
        return first, second


class Crop(click.ParamType[tuple[int, int, int, int]]):
    """A part of the picture in pixels: left, top, width, height."""

    name = "X,Y,W,H"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int, int, int]:
        """Four whole numbers."""
        try:
            x, y, width, height = (int(number) for number in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not four whole numbers, such as 960,480,300,240", param, ctx)
        return x, y, width, height


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(seasign.__version__, prog_name="seasign")
def cli() -> None:
    """Move subtitles onto the signing that says them."""


OUTPUT = click.option("-o", "--output", type=EXISTING, required=True, help="The file to write; its suffix says how.")
QUIET = click.option("--quiet", is_flag=True, help="Print nothing but warnings and errors.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
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
@click.option("--in-place", is_flag=True, help="Replace SUBTITLES, and keep what it was in SUBTITLES.bak.")
@click.option("--signs", type=EXISTING, help="Signs that someone else found; INPUT is then not looked at.")
@click.option("--merge", "extra", type=EXISTING, help="More signs: where they agree with one found, they replace it.")
@click.option("--sign-tier", default="SIGN", show_default=True, help="Where the signs are, in an ELAN file.")
@click.option("--subtitle-tier", help="Where the subtitles are, in an ELAN file. [default: SUBTITLE]")
@SEGMENTER
@click.option("--similarity", type=EXISTING, help="A .npy of cues x signs, higher is better.")
@click.option("--cue-embeddings", type=EXISTING, help="A .npy of cues x dimensions; needs --sign-embeddings.")
@click.option("--sign-embeddings", type=EXISTING, help="A .npy of signs x dimensions, from the same model.")
@click.option("--normalize", type=click.Choice(["softmax", "z-score", "sinkhorn", "columns", "softmax+columns"]),
              default="softmax", show_default=True, help="How similarities become rewards.")  # fmt: skip
@click.option("--threshold", type=float, default=0.0, show_default=True, help="Rewards up to this count as none.")
@click.option(
    "--preset", type=click.Choice(list(seasign.PRESETS)), help="Costs, lag and padding published for a corpus."
)
@click.option("--lag", type=Pair(), help="Seconds by which the signing comes after the subtitles. [default: 0]")
@click.option("--padding", type=Pair(), help="Seconds added to starts and ends at last, such as 0,1. [default: 0]")
@click.option("--w-dur", type=float, help=f"Cost of a second of difference in length. [default: {Costs.w_dur:g}]")
@click.option("--w-gap", type=float, help=f"Cost of a second without a sign in a cue. [default: {Costs.w_gap:g}]")
@click.option("--w-sim", type=float, help=f"Reward of similarity. [default: {Costs.w_sim:g}]")
@click.option(
    "--max-gap", type=float, help=f"No cue straddles a longer pause, in seconds. [default: {Costs.max_gap:g}]"
)
@click.option(
    "--window", type=click.IntRange(0), help=f"Signs near a cue that it may end on; 0: all. [default: {Costs.window}]"
)
@click.option("--compat", type=click.Choice(["sea"]), help="The published arithmetic, slips included.")
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
    output = _output(output, subtitles, given["in_place"])
    for path in (source, subtitles, given["signs"], given["extra"]):
        if path is not None and path.exists() and output.exists() and path.samefile(output) and not given["in_place"]:
            raise InputError(
                f"{output}: is an input too; choose another output, or --in-place to replace the subtitles"
            )
    tier = given["subtitle_tier"] or ("SUBTITLE" if subtitles.suffix.lower() in TIERS else None)
    delivered = seasign.read_cues(subtitles, tier, skip_broken=given["skip_broken"])
    signs = _signs(given["signs"] or source, given, output, quiet or as_json)
    if given["extra"]:
        signs = seasign.merge(signs, seasign.read_signs(given["extra"], given["sign_tier"]))
    costs, lag, padding = _settings(given)
    alignment = seasign.align(
        signs,
        delivered.cues,
        similarity=_similarity(given["similarity"], given["cue_embeddings"], given["sign_embeddings"]),
        costs=costs,
        normalization=_normalization(given["normalize"], given["threshold"]),
        lag=lag,
        padding=padding,
    )
    if given["in_place"]:
        shutil.copy2(subtitles, f"{subtitles}.bak")
    _write_alignment(output, delivered, alignment, signs, source, subtitles, costs)
    if given["timeline"]:
        lanes = {"signs": signs, "delivered": delivered.cues, "aligned": alignment.cues}
        _write_text(given["timeline"], seasign.draw_timeline(lanes))
    summary = seasign.summarize(delivered.cues, alignment, signs)
    if as_json:
        click.echo(json.dumps(summary.as_json() | {"cost": alignment.cost, "output": str(output), "warnings": warned}))
    elif not quiet:
        _print_summary(summary, output, warned)


def _output(output: Path | None, subtitles: Path, in_place: bool) -> Path:
    """Where the aligned subtitles go; refused before any work is done."""
    if (output is None) != in_place:
        raise click.UsageError("give either -o OUTPUT or --in-place")
    output = output or subtitles
    if output.suffix.lower() not in SUBTITLES | TIERS | TABLES:
        raise InputError(f"{output}: cannot write subtitles there; name it *{' *'.join(SUBTITLES | TIERS | TABLES)}")
    if not output.parent.is_dir():
        raise InputError(f"{output}: there is no folder {output.parent}; make it first")
    return output


def _settings(given: Mapping[str, Any]) -> tuple[Costs, tuple[float, float], tuple[float, float]]:
    """Costs, lag and padding: the preset's or the default, with what was given in their place."""
    preset = seasign.PRESETS[given["preset"]] if given["preset"] else seasign.Preset(Costs(), (0.0, 0.0), (0.0, 0.0))
    costs = {name: given[name] for name in ("w_dur", "w_gap", "w_sim", "max_gap") if given[name] is not None}
    if given["window"] is not None:
        costs["window"] = given["window"] or None
    lag = preset.lag if given["lag"] is None else given["lag"]
    padding = preset.padding if given["padding"] is None else given["padding"]
    return replace(preset.costs, compat=given["compat"], **costs), lag, padding


def _normalization(name: str, threshold: float) -> Normalization:
    """`softmax+columns`: first over columns, then over rows; `columns`: over columns alone."""
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
    except ValueError as error:
        raise InputError(f"{path}: not an array of numbers in a .npy file ({error})") from None
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "fiu":
        raise InputError(f"{path}: expected a matrix of numbers in a .npy file")
    return array.astype(np.float32) if array.dtype.kind in "iu" else array


def _signs(source: Path, given: Mapping[str, Any], output: Path, quiet: bool) -> tuple[Sign, ...]:
    """The signs in a file of signs, poses or video."""
    if source.suffix.lower() in TIERS | TABLES:
        return seasign.read_signs(source, given["sign_tier"])
    with _poses(source, given, output, quiet) as poses:
        signs = seasign.segment(poses, SEGMENTERS[given["segmenter"]])
        if not quiet:
            click.echo(f"signs     {seasign.gate(signs, poses)}")
    return signs


@contextmanager
def _poses(source: Path, given: Mapping[str, Any], output: Path, quiet: bool) -> Iterator[Poses]:
    """The poses in a file, or those of a video: estimated now, unless they were kept."""
    if source.suffix.lower() in POSES:
        yield _body_and_hands(source)
        return
    if source.suffix.lower() not in VIDEOS:
        raise InputError(
            f"{source}: is no video, poses or signs; expected *{' *'.join((*VIDEOS, *POSES, *TIERS, *TABLES))}"
        )
    keep = given.get("poses")
    if keep and keep.exists():
        poses = _body_and_hands(keep)
        video = (poses.provenance or {}).get("video")
        if isinstance(video, Mapping) and (video["name"], video["bytes"]) != (source.name, source.stat().st_size):
            raise InputError(f"{keep}: holds the poses of another video ({video['name']}); name another file")
        yield poses
        return
    with _estimated(source, given, keep or output, quiet) as poses:
        if keep:
            seasign.write(keep, poses)
        yield poses


def _body_and_hands(path: Path) -> Poses:
    """The poses of a file without the face: all 586 landmarks of an hour would take a gigabyte."""
    if path.suffix.lower() != ".pose":
        return seasign.read_poses(path)
    from seasign.formats import pose

    return pose.read(path, [name for name in pose.names(path) if not name.startswith(("FACE", "POSE_WORLD"))])


@contextmanager
def _estimated(video: Path, given: Mapping[str, Any], output: Path, quiet: bool) -> Iterator[Poses]:
    """Estimate poses with a progress bar. An interruption leaves what was done beside `output`, for the next run."""
    scratch = output.with_name(f"{output.name}.partial")
    span = {name: given[name] for name in ("start", "end") if name in given}
    estimator = {name: given[name] for name in ("crop", "static", "python")}
    try:
        with _progress("estimating poses", quiet) as progress:
            poses = seasign.estimate_poses(video, **span, **estimator, scratch=scratch, progress=progress)
        yield poses
    except InputError:  # the video's own fault: another run would end the same way
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    shutil.rmtree(scratch)


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
    alignment: Alignment,
    signs: Sequence[Sign],
    source: Path,
    subtitles: Path,
    costs: Costs,
) -> None:
    """Write the moved cues; into an ELAN file, the signs and the cues as delivered too."""
    if output.suffix.lower() not in TIERS:
        seasign.write(output, replace(delivered, cues=alignment.cues))
        return
    before, aligned = (
        [replace(cue, text=plain(cue.text)) for cue in cues] for cues in (delivered.cues, alignment.cues)
    )
    if costs.compat:  # the published ELAN files cut times to the millisecond below
        aligned = [replace(cue, start=int(cue.start * 1000) / 1000, end=int(cue.end * 1000) / 1000) for cue in aligned]
    like = next((path for path in (source, subtitles) if path.suffix.lower() in TIERS), None)
    tiers: dict[str, Sequence[Span]] = {"SUBTITLE_ALIGNED": aligned}
    if like != subtitles:
        tiers = {"SUBTITLE": before} | tiers
    if like != source:
        tiers = {"SIGN": signs, "PHRASE": seasign.phrases(signs)} | tiers
    media = [source] if source.suffix.lower() in VIDEOS else []
    seasign.write(output, tiers, like=like, media=media)


def _print_summary(summary: seasign.Summary, output: Path, warned: Sequence[str]) -> None:
    """What was done, beside what a constant shift would have done."""
    click.echo(f"moved     {summary.moved} of {summary.cues} cues onto {summary.signs} signs", nl=False)
    click.echo(f"; {summary.unmatched} have no sign" if summary.unmatched else "")
    if summary.cues:
        click.echo(f"by        {summary.half:.2f} s in the median, {summary.most:.2f} s at most for 90 %")
        click.echo(f"lag       {summary.lag[0]:+.2f} s at the starts, {summary.lag[1]:+.2f} s at the ends (median)")
        click.echo("")
        click.echo("                 overlaps   time on signing   starts on a sign")
        for name, state in (
            ("as delivered", summary.delivered),
            ("lag only", summary.lag_only),
            ("aligned", summary.aligned),
        ):
            shares = f"{100 * state.on_signing:15.1f} % {100 * state.starts_on_sign:16.1f} %"
            click.echo(f"{name:14}{state.overlaps:11d} {shares}")
        click.echo("")
    click.echo(f"wrote     {output}", nl=False)
    click.echo(f"; {len(warned)} warning{'s' * (len(warned) != 1)}, above" if warned else "")


@cli.command("estimate-poses")
@click.argument("video", type=EXISTING)
@OUTPUT
@options(ESTIMATION)
@click.option("--start", type=float, default=0.0, help="Seconds; the poses begin there.")
@click.option("--end", type=float, help="Seconds; the poses end there.")
@QUIET
@JSON
def estimate_poses(video: Path, output: Path, quiet: bool, as_json: bool, **given: Any) -> None:
    """Find the landmarks of the signer in VIDEO.

    MediaPipe Holistic does it. An interrupted run goes on where it stopped when the same command is given again.
    """
    if output.suffix.lower() not in POSES:
        raise InputError(f"{output}: cannot write poses there; name it *{' *'.join(POSES)}")
    if not output.parent.is_dir():
        raise InputError(f"{output}: there is no folder {output.parent}; make it first")
    with _estimated(video, given, output, quiet or as_json) as poses:
        seasign.write(output, poses)
        found = {
            "frames": len(poses.xyz),
            "fps": str(poses.fps),
            "landmarks": len(poses.landmarks),
            "provenance": poses.provenance,
            "output": str(output),
        }
    if as_json:
        click.echo(json.dumps(found))
    elif not quiet:
        click.echo(
            f"wrote     {output}: {len(poses.xyz)} frames of {len(poses.landmarks)} landmarks at {poses.fps} fps"
        )


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
    if output.suffix.lower() not in TIERS | TABLES:
        raise InputError(f"{output}: cannot write signs there; name it *{' *'.join(TIERS | TABLES)}")
    if one_per_bout and segmenter != "training-free":
        raise click.UsageError("--one-per-bout goes with the training-free segmenter")
    chosen = replace(SEGMENTERS[segmenter], one_per_bout=one_per_bout)
    with _poses(poses, given, output, quiet or as_json) as found:
        signs = seasign.segment(found, chosen)
        gate = seasign.gate(signs, found)
    if output.suffix.lower() in TIERS:
        media = [poses] if poses.suffix.lower() in VIDEOS else []
        seasign.write(output, {"SIGN": signs, "PHRASE": seasign.phrases(signs)}, media=media)
    else:
        seasign.write(output, signs)
    if as_json:
        click.echo(json.dumps(_finite(asdict(gate)) | {"segmenter": segmenter, "output": str(output)}))
    elif not quiet:
        click.echo(f"signs     {gate}\nby        {segmenter} segmenter\nwrote     {output}")


@cli.command()
@click.argument("reference", type=EXISTING)
@click.argument("estimate", type=EXISTING)
@click.option(
    "--fps", default="25", show_default=True, help="Frames per second of the measure: 25, 23.976, 24000/1001."
)
@click.option("--shift-start", type=float, default=0.0, help="Seconds added to the estimated starts.")
@click.option("--shift-end", type=float, default=0.0, help="Seconds added to the estimated ends.")
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


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """NaN is no JSON: None."""
    return {key: None if value != value else value for key, value in values.items()}


def _write_text(path: Path, text: str) -> None:
    """Replace a text file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@cli.command()
@click.option("-o", "--output", type=EXISTING, default=Path("demo"), show_default=True, help="A folder for the files.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed makes another episode.")
@click.option("--seconds", type=float, default=90.0, show_default=True, help="Length of the episode.")
@QUIET
def demo(output: Path, seed: int, seconds: float, quiet: bool) -> None:
    """Do the main job on a made-up episode.

    A moving signer, and subtitles that come too early. It is aligned from its poses alone and scored against the
    truth, which is known since it was planted.
    """
    lag = (2.0, 2.0)  # what a viewer would guess after a minute
    episode = seasign.synthesize(seed, duration=seconds)
    assert episode.poses is not None
    signs = seasign.segment(episode.poses)
    alignment = seasign.align(signs, episode.cues, lag=lag)
    tiers = {"SIGN": signs, "PHRASE": seasign.phrases(signs), "SUBTITLE": episode.cues}
    truth = {"SIGN_PLANTED": episode.signs, "SUBTITLE_REFERENCE": episode.reference}
    lanes = {"planted signs": episode.signs, "found signs": signs, "delivered": episode.cues}
    picture = seasign.draw_timeline(lanes | {"aligned": alignment.cues, "reference": episode.reference})

    output.mkdir(parents=True, exist_ok=True)
    seasign.write(output / "episode.pose", episode.poses)
    seasign.write(output / "episode.vtt", episode.cues)
    seasign.write(output / "episode.reference.vtt", episode.reference)
    seasign.write(output / "episode.aligned.vtt", alignment.cues)
    seasign.write(output / "episode.eaf", tiers | {"SUBTITLE_ALIGNED": alignment.cues} | truth)
    _write_text(output / "timeline.svg", picture)
    if quiet:
        return
    click.echo(
        f"episode   {seconds:g} s, {len(episode.signs)} signs, {len(episode.cues)} subtitles that come too early"
    )
    click.echo(f"signs     {seasign.gate(signs, episode.poses)}\n")
    click.echo("against the truth   frame acc.   F1@.50   start off by")
    lag_only = seasign.shift(episode.cues, lag)
    for name, cues in ("as delivered", episode.cues), ("lag of 2 s only", lag_only), ("aligned", alignment.cues):
        counts = seasign.evaluate(episode.reference, cues).pooled
        off = counts.offsets["median_abs_start_offset"]
        click.echo(f"{name:18}{counts.frame_accuracy:12.1f}{counts.f1[0.5]:9.1f}{off:13.2f} s")
    click.echo(f"\nwrote     {', '.join(sorted(path.name for path in output.iterdir()))} in {output}")


@cli.command()
@JSON
def doctor(as_json: bool) -> None:
    """Say what works, and what to install."""
    found = {"seasign": seasign.__version__, "python": platform.python_version(), "system": platform.platform()}
    found |= {name: version(name) for name in ("numpy", "lxml", "pose-format", "av", "click", "rich")}
    works = {name: _attempt(check) for name, check in CHECKS.items()}
    if as_json:
        click.echo(
            json.dumps({"found": found, "works": {name: ok for name, (ok, _) in works.items()}, "notes": dict(works)})
        )
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
    except (ImportError, OSError, ValueError, subprocess.SubprocessError) as error:
        return False, str(error)


def _check_align() -> str:
    """A small episode, from poses to cues."""
    episode = seasign.synthesize(duration=20.0)
    assert episode.poses is not None
    alignment = seasign.align(episode.poses, episode.cues)
    return f"from poses or signs ({len(alignment.cues)} cues of a made-up episode aligned)"


def _check_estimation() -> str:
    """The interpreter that has MediaPipe; it is asked for its version, not imported."""
    python = find_interpreter()
    ask = [str(python), "-c", "from importlib.metadata import version; print(version('mediapipe'))"]
    answer = subprocess.run(ask, capture_output=True, text=True, timeout=60, check=False)
    if answer.returncode:
        raise ModuleNotFoundError(f"{python} has no mediapipe: {REMEDY}")
    return f"from video, with MediaPipe {answer.stdout.strip()} in {python}"


CHECKS: dict[str, Callable[[], str]] = {"align": _check_align, "estimate-poses": _check_estimation}


def main() -> None:
    """The entry point."""
    cli(prog_name="seasign")
