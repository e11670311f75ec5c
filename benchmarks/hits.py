"""Hits: `mezcal up` with nginx and the API alone, next to plain nginx and a minimal Flask `send_file` on waitress.

    python -m benchmarks.hits [--seconds 3] [--rounds 3] [--processes 2] [--pinned] [--sizes ..] [--connections ..]

Each server has separate processes; the same files, loopback, keep-alive. `--pinned` puts the servers on one core
and the load on another. Rounds are interleaved, medians taken. Prints requests per second, p50 and p99 in milliseconds,
the CPU milliseconds of the server per request, failed requests, and ratios: rate and p99 to waitress, rate and CPU to
plain nginx. Where the machine is busy, the CPU tells more than the rate.
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

from benchmarks.load import Run, load
from mezcal.runtime.nginx import nginx

if TYPE_CHECKING:
    from collections.abc import Iterator

MEZCAL = str(Path(sys.executable).with_name("mezcal"))
START = 60  # seconds
SIZES = {"100 KB": 100_000, "1 MB": 1_000_000, "8 MB": 8_000_000}
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


PLAIN = """
daemon off;
{user}
pid {run}/nginx.pid;
error_log stderr warn;
worker_processes {processes};
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    keepalive_timeout 75s;
    keepalive_requests 100000;
    types {{ }}
    default_type image/jpeg;
    client_body_temp_path {run}/body; proxy_temp_path {run}/proxy; fastcgi_temp_path {run}/fastcgi;
    uwsgi_temp_path {run}/uwsgi; scgi_temp_path {run}/scgi;
    server {{ listen 127.0.0.1:{port}; root {cache}; }}
}}
"""


def main() -> None:
    options = arguments()
    cores = {0} if options.pinned else None
    if options.pinned:
        os.sched_setaffinity(0, {1})
    with ExitStack() as stack:
        cache = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name, size in SIZES.items():
            path = cache / name.replace(" ", "") / "image.jpg"
            path.parent.mkdir()
            path.write_bytes(b"\xff\xd8" + os.urandom(size - 4) + b"\xff\xd9")
        cache.chmod(0o755)
        servers = {
            "waitress": stack.enter_context(waitress(cache, cores)),
            "API alone": stack.enter_context(api_alone(cache, cores, options.processes)),
            "mezcal up": stack.enter_context(mezcal_up(cache, cores, options.processes)),
            "nginx": stack.enter_context(plain(cache, cores, options.processes)),
        }
        print(
            f"conditions: {'servers on core 0, load on core 1' if options.pinned else 'unpinned'}, "
            f"{os.cpu_count()} cores, {options.processes} processes, {options.rounds} rounds of "
            f"{options.seconds:g} s, medians; load average {os.getloadavg()[0]:.1f}"
        )
        titles = ("req/s", "p50 ms", "p99 ms", "CPU ms", "failed", "rate x", "p99 /", "of nginx", "CPU of")
        print(f"{'size':8}{'conn.':>6}  {'server':10}" + "".join(f"{title:>9}" for title in titles))
        for name in options.sizes:
            for connections in options.connections:
                compare(servers, name, connections, options)


def compare(servers: dict[str, Server], name: str, connections: int, options: argparse.Namespace) -> None:
    runs: dict[str, list[Run]] = {name: [] for name in servers}
    cpu: dict[str, list[float]] = {name: [] for name in servers}
    for _ in range(options.rounds):
        for title, server in servers.items():
            before = server.cpu_seconds()
            target = f"{server.prefix}{name.replace(' ', '')}{server.suffix}"
            run = load(("127.0.0.1", server.port), target, connections, options.seconds)
            runs[title].append(run)
            cpu[title].append(1000 * (server.cpu_seconds() - before) / max(1, run.rate * options.seconds))
    base, best = median(runs["waitress"]), median(runs["nginx"])
    best_cpu = statistics.median(cpu["nginx"])
    for title, measured in runs.items():
        run, cost = median(measured), statistics.median(cpu[title])
        ratios = (run.rate / base.rate, base.p99 / run.p99, run.rate / best.rate, cost / best_cpu)
        figures = f"{run.rate:9.0f}{run.p50:9.2f}{run.p99:9.2f}{cost:9.3f}{run.failed:9}"
        print(f"{name:8}{connections:6}  {title:10}{figures}" + "".join(f"{x:9.2f}" for x in ratios), flush=True)


class Server:
    """A server's process tree."""

    prefix, suffix = "/images/", ""

    def __init__(self, pid: int, port: int) -> None:
        self.pid, self.port = pid, port

    def cpu_seconds(self) -> float:
        """Returns the CPU seconds of the process tree so far, user and system."""
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


def environment(cache: Path, processes: int) -> dict[str, str]:
    return {"STORAGE_DIR": str(cache), "REPO_BASE_URL": "http://127.0.0.1:1/", "API_PROCESSES": str(processes)}


def api_alone(cache: Path, cores: set[int] | None, processes: int):
    port = free_port()
    env = environment(cache, processes) | {"REDIS_URL": "redis://127.0.0.1:1/0"}
    return serving([MEZCAL, "api", "--port", str(port)], port, cores, env)


@contextmanager
def mezcal_up(cache: Path, cores: set[int] | None, processes: int) -> Iterator[Server]:
    port = free_port()
    with tempfile.TemporaryDirectory() as data:
        command = [MEZCAL, "up", "--nginx", "always", "--port", str(port), "--data-dir", data, "--workers", "2"]
        with serving(command, port, cores, environment(cache, processes)) as server:
            yield server


@contextmanager
def plain(cache: Path, cores: set[int] | None, processes: int) -> Iterator[Server]:
    port = free_port()
    with tempfile.TemporaryDirectory() as run:
        whose = f"user {user()};" if user() else ""
        text = PLAIN.format(run=run, cache=cache, port=port, processes=processes, user=whose)
        with nginx_of(text, Path(run), port, cores) as server:
            server.prefix, server.suffix = "/", "/image.jpg"
            yield server


def user() -> str | None:
    return "root" if os.geteuid() == 0 else None


@contextmanager
def nginx_of(text: str, run: Path, port: int, cores: set[int] | None) -> Iterator[Server]:
    (run / "nginx.conf").write_text(text)
    with serving([str(nginx()), "-e", "stderr", "-p", str(run), "-c", str(run / "nginx.conf")], port, cores, {}) as up:
        yield up


@contextmanager
def serving(command: list[str], port: int, cores: set[int] | None, env: dict[str, str]) -> Iterator[Server]:
    pin = None if cores is None else lambda: os.sched_setaffinity(0, cores)
    server = subprocess.Popen(command, env=os.environ | env, preexec_fn=pin, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START
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
    parser.add_argument("--pinned", action="store_true")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES), metavar="SIZE")
    parser.add_argument("--connections", nargs="+", type=int, default=[1, 16, 64])
    return parser.parse_args()


if __name__ == "__main__":
    main()
