"""What a cold request costs besides the work itself: `python -m benchmarks.miss_overhead` in the root folder.

A whole `mezcal up` (an API process, 2 pool processes, the bundled broker) in front of a repository on loopback;
each request is for another small master. Beside it, in this process, `derive()` alone for a master like it, from
the same repository. The two take turns. Prints medians in milliseconds, and the difference, which is what HTTP,
queue, lease and waking cost; it shall be below 15.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from mezcal.convert import ConversionOptions
from mezcal.derive import derive
from mezcal.origin import open_origin
from mezcal.recipe import Mezzanine
from mezcal.settings import load
from mezcal.store import open_store
from tests.support.installation import SAMPLES, running_installation
from tests.support.origin_server import OriginServer

if TYPE_CHECKING:
    from collections.abc import Callable

MASTER = (SAMPLES / "maps" / "valley.tif").read_bytes()


def clocked(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name, OriginServer() as repository:
        folder = Path(name)
        settings = load(_env_file=None, data_dir=folder / "alone", repo_base_url=repository.url)
        origin, store, choices = open_origin(settings), open_store(settings), ConversionOptions.of(settings)
        (folder / "installation").mkdir()
        with (
            running_installation(folder / "installation", repository.url, LOG_LEVEL="WARNING") as installation,
            requests.Session() as client,
        ):
            cold: list[float] = []
            alone: list[float] = []
            for number in range(-10, rounds):  # the first ones start libraries and connections
                asked, made = (f"{kind}{number}.tif" for kind in ("asked", "made"))
                for path in (asked, made):
                    repository.script(path, body=MASTER)
                request = clocked(lambda path=asked: client.get(f"{installation.url}/images/{path}").raise_for_status())
                work = clocked(lambda path=made: derive(Mezzanine.parse(path), origin, store, choices))
                if number >= 0:
                    cold.append(request)
                    alone.append(work)
    report(cold, alone)


def report(cold: list[float], alone: list[float]) -> None:
    print(f"conditions: {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {len(cold)} rounds, medians (p90) in ms")
    for title, taken in (("cold request", cold), ("derive() alone", alone)):
        print(f"{title:16}{statistics.median(taken):8.1f}  ({statistics.quantiles(taken, n=10)[-1]:.1f})")
    print(f"{'overhead':16}{statistics.median(cold) - statistics.median(alone):8.1f}")


if __name__ == "__main__":
    main()
