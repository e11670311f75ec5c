"""`mezcal up`: all parts of mezcal on one machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, get_args

from mezcal.commands.arguments import at_least_one, port_or_any_free
from mezcal.runtime.resources import cores
from mezcal.runtime.up import up
from mezcal.runtime.up.options import NginxChoice, UpOptions

if TYPE_CHECKING:
    import argparse

WORKERS_MOST = 8  # by default: an idle pool process takes some 70 MB; --workers may say more

DESCRIPTION = """\
Run all of mezcal on this machine, in the foreground: a broker on a private unix socket, a worker, the API,
nginx if it is installed and, with --flower, a dashboard. One line on stdout says when everything is ready;
logs go to stderr. Ctrl-C or SIGTERM finishes the running jobs and ends everything; a second one does not wait.
All other settings come from environment variables or a file .env; see docs/configuration.md.

example: mezcal up --origin /srv/masters --port 5001"""

EXIT_CODES = """\
exit codes: 0 stopped by a signal; 1 a part did not become ready; 2 nothing was started: a wrong setting or
option, or the port or the data folder is in use."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the description and the options of the command to *parser*."""
    parser.description, parser.epilog = DESCRIPTION, EXIT_CODES
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=port_or_any_free, default=5000, help="port of the API; 0 is any free one (default: %(default)s)"
    )
    parser.add_argument(
        "--workers",
        type=at_least_one,
        default=default_workers(),
        metavar="N",
        help=f"processes that convert (default: the number of cores, 2 to {WORKERS_MOST}; here %(default)s)",
    )
    parser.add_argument(
        "--origin",
        metavar="URL|DIR",
        help="where masters are, instead of REPO_BASE_URL (default: the built-in samples)",
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="folder for the queue and the cache, instead of DATA_DIR (default: mezcal-data)",
    )
    add_nginx_and_flower(parser)
    parser.set_defaults(run=run)


def add_nginx_and_flower(parser: argparse.ArgumentParser) -> None:
    """Add the options of the parts that not every installation has."""
    parser.add_argument(
        "--nginx",
        choices=get_args(NginxChoice),
        default="auto",
        help="whether nginx serves cached images: `auto` if one is installed, `always` refuses to start without one "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--listen",
        action="append",
        metavar="URL",
        default=[],
        help="also follow this message queue, besides those of LISTEN_URLS; may be repeated",
    )
    parser.add_argument("--flower", action="store_true", help="also run the dashboard, on loopback only")
    parser.add_argument(
        "--flower-port",
        type=port_or_any_free,
        default=5555,
        metavar="PORT",
        help="port of the dashboard (default: %(default)s)",
    )


def run(options: argparse.Namespace) -> int:
    """Run all parts until a signal. Returns the exit code; raises `CannotStart` or `WrongSetting`."""
    return up(
        UpOptions(
            host=options.host,
            port=options.port,
            workers=options.workers,
            origin=options.origin,
            data_dir=options.data_dir,
            flower_port=options.flower_port if options.flower else None,
            nginx=options.nginx,
            listen=tuple(options.listen),
        )
    )


def default_workers() -> int:
    """Returns one process for each core, 2 to WORKERS_MOST: with one only, a long conversion would delay all others."""
    return min(max(cores(), 2), WORKERS_MOST)
