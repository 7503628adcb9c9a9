"""Commands as a person gives them, in this process."""

from inspect import signature

from click.testing import CliRunner, Result

from seasign.cli import cli


def run(*arguments: object) -> Result:
    """The result keeps stdout and stderr apart; click before 8.2 has to be asked."""
    asked = {"mix_stderr": False} if "mix_stderr" in signature(CliRunner).parameters else {}
    return CliRunner(**asked).invoke(cli, [str(argument) for argument in arguments])
