"""`mezcal failures`: show the failed and quarantined jobs, try them again, or forget them."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from mezcal.commands.arguments import add_data_dir, at_least_one, settings_of
from mezcal.commands.exit_codes import UNWELL, WELL

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.jobs import Jobs

EXIT_CODES = """\
exit codes: 0 done; 1 there is no failure of an ID that was given, or, with --exit-code, there are failures;
2 could not be done."""


def add(commands: Any) -> None:
    """Put the command among *commands*."""
    failures = commands.add_parser(
        "failures",
        help="show what failed and why, try it again, or forget it",
        description="Show the jobs that failed, those remembered longest first: id, state, attempts, path, reason.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = failures.add_mutually_exclusive_group()
    what.add_argument("--retry", nargs="+", metavar="ID|PATH|all", help="try these again, as if for the first time")
    what.add_argument("--forget", nargs="+", metavar="ID|PATH|all", help="forget these: the next request tries anew")
    failures.add_argument("--json", action="store_true", help="as JSON, in the form of GET /jobs?state=failed")
    failures.add_argument("--full", action="store_true", help="with the history of each")
    failures.add_argument("--limit", type=at_least_one, default=100, metavar="N", help="(default: %(default)s)")
    failures.add_argument("--exit-code", action="store_true", help="end with 1 if there are any")
    add_data_dir(failures)
    failures.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Show, retry or forget; the exit code."""
    from mezcal.jobs import Jobs  # noqa: PLC0415 - --help needs none of it

    jobs = Jobs.of(settings_of(options))
    if options.retry:
        return _each(jobs, options, options.retry, jobs.retry, "queued again")
    if options.forget:
        return _each(jobs, options, options.forget, jobs.forget_failure, "forgotten")
    return _show(jobs, options)


def _show(jobs: Jobs, options: argparse.Namespace) -> int:
    from mezcal.jobs.failure_report import as_json, lines  # noqa: PLC0415

    records = jobs.failures(options.limit)
    if options.json:
        print(json.dumps({"jobs": [as_json(record) for record in records]}, indent=1))
    else:
        print("\n".join(lines(records, full=options.full) or ["no failed jobs"]))
    return UNWELL if records and options.exit_code else WELL


def _each(jobs: Jobs, options: argparse.Namespace, wanted: list[str], act: Callable[[str], bool], done: str) -> int:
    """Do *act* to the failures *wanted*, and tell of each whether that was *done*."""
    from mezcal.jobs.failure_report import ALL, keys_of  # noqa: PLC0415

    told = {key: act(key) for key in keys_of(jobs, wanted)}
    if options.json:
        print(json.dumps({"jobs": [{"id": key, "done": was} for key, was in told.items()]}, indent=1))
    else:
        said = [f"{key}  {done if was else 'no such failure'}" for key, was in told.items()]
        print("\n".join(said or ["no failed jobs"]))
    return WELL if all(told.values()) or wanted == [ALL] else UNWELL  # of all, some may go meanwhile
