"""The simulation of `mezcal capacity` against a real installation.

    python -m benchmarks.capacity [--seconds 300] [--rounds 1] [--loads 0.3 0.6 0.85]

`mezcal up` with two processes stands in front of a repository that answers after a while, as a real one does: each
master after its own time, which is long for some. Clients ask for new images at random times. The simulation gets the
same times and the same masters, and what a job takes besides from the metrics of that time. Prints the images a second
and the waits of the clients, measured and simulated, at three loads, and the processor time of each part of mezcal for
one miss.
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
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

import requests

from mezcal.capacity.simulated import Simulation
from mezcal.capacity.values import Load, Outcome, Site, Work
from tests.support.installation import SAMPLES, running_installation
from tests.support.proc import command_line, descendants

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.installation import Installation

MASTER = SAMPLES / "maps" / "valley.tif"
LATENCY, SPREAD = 0.6, 0.5  # seconds of the repository, and their deviation divided by the mean
PROCESSES = 2
FULL = 60  # requests at once, of which the last is answered within WAIT_SECONDS
PARTS = {"broker.sock": "Redis", "redis-server": "Redis", "valkey": "Redis", "nginx": "nginx", "gunicorn": "API"}


class Repository(BaseHTTPRequestHandler):
    """Serves one master at every path, each after the time of this path."""

    protocol_version = "HTTP/1.1"
    body = MASTER.read_bytes()

    def do_GET(self) -> None:
        if self.command == "GET":
            time.sleep(latency(self.path.rpartition("/")[2].removesuffix(".tif")))
        self.send_response(200)
        self.send_header("Content-Type", "image/tiff")
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(self.body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None: ...


def latency(name: str) -> float:
    """Returns the seconds after which the repository answers a request for the master *name*: always the same."""
    variance = math.log(1 + SPREAD**2)
    return random.Random(name).lognormvariate(math.log(LATENCY) - variance / 2, math.sqrt(variance))


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


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests for new images: when each is sent, in seconds from the beginning, and for what."""

    times: tuple[float, ...]
    names: tuple[str, ...]
    seconds: float

    @classmethod
    def drawn(cls, rate: float, seconds: float, seed: str) -> Requests:
        """Returns *rate* requests a second at random times: the same ones for the same *seed*."""
        chosen, at, times = random.Random(seed), 0.0, []
        while (at := at + chosen.expovariate(rate)) < seconds:
            times.append(at)
        return cls(tuple(times), tuple(f"{seed}-{number}" for number in range(len(times))), seconds)

    @property
    def latencies(self) -> tuple[float, ...]:
        """Returns the repository's latency for each."""
        return tuple(map(latency, self.names))


def measured(installation: Installation, asked: Requests) -> Outcome:
    """Send the requests at their times. Returns what the clients met."""
    outcome, lock, threads = Outcome(seconds=asked.seconds), threading.Lock(), []
    began, pause = time.monotonic(), threading.Event()

    def ask(name: str, at: float) -> None:
        status = installation.ask(f"{name}.tif").status_code
        with lock:
            outcome.waits.append(time.monotonic() - began - at)
            outcome.made += status == 200
            outcome.expired += status != 200

    for name, at in zip(asked.names, asked.times, strict=True):
        pause.wait(max(began + at - time.monotonic(), 0))
        threads.append(threading.Thread(target=ask, args=(name, at)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return outcome


def occupied(installation: Installation) -> float:
    """Returns the seconds of a process for a job, from one job to the next, without the repository's latency.

    All processes are busy all the time: more requests come at once than there are processes.
    """
    asked = Requests((0.0,) * FULL, tuple(f"full-{number}" for number in range(FULL)), 1)
    found = measured(installation, asked)
    return PROCESSES * max(found.waits) / FULL - mean(asked.latencies)


def simulated(asked: Requests, job: float, besides: float) -> Outcome:
    """Returns the outcome of the simulation.

    A job keeps its process for *job* seconds, and a client waits for *besides* seconds, both beside the latency.
    """
    site = Site(cores=64, processes=PROCESSES, memory=2**40, bandwidth=1e12, share=1)
    load = Load(at=asked.times, latencies=asked.latencies, clients=1, seconds=asked.seconds + 60)
    found = Simulation(site, Work(master=1, cpu=0, overhead=job), load).run()
    found.waits = [wait + besides for wait in found.waits]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=300, help="of each load")
    parser.add_argument("--calm", type=float, default=90, help="seconds of the calm time")
    parser.add_argument("--rounds", type=int, default=1, help="of each load, with other requests in each")
    parser.add_argument("--loads", type=float, nargs="+", default=[0.3, 0.6, 0.85], help="of what two processes can do")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        repository() as origin,
        running_installation(Path(name), origin, WORKER_MEMORY="2GiB", CLIENT_SHARE="1") as up,
    ):
        compare(up, options)


