"""`mezcal downstream`: list the changes that hooks downstream were not notified of, and notify them again."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

from mezcal.commands.arguments import add_data_dir, settings_with_broker
from mezcal.commands.terminal.exit_codes import OK, PROBLEMS
from mezcal.commands.terminal.printable import printable
from mezcal.downstream.report import hook_reports, retry_all
from mezcal.jobs import Jobs

if TYPE_CHECKING:
    import argparse

    from mezcal.downstream.report import HookReport

DESCRIPTION = """\
List the hooks of DOWNSTREAM_URLS: of how many changed images and ended jobs each is still to be notified, why that
fails, what was given up after a day, and how many ended jobs were lost because too many waited.

example: mezcal downstream --retry"""

EXIT_CODES = "exit codes: 0 all hooks are notified; 1 some hook is not; 2 could not be done."


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the description and the options of the command to *parser*."""
    parser.description, parser.epilog = DESCRIPTION, EXIT_CODES
    parser.add_argument("--retry", action="store_true", help="notify all hooks at once of what waits and was given up")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_data_dir(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """List, or retry. Returns the exit code."""
    settings = settings_with_broker(options)
    jobs = Jobs.of(settings)
    if options.retry:
        print(f"{retry_all(jobs, settings):,} that were given up are sent again, and all that wait")
        return OK
    reports = hook_reports(jobs, settings)
    if options.json:
        print(json.dumps({"hooks": [report.as_json() for report in reports]}, indent=1))
    else:
        print(
            "\n".join(line for report in reports for line in _lines(report)) or "no hooks: DOWNSTREAM_URLS is not set"
        )
    return OK if all(report.is_well for report in reports) else PROBLEMS


def _lines(report: HookReport) -> list[str]:
    fault = f"; since {_local_time(report.since)} {printable(report.fault)}" if report.fault and report.since else ""
    given_up = [
        f"    {_local_time(each.at)}  {printable(each.label)}  {printable(each.reason)}" for each in report.failed
    ]
    lost = f", {report.lost:,} lost" if report.lost else ""
    return [f"{report.hook}: {report.waiting:,} to be sent, {len(given_up):,} given up{lost}{fault}", *given_up]


def _local_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")
