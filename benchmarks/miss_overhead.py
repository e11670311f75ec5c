"""What a cold request costs besides the work itself: `python -m benchmarks.miss_overhead` in the root folder.

The default `mezcal up` (nginx where there is one, 2 pool processes, the bundled broker) in front of a repository in a
separate process, on loopback; each request is for another small master. The worker's log says how long each job took.
Prints the medians of the requests, of the jobs, and of their differences, in milliseconds: a difference is what HTTP,
queue, lease and waking cost one request.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.support.installation import SAMPLES, running_installation
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

MASTER = SAMPLES / "maps" / "valley.tif"
WARM_UP = 10  # requests that start libraries and connections


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--nginx", default="auto", choices=("auto", "always", "never"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = masters(folder / "masters", WARM_UP + options.rounds)
        with (
            repository(folder / "masters") as url,
            running_installation(folder, url, "--nginx", options.nginx, LOG_FORMAT="json") as installation,
            closing(http.client.HTTPConnection(urlsplit(installation.url).netloc)) as client,
        ):
            taken = {path: timed(client, f"/images/{path}") for path in paths}
            jobs = until(lambda: job_times(installation.journal, len(paths)), what="the worker's last line")
    measured = paths[WARM_UP:]
    report([taken[path] for path in measured], [jobs[path] for path in measured])


def masters(folder: Path, number: int) -> list[str]:
    """Make *number* masters in *folder*, and return their paths."""
    folder.mkdir()
    folder.chmod(0o755)
    for index in range(number):
        (folder / f"{index}.tif").write_bytes(MASTER.read_bytes())
    return [f"{index}.tif" for index in range(number)]


@contextmanager
def repository(folder: Path) -> Iterator[str]:
    """A file server in a separate process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(folder)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, what="the repository")
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait()


def timed(client: http.client.HTTPConnection, target: str) -> float:
    """Returns the milliseconds of one request, with a client that takes little time itself."""
    began = time.perf_counter()
    client.request("GET", target)
    response = client.getresponse()
    response.read()
    taken = 1000 * (time.perf_counter() - began)
    if response.status != http.client.OK:
        raise SystemExit(f"{target} was answered with {response.status}")
    return taken


def job_times(journal: Path, number: int) -> dict[str, float] | None:
    """Returns the milliseconds of each job by its path, None until the log has *number* of them."""
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    found = {line["path"]: line["ms"] for line in lines if line["event"] == "job"}
    return found if len(found) == number else None


def report(requested: list[float], worked: list[float]) -> None:
    count, load = len(requested), os.getloadavg()[0]
    print(f"conditions: {os.cpu_count()} cores, load {load:.1f}, {count} rounds, medians (p90) in ms")
    overhead = [request - job for request, job in zip(requested, worked, strict=True)]
    for title, taken in (("cold request", requested), ("its job", worked), ("overhead", overhead)):
        print(f"{title:16}{statistics.median(taken):8.1f}  ({statistics.quantiles(taken, n=10)[-1]:.1f})")


if __name__ == "__main__":
    main()
