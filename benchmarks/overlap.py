"""How much of a conversion hides behind its download: `python -m benchmarks.overlap` in the root folder.

A throttled origin, in a separate process, serves an LZW TIFF with its directory at the head or at the tail.
For each rate, medians of: the download alone, the conversion alone (from a local file), both at once, and the
ratio of that, less 50 ms, to the longer of the two. One after the other would be their sum.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyvips
import tifffile

from mezcal.convert import ConversionContext, convert
from mezcal.origin import Origin, open_origin
from mezcal.settings import load
from tests.support.origin_server import OriginServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

ALLOWED = 0.05  # seconds that overlap may cost besides 5 %


def make_masters(folder: Path, megapixels: float) -> dict[str, Path]:
    """Photo-like LZW masters: tifffile writes the directory before the pixels, libtiff behind them."""
    edge = int((megapixels * 1e6) ** 0.5) // 64 * 64
    noise = np.random.default_rng(1).integers(0, 6, (edge, edge, 3), dtype=np.uint8)
    slopes = np.linspace(0, 200, edge, dtype=np.uint8)
    pixels = noise + slopes[None, :, None] // np.array([1, 2, 3], dtype=np.uint8) + slopes[:, None, None] // 8
    head, tail = folder / "head.tif", folder / "tail.tif"
    tifffile.imwrite(head, pixels, compression="lzw", predictor=True, rowsperstrip=16, photometric="rgb")
    pyvips.Image.new_from_array(pixels).tiffsave(str(tail), compression="lzw", predictor="horizontal")
    return {"head": head, "tail": tail}


def serve(masters: dict[str, Path], rates: list[int], pipe: Connection) -> None:
    with OriginServer() as origin:
        for name, path in masters.items():
            body = path.read_bytes()
            for rate in rates:
                origin.script(f"{rate}/{name}.tif", body=body, rate=rate * 1e6, etag=f'"{name}"')
        pipe.send(origin.url)
        pipe.recv()


@contextmanager
def origin_process(masters: dict[str, Path], rates: list[int]) -> Iterator[str]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=serve, args=(masters, rates, theirs), daemon=True)
    process.start()
    yield ours.recv()
    ours.send("stop")
    process.join()


def medians(works: list[Callable[[], None]], runs: int) -> list[float]:
    """Seconds of each work; they take turns, so that other work on the machine slows all of them equally."""
    taken = [[clocked(work) for work in works] for _ in range(runs)]
    return [statistics.median(column) for column in zip(*taken, strict=True)]


def clocked(work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def download(origin: Origin, path: str) -> None:
    with origin.open(path) as master:
        master.complete()


def derive(origin: Origin, path: str, target: Path) -> None:
    with origin.open(path) as master:
        convert(master.file, target, ConversionContext())
        master.complete()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--megapixels", type=float, default=100)
    parser.add_argument("--rates", type=int, nargs="+", default=[50, 100, 200], help="MB/s")
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        masters = make_masters(folder, args.megapixels)
        with origin_process(masters, args.rates) as url:
            compare(url, folder, masters, args.rates, args.runs)


def compare(url: str, folder: Path, masters: dict[str, Path], rates: list[int], runs: int) -> None:
    target = folder / "image.jpg"
    remote = open_origin(load(repo_base_url=url, tmp_dir=folder / "scratch"))
    local = open_origin(load(repo_base_url=folder.as_uri()))
    print("directory  MB/s     MB  download  convert  together  of the longer")
    for name, path in masters.items():
        derive(local, path.name, target)  # the first in a process also starts the libraries
        for rate in rates:
            place = f"{rate}/{path.name}"
            works = [
                partial(download, remote, place),
                partial(derive, local, path.name, target),
                partial(derive, remote, place, target),
            ]
            downloading, converting, together = medians(works, runs)
            ratio = (together - ALLOWED) / max(downloading, converting)
            figures = f"{downloading:8.2f}s {converting:7.2f}s {together:8.2f}s {ratio:14.3f}"
            print(f"{name:9} {rate:5} {path.stat().st_size / 1e6:6.0f} {figures}", flush=True)


if __name__ == "__main__":
    main()
