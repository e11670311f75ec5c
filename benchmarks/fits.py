"""Compares a thumbnail with decoding its frame: CPU seconds, peak memory, and quality.

    .venv/bin/python -m benchmarks.fits [--quick]

Each line is a new process that draws a tiny frame first, so that imports are not measured. `decode` is astropy's
`hdu.data`; `x` is the thumbnail's CPU time divided by it. dB is the quality of the robust look (linear), see `quality`.
tests/unit/convert/fits/test_lco.py compares the lco look with thumbnail-service's pictures, pixel by pixel.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from astropy.io import fits
from PIL import Image

from mezcal.convert import ConversionContext
from mezcal.convert.fits.draw import robust
from mezcal.convert.fits.thumbnail import draw
from mezcal.recipe import ThumbnailOptions

FRAMES = [
    ("2048 float32 .fz", 2048, "f4", True),
    ("2048 uint16 .fz", 2048, "u2", True),
    ("4096 float32 .fz", 4096, "f4", True),
    ("4096 uint16 .fz", 4096, "u2", True),
    ("4096 float32 plain", 4096, "f4", False),
    ("4096 uint16 plain", 4096, "u2", False),
    ("9500 float32 .fz", 9500, "f4", True),
]
ROUNDS = 6


def frame(path: Path, side: int, kind: str, packed: bool) -> None:
    """Write a frame with sky, noise and a star per 50,000 pixels, north up."""
    random = np.random.default_rng(side)
    pixels = random.standard_normal((side, side), np.float32) * 12 + 500
    star = np.exp(-np.add.outer(np.arange(-12, 13) ** 2, np.arange(-12, 13) ** 2) / 8.0)
    for y, x in random.integers(12, side - 12, (side * side // 50_000, 2)):
        pixels[y - 12 : y + 13, x - 12 : x + 13] += star * 10 ** random.uniform(2, 4.6)
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0})
    header.update({"CRPIX1": side / 2, "CRPIX2": side / 2, "CD1_1": -1e-4, "CD2_2": 1e-4})
    pixels = np.clip(pixels, 0, 65_535).astype(kind)
    quantize = {"quantize_level": 16, "quantize_method": 1} if kind == "f4" else {}
    hdu = fits.CompImageHDU(pixels, header, name="SCI", **quantize) if packed else fits.ImageHDU(pixels, header)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)


def decode(paths: list[Path], _options: ThumbnailOptions) -> None:
    for path in paths:
        with fits.open(path, memmap=False) as hdus:
            np.ascontiguousarray(hdus[1].data).sum(dtype=np.float64)


def thumbnail(paths: list[Path], options: ThumbnailOptions) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = [path.open("rb") for path in paths]
        draw(files, Path(folder) / "out.jpg", options, ConversionContext(scratch=Path(folder)))
        for file in files:
            file.close()


def quality(paths: list[Path], options: ThumbnailOptions) -> float:
    """Returns the PSNR of a robust thumbnail, in dB.

    The reference is resampled from all pixels in one step, linearly and in float32, and then stretched between the same
    limits.
    """
    with tempfile.TemporaryDirectory() as folder, paths[0].open("rb") as file:
        draw([file], Path(folder) / "out.jpg", options, ConversionContext(scratch=Path(folder)))
        with Image.open(Path(folder) / "out.jpg") as image:
            got = np.asarray(image.convert("L")).astype(float)
    with fits.open(paths[0], memmap=False) as hdus:
        whole = Image.fromarray(np.ascontiguousarray(hdus[1].data[::-1], np.float32))
    box = max(1, whole.width // robust.STATISTICS_EDGE)
    limits = robust.limits(np.asarray(whole.reduce(box)), options)
    final = np.asarray(whole.resize(got.shape[::-1], Image.Resampling.HAMMING))
    error = ((got - np.rint(limits.apply(final) * 255)) ** 2).mean()
    return 10 * math.log10(255**2 / error) if error else math.inf


def measured(what: str, paths: list[Path], query: dict[str, str]) -> dict[str, float]:
    """Returns CPU seconds and peak MB, measured in a new process."""
    command = [sys.executable, "-m", "benchmarks.fits", "--one", what, json.dumps(query), *map(str, paths)]
    figures: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return figures


def one(what: str, query: str, *names: str) -> None:
    paths = [Path(name) for name in names]
    warm = paths[0].parent / "warm.fits.fz"
    work = {"decode": decode, "thumbnail": thumbnail}[what]
    options = ThumbnailOptions.parse(json.loads(query))
    work([warm] * len(paths), options)
    began = time.process_time()
    work(paths, options)
    status = Path("/proc/self/status").read_text()  # getrusage gives the parent's peak if that is higher
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
    print(json.dumps({"cpu": time.process_time() - began, "mb": peak}))


def compare(name: str, paths: list[Path], color: bool) -> None:
    """Print the best of some rounds. Each round runs every task, so that all have the same share of a busy machine."""
    sizes = [(look, width) for look in ("lco", "robust") for width in ("200", "1200")]
    looks = [{"look": look, "width": width, "height": width, "color": str(color).lower()} for look, width in sizes]
    tasks = [("decode", {}), *(("thumbnail", look) for look in looks)]
    rounds = [[measured(what, paths, look) for what, look in tasks] for _ in range(ROUNDS)]
    alone, *costs = [
        {"cpu": min(run["cpu"] for run in runs), "mb": max(run["mb"] for run in runs)}
        for runs in zip(*rounds, strict=True)
    ]
    print(f"{name:22} {'decode':12} {alone['cpu']:6.3f} s       {alone['mb']:5.0f} MB")
    for look, cost in zip(looks, costs, strict=True):
        fine = ThumbnailOptions.parse({**look, "quality": "95"})  # it is the drawing that is judged, not the JPEG
        note = "" if color or look["look"] == "lco" else f"  {quality(paths, fine):.0f} dB"
        ratio, what = cost["cpu"] / alone["cpu"], f"{look['look']} {look['width']}"
        print(f"{'':22} {what:12} {cost['cpu']:6.3f} s {ratio:4.2f}x {cost['mb']:5.0f} MB{note}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only the first two frames")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(*options.one)
        return
    with tempfile.TemporaryDirectory() as folder:
        frame(Path(folder) / "warm.fits.fz", 64, "f4", packed=True)
        for name, side, kind, packed in FRAMES[: 2 if options.quick else None]:
            path = Path(folder) / f"{name}.fits"
            frame(path, side, kind, packed)
            compare(name, [path], color=False)
            if (side, kind, packed) == (4096, "f4", True):
                compare("colour, 3 of these", [path] * 3, color=True)
            path.unlink()


if __name__ == "__main__":
    main()
