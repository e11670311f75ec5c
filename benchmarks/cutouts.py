"""Compares cutouts of compressed frames with astropy's `Cutout2D` and with astrocut: CPU, bytes fetched, latency.

    .venv/bin/python -m benchmarks.cutouts [--positions 1000] [--frames 50]

The first part is one process without HTTP: CPU milliseconds for 256 x 256 pixels, the best of some rounds in turns, and
the bytes and requests of the frame's file by ranges. The second part is a running installation and an archive with 50
frames of 2048 x 2048: positions all over them, each asked for once, beside an installation that keeps no frames, and a
process that downloads the whole frame and cuts it with `Cutout2D`.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import requests
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS
from PIL import Image

from benchmarks.fits import frame
from mezcal.convert import ConversionContext
from mezcal.convert.fits.thumbnail import draw
from mezcal.origin.archive import FrameOrigin
from mezcal.recipe import ThumbnailOptions
from mezcal.settings import load
from tests.support.archive_server import ArchiveServer
from tests.support.installation import SAMPLES, running_installation
from tests.support.origin_server import OriginServer

try:
    from astrocut import fits_cut
except ImportError:
    fits_cut = None

if TYPE_CHECKING:
    from collections.abc import Callable

    Cut = Callable[[Path, dict[str, str]], None]

ROUNDS = 12
SIDE = 256
CENTRE = {"ra": "150.01", "dec": "2.02", "size": f"{SIDE}px"}
WAYS = {
    "JPEG": CENTRE,
    "JPEG, north up": {**CENTRE, "orient": "exact"},
    "JPEG, overlays": {**CENTRE, "compass": "1", "scalebar": "1", "grid": "1", "crosshair": "center"},
    "PNG": {**CENTRE, "format": "png"},
    "FITS": {**CENTRE, "format": "fits"},
}


def cutout(path: Path, query: dict[str, str]) -> None:
    with path.open("rb") as file:
        draw([file], path.parent / "out", ThumbnailOptions.parse(query), ConversionContext(scratch=path.parent))


def by_cutout2d(path: Path, query: dict[str, str]) -> None:
    """Read the whole frame with astropy, cut it out, and write a JPEG between the same kind of limits."""
    with fits.open(path, memmap=False) as hdus:
        found = Cutout2D(hdus[1].data, centre_of(query), side_of(query), WCS(hdus[1].header), mode="partial")
    write_jpeg(found.data)


def by_astrocut(path: Path, query: dict[str, str]) -> None:
    """Do the same with astrocut."""
    assert fits_cut is not None
    (found,) = fits_cut([str(path)], centre_of(query), side_of(query), memory_only=True)
    write_jpeg(found[1].data)


def centre_of(query: dict[str, str]) -> SkyCoord:
    return SkyCoord(float(query["ra"]), float(query["dec"]), unit="deg")


def side_of(query: dict[str, str]) -> int:
    return int(query["size"].removesuffix("px"))


def write_jpeg(pixels: np.ndarray) -> None:
    low, high = np.nanpercentile(pixels, [0.5, 99.5])
    levels = np.nan_to_num(np.clip((pixels - low) / (high - low), 0, 1)) * 255
    Image.fromarray(levels[::-1].astype(np.uint8)).convert("RGB").save(io.BytesIO(), "JPEG", quality=80)


OTHERS = {"Cutout2D": by_cutout2d} | ({} if fits_cut is None else {"astrocut": by_astrocut})


def cpu(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return 1000 * (time.process_time() - began)


def compare(path: Path, *, integers: bool) -> None:
    tasks: dict[str, Callable[[], object]] = {
        name: lambda query=query: cutout(path, query) for name, query in WAYS.items()
    }
    others = {name: cut for name, cut in OTHERS.items() if name != "astrocut" or not integers}  # astrocut 1.4 fails
    tasks |= {name: lambda cut=cut: cut(path, CENTRE) for name, cut in others.items()}
    for work in tasks.values():
        work()
    rounds = [{name: cpu(work) for name, work in tasks.items()} for _ in range(ROUNDS)]
    best = {name: min(each[name] for each in rounds) for name in tasks}
    for name, milliseconds in best.items():
        print(f"  {name:28} {milliseconds:7.1f} ms  {milliseconds / best['JPEG']:5.1f}x")


def fetched(path: Path) -> None:
    with OriginServer(path.parent) as server:
        settings = load(_env_file=None, data_dir=path.parent, archive_api_url="http://127.0.0.1:1/")
        origin = FrameOrigin(settings, {"1": f"{server.url}{path.name}"})
        with origin.open_parts("1") as master:
            options = ThumbnailOptions.parse(CENTRE)
            draw([master.file], path.parent / "out", options, ConversionContext(scratch=path.parent))
            print(f"  fetched {master.bytes_received() / 1e6:.2f} MB of {path.stat().st_size / 1e6:.1f} MB, ", end="")
        print(f"{len(server.requests)} requests")


def positions(count: int, frames: list[int]) -> list[tuple[int, dict[str, str]]]:
    random = np.random.default_rng(1)
    offsets = random.uniform(-0.07, 0.07, (count, 2))
    return [
        (frames[number % len(frames)], {"ra": f"{150 + east:.6f}", "dec": f"{2 + north:.6f}", "size": "64px"})
        for number, (east, north) in enumerate(offsets)
    ]


def serve(folder: Path, count: int, frame_count: int) -> None:
    (folder / "run").mkdir()
    path = folder / "served.fits.fz"
    frame(path, 2048, "f4", packed=True)
    with ArchiveServer() as archive:
        given: dict[str, Any] = {"ARCHIVE_API_URL": archive.url}
        with running_installation(folder / "run", SAMPLES.as_uri(), **given) as up:
            for ranges in (True, False):
                archive.ranges = ranges
                numbers = [archive.add(path) for _ in range(frame_count)]
                get(up, archive, positions(count, numbers), numbers, "ranges" if ranges else "whole files")
                numbers = [archive.add(path) for _ in range(frame_count)]
                post(up, archive, positions(count, numbers), numbers)
        (folder / "none").mkdir()
        with running_installation(folder / "none", SAMPLES.as_uri(), **given, FRAMES_KEPT_BYTES="0") as up:
            numbers = [archive.add(path) for _ in range(frame_count)]
            get(up, archive, positions(count, numbers), numbers, "whole files, none kept")
        for name, cut in OTHERS.items():
            asked = positions(min(count, 100), [archive.add(path) for _ in range(frame_count)])
            times, seconds = run(lambda each, cut=cut: download(archive, folder, cut, *each), asked)
            report(f"download, {name} ({len(asked)})", times, seconds, len(asked) * path.stat().st_size, len(asked))


def get(up: Any, archive: ArchiveServer, asked: list[Any], numbers: list[int], name: str) -> None:
    """Ask for each position by itself."""
    times, seconds = run(lambda each: ask(up, *each), asked)
    sent = sum(archive.sent.get(number, 0) for number in numbers)
    requests_sent = sum(archive.count(f"/files/{number}") for number in numbers)
    report(f"GET, {name}", times, seconds, sent, requests_sent)


def ask(up: Any, number: int, query: dict[str, str]) -> None:
    response = up.request(f"/{number}/", params=query)
    assert response.status_code == 200, response.text


def post(up: Any, archive: ArchiveServer, asked: list[tuple[int, dict[str, str]]], numbers: list[int]) -> None:
    """Ask for all positions in one list, until none is queued."""
    began = time.monotonic()
    document = {"cutouts": [{"frame": number, **query} for number, query in asked]}
    while (response := up.request("/cutouts", "POST", json=document)).status_code == 202:
        time.sleep(0.5)
    assert response.status_code == 200, response.text[:500]
    assert response.json()["ready"] == len(asked), response.text[:500]
    seconds = time.monotonic() - began
    sent = sum(archive.sent.get(number, 0) for number in numbers)
    requests_sent = sum(archive.count(f"/files/{number}") for number in numbers)
    name = f"POST, {'ranges' if archive.ranges else 'whole files'}"
    print(f"  {name:30} {len(asked) / seconds:6.1f}/s  {sent / 1e6:33.1f} MB in {requests_sent} requests", flush=True)


def download(archive: ArchiveServer, folder: Path, cut: Cut, number: int, query: dict[str, str]) -> None:
    data = requests.get(f"{archive.root}/files/{number}?X-Signature=secret-{archive.generation}", timeout=60).content
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".fits.fz") as file:
        file.write(data)
        file.flush()
        cut(Path(file.name), query)


def run(work: Callable[[Any], None], items: list[Any], clients: int = 8) -> tuple[list[float], float]:
    def timed(item: Any) -> float:
        began = time.monotonic()
        work(item)
        return time.monotonic() - began

    began = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        times = list(pool.map(timed, items))
    return times, time.monotonic() - began


def report(name: str, times: list[float], seconds: float, sent: int, requests_sent: int) -> None:
    parts = statistics.quantiles(times, n=100)
    print(
        f"  {name:30} {len(times) / seconds:6.1f}/s  p50 {1000 * parts[49]:6.0f} ms  p99 {1000 * parts[98]:6.0f} ms  "
        f"{sent / 1e6:7.1f} MB in {requests_sent} requests",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--positions", type=int, default=1000)
    parser.add_argument("--frames", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind in ("f4", "u2"):
            path = folder / f"large-{kind}.fits.fz"
            frame(path, 4096, kind, packed=True)
            print(f"{SIDE} pixels of 4096 x 4096 {kind} .fz, CPU")
            compare(path, integers=kind == "u2")
            fetched(path)
        print(f"{options.positions} positions on {options.frames} frames of 2048 x 2048, 8 clients")
        serve(folder, options.positions, options.frames)


if __name__ == "__main__":
    main()
