"""Several origins, one dead and one slow: `python -m benchmarks.origins` in the root folder.

A whole `mezcal up` in front of a repository on loopback, a folder, a bucket (moto), a repository that refuses every
connection and one that takes long for each master. A client asks for new images of each of the first three, one after
the other: first alone, then while others ask for images of the dead and the slow one all the time. Prints the times of
the first three; their p95 should be at most 1.1 times that of the first run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from uuid import uuid4

import requests

from benchmarks.fair_shares import Repository
from tests.support.installation import SAMPLES, running_installation
from tests.support.roles import free_port
from tests.support.s3_server import S3Server, running_s3

MASTER = (SAMPLES / "maps/valley.tif").read_bytes()
PAUSE = 0.1  # seconds from an answer to the next request
RAMP = 6.0  # seconds in which the others begin: the breaker of the dead one opens
Times = dict[str, list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="of each of the two runs (default: %(default)s)")
    parser.add_argument("--workers", default="5", help="pool processes")
    parser.add_argument("--slow-seconds", type=float, default=5, help="that the slow repository takes for a master")
    parser.add_argument("--others", type=int, default=4, help="clients of each of the dead and the slow one")
    parser.add_argument("--places", type=int, default=1, help="concurrency of both; 0 is no bound")
    options = parser.parse_args()
    print(f"conditions: {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {options.workers} pool processes,")
    print(f"{options.others} clients for each of the others, which have {options.places} places")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        good, slow = stack.enter_context(Repository()), stack.enter_context(Repository())
        slow.seconds = options.slow_seconds
        server = stack.enter_context(running_s3(folder))
        server.bucket("masters")
        count = 2 * int(options.seconds / PAUSE) + 2
        (folder / "masters").mkdir()
        for number in range(count):
            (folder / f"masters/{number}.tif").write_bytes(MASTER)
            server.request("PUT", f"masters/{number}.tif", data=MASTER)
        file = folder / "origins.toml"
        file.write_text(tables(good.url, slow.url, server, folder, options.places))
        given = {"ORIGINS_FILE": str(file), "CLIENT_SHARE_EXEMPT": "127.0.0.0/8", "LOG_LEVEL": "ERROR"}
        parts = ("--nginx", "never", "--workers", options.workers)
        installation = stack.enter_context(running_installation(folder, good.url + "home/", *parts, **given))
        measure(installation.url, options)


def tables(good: str, slow: str, server: S3Server, folder: Path, places: int) -> str:
    bound = f"concurrency = {places}\n"
    return (
        f'[good]\nprefix = "good"\nurl = "{good}"\n'
        f'[folder]\nprefix = "folder"\nurl = "{(folder / "masters").as_uri()}"\n'
        f'[bucket]\nprefix = "bucket"\nurl = "s3://masters"\ninternal_url = "{server.url}"\n'
        f'username = "id"\npassword = "secret"\nregion = "us-east-1"\n'
        f'[slow]\nprefix = "slow"\nurl = "{slow}"\n{bound}'
        f'[dead]\nprefix = "dead"\nurl = "http://127.0.0.1:{free_port()}/"\n{bound}'
    )


def measure(url: str, options: argparse.Namespace) -> None:
    alone = ask_all(url, options.seconds, 0)
    stop = threading.Event()
    others = [
        threading.Thread(target=ask_until, args=(url, prefix, stop))
        for prefix in ("slow", "dead")
        for _ in range(options.others)
    ]
    for thread in others:
        thread.start()
    time.sleep(RAMP)
    beside = ask_all(url, options.seconds, 100_000)
    stop.set()
    for name, times in alone.items():
        ratio = p95(beside[name]) / p95(times)
        failed = sum(one == float("inf") for one in times + beside[name])
        print(
            f"{name}: p50 {statistics.median(times):.0f}, p95 {p95(times):.0f} ms alone ({len(times)}); "
            f"p50 {statistics.median(beside[name]):.0f}, p95 {p95(beside[name]):.0f} ms ({len(beside[name])}); "
            f"{ratio:.2f} times, at most 1.1 wanted; {failed} failed",
            flush=True,
        )


def ask_all(url: str, seconds: float, offset: int) -> Times:
    """Ask for new images of the three origins in turn. Returns the milliseconds of each, infinite for a failure."""
    times: Times = {"good": [], "folder": [], "bucket": []}
    ends, number = time.monotonic() + seconds, 0
    with requests.Session() as session:
        session.trust_env = False
        while time.monotonic() < ends:
            number += 1
            for name, taken in times.items():
                stored = f"{number + (int(seconds / PAUSE) if offset else 0)}.tif"
                path = f"good/{uuid4().hex}.tif" if name == "good" else f"{name}/{stored}"
                began = time.perf_counter()
                status = session.get(f"{url}/images/{path}", timeout=60).status_code
                taken.append(1000 * (time.perf_counter() - began) if status == 200 else float("inf"))
                time.sleep(PAUSE)
    return times


def ask_until(url: str, prefix: str, stop: threading.Event) -> None:
    with requests.Session() as session:
        session.trust_env = False
        while not stop.is_set():
            with suppress(requests.RequestException):  # the installation ends
                session.get(f"{url}/images/{prefix}/{uuid4().hex}.tif", timeout=60)
            stop.wait(0.2)


def p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=100)[94]


if __name__ == "__main__":
    main()
