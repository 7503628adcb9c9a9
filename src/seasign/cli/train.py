"""`train`: a recipe -> a checkpoint."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from time import monotonic

import click

import seasign
from seasign.cli.options import EXISTING, JSON, QUIET
from seasign.training import Progress
from seasign.types import plain_values


@click.command()
@click.argument("recipe", type=EXISTING)
@click.option(
    "-o", "--output", metavar="FOLDER", type=EXISTING, help="The folder of the run, in place of the recipe's."
)
@QUIET
@JSON
def train(recipe: Path, output: Path | None, quiet: bool, as_json: bool) -> None:
    """Train the network that RECIPE, a .toml, describes.

    The folder of the run is the checkpoint of its best epoch. The same command resumes an interrupted run after its
    last whole epoch.
    """
    quiet = quiet or os.environ.get("LOCAL_RANK", "0") != "0"  # of several processes the first one speaks
    done: list[int] = []
    try:
        with told(quiet or as_json, done) as progress:
            trained = seasign.train(recipe, output=output, progress=progress)
    except KeyboardInterrupt:
        click.echo(f"stopped after {f'epoch {done[-1]}' if done else 'no epoch'}: the same command goes on", err=True)
        raise click.exceptions.Exit(1) from None
    if as_json and not quiet:
        found = asdict(trained) | {
            "checkpoint": str(trained.checkpoint),
            "metrics": plain_values(dict(trained.metrics)),
        }
        click.echo(json.dumps(found))
    elif not quiet:
        ended = "" if trained.stopped == "epochs" else ", none after it was better"
        click.echo(f"best      epoch {trained.epoch} of {trained.epochs}{ended}")
        click.echo(f"{trained.metric:<9} {trained.metrics[trained.metric]:.4g}\nwrote     {trained.checkpoint}")


@contextmanager
def told(quiet: bool, done: list[int]) -> Iterator[Callable[[Progress], None]]:
    """What to call after every step: a line for every epoch and, on a terminal, a bar. `done` gets the epochs."""
    if quiet:
        yield lambda progress: done.append(progress.epoch) if progress.metrics else None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    began, before, last = monotonic(), -1, -1
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[pace]}"))
    with Bar(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=None, pace="")

        def tell(progress: Progress) -> None:
            nonlocal began, before, last
            at = (progress.epoch - 1) * progress.steps + progress.step
            if at < last:  # another training has begun
                began, before = monotonic(), -1
            if before < 0:
                before = at - 1
            last = at
            rate = (at - before) / (monotonic() - began)
            left = (progress.epochs * progress.steps - at) / rate
            pace = f"{rate:.2g} steps/s, {_clock(left)} left"
            epoch = f"epoch {progress.epoch}/{progress.epochs}: loss {progress.loss['loss']:.4g}"
            bar.update(task, total=progress.epochs * progress.steps, completed=at, description=epoch, pace=pace)
            if progress.metrics is not None:
                done.append(progress.epoch)
                console.print(
                    f"{epoch}, {progress.metric} {progress.metrics[progress.metric]:.4g}, {pace}", highlight=False
                )

        yield tell


def _clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, second = divmod(round(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02}"
