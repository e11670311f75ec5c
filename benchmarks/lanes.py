"""Interactive jobs before many bulk jobs: `python -m benchmarks.lanes` in the root folder.

A whole `mezcal up` with two pool processes in front of a repository on loopback: a Celery worker of one process for the
interactive lane, one of one process for all lanes. Cold requests one after the other, each for another small master,
with 0, 1,000 and 100,000 bulk jobs queued. The bulk masters take a second each, so that the worker of all lanes is busy
with them throughout. Prints p50 and p99 in milliseconds and their ratio to idle, which should be at most 2; and, for
comparison, the same with INTERACTIVE_RESERVE=0, where bulk may take both processes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import requests

from mezcal.jobs import Jobs, QueueRequest
from mezcal.recipe import Mezzanine
from mezcal.settings import load
from tests.support.installation import SAMPLES, running_installation
from tests.support.origin_server import OriginServer
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.installation import Installation

MASTER = (SAMPLES / "maps" / "valley.tif").read_bytes()
BULK_SECONDS = 1.0
BATCH = 5000


class Slow(OriginServer):
    """Gives every master, those of the bulk load slowly."""

    def script_of(self, path: str):
        slow = path.startswith("bulk/")
        return self._scripts.setdefault(path, self.script(path, body=MASTER, rate=len(MASTER) / BULK_SECONDS * slow))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--queued", type=int, nargs="+", default=[0, 1000, 100_000])
    options = parser.parse_args()
    print(f"conditions: {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, 2 pool processes, {options.requests}")
    print("cold requests each; milliseconds")
    print("reserve   queued     p50     p99   p50 of idle   p99 of idle")
    with Slow() as repository:
        for reserve in ("1", "0"):
            idle: list[float] = []
            for queued in options.queued:
                with with_bulk_jobs(repository, reserve, queued) as installation:
                    taken = cold_requests(installation, options.requests if reserve == "1" else 40)
                idle = idle or taken
                ratios = (p50(taken) / p50(idle), p99(taken) / p99(idle))
                figures = f"{p50(taken):8.1f}{p99(taken):8.1f}{ratios[0]:12.2f}x{ratios[1]:13.2f}x"
                print(f"{reserve:>7}{queued:9,}{figures}", flush=True)


@contextmanager
def with_bulk_jobs(repository: OriginServer, reserve: str, queued: int) -> Iterator[Installation]:
    """An installation in which so many bulk jobs are queued, and as many run as may."""
    with tempfile.TemporaryDirectory() as name:
        given = {"LOG_LEVEL": "WARNING", "INTERACTIVE_RESERVE": reserve, "DRAIN_SECONDS": "2"}
        with running_installation(Path(name), repository.url, **given) as installation:
            cold_requests(installation, 10)
            fill(installation, queued)
            if queued:
                until(lambda: installation.table.depths()["running"] == 2 - int(reserve), what="the bulk jobs at work")
            yield installation


def fill(installation: Installation, queued: int) -> None:
    url = f"redis+socket://{installation.folder}/data/run/broker.sock"
    jobs = Jobs.of(load(_env_file=None, redis_url=url, repo_base_url=installation.settings.repo_base_url))
    for start in range(0, queued, BATCH):
        recipes = [Mezzanine.parse(f"bulk/{number}.tif") for number in range(start, min(start + BATCH, queued))]
        jobs.queue([QueueRequest(recipe) for recipe in recipes])


def cold_requests(installation: Installation, count: int) -> list[float]:
    taken = []
    with requests.Session() as client:
        for _ in range(count):
            began = time.perf_counter()
            client.get(f"{installation.url}/images/{uuid4().hex}.tif").raise_for_status()
            taken.append(1000 * (time.perf_counter() - began))
    return taken


def p50(taken: list[float]) -> float:
    return statistics.median(taken)


def p99(taken: list[float]) -> float:
    return statistics.quantiles(taken, n=100)[98]


if __name__ == "__main__":
    main()
