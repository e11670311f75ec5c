"""The bulkhead: hits while misses wait: `python -m benchmarks.bulkhead` in the root folder.

A whole `mezcal up` in front of an origin that holds its masters back. Hits come at a steady rate, first alone, then
while 50, then while 200 clients each wait for another miss, and while the pool converts. Prints p50 and p99 of
the hits, how many failed, and the memory of the API processes. The converting pool is niced: two cores cannot do
three things at once, and this benchmark does not measure that.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import select
import socket
import tempfile
import threading
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from benchmarks.load import Run, steady
from tests.support.installation import SAMPLES, Installation, running_installation
from tests.support.origin_server import OriginServer
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

PAUSE = 0.002  # seconds between two hits
WARM = "maps/valley.tif"
VALLEY = (SAMPLES / "maps" / "valley.tif").read_bytes()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--waiting", type=int, nargs="+", default=[0, 50, 200])
    parser.add_argument("--nginx", default="always", choices=("always", "never"), help="(default: %(default)s)")
    parser.add_argument("--nice", type=int, default=19, help="of the converting pool (default: %(default)s)")
    options = parser.parse_args()
    limits = {"API_PROCESSES": "2", "WAITERS_MAX": "120", "WAIT_SECONDS": "120"}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        origin = stack.enter_context(OriginServer(SAMPLES))
        installation = stack.enter_context(running_installation(folder, origin.url, "--nginx", options.nginx, **limits))
        measure(installation, origin, options)


def measure(installation: Installation, origin: OriginServer, options: argparse.Namespace) -> None:
    installation.ask(WARM)
    for pid in installation.pids("-m worker "):
        os.setpriority(os.PRIO_PROCESS, pid, options.nice)
    titles = ("p50 ms", "p99 ms", "hits/s", "failed", "API MB")
    print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, pool nice {options.nice}")
    print(f"{'besides the hits':34}" + "".join(f"{title:>9}" for title in titles))
    waiting: list[socket.socket] = []
    for number in options.waiting:
        waiting += [client for n in range(len(waiting), number) for client in misses(installation, origin, n)]
        until(lambda: installation.table.depths()["running"] >= min(number, 2), what="the misses")  # noqa: B023
        run = hits(installation, options)
        answered = len(select.select(waiting, [], [], 0)[0]) if waiting else 0
        show(installation, f"{number - answered} misses wait", run)
    show(installation, "and the pool converts", converting(installation, origin, options))
    for client in waiting:
        client.close()


def misses(installation: Installation, origin: OriginServer, number: int) -> Iterator[socket.socket]:
    """Wait as one client for one master, which stops half-way."""
    path = f"held-{number}.tif"
    origin.script(path, body=VALLEY, hold_at=1000)
    place = urlsplit(installation.url)
    client = socket.create_connection((str(place.hostname), place.port))
    client.sendall(f"GET /images/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    yield client


def converting(installation: Installation, origin: OriginServer, options: argparse.Namespace) -> Run:
    """Hits while both pool processes convert one small master after the other, and the others still wait."""
    over = threading.Event()
    for number in range(2):
        origin.script_of(f"held-{number}.tif").go.set()

    def ask() -> None:
        number = 0
        while not over.is_set():
            number += 1
            path = f"{threading.get_ident()}-{number}.tif"
            origin.script(path, body=VALLEY)
            installation.ask(path)

    for number in range(2, max(options.waiting)):
        origin.script_of(f"held-{number}.tif").go.set()
    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        return hits(installation, options)
    finally:
        over.set()
        for thread in threads:
            thread.join()


def hits(installation: Installation, options: argparse.Namespace) -> Run:
    """Measure hits from a separate process: this one also is the repository and the clients that wait."""
    place = urlsplit(installation.url)
    address = str(place.hostname), int(place.port or 80)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(steady, address, f"/images/{WARM}", PAUSE, options.seconds).result()


def show(installation: Installation, title: str, run: Run) -> None:
    memory = sum(resident(pid) for pid in installation.pids("gunicorn"))
    figures = f"{run.p50:9.2f}{run.p99:9.2f}{run.rate:9.0f}{run.failed:9}{memory / 1e6:9.0f}"
    print(f"{title:34}{figures}", flush=True)


def resident(pid: int) -> int:
    """Bytes that *pid* holds for itself: what processes share after the fork is not counted twice."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    main()
