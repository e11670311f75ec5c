"""`mezcal failures`: show the failed and quarantined jobs, or try them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mezcal.commands.common import add_data_dir, at_least_one, settings_of

if TYPE_CHECKING:
    import argparse


def add(commands: Any) -> None:
    """Put the command among *commands*."""
    failures = commands.add_parser(
        "failures",
        help="show failed and quarantined jobs, or try them again",
        description="Show the jobs that failed, those remembered longest first: id, state, attempts, path, reason.",
    )
    failures.add_argument("--retry", nargs="+", metavar="ID|all", help="try these again, as if for the first time")
    failures.add_argument("--full", action="store_true", help="with the history of each")
    failures.add_argument("--limit", type=at_least_one, default=100, metavar="N", help="(default: %(default)s)")
    add_data_dir(failures)
    failures.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print a line for each job; the exit code."""
    from mezcal.jobs import Jobs  # noqa: PLC0415 - --help needs none of it
    from mezcal.jobs.report import lines, retried  # noqa: PLC0415

    jobs = Jobs.of(settings_of(options))
    told = retried(jobs, options.retry) if options.retry else lines(jobs.failures(options.limit), full=options.full)
    print("\n".join(told))
    return 0
