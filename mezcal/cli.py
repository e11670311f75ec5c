"""The command line: the composition root of one machine."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mezcal.commands import COMMANDS
from mezcal.commands.arguments import at_least_one
from mezcal.runtime.resources import cores

if TYPE_CHECKING:
    from collections.abc import Sequence

WORKERS_MOST = 8  # by default: each idles at some 70 MB; --workers may say more

UP = """\
Run all of mezcal on this machine, in the foreground: a broker on a private unix socket, a worker, the API
and, with --flower, a dashboard. One line on stdout says when everything is ready; logs go to stderr. Ctrl-C
or SIGTERM finishes what has begun and ends everything; a second one hurries. Whatever else can be set is set
by environment variables or a file .env; see docs/configuration.md."""

EXIT_CODES = """\
exit codes: 0 stopped as asked; 1 a part did not become ready; 2 nothing was started: a wrong setting or
option, a port or the data folder in use."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that *argv* names, `up` if none; the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or (words[0].startswith("-") and words[0] not in {"-h", "--help", "--version"}):
        words.insert(0, "up")
    options = _parser().parse_args(words)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until there is something to drain, Ctrl-C just ends us
    from mezcal.errors import Failure  # noqa: PLC0415 - --help needs none of it
    from mezcal.settings import WrongSetting  # noqa: PLC0415

    try:
        code = int(options.run(options))
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has read enough; what is still buffered goes nowhere, without a word
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except (WrongSetting, Failure) as error:
        print(f"mezcal: {error}", file=sys.stderr)
        return 2
    return code


def _up(options: argparse.Namespace) -> int:
    from mezcal.runtime.up import UpOptions, up  # noqa: PLC0415 - --help needs none of it
    from mezcal.runtime.up.claim import CannotStart  # noqa: PLC0415

    wish = UpOptions(
        host=options.host,
        port=options.port,
        workers=options.workers,
        origin=options.origin,
        data_dir=options.data_dir,
        flower_port=options.flower_port if options.flower else None,
        front=options.front,
    )
    try:
        return up(wish)
    except CannotStart as error:
        print(f"mezcal: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mezcal",
        description="Cached JPEG derivatives of preservation masters.",
        epilog="`mezcal` alone is `mezcal up`.",
    )
    parser.add_argument("--version", action="version", version=f"mezcal {metadata.version('mezcal')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_up(commands)
    for command in COMMANDS:
        command.add(commands)
    return parser


def _add_up(commands: Any) -> None:
    up = commands.add_parser(
        "up",
        help="run everything on this machine",
        description=UP,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    up.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    up.add_argument(
        "--port", type=_port, default=5000, help="port of the API; 0 is any free one (default: %(default)s)"
    )
    up.add_argument(
        "--workers",
        type=at_least_one,
        default=default_workers(),
        metavar="N",
        help=f"processes that convert (default: the cores, 2 to {WORKERS_MOST}; here %(default)s)",
    )
    up.add_argument(
        "--origin",
        metavar="URL|DIR",
        help="where masters are, instead of REPO_BASE_URL (default: the built-in samples)",
    )
    up.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="folder for the queue and the cache, instead of DATA_DIR (default: mezcal-data)",
    )
    up.add_argument("--front", action="store_true", help="let nginx serve what is cached; it takes HOST and PORT")
    up.add_argument("--flower", action="store_true", help="also run the dashboard, on loopback only")
    up.add_argument(
        "--flower-port",
        type=_port,
        default=5555,
        metavar="PORT",
        help="port of the dashboard (default: %(default)s)",
    )
    up.set_defaults(run=_up)


def default_workers() -> int:
    """A process for each core we may use; at least two: one long conversion must not hold up the rest."""
    return min(max(cores(), 2), WORKERS_MOST)


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65_535:
        raise argparse.ArgumentTypeError(f"{text} is no port: 0 to 65535")
    return number
