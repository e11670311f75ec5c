"""Hits: the API alone beside a bare Flask `send_file` on waitress, in one run.

    python benchmarks/hits.py [--seconds 3] [--rounds 3] [--processes 2] [--unpinned]

Each server in its own processes, the same file, loopback, keep-alive; the servers on one core and the load on
another unless `--unpinned`. Rounds are interleaved and medians taken. Prints requests per second, p50 and p99 in
milliseconds, the server's CPU milliseconds per request, and how many times faster than waitress.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from load import Run, load

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZES = {"100 KB": 100_000, "1 MB": 1_000_000, "8 MB": 8_000_000}
CONNECTIONS = (1, 16, 64)
BARE = """
import sys
from flask import Flask, send_file
from waitress import serve
app = Flask("bare")
@app.get("/images/<path:name>")
def image(name):
    return send_file(f"{sys.argv[1]}/{name}/image.jpg", mimetype="image/jpeg")
serve(app, host="127.0.0.1", port=int(sys.argv[2]), threads=4)
"""


def main() -> None:
    options = arguments()
    servers_on = None if options.unpinned else {0}
    if not options.unpinned:
        os.sched_setaffinity(0, {1})
    with ExitStack() as stack:
        cache = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name, size in SIZES.items():
            path = cache / name.replace(" ", "") / "image.jpg"
            path.parent.mkdir()
            path.write_bytes(b"\xff\xd8" + os.urandom(size - 4) + b"\xff\xd9")
        servers = {
            "waitress": stack.enter_context(waitress(cache, servers_on)),
            "mezcal": stack.enter_context(mezcal(cache, servers_on, options.processes)),
        }
        print(
            f"conditions: {'unpinned' if options.unpinned else 'servers on core 0, load on core 1'}, "
            f"{options.processes} API processes, {options.rounds} rounds of {options.seconds:g} s, medians"
        )
        titles = ("req/s", "p50 ms", "p99 ms", "CPU ms", "failed", "rate x", "p99 /", "CPU /")
        print(f"{'size':8}{'conn.':>6}  {'server':10}" + "".join(f"{title:>9}" for title in titles))
        for name in SIZES:
            for connections in CONNECTIONS:
                compare(servers, name, connections, options)


def compare(servers: dict[str, Server], name: str, connections: int, options: argparse.Namespace) -> None:
    runs: dict[str, list[Run]] = {name: [] for name in servers}
    cpu: dict[str, list[float]] = {name: [] for name in servers}
    for _ in range(options.rounds):
        for title, server in servers.items():
            before = server.cpu_seconds()
            run = load(("127.0.0.1", server.port), f"/images/{name.replace(' ', '')}", connections, options.seconds)
            runs[title].append(run)
            cpu[title].append(1000 * (server.cpu_seconds() - before) / max(1, run.rate * options.seconds))
    base, base_cpu = median(runs["waitress"]), statistics.median(cpu["waitress"])
    for title, measured in runs.items():
        run, cost = median(measured), statistics.median(cpu[title])
        ratios = (run.rate / base.rate, base.p99 / run.p99, base_cpu / cost)
        figures = f"{run.rate:9.0f}{run.p50:9.2f}{run.p99:9.2f}{cost:9.3f}{run.failed:9}"
        print(f"{name:8}{connections:6}  {title:10}{figures}" + "".join(f"{x:9.2f}" for x in ratios), flush=True)


class Server:
    """A server's process tree."""

    def __init__(self, pid: int, port: int) -> None:
        self.pid, self.port = pid, port

    def cpu_seconds(self) -> float:
        """What the tree has used so far, user and system."""
        return sum(ticks(pid) for pid in tree(self.pid)) / os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(deeper for child in below for deeper in tree(int(child)))]


def ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def median(runs: list[Run]) -> Run:
    return Run(
        statistics.median(run.rate for run in runs),
        statistics.median(run.p50 for run in runs),
        statistics.median(run.p99 for run in runs),
        sum(run.failed for run in runs),
    )


def waitress(cache: Path, cores: set[int] | None):
    port = free_port()
    return serving([sys.executable, "-c", BARE, str(cache), str(port)], port, cores, {})


def mezcal(cache: Path, cores: set[int] | None, processes: int):
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--config", "python:api.gunicorn", "--bind", f"127.0.0.1:{port}"]
    env = {
        "STORAGE_DIR": str(cache),
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "REPO_BASE_URL": "http://127.0.0.1:1/",
        "API_PROCESSES": str(processes),
    }
    return serving([*command, "api:create_app()"], port, cores, env)


@contextmanager
def serving(command: list[str], port: int, cores: set[int] | None, env: dict[str, str]) -> Iterator[Server]:
    pin = None if cores is None else lambda: os.sched_setaffinity(0, cores)
    server = subprocess.Popen(command, env=os.environ | env, preexec_fn=pin, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while not answers(port):
            assert time.monotonic() < deadline, f"{command} does not answer"
            time.sleep(0.05)
        yield Server(server.pid, port)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--unpinned", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
