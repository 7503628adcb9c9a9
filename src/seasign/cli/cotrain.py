"""`cotrain`: subtitles as they are -> an embedder."""

import json
from dataclasses import asdict
from pathlib import Path

import click

import seasign
from seasign.cli.options import EXISTING, JSON, QUIET
from seasign.cli.train import told
from seasign.training.cotraining import Round
from seasign.types import plain_values


@click.command()
@click.argument("recipe", type=EXISTING)
@click.option("-o", "--output", metavar="FOLDER", type=EXISTING, help="The folder, in place of the recipe's.")
@QUIET
@JSON
def cotrain(recipe: Path, output: Path | None, quiet: bool, as_json: bool) -> None:
    """Train an embedder on subtitles as they are: align, learn from what is sure, align again.

    RECIPE is a .toml for SignCLIP with a table [cotrain]. The same command resumes a stopped run.
    """

    def tell(number: int, found: Round) -> None:
        if not quiet and not as_json:
            click.echo(f"round {number}   {found.pairs} pairs, agreement {found.agreement:.4g}   {found.checkpoint}")

    with told(quiet or as_json, []) as step:
        done = seasign.cotrain(recipe, output=output, progress=lambda _, progress: step(progress), told=tell)
    if as_json:
        said = asdict(done) | {"checkpoint": done.checkpoint}
        click.echo(json.dumps(plain_values(said), default=str))
    elif not quiet:
        ended = "" if done.stopped == "rounds" else ": the next one agreed less"
        click.echo(f"best      round {done.best}{ended}\nwrote     {done.checkpoint}")
