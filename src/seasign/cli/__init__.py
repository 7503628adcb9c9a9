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

SECTIONS: dict[str, tuple[click.Command, ...]] = {  # what --help shows together, in order
    "Subtitles onto signing": (align, explain, pins, evaluate, compare_runs, tune, calibrate),
    "What is signed": (estimate_poses, segment, recognize, spot, translate, evaluate_glosses, evaluate_translation),
    "A whole corpus": (index, search, embed_signs, embed_text, evaluate_retrieval),
    "Networks": (checkpoints, train, cotrain),
    "To begin with": (demo, doctor),
}


class Commands(click.Group):
    """Turns what goes wrong with the input into one line and exit code 1."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """By sections, each command with the first sentence of its help."""
        width = max(map(len, self.commands))
        for head, commands in SECTIONS.items():
            with formatter.section(head):
                formatter.write_dl(
                    [
                        (str(one.name).ljust(width), one.get_short_help_str(formatter.width - width - 4))
                        for one in commands
                    ]
                )

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; warnings are printed as they come, and counted."""
        ctx.obj = warned = []

        def show(message: Warning | str, *_: Any) -> None:
            if str(message) in warned:
                return  # once is enough, however many files it is of
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
                    tiers = [it.opts[0] for it in named if (it.name or "").endswith("tier")]
                    line += f", by {' or '.join(tiers)}" * (bool(tiers) and ", by --" not in line)
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


for commands in SECTIONS.values():
    for command in commands:
        cli.add_command(command)


def main() -> None:
    """The entry point."""
    cli(prog_name="seasign")
