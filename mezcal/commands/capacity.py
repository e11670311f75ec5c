"""`mezcal capacity`: how long clients will wait, and which part of an installation gives way first."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mezcal.capacity.measured import work_of
from mezcal.capacity.report import WORKERS_MOST, CapacityEstimate, estimate, workers_needed
from mezcal.capacity.simulated import TooManyEvents
from mezcal.capacity.values import Load, Site, Work
from mezcal.commands.arguments import at_least_one, at_least_zero, fraction, positive_number, up_to, whole_up_to
from mezcal.commands.terminal.exit_codes import OK
from mezcal.errors import WrongSetting

if TYPE_CHECKING:
    import argparse

MB = 1e6
DAY = 86_400
MINUTES = up_to(60 * 24 * 31, least=0.1)
DESCRIPTION = """\
Simulate the queue and the workers of an installation, by the rules that they have, and say how long clients wait, how
many images are made, and which part gives way first. Nothing is connected and nothing is changed.

What a job takes is read from the metrics of an installation that runs, saved to a file. Save those of the API and of a
worker: curl -H "Authorization: Bearer $METRICS_TOKEN" http://api:5000/metrics > metrics.txt

example: mezcal capacity --metrics metrics.txt --asks 40 --hits 0.95 --workers 4"""

TEXT = """\
clients    {wait}
           {hits:.1%} found the image in the cache, {joined:,} joined a job, {expired:,} got 503,
           {refused:,} found no waiting place
images     {made:.2f} a second, {bulk:.2f} of them bulk; {queued:,} queued at the end, {longest:,} at most
needs      {disk:.1f} GB of disk a day
in use     {parts}
first      {first}"""
FAILURES = """\
failures   {failed:,} clients got 502, {paused:,} got 503 because requests were paused; {failed_bulk:,} bulk jobs failed
           in all their attempts, {delayed:,} wait for the next one{again}"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the description and the options of the command to *parser*."""
    parser.description = DESCRIPTION
    _add_clients(parser.add_argument_group("who asks"))
    _add_site(parser.add_argument_group("the installation"))
    _add_repository(parser.add_argument_group("the repository"))
    _add_job(parser.add_argument_group("a job"))
    parser.add_argument("--minutes", type=MINUTES, default=10, help="how long this goes on (default: %(default)s)")
    parser.add_argument(
        "--wait", type=positive_number, metavar="SECONDS", help="also say how many workers keep waits below this"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def _add_clients(group: argparse._ArgumentGroup) -> None:
    rate = up_to(1e6)
    group.add_argument("--asks", type=rate, default=0, metavar="N", help="requests for images a second")
    group.add_argument(
        "--hits", type=fraction, default=0, metavar="PART", help="of them, the part that is cached (0 to 1)"
    )
    group.add_argument(
        "--images", type=at_least_zero, default=0, metavar="N", help="how many different images the others are for"
    )
    group.add_argument("--clients", type=at_least_one, default=100, metavar="N", help="how many clients ask")
    group.add_argument("--bulk", type=rate, default=0, metavar="N", help="images a second from lists and events")
    group.add_argument(
        "--backlog", type=at_least_zero, default=0, metavar="N", help="bulk jobs that are queued already"
    )


def _add_site(group: argparse._ArgumentGroup) -> None:
    site, many = Site(), whole_up_to(WORKERS_MOST, least=1)
    group.add_argument("--workers", type=many, default=1, metavar="N", help="how many workers")
    group.add_argument(
        "--cores", type=up_to(1024, least=0.01), default=site.cores, help="cores of one worker (default: %(default)s)"
    )
    group.add_argument(
        "--processes", type=whole_up_to(1024, least=1), metavar="N", help="processes of one (default: its cores)"
    )
    group.add_argument("--reserve", type=at_least_zero, default=site.reserve, metavar="N", help="INTERACTIVE_RESERVE")
    group.add_argument(
        "--memory", type=up_to(1e8, least=1), default=1000, metavar="MB", help="WORKER_MEMORY of one worker"
    )
    group.add_argument(
        "--waiters", type=at_least_one, default=site.waiters, metavar="N", help="WAITERS_MAX of all APIs"
    )
    group.add_argument(
        "--share", type=up_to(1, least=0.01), default=site.share, metavar="PART", help="CLIENT_SHARE (1: no limit)"
    )


def _add_repository(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--bandwidth", type=up_to(1e7, least=1e-3), default=100, metavar="MB", help="MB a second for all workers"
    )
    group.add_argument("--places", type=at_least_zero, default=0, metavar="N", help="ORIGIN_CONCURRENCY")
    group.add_argument(
        "--failing", type=fraction, default=0, metavar="PART", help="the part of the requests that it fails (0 to 1)"
    )
    group.add_argument(
        "--outage",
        type=MINUTES,
        metavar="MINUTES",
        help="it fails all for so long, from a quarter of the time on",
    )


def _add_job(group: argparse._ArgumentGroup) -> None:
    memory = Work().memory / MB
    group.add_argument("--metrics", type=Path, metavar="FILE", help="text of /metrics, of one installation or several")
    group.add_argument("--master", type=up_to(1e7, least=1e-6), metavar="MB", help="size of a master")
    group.add_argument("--cpu", type=up_to(1e5, least=1e-3), metavar="SECONDS", help="processor time of a conversion")
    group.add_argument(
        "--job-memory", type=up_to(1e6, least=1), default=memory, metavar="MB", help="memory of a conversion"
    )


def run(options: argparse.Namespace) -> int:
    """Simulate, and print what was found. Returns the exit code.

    Raises `WrongSetting` if the options contradict each other, ask for too much, or name a file that cannot be read.
    """
    site, work, load = site_of(options), job_of(options), load_of(options)
    if work.memory > site.memory:
        raise WrongSetting(
            f"--memory {site.memory / MB:.0f} is less than one conversion needs ({work.memory / MB:.0f} MB)",
            "such a job is refused with 413: give a worker more --memory, or a conversion less --job-memory",
        )
    try:
        found = estimate(site, work, load)
        needed = workers_needed(site, work, load, options.wait) if options.wait else None
    except TooManyEvents as error:
        raise WrongSetting(
            f"--minutes {options.minutes:g} is too long for so many requests and jobs",
            f"the first {error.seconds:.2g} s of it are as much as can be simulated: give less, or lower rates",
        ) from None
    _print(found, needed, options)
    return OK


def _print(found: CapacityEstimate, needed: int | None, options: argparse.Namespace) -> None:
    if options.json:
        json.dump(_as_json(found) | ({"workers_needed": needed} if options.wait else {}), sys.stdout, indent=2)
        print()
        return
    print(as_text(found))
    if options.failing or options.outage:
        print(failures_as_text(found))
    if options.backlog and found.outcome.made_bulk:
        days = options.backlog / (found.outcome.made_bulk / found.outcome.seconds) / DAY
        print(f"backlog    done in {days:,.1f} days at this rate")
    if options.wait:
        says = f"{needed} suffice" if needed else "no number suffices: another part holds them up"
        print(f"workers    for waits below {options.wait:g} s, {says}")


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
        share=options.share,
    )


