"""What several commands take: kinds of values, and options with the same words."""

import math
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

import seasign
from seasign.decoding import Argmax, Decoder, Likeliest, SemiMarkov, Threshold
from seasign.types import InputError, InputWarning

NAN = float("nan")
PRESET_FILE = "seasign.preset"  # where a command's context keeps the path of --preset
DECODERS: dict[str, Decoder] = {"argmax": Argmax(), "likeliest": Likeliest(), "semi-markov": SemiMarkov()}
SEVERAL = 3  # names that are named when there are more
EXISTING = click.Path(path_type=Path)


class Finite(click.types.FloatParamType):
    """A finite number; `float` would take nan and inf too."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """A number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number", param, ctx)
        return number


class Number(Finite, click.FloatRange):
    """The same within a range."""


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


class PresetOrName(click.ParamType):  # type: ignore[type-arg]
    """A preset by name, or one in a file."""

    name = "preset"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> seasign.Preset:
        """What is no name is a file."""
        if isinstance(value, seasign.Preset):
            return value
        if value not in seasign.PRESETS and not Path(value).exists():
            self.fail(f"{value!r} is no file, and none of {', '.join(seasign.PRESETS)}", param, ctx)
        if value in seasign.PRESETS:
            return seasign.PRESETS[value]
        if ctx is not None:
            ctx.meta[PRESET_FILE] = Path(value)
        return seasign.read_preset(value)


class Thresholds(click.ParamType):  # type: ignore[type-arg]
    """Percentages from which a frame begins a sign, and ends one: `30/50`."""

    name = "B/O"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Threshold:
        """A decoder."""
        if isinstance(value, Threshold):
            return value
        try:
            begin, outside = (float(number) / 100 for number in value.split("/"))
            if not (0 < begin < 1 and 0 < outside < 1):
                raise ValueError
        except ValueError:
            self.fail(f"{value!r} is not two percentages, such as 30/50", param, ctx)
        return Threshold(begin, outside)


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


OUTPUT = click.option("-o", "--output", type=EXISTING, required=True, help="The output; its suffix sets the format.")
QUIET = click.option("--quiet", is_flag=True, help="Print nothing but warnings and errors.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
COST = Number(min=0)
SEGMENTATION = [
    click.option("--segmenter", default="training-free", show_default=True, metavar="NAME or FOLDER",
                 help="What finds the signs. The default looks at the height and speed of the hands and is not "
                      "trained; `checkpoints list` names networks, and FOLDER holds one."),
    click.option("--decoder", type=click.Choice(list(DECODERS)), help="How to read its tags. [default: its own]"),
    click.option("--thresholds", type=Thresholds(), metavar="B/O",
                 help="Read its tags by these thresholds of B and O in percent, such as 30/50."),
]  # fmt: skip
PRESET = click.option(
    "--preset", type=PresetOrName(), default=seasign.Preset(), metavar="NAME or FILE",
    help=f"Settings published for a corpus ({', '.join(seasign.PRESETS)}), or what `tune` or `calibrate` wrote.",
)  # fmt: skip
ESTIMATION = [
    click.option("--crop", type=Crop(), help="Look at this part of the picture, such as an interpreter's inset."),
    click.option("--static", is_flag=True, help="Look for the signer anew in every frame: a few more hands are found."),
    click.option("--python", type=EXISTING, help="Another Python that has mediapipe==0.10.21."),
]


def wrote(output: Path, tiers: Collection[str] = ()) -> str:
    """The line that says what was written; of an ELAN file, on which tiers."""
    return f"wrote     {output}" + (f": tiers {' and '.join(tiers)}" if tiers else "")


def counted(number: int, what: str) -> str:
    """So many of it: `1 video`, `2 videos`."""
    return f"{number} {what}{'s' * (number != 1)}"


def some(names: Iterable[str], most: int = SEVERAL) -> str:
    """The first of them, and whether there are more."""
    listed = list(names)
    return (", ".join(listed[:most]) + " ..." * (len(listed) > most)) or "none"


def print_table(lines: Sequence[Sequence[str]], left: Collection[str] = ()) -> None:
    """Columns under their heads, which are the first line; flush right, but for those in `left`."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        columns = zip(line, lines[0], widths, strict=True)
        cells = (f"{cell:{'<' if head in left else '>'}{width}}" for cell, head, width in columns)
        click.echo("  ".join(cells).rstrip())


def preset_files() -> list[Path]:
    """The file that --preset names in the command that runs, if it names one: an input like others."""
    meta = click.get_current_context().meta
    return [meta[PRESET_FILE]] if PRESET_FILE in meta else []


@contextmanager
def naming(*paths: Path) -> Iterator[None]:
    """What is wrong with what files hold, and what is odd about it, is said of them, unless the line names one."""

    def named(line: str) -> str:
        return line if any(str(path) in line for path in paths) else f"{' and '.join(map(str, paths))}: {line}"

    def show(message: Warning | str, *rest: Any) -> None:
        shown(InputWarning(named(str(message))) if isinstance(message, InputWarning) else message, *rest)

    shown, warnings.showwarning = warnings.showwarning, show  # type: ignore[assignment]
    try:
        yield
    except InputError as error:
        raise InputError(named(str(error))) from error
    finally:
        warnings.showwarning = shown


def options(several: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """Several click options as one decorator."""

    def decorate(command: Any) -> Any:
        for option in reversed(several):
            command = option(command)
        return command

    return decorate


REFERENCES = ("SUBTITLE_REFERENCE", "SUBTITLE_ALIGNED", "SUBTITLE")  # tiers in which true cues are looked for, in turn
REFERENCE_TIER = click.option(
    "--reference-tier",
    help=f"Where true cues are, in an ELAN file. [default: the first found of {', '.join(REFERENCES)}]",
)


def episode_of(path: Path) -> str:
    """The name of what a file is of: `news.aligned.vtt` and `news.reference.vtt` are of `news`."""
    return path.stem.removesuffix(".aligned").removesuffix(".reference")


def by_episode(folder: Path, suffixes: Collection[str], role: str = "") -> dict[str, list[Path]]:
    """The files of a folder by episode, in order; of several those alone that are named `news` and the `role`.

    Hidden files are passed over, and what lies beside poses (`news.pose.json`).
    """
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        other = path.name.startswith(".") or path.name.lower().endswith(".pose.json")
        if path.suffix.lower() in suffixes and not other and not path.is_dir():
            files.setdefault(episode_of(path), []).append(path)
    return {name: [path for path in own if path.stem == name + role] or own for name, own in files.items()}


@contextmanager
def progress_bar(what: str, unit: str, quiet: bool) -> Iterator[Callable[[int, int | None], None]]:
    """A bar with units per second and the time left, on a terminal; bytes are told in kB, MB or GB."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    of_bytes = (DownloadColumn(), TransferSpeedColumn())
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        *(of_bytes if unit == "bytes" else (MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None, rate="")

        def report(done: int, total: int | None) -> None:
            speed = bar.tasks[task].speed
            bar.update(task, completed=done, total=total, rate=f"{speed:.1f} {unit}/s" if speed else "")

        yield report
