"""What a second pool process brings, and a second worker: `python -m benchmarks.scale` in the root folder.

A valkey and a repository on loopback; masters of 12 megapixels, RGB and LZW-compressed, each asked for in bulk and made
once. Throughput in images a second with one pool process on one core, with one that may use all (it encodes in several
threads then), with two in one worker, and with two workers of one process and core each, as `mezcal worker` starts
them on two machines; interleaved, and the ratio to one process on one core, which shall be at least 1.8 for two on two.
Nothing is reserved for interactive jobs here: no client waits.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import tifffile

from mezcal.jobs import Jobs, Lane
from mezcal.recipe import Mezzanine
from tests.support.broker import running_broker
from tests.support.roles import Installation
from tests.support.waiting import until

CORES = sorted(os.sched_getaffinity(0))
WAYS = {  # workers, each by its cores and processes
    "1 process, 1 core": [(CORES[:1], 1)],
    "1 process": [(CORES, 1)],
    "2 processes": [(CORES, 2)],
    "2 workers": [(CORES[:1], 1), (CORES[-1:], 1)],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    master = twelve_megapixels()
    print(f"conditions: {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {options.images} masters of 12 MP")
    taken: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(options.rounds):
        for name, workers in WAYS.items():
            taken[name].append(images_a_second(workers, master, options.images))
    one = statistics.median(taken["1 process, 1 core"])
    print(f"{'':<18}images/s   of one")
    for name, rates in taken.items():
        rate = statistics.median(rates)
        print(f"{name:<18}{rate:8.2f}{rate / one:8.2f}x   ({', '.join(f'{each:.2f}' for each in rates)})", flush=True)


def images_a_second(workers: list[tuple[list[int], int]], master: bytes, count: int) -> float:
    """Throughput of *workers*, by cores and processes, over *count* images, start-up not counted."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        broker = stack.enter_context(running_broker(folder))
        given = {"REDIS_URL": broker.url, "INTERACTIVE_RESERVE": "0", "LOG_LEVEL": "WARNING", "DRAIN_SECONDS": "2"}
        here = Installation(folder / "here", **given)
        for number, (cores, processes) in enumerate(workers):
            os.sched_setaffinity(0, cores)  # who is started inherits it
            sign = {"ROLE_SIGN": str(folder / f"{number}.role"), "WORKER_HEARTBEAT": str(folder / f"{number}.alive")}
            stack.enter_context(here.role("worker", "--concurrency", str(processes), **sign))
        os.sched_setaffinity(0, CORES)
        jobs = Jobs.of(here.settings)
        make_all(here, jobs, master, [f"warm-{number}.tif" for number in range(4)])
        began = time.perf_counter()
        make_all(here, jobs, master, [f"{number}.tif" for number in range(count)])
        return count / (time.perf_counter() - began)


def make_all(here: Installation, jobs: Jobs, master: bytes, paths: list[str]) -> None:
    for path in paths:
        if not (here.masters / path).exists():
            (here.masters / path).write_bytes(master)
    recipes = [Mezzanine.parse(path) for path in paths]
    for recipe in recipes:
        jobs.ask(recipe, Lane.BULK)
    until(lambda: not any(jobs.table.depths().values()), 600, "the end of all jobs")
    assert jobs.failures() == []


def twelve_megapixels() -> bytes:
    """4000 x 3000 pixels of gradients and grain: neither flat nor noise."""
    rng = np.random.default_rng(12)
    down, across = np.mgrid[0:3000, 0:4000]
    shades = np.stack([across // 16, down // 12, (across + down) // 28], axis=-1)
    pixels = (shades + rng.integers(0, 8, shades.shape)).clip(0, 255).astype(np.uint8)
    out = io.BytesIO()
    tifffile.imwrite(out, pixels, photometric="rgb", compression="lzw", rowsperstrip=64)
    return out.getvalue()


if __name__ == "__main__":
    main()
