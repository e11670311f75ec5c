"""The command line: the composition root of one machine."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    return int(options.run(options))


def _up(options: argparse.Namespace) -> int:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until there is something to drain, Ctrl-C just ends us
    from mezcal.settings import WrongSetting  # noqa: PLC0415 - --help needs none of it
    from mezcal.up import Wish, up  # noqa: PLC0415
    from mezcal.up.claim import CannotStart  # noqa: PLC0415

    wish = Wish(
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
    except (WrongSetting, CannotStart) as error:
        print(f"mezcal: {error}", file=sys.stderr)
        return 2


def _failures(options: argparse.Namespace) -> int:
    """Show the failed and quarantined jobs, or try them again."""
    from mezcal.errors import BrokerDown  # noqa: PLC0415 - --help needs none of it
    from mezcal.jobs import Jobs  # noqa: PLC0415
    from mezcal.jobs.report import lines, retried  # noqa: PLC0415
    from mezcal.settings import WrongSetting, load  # noqa: PLC0415
    from mezcal.up import own_broker  # noqa: PLC0415

    try:
        jobs = Jobs.of(own_broker(load(**({"data_dir": options.data_dir} if options.data_dir else {}))))
        told = retried(jobs, options.retry) if options.retry else lines(jobs.failures(options.limit), full=options.full)
    except (WrongSetting, BrokerDown) as error:
        print(f"mezcal: {error}", file=sys.stderr)
        return 2
    print("\n".join(told))
    return 0


def _warm(options: argparse.Namespace) -> int:
    """Have the named sizes of frames made, and say what came of each."""
    from mezcal.errors import Failure  # noqa: PLC0415 - --help needs none of it
    from mezcal.jobs import Jobs  # noqa: PLC0415
    from mezcal.settings import WrongSetting, load  # noqa: PLC0415
    from mezcal.store import open_store  # noqa: PLC0415
    from mezcal.up import own_broker  # noqa: PLC0415
    from mezcal.warm import Warming  # noqa: PLC0415

    try:
        settings = own_broker(load(**({"data_dir": options.data_dir} if options.data_dir else {})))
        for told in Warming(settings, Jobs.of(settings), open_store(settings)).frames(options.frames):
            print(told)
    except (WrongSetting, Failure) as error:
        print(f"mezcal: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mezcal",
        description="Cached JPEG derivatives of preservation masters.",
        epilog="`mezcal` alone is `mezcal up`.",
    )
    parser.add_argument("--version", action="version", version=f"mezcal {metadata.version('mezcal')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_up(commands)
    _add_failures(commands)
    _add_warm(commands)
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
        type=_at_least_one,
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


def _add_warm(commands: Any) -> None:
    warm = commands.add_parser(
        "warm",
        help="have thumbnails made before anybody asks",
        description="Queue the sizes of THUMBNAIL_SIZES of the archive's frames, in bulk, and say what came of each.",
    )
    warm.add_argument("--frames", nargs="+", type=_at_least_one, required=True, metavar="ID", help="frames' ids")
    warm.add_argument("--data-dir", type=Path, metavar="DIR", help="of the `mezcal up` to ask, without REDIS_URL")
    warm.set_defaults(run=_warm)


def _add_failures(commands: Any) -> None:
    failures = commands.add_parser(
        "failures",
        help="show failed and quarantined jobs, or try them again",
        description="Show the jobs that failed, those remembered longest first: id, state, attempts, path, reason.",
    )
    failures.add_argument("--retry", nargs="+", metavar="ID|all", help="try these again, as if for the first time")
    failures.add_argument("--full", action="store_true", help="with the history of each")
    failures.add_argument("--limit", type=_at_least_one, default=100, metavar="N", help="(default: %(default)s)")
    failures.add_argument("--data-dir", type=Path, metavar="DIR", help="of the `mezcal up` to ask, without REDIS_URL")
    failures.set_defaults(run=_failures)


def default_workers() -> int:
    """A process for each core we may use; at least two: one long conversion must not hold up the rest."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(max(cores, 2), WORKERS_MOST)


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65_535:
        raise argparse.ArgumentTypeError(f"{text} is no port: 0 to 65535")
    return number


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number
