"""`checkpoints list | pull | convert | verify`: weights of networks."""

import json
import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from seasign import checkpoints as store
from seasign.cli.embed import TAGS
from seasign.cli.options import EXISTING, JSON, QUIET, progress_bar
from seasign.types import InputError


@click.group()
def checkpoints() -> None:
    """List, fetch, convert and verify the weights of networks."""


@checkpoints.command("list")
@JSON
def list_(as_json: bool) -> None:
    """List what is published, under which licence, and what was pulled."""
    pulled = store.list_published()
    if as_json:
        rows = [{"name": name, "pulled": folder and str(folder)} for name, folder in pulled.items()]
        click.echo(json.dumps([row | asdict(store.PUBLISHED[str(row["name"])]) for row in rows], ensure_ascii=False))
        return
    width = max(map(len, pulled))
    for name, folder in pulled.items():
        known = store.PUBLISHED[name]
        here = "here" if folder else "not here" if known.address else "ask the authors"
        click.echo(f"{name:{width}}  {here}; {known.parameters:,} parameters; licence: {known.licence}")
        click.echo(
            textwrap.indent(textwrap.fill(f"{known.about}; trained on {known.trained_on}", 96), " " * (width + 2))
        )


@checkpoints.command()
@click.argument("name")
@click.option("--from", "address", metavar="URL", help="Fetch the same file from here.")
@QUIET
def pull(name: str, address: str | None, quiet: bool) -> None:
    """Fetch a published checkpoint, verify and convert it.

    NAME is one that `seasign checkpoints list` shows. A broken download resumes.
    """
    with progress_bar(name, "bytes", quiet) as progress:
        folder = store.pull(name, address=address, progress=progress)
    if not quiet:
        config = json.loads((folder / store.CONFIG).read_text(encoding="utf-8"))
        known = store.PUBLISHED[name]
        checked = "as published" if known.sha256 or known.git_blob else "recorded; what was published is not known"
        click.echo(f"sha256    {config['provenance']['sha256']} ({checked})\nwrote     {folder}")


@checkpoints.command()
@click.argument("file", type=EXISTING)
@click.option("-o", "--output", metavar="FOLDER", type=EXISTING, required=True, help="The checkpoint to write.")
@click.option("--as", "name", type=click.Choice(list(store.PUBLISHED)), metavar="NAME",
              help="Which published checkpoint FILE is; gives the settings that FILE lacks.")  # fmt: skip
@click.option("--licence", help="The licence to record; files of SignCLIP hold none.")
@click.option("--vocabulary", type=EXISTING, help="SignCLIP: the vocab.txt of its text tower.")
@click.option("--max-frames", type=click.IntRange(1), help="SignCLIP: the context of clips. [default: 256]")
@click.option("--max-tokens", type=click.IntRange(4), help="SignCLIP: the context of texts. [default: 64]")
@TAGS
@click.option("--trim", is_flag=True, help="SignCLIP: leave out the tenth that no vector depends on.")
@click.option("--interpolate-positions", is_flag=True, default=None,
              help="SignCLIP: stretch positions to --max-frames, as published for long contexts.")  # fmt: skip
@click.option("--zero-pad-as-frames", type=click.IntRange(1), metavar="N",
              help="SignCLIP: give shorter clips frames of zeros up to N, as published for batches.")  # fmt: skip
@QUIET
def convert(
    file: Path, output: Path, name: str | None, vocabulary: Path | None, trim: bool, quiet: bool, **given: Any
) -> None:
    """Turn FILE into a checkpoint: TorchScript, Lightning's .ckpt, torch.save, fairseq or safetensors.

    Nothing in FILE is run: anything but tensors and plain containers is refused and named.
    """
    settings = {key: value for key, value in given.items() if value is not None}
    known = store.PUBLISHED[name] if name else None
    config = store.convert(file, output, known=known, settings=settings, vocabulary=vocabulary, trim=trim)
    if not quiet:
        click.echo(f"model     {config['model']}, {config['parameters']:,} parameters")
        click.echo(f"licence   {config['licence'] or 'not known: ask those who trained it'}")
        click.echo(f"sha256    {config['provenance']['sha256']}\nwrote     {output}")


@checkpoints.command()
@click.argument("checkpoint", metavar="[NAME or FOLDER]", required=False)
@QUIET
def verify(checkpoint: str | None, quiet: bool) -> None:
    """Hash the files of a checkpoint anew and build its network; without NAME, of all pulled ones."""
    names = [checkpoint] if checkpoint else [name for name, folder in store.list_published().items() if folder]
    failed = []
    for name in names:
        try:
            digest = store.verify(name)
        except InputError as error:
            failed.append(str(error))
        else:
            if not quiet:
                click.echo(f"whole     {name}, sha256 {digest}")
    if failed:
        raise InputError("\n".join(failed))
    if not names and not quiet:
        click.echo("nothing was pulled yet; see: seasign checkpoints list")
