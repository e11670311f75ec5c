"""The command line `mezcal`: imports the module of the chosen command and runs it."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from importlib import metadata
from typing import TYPE_CHECKING

from mezcal.commands import COMMANDS
from mezcal.commands.terminal.exit_codes import NOT_DONE
from mezcal.errors import CannotStart, Failure, WrongSetting

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_COMMAND = "up"
OWN_OPTIONS = {"-h", "--help", "--version"}  # of `mezcal` itself; any other option belongs to the default command

EXAMPLES = """\
`mezcal` alone is `mezcal up`. `mezcal COMMAND --help` shows the options of a command, and an example.

examples:
  mezcal                                  # everything on this machine, with the built-in samples
  mezcal up --origin /srv/masters         # a folder of masters
  mezcal init                             # write .env: repository, credential, tokens
  mezcal check                            # what is wrong, and what to do about it
  mezcal warm --wait box1/page001.tif     # make an image before it is asked for"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in *argv*, by default the arguments of the process. Returns the exit code."""
    close_to_others()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C just ends us until a command has something to finish
    options = parse(list(sys.argv[1:] if argv is None else argv))
    try:
        code = int(options.run(options))
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has read enough: drop what is still buffered
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except (CannotStart, Failure, WrongSetting) as error:
        hint = getattr(error, "hint", "")
        print(f"mezcal: {error}" + (f" -> {hint}" if hint not in str(error) else ""), file=sys.stderr)
        return NOT_DONE
    return code


def close_to_others() -> None:
    """Let users that are not in our group read nothing that this process, or one that it starts, writes from now on.

    What the group may do stays as the environment has it: with the usual umask of 022 it may read.
    """
    os.umask(os.umask(0o077) | 0o007)


def parse(words: list[str]) -> argparse.Namespace:
    """Parse the arguments *words*. Imports only the command that they begin with, `up` if they name none."""
    if not words or (words[0].startswith("-") and words[0] not in OWN_OPTIONS):
        words = [DEFAULT_COMMAND, *words]
    parser = argparse.ArgumentParser(
        prog="mezcal",
        description="Cached JPEG derivatives of preservation masters.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"mezcal {metadata.version('mezcal')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        own = commands.add_parser(
            command.name, help=command.summary, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if command.name == words[0]:
            importlib.import_module(command.module).configure(own)
    return parser.parse_args(words)
