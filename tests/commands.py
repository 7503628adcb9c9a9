"""Commands as a person gives them, in this process, and those that start several."""

import os
import signal
import subprocess
from inspect import signature

import click
from click.testing import CliRunner, Result

from seasign.cli import cli

COMMANDS = {name: cli.get_command(click.Context(cli), name) for name in cli.list_commands(click.Context(cli))}


def run(*arguments: object) -> Result:
    """The result keeps stdout and stderr apart; click before 8.2 has to be asked."""
    asked = {"mix_stderr": False} if "mix_stderr" in signature(CliRunner).parameters else {}
    return CliRunner(**asked).invoke(cli, [str(argument) for argument in arguments])


def run_together(command, seconds=300):
    """A command that starts several processes which meet on this machine: (exit code, stdout, stderr)."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env=environment, start_new_session=True, **pipes)
    try:
        stdout, stderr = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # those that it started too
        raise
    return process.returncode, stdout, stderr
