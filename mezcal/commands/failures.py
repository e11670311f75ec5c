"""`mezcal failures`: list the failed and quarantined jobs, retry them, or forget them."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mezcal.commands.arguments import add_data_dir, at_least_one, settings_with_broker
from mezcal.commands.master_lists import names_for
from mezcal.commands.terminal.exit_codes import OK, PROBLEMS
from mezcal.commands.terminal.next_steps import print_steps
from mezcal.commands.terminal.printable import printable
from mezcal.jobs import Jobs
from mezcal.jobs.failure_report import all_keys, as_json, keys_below
from mezcal.recipe import Mezzanine

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from mezcal.jobs import Record
    from mezcal.settings import Settings

ALL = "all"
KEY = re.compile(r"[0-9a-f]{32}")
REASON_MAX = 1000  # characters
DESCRIPTION = """\
List the failed jobs with id, state, attempts, path and reason. Those that are remembered longest come first. Jobs
that have failed and wait for their next attempt follow, with the state `delayed`.

example: mezcal failures --retry books/1/page.tif"""

EXIT_CODES = """\
exit codes: 0 done; 1 an ID that was given has no failure or, with --exit-code, there are failures;
2 could not be done."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the description and the options of the command to *parser*."""
    parser.description, parser.epilog = DESCRIPTION, EXIT_CODES
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--retry", nargs="+", metavar="ID|PATH|all", help="queue these again, with all attempts left")
    action.add_argument(
        "--forget", nargs="+", metavar="ID|PATH|all", help="delete these failures: the next request tries again"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, in the form of GET /jobs?state=failed")
    parser.add_argument("--full", action="store_true", help="show the history of each job")
    parser.add_argument(
        "--limit", type=at_least_one, default=100, metavar="N", help="list N at most (default: %(default)s)"
    )
    parser.add_argument("--exit-code", action="store_true", help="end with exit code 1 if there are failures")
    add_data_dir(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """List, retry or forget. Returns the exit code."""
    settings = settings_with_broker(options)
    jobs = Jobs.of(settings)
    if options.retry:
        return _apply(options, _keys(jobs, settings, options.retry), jobs.retry, "queued again")
    if options.forget:
        return _apply(options, _keys(jobs, settings, options.forget), jobs.forget_failure, "forgotten")
    return _list(jobs, settings, options)


def _list(jobs: Jobs, settings: Settings, options: argparse.Namespace) -> int:
    records = jobs.failures(options.limit)
    if options.json:
        print(json.dumps({"jobs": [as_json(record) for record in records]}, indent=1))
    else:
        delayed = jobs.delayed(options.limit)
        lines = _lines(records, full=options.full) or ["no failed jobs"]
        print("\n".join(lines + _lines(delayed, full=options.full)), flush=True)
        print_steps((record.failure.slug for record in records + delayed if record.failure), settings)
    return PROBLEMS if records and options.exit_code else OK


def _lines(records: Iterable[Record], *, full: bool = False) -> list[str]:
    """Returns one line for each job; with *full* its history follows."""
    printed = []
    for record in records:
        reason = f"{record.failure.slug}: {record.failure.detail}" if record.failure else "no reason was recorded"
        attempts = f"{record.attempts} attempt{'' if record.attempts == 1 else 's'}"
        label = printable(record.label)
        printed.append(f"{record.key}  {record.state:11}  {attempts}  {label}  {printable(reason, REASON_MAX)}")
        if full:
            printed += [
                f"    {_local_time(entry['at'])}  {entry['worker']}  {printable(_what(entry), REASON_MAX)}"
                for entry in record.history
            ]
    return printed


def _what(entry: dict[str, Any]) -> str:
    return f"{entry['class']}: {entry['what']}" if "class" in entry else str(entry["what"])


def _local_time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000).astimezone().isoformat(timespec="seconds")


def _keys(jobs: Jobs, settings: Settings, names: list[str]) -> list[str]:
    """Returns the keys of failures. Each of *names* is a key, `all`, or names masters as for `mezcal warm`."""
    if names == [ALL]:
        return all_keys(jobs)
    masters, keys = names_for(settings), []
    for name in names:
        if KEY.fullmatch(name):
            keys.append(name)
        elif isinstance(named := masters.parse(name), Mezzanine):
            # Its pages and profiles, too. If none of them has failed, the master is what has no failure.
            keys += keys_below(jobs, named.path.__eq__) or [named.key]
        else:
            keys += keys_below(jobs, named.has)
    return keys


def _apply(options: argparse.Namespace, keys: list[str], action: Callable[[str], bool], success: str) -> int:
    """Apply *action* to the failure of each of *keys*, and print whether it succeeded. Returns the exit code."""
    results = {key: action(key) for key in keys}
    if options.json:
        print(json.dumps({"jobs": [{"id": key, "done": done} for key, done in results.items()]}, indent=1))
    else:
        printed = [f"{key}  {success if done else 'no such failure'}" for key, done in results.items()]
        print("\n".join(printed or ["no failed jobs"]))
    all_named = [ALL] in (options.retry, options.forget)  # some of them may expire meanwhile
    return OK if all_named or all(results.values()) else PROBLEMS
