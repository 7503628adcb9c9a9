"""`demo` and `doctor`: does it work here?"""

import json
import platform
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import click

import seasign
from seasign.cli.align import legal
from seasign.cli.options import (
    EXISTING,
    JSON,
    QUIET,
    Number,
)
from seasign.formats.disk import write_text
from seasign.lag import CLEAR
from seasign.pose_estimation import check_estimator
from seasign.types import Costs


@click.command()
@click.option("-o", "--output", type=EXISTING, default=Path("demo"), show_default=True, help="A folder for the files.")
@click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="Another seed makes another episode."
)
@click.option(
    "--seconds", type=Number(min=20, max=36_000), default=300.0, show_default=True, help="Length of the episode."
)
@QUIET
def demo(output: Path, seed: int, seconds: float, quiet: bool) -> None:
    """Align a made-up episode, and score it.

    The episode is a moving signer, with subtitles that come too early. It is aligned from its poses alone and scored
    against the truth, which is known because the episode is made up.
    """
    episode = seasign.synthesize(seed, duration=seconds)
    assert episode.poses is not None
    signs = seasign.segment(episode.poses)
    alignment = seasign.align(signs, episode.cues)
    dropped = frozenset(i for i, run in enumerate(alignment.runs) if not run)
    usual = {"dropped": "shift", "max_speed": None}
    aligned, _ = legal(episode.cues, alignment, dropped, (0.0, 0.0), Costs(), usual)
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
    assert alignment.lag is not None
    click.echo(f"lag       {alignment.lag}, {'estimated' if alignment.lag.clarity >= CLEAR else 'a guess'}")
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


@click.command()
@JSON
def doctor(as_json: bool) -> None:
    """Show what works, and what to install."""
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


def _check_extra(extra: str, does: str, *modules: str) -> str:
    """What an extra installs is there; it is not loaded."""
    if lacking := [name for name in modules if find_spec(name) is None]:
        raise ModuleNotFoundError(f'{does} needs {", ".join(lacking)}: pip install "seasign[{extra}]"')
    return does


CHECKS: dict[str, Callable[[], str]] = {
    "align": _check_align,
    "estimate-poses": _check_estimation,
    "neural": partial(_check_extra, "neural", "networks that segment, embed and recognize", "torch", "transformers"),
    "train": partial(_check_extra, "train", "training", "torch", "lightning_fabric"),
    "onnx": partial(_check_extra, "onnx", "networks without torch", "onnxruntime", "tokenizers"),
    "search": partial(_check_extra, "search", "indices of millions", "lancedb"),
}
