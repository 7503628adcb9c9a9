"""One command per public function: read, call, write. Printing, progress and exit codes live here and nowhere else.

Results go to stdout; warnings, errors and progress to stderr. Exit codes: 0 done, 1 an input failed, 2 usage,
3 refused.
"""

import os
import sys
import warnings
from typing import Any

import click

import seasign
from seasign.cli.align import align
from seasign.cli.checkpoints import checkpoints
from seasign.cli.cotrain import cotrain
from seasign.cli.demo import demo, doctor
from seasign.cli.embed import embed_signs, embed_text
from seasign.cli.evaluate import compare_runs, evaluate
from seasign.cli.explain import explain, pins
from seasign.cli.index import index
from seasign.cli.recognize import evaluate_glosses, recognize
from seasign.cli.search import evaluate_retrieval, search
from seasign.cli.signing import estimate_poses, segment
from seasign.cli.spot import spot
from seasign.cli.train import train
from seasign.cli.translate import evaluate_translation, translate
from seasign.cli.tuning import calibrate, tune
from seasign.types import InputError, InputWarning


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
                if ": no tier " in line and ": choose one of " in line:
                    named = self.commands[ctx.invoked_subcommand or ""].params
                    line += f", by {' or '.join(it.opts[0] for it in named if (it.name or '').endswith('_tier'))}"
            except BrokenPipeError:  # whoever read has had enough, as `head` has
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left has nowhere to go
                ctx.exit(1)
            except OSError as error:
                line = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
        click.echo(f"error: {line}", err=True)
        ctx.exit(1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(seasign.__version__, prog_name="seasign")
def cli() -> None:
    """Move subtitles onto the signing that says them."""


for command in (
    align,
    estimate_poses,
    segment,
    embed_signs,
    embed_text,
    recognize,
    spot,
    evaluate,
    compare_runs,
    index,
    search,
    evaluate_glosses,
    evaluate_retrieval,
    translate,
    evaluate_translation,
    checkpoints,
    train,
    cotrain,
    demo,
    doctor,
    tune,
    calibrate,
    explain,
    pins,
):
    cli.add_command(command)


def main() -> None:
    """The entry point."""
    cli(prog_name="seasign")
