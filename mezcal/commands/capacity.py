"""`mezcal capacity`: how long clients will wait, and which part of an installation gives way first."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mezcal.capacity.measured import work_of
from mezcal.capacity.report import CapacityEstimate, estimate, workers_needed
from mezcal.capacity.values import Load, Site, Work
from mezcal.commands.arguments import at_least_one, at_least_zero, fraction, number_from_zero, positive_number
from mezcal.commands.terminal.exit_codes import OK
from mezcal.errors import WrongSetting

if TYPE_CHECKING:
    import argparse

MB = 1e6
DESCRIPTION = """\
Simulate the queue and the workers of an installation, by the rules that they have, and say how long clients wait, how
many images are made, and which part gives way first. Nothing is connected and nothing is changed.

What a job takes is read from the metrics of an installation that runs, saved to a file. Save those of the API and of a
worker: curl -H "Authorization: Bearer $METRICS_TOKEN" http://api:5000/metrics > metrics.txt

example: mezcal capacity --metrics metrics.txt --asks 40 --hits 0.95 --workers 4"""

TEXT = """\
clients    {wait}
           {hits:.1%} found the image in the cache, {joined} joined a job, {expired} got 503, {refused} found no place
images     {made:.2f} a second, {bulk:.2f} of them bulk; {queued:,} queued at the end, {longest:,} at most
needs      {disk:.1f} GB of disk a day
in use     {parts}
first      {first}"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the description and the options of the command to *parser*."""
    parser.description = DESCRIPTION
    asked = parser.add_argument_group("who asks")
    asked.add_argument("--asks", type=number_from_zero, default=0, metavar="N", help="requests for images a second")
    asked.add_argument(
        "--hits", type=fraction, default=0, metavar="PART", help="of them, the part that is cached (0 to 1)"
    )
    asked.add_argument(
        "--images", type=at_least_zero, default=0, metavar="N", help="how many different images the others are for"
    )
    asked.add_argument("--clients", type=at_least_one, default=100, metavar="N", help="how many clients ask")
    asked.add_argument(
        "--bulk", type=number_from_zero, default=0, metavar="N", help="images a second from lists and events"
    )
    asked.add_argument(
        "--backlog", type=at_least_zero, default=0, metavar="N", help="bulk jobs that are queued already"
    )
    asked.add_argument(
        "--minutes", type=positive_number, default=10, help="how long this goes on (default: %(default)s)"
    )
    _add_site(parser.add_argument_group("the installation"))
    job = parser.add_argument_group("a job")
    job.add_argument("--metrics", type=Path, metavar="FILE", help="text of /metrics, of one installation or several")
    job.add_argument("--master", type=positive_number, metavar="MB", help="size of a master")
    job.add_argument("--cpu", type=positive_number, metavar="SECONDS", help="processor time of a conversion")
    parser.add_argument(
        "--wait", type=positive_number, metavar="SECONDS", help="also say how many workers keep waits below this"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def _add_site(group: argparse._ArgumentGroup) -> None:
    site = Site()
    group.add_argument("--workers", type=at_least_one, default=1, metavar="N", help="how many workers")
    group.add_argument(
        "--cores", type=positive_number, default=site.cores, help="cores of one worker (default: %(default)s)"
    )
    group.add_argument("--processes", type=at_least_one, metavar="N", help="processes of one (default: its cores)")
    group.add_argument("--reserve", type=at_least_zero, default=site.reserve, metavar="N", help="INTERACTIVE_RESERVE")
    group.add_argument("--memory", type=positive_number, default=1000, metavar="MB", help="WORKER_MEMORY of one worker")
    group.add_argument(
        "--bandwidth", type=positive_number, default=100, metavar="MB", help="of the repository, in MB a second"
    )
    group.add_argument("--places", type=at_least_zero, default=0, metavar="N", help="ORIGIN_CONCURRENCY")
    group.add_argument(
        "--waiters", type=at_least_one, default=site.waiters, metavar="N", help="WAITERS_MAX of all APIs"
    )


def run(options: argparse.Namespace) -> int:
    """Simulate, and print what was found. Returns the exit code. Raises `WrongSetting` if the file cannot be read."""
    site, work, load = site_of(options), job_of(options), load_of(options)
    found = estimate(site, work, load)
    needed = workers_needed(site, work, load, options.wait) if options.wait else None
    if options.json:
        json.dump(_as_json(found) | ({"workers_needed": needed} if options.wait else {}), sys.stdout, indent=2)
        print()
        return OK
    print(as_text(found))
    if options.wait:
        says = f"{needed} suffice" if needed else "no number suffices: another part holds them up"
        print(f"workers    for waits below {options.wait:g} s, {says}")
    return OK


def site_of(options: argparse.Namespace) -> Site:
    """Returns the installation that *options* describe."""
    return Site(
        workers=options.workers,
        cores=options.cores,
        processes=options.processes or max(int(options.cores), 2),
        reserve=options.reserve,
        memory=int(options.memory * MB),
        bandwidth=options.bandwidth * MB,
        places=options.places,
        waiters=options.waiters,
    )


def load_of(options: argparse.Namespace) -> Load:
    """Returns who asks, as *options* say."""
    named = {field.name: getattr(options, field.name) for field in fields(Load) if field.name not in ("seconds", "at")}
    return Load(**named, seconds=options.minutes * 60)


def job_of(options: argparse.Namespace) -> Work:
    """Returns what a job takes: as measured, but for what the options say. Raises `WrongSetting` for no such file."""
    work = Work()
    if options.metrics:
        try:
            work = work_of(options.metrics.read_text(encoding="utf-8"), work)
        except (OSError, ValueError) as error:
            raise WrongSetting(f"--metrics {options.metrics} cannot be read: {error}") from None
    given = {"master": options.master and options.master * MB, "cpu": options.cpu}
    return replace(work, **{name: value for name, value in given.items() if value is not None})


def as_text(found: CapacityEstimate) -> str:
    """Returns the estimate in lines for people."""
    outcome = found.outcome
    waits = f"half wait below {outcome.wait(0.5):.1f} s, 19 of 20 below {outcome.wait(0.95):.1f} s"
    asked = outcome.hits + len(outcome.waits) + outcome.refused
    return TEXT.format(
        wait=waits if outcome.waits else "none waits",
        hits=outcome.hits / max(asked, 1),
        joined=outcome.joined,
        expired=outcome.expired,
        refused=outcome.refused,
        made=found.images_per_second,
        bulk=outcome.made_bulk / outcome.seconds,
        queued=outcome.queued_at_end,
        longest=outcome.longest_queue,
        disk=found.disk_per_day / 1e9,
        parts=", ".join(f"{part} {use:.0%}" for part, use in found.parts.items() if use >= 0.005) or "next to nothing",
        first=found.first,
    )


def _as_json(found: CapacityEstimate) -> dict[str, Any]:
    values = asdict(found)
    values["outcome"].pop("waits")
    waits = {f"wait_p{int(q * 100)}": found.outcome.wait(q) for q in (0.5, 0.95, 0.99)}
    return values | waits | {"first": found.first}
