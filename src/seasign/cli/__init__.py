"""One command per public function: read, call, write. Printing, progress and exit codes live here and nowhere else.

Results go to stdout; warnings, errors and progress to stderr. Exit codes: 0 done, 1 an input failed, 2 usage,
3 refused.
"""

import os
import sys
import warnings
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

import seasign
from seasign.types import InputError, InputWarning, TierError

SECTIONS = {  # what --help shows together, in order: each command and its module, which is loaded when it is asked for
    "Subtitles onto signing": {
        "align": "align",
        "explain": "explain",
        "pins": "explain",
        "evaluate": "evaluate",
        "compare-runs": "evaluate",
        "tune": "tuning",
        "calibrate": "tuning",
    },
    "What is signed": {
        "estimate-poses": "signing",
        "segment": "signing",
        "recognize": "recognize",
        "spot": "spot",
        "translate": "translate",
        "evaluate-glosses": "recognize",
        "evaluate-translation": "translate",
    },
    "A whole corpus": {
        "index": "index",
        "search": "search",
        "embed-signs": "embed",
        "embed-text": "embed",
        "evaluate-retrieval": "retrieval",
    },
    "Networks": {"checkpoints": "checkpoints", "train": "train", "cotrain": "cotrain"},
    "To begin with": {"demo": "demo", "doctor": "demo"},
}
MODULES = {name: module for names in SECTIONS.values() for name, module in names.items()}


class Commands(click.Group):
    """Loads a command when it is asked for, and turns what goes wrong with the input into one line and exit code 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, in order."""
        return list(MODULES)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of that name, if there is one."""
        if name not in MODULES:
            return None
        command: click.Command = getattr(import_module(f"seasign.cli.{MODULES[name]}"), name.replace("-", "_"))
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant; of a name that is none, those like it are told."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            like = get_close_matches(args[0], MODULES)
            told = f" Did you mean {' or '.join(like)}?" if like else ""
            raise click.UsageError(error.message + told, ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """By sections, each command with the first sentence of its help."""
        width = max(map(len, MODULES))
        for head, names in SECTIONS.items():
            commands = [command for name in names if (command := self.get_command(ctx, name))]
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
            except TierError as error:
                command = self.get_command(ctx, ctx.invoked_subcommand or "")
                named = command.params if command else []
                tiers = [it.opts[0] for it in named if (it.name or "").endswith("tier")]
                line = f"{error}, by {' or '.join(tiers)}" if tiers else str(error)
            except (InputError, ModuleNotFoundError) as error:
                line = str(error)
            except BrokenPipeError:  # whoever read has had enough, as `head` has
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left has nowhere to go
                ctx.exit(1)
            except OSError as error:
                line = _said(error)
        click.echo(f"error: {line}", err=True)
        ctx.exit(1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(seasign.__version__, prog_name="seasign")
def cli() -> None:
    """Move subtitles onto the signing that says them."""


def _said(error: OSError) -> str:
    """What the system says, of which file if it is of one."""
    return ": ".join(map(str, filter(None, (error.filename, error.strerror)))) or str(error)


def main() -> None:
    """The entry point."""
    try:
        cli(prog_name="seasign")
    except OSError as error:  # before a command runs: --help has nowhere to go
        click.echo(f"error: {_said(error)}", err=True)
        sys.exit(1)