def load_of(options: argparse.Namespace) -> Load:
    """Returns who asks, as *options* say. Raises `WrongSetting` for an outage that does not end."""
    seconds, outage = options.minutes * 60, (options.outage or 0) * 60
    if outage > 0.75 * seconds:
        raise WrongSetting(
            f"--outage {options.outage:g} does not end within --minutes {options.minutes:g}",
            f"it begins after a quarter of the time: give --minutes {2 * options.outage:g}",
        )
    return Load(
        asks=options.asks,
        hits=options.hits,
        images=options.images,
        clients=options.clients,
        bulk=options.bulk,
        backlog=options.backlog,
        seconds=seconds,
        failing=options.failing,
        outage=(seconds / 4, seconds / 4 + outage) if outage else (0, 0),
    )


def job_of(options: argparse.Namespace) -> Work:
    """Returns what a job takes: as measured, but for what the options say. Raises `WrongSetting` for no such file."""
    work = Work()
    if options.metrics:
        try:
            work = work_of(options.metrics.read_text(encoding="utf-8"), work)
        except (OSError, ValueError) as error:
            raise WrongSetting(f"--metrics {options.metrics} cannot be read: {error}") from None
    given = {"master": options.master and options.master * MB, "cpu": options.cpu}
    given["memory"] = int(options.job_memory * MB)
    return replace(work, **{name: value for name, value in given.items() if value is not None})


def as_text(found: CapacityEstimate) -> str:
    """Returns the estimate in lines for people."""
    outcome = found.outcome
    waits = f"half wait below {outcome.wait(0.5):.1f} s, 19 of 20 below {outcome.wait(0.95):.1f} s"
    asked = outcome.hits + len(outcome.waits) + outcome.refused + outcome.failed + outcome.paused
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


def failures_as_text(found: CapacityEstimate) -> str:
    """Returns what came of the repository's failures, in lines for people."""
    outcome = found.outcome
    back = outcome.made_again
    return FAILURES.format(
        failed=outcome.failed,
        paused=outcome.paused,
        failed_bulk=outcome.failed_bulk,
        delayed=outcome.delayed_at_end,
        again="" if back is None else f";\n           images were made again {back:.1f} s after the outage",
    )


def _as_json(found: CapacityEstimate) -> dict[str, Any]:
    values = asdict(found)
    values["outcome"].pop("waits")
    waits = {f"wait_p{int(q * 100)}": found.outcome.wait(q) for q in (0.5, 0.95, 0.99)}
    return values | waits | {"first": found.first}
