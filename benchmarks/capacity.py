"""The simulation of `mezcal capacity` against a real installation: `python -m benchmarks.capacity` in the root folder.

`mezcal up` with two processes stands in front of a repository that answers after a while, as a real one does. Clients
ask for new images at random times. The work of a job comes from the metrics of the first, lowest load. Prints the waits
of the clients and the images a second, measured and simulated, at three loads.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

import requests

from mezcal.capacity.simulation import Simulation
from mezcal.capacity.values import Load, Outcome, Site, Work
from tests.support.installation import SAMPLES, running_installation
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.installation import Installation

MASTER = SAMPLES / "maps" / "valley.tif"
LATENCY, SPREAD = 0.6, 0.5  # seconds of the repository, and their deviation divided by the mean
LOADS = (0.3, 0.6, 0.85)  # of what two processes can do
RUNS = 20  # of the simulation for each load, for other random times


class Repository(BaseHTTPRequestHandler):
    """Serves one master at every path, each after a random time."""

    body = MASTER.read_bytes()

    def do_GET(self) -> None:
        if self.command == "GET":
            variance = math.log(1 + SPREAD**2)
            time.sleep(random.lognormvariate(math.log(LATENCY) - variance / 2, math.sqrt(variance)))
        self.send_response(200)
        self.send_header("Content-Type", "image/tiff")
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(self.body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None: ...


def serve() -> None:
    """Be the repository, until this process is ended."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Repository)
    print(server.server_port, flush=True)
    server.serve_forever()


@contextmanager
def repository() -> Iterator[str]:
    """The repository in a process of its own."""
    code = "from benchmarks.capacity import serve; serve()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}/"
        server.terminate()


def measured(installation: Installation, rate: float, seconds: float, name: str) -> Outcome:
    """Ask for new images at random times, *rate* a second. Returns what the clients met."""
    outcome, lock, threads = Outcome(seconds=seconds), threading.Lock(), []

    def ask(number: int) -> None:
        began = time.monotonic()
        status = installation.ask(f"{name}/{number}.tif").status_code
        with lock:
            outcome.waits.append(time.monotonic() - began)
            outcome.made += status == 200
            outcome.expired += status != 200

    began = time.monotonic()
    for number, at in enumerate(times(rate, seconds, name)):
        until(lambda at=at: time.monotonic() - began >= at, 60)
        threads.append(threading.Thread(target=ask, args=(number,)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return outcome


def times(rate: float, seconds: float, name: str) -> tuple[float, ...]:
    """Returns random times of requests: the same ones for the same *name*."""
    chosen, at, found = random.Random(name), 0.0, []
    while (at := at + chosen.expovariate(rate)) < seconds:
        found.append(at)
    return tuple(found)


def job_seconds(installation: Installation) -> tuple[float, float]:
    """Returns how many jobs were made so far, and their seconds together, as the metrics have them."""
    text = requests.get(f"{installation.url}/metrics", timeout=10).text
    names = ("mezcal_job_seconds_count", "mezcal_job_seconds_sum")
    count, total = (
        sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name)) for name in names
    )
    return count, total


def simulated(work: Work, asked: tuple[float, ...], seconds: float) -> Outcome:
    """Returns the outcome of several simulations together, for clients that ask at these times."""
    site = Site(cores=64, processes=2, reserve=1, memory=2**40, bandwidth=1e12)
    load = Load(at=asked, clients=1000, seconds=seconds + 60)
    runs = [Simulation(site, work, load, seed).run() for seed in range(RUNS)]
    return Outcome(
        seconds=seconds, waits=[wait for run in runs for wait in run.waits], made=sum(r.made for r in runs) // RUNS
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=180, help="of each load")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        repository() as origin,
        running_installation(Path(name), origin, WORKER_MEMORY="2GiB") as up,
    ):
        compare(up, options.seconds)


def compare(up: Installation, seconds: float) -> None:
    """Measure and simulate each load for so many seconds, and print both.

    What a job takes comes from the metrics of the same time, for other programs use these cores, too. What a request
    takes besides its job comes from a calm time, in which none waits for another.
    """
    measured(up, 2, 5, "warm-up")
    calm, taken = watched(up, 0.3, 60, "calm")
    besides = max(mean(calm.waits) - taken, 0.0)
    print(f"a job: {taken:.2f} s, and {besides:.3f} s besides")
    print("load | load average | seconds a job | images/s | p50 | p95 (each measured, simulated)")
    for part in LOADS:
        rate = part * 2 / (taken + besides)
        found, job = watched(up, rate, seconds, f"load{part}")
        work = Work(master=1, cpu=0, latency=job, overhead=besides, spread=SPREAD * LATENCY / job)
        expected = simulated(work, times(rate, seconds, f"load{part}"), seconds)
        cells = [(found.made / seconds, expected.made / seconds)]
        cells += [(found.wait(quantile), expected.wait(quantile)) for quantile in (0.5, 0.95)]
        shown = " | ".join(f"{a:.2f} {b:.2f} ({b / a - 1:+.0%})" for a, b in cells)
        print(f"{part:.0%} | {os.getloadavg()[0]:.0f} | {job:.2f} | {shown}", flush=True)


def watched(up: Installation, rate: float, seconds: float, name: str) -> tuple[Outcome, float]:
    """Returns what `measured` does, and the mean seconds of the jobs of this time."""
    count, total = job_seconds(up)
    outcome = measured(up, rate, seconds, name)
    after_count, after_total = job_seconds(up)
    return outcome, (after_total - total) / (after_count - count)


if __name__ == "__main__":
    main()
