"""`mezcal warm`, and requests at the same time: `python -m benchmarks.warm [--images 10000]` in the root folder.

A whole `mezcal up` with two pool processes, one of which bulk jobs never take, in front of a folder of small samples.
Cold requests one after the other: first while nothing else is to do, then while `mezcal warm --from LIST --wait` has
the images made. Prints the rate of the warming from the start of the command to its end, the 50th and 99th percentile
of the requests in milliseconds, and their ratios to idle: that of p99 shall be at most 2.

Then the cost of reading for the client, without workers: time and peak memory to send a list of
`--listed` paths, and to count the same number of cached ones, compared with jobs that find them in the store.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from tests.support.broker import running_broker
from tests.support.installation import MEZCAL, SAMPLES, running_installation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.installation import Installation

MASTER = SAMPLES / "maps" / "valley.tif"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--requests", type=int, default=300, help="cold requests in idle")
    parser.add_argument("--listed", type=int, default=1_000_000)
    options = parser.parse_args()
    print(f"conditions: {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, 2 pool processes, small samples")
    with tempfile.TemporaryDirectory() as name:
        masters = Path(name, "masters")
        wanted = filled(masters, "bulk", options.images)
        asked = (f"asked/{number}.tif" for number in count())
        given = {"LOG_LEVEL": "WARNING", "DRAIN_SECONDS": "2"}
        (installation_folder := Path(name, "installation")).mkdir()
        with running_installation(installation_folder, masters.as_uri(), **given) as installation:
            warm_with_requests(installation, masters, wanted, asked, options.requests)
            again(installation, wanted)
    handing_over(options.listed)


def warm_with_requests(
    installation: Installation, masters: Path, wanted: Path, asked: Iterator[str], number: int
) -> None:
    cold(installation, masters, asked, 20)
    idle = cold(installation, masters, asked, number)
    began = time.perf_counter()
    with subprocess.Popen(
        [MEZCAL, "warm", "--wait", "--from", wanted],
        cwd=installation.folder,
        env=installation.environment,
        stderr=subprocess.DEVNULL,
    ) as warming:
        busy = []
        while warming.poll() is None:
            busy += cold(installation, masters, asked, 5)
    took = time.perf_counter() - began
    images = len(wanted.read_text().splitlines())
    print(f"warmed {images:,} images in {took:.1f} s: {images / took:.0f} a second, {len(busy)} requests meanwhile")
    print("                p50     p99   in ms")
    print(f"idle       {p50(idle):8.1f}{p99(idle):8.1f}")
    print(f"warming    {p50(busy):8.1f}{p99(busy):8.1f}")
    print(f"of idle    {p50(busy) / p50(idle):7.2f}x{p99(busy) / p99(idle):7.2f}x", flush=True)


def again(installation: Installation, wanted: Path) -> None:
    """Warm cached images: compare requests to the store with jobs that find the images there."""
    images = len(wanted.read_text().splitlines())
    took, peak = timed(installation.environment, installation.folder, "--from", str(wanted))
    elsewhere = installation.environment | {"STORAGE_DIR": str(installation.folder / "empty")}
    by_jobs, _ = timed(elsewhere, installation.folder, "--wait", "--from", str(wanted))
    print(f"{images:,} cached ones: counted in {took:.1f} s ({peak:.0f} MB); by jobs that find them {by_jobs:.1f} s")


def handing_over(listed: int) -> None:
    """Send a long list from a pipe, without a worker."""
    with tempfile.TemporaryDirectory() as name, running_broker(Path(name)) as broker:
        env = os.environ | {"REDIS_URL": broker.url, "DATA_DIR": str(Path(name, "data"))}
        lines = (f"dc/2026/collection-{n // 997:05}/object-{n:08}.tif\n" for n in range(listed))
        took, peak = timed(env, Path(name), "--from", "-", lines=lines)
        print(f"{listed:,} paths handed over in {took:.1f} s: {1e6 * took / listed:.0f} us each, {peak:.0f} MB at most")


def timed(env: dict[str, str], folder: Path, *words: str, lines: Iterator[str] | None = None) -> tuple[float, float]:
    """Seconds that `mezcal warm` takes with *words*, and its peak memory in MB."""
    began = time.perf_counter()
    with subprocess.Popen(
        ["/usr/bin/env", MEZCAL, "warm", *words], cwd=folder, env=env, text=True,
        stdin=subprocess.PIPE if lines else subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as warming:  # fmt: skip
        peak = 0.0
        if warming.stdin and lines:
            warming.stdin.writelines(lines)
            warming.stdin.close()
        while warming.poll() is None:
            peak = max(peak, high_water(warming.pid))
            time.sleep(0.02)
    return time.perf_counter() - began, peak


def high_water(pid: int) -> float:
    """Returns the largest memory of *pid* so far, in MB."""
    try:
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) / 1024 if found else 0


def filled(masters: Path, below: str, number: int) -> Path:
    """Make *number* hard links to one master. Returns the file that lists them."""
    (masters / below).mkdir(parents=True)
    (masters / "asked").mkdir()
    original = masters / "original.tif"
    original.write_bytes(MASTER.read_bytes())
    for n in range(number):
        (masters / below / f"{n}.tif").hardlink_to(original)
    wanted = masters / "list.txt"
    wanted.write_text("".join(f"{below}/{n}.tif\n" for n in range(number)))
    return wanted


def cold(installation: Installation, masters: Path, asked: Iterator[str], number: int) -> list[float]:
    """Request *number* new masters one after the other. Returns the milliseconds of each."""
    taken = []
    with requests.Session() as client:
        client.trust_env = False
        for _ in range(number):
            path = next(asked)
            (masters / path).hardlink_to(masters / "original.tif")
            began = time.perf_counter()
            client.get(f"{installation.url}/images/{path}").raise_for_status()
            taken.append(1000 * (time.perf_counter() - began))
    return taken


def p50(taken: list[float]) -> float:
    return statistics.median(taken)


def p99(taken: list[float]) -> float:
    return statistics.quantiles(taken, n=100)[98]


if __name__ == "__main__":
    main()