def compare(up: Installation, options: argparse.Namespace) -> None:
    """Measure and simulate each load, and print both.

    A time in which all processes are busy says what a job takes of its process beside the seconds that the metrics
    have; a calm time, in which none waits for another, what a request takes beside its job. The seconds of a job come
    from the metrics of each load: they grow with it, because all share the cores.
    """
    measured(up, Requests.drawn(2, 5, "warm-up"))
    process, parts = occupied(up), Parts(up)
    calm = Requests.drawn(0.4, options.calm, "calm")
    found, seconds = watched(up, calm)
    job = seconds - mean(calm.latencies)
    between, besides = max(process - job, 0.0), mean(found.waits) - seconds
    print(f"beside the latency: a job {job:.3f} s, its process {between:.3f} s more, a request {besides:.3f} s")
    print("load | load average | images/s | p50 | p95 (each measured, simulated) | others than 200 | seconds of a job")
    requests = 0
    for number in range(options.rounds):
        for part in options.loads:
            asked = Requests.drawn(part * PROCESSES / (LATENCY + process), options.seconds, f"load{part}-{number}")
            found, seconds = watched(up, asked)
            taken = seconds - mean(asked.latencies) + between
            print_line(part, asked, found, simulated(asked, taken, besides - between), seconds)
            requests += len(asked.names)
    parts.print(requests + len(calm.names))


def print_line(part: float, asked: Requests, found: Outcome, expected: Outcome, seconds: float) -> None:
    cells = [(found.made / asked.seconds, expected.made / asked.seconds)]
    cells += [(found.wait(quantile), expected.wait(quantile)) for quantile in (0.5, 0.95)]
    shown = " | ".join(f"{a:.2f} {b:.2f} ({b / a - 1:+.0%})" for a, b in cells)
    taken = f"{seconds:.2f}, {mean(asked.latencies):.2f} of them latency"
    print(f"{part:.0%} | {os.getloadavg()[0]:.0f} | {shown} | {found.expired} | {taken}", flush=True)


def watched(up: Installation, asked: Requests) -> tuple[Outcome, float]:
    """Returns what `measured` does, and the mean seconds of the jobs of this time, as the metrics have them."""
    count, total = job_seconds(up)
    outcome = measured(up, asked)
    after_count, after_total = job_seconds(up)
    return outcome, (after_total - total) / (after_count - count)


def job_seconds(installation: Installation) -> tuple[float, float]:
    """Returns how many jobs were made so far, and their seconds together."""
    text = requests.get(f"{installation.url}/metrics", timeout=10).text
    names = ("mezcal_job_seconds_count", "mezcal_job_seconds_sum")
    count, total = (
        sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name)) for name in names
    )
    return count, total


class Parts:
    """The processor time of each part of *installation* from now on."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._before, self._began = self._seconds(), time.monotonic()

    def print(self, requests: int) -> None:
        """Print what each part took for one of so many *requests*, and of all seconds."""
        elapsed = time.monotonic() - self._began
        for part, seconds in sorted(self._seconds().items()):
            taken = seconds - self._before[part]
            print(f"{part}: {taken / requests * 1000:.1f} ms a miss, {taken / elapsed:.1%} of a core")

    def _seconds(self) -> dict[str, float]:
        found: dict[str, float] = defaultdict(float)
        assert self._installation.process is not None
        for pid in descendants(self._installation.process.pid):
            line = command_line(pid)
            part = next((part for word, part in PARTS.items() if word in line), "workers")
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            found[part] += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return found


if __name__ == "__main__":
    main()
