"""Measures conversions: wall time, CPU time and peak memory of mezcal, of Pillow's open + save, and of the codecs.

    .venv/bin/python -m benchmarks.convert [--megapixels 12 100] [--only lzw turn6] [--runs 3] [--folder F]
    .venv/bin/python -m benchmarks.convert --only adobe-rgb eci-rgb prophoto grey-gamma cmyk-profile
    .venv/bin/python -m benchmarks.convert --profile pyramid [--gigapixel]

Each run is a new process that first converts 2 megapixels of the same kind, so that imports and the first use of
memory are not measured. Ratios of one run can be compared, seconds of two machines cannot. `floor` is libvips
decoding to memory and then encoding from memory, without colour conversion. `turn2` .. `turn8` are the orientations.

Masters with a profile are compared with libvips' own icc_transform and with Pillow + ImageCms, and the mean CIEDE2000
between mezcal's picture and that of ImageCms is printed (tests/unit/convert/test_profiles.py compares with colours that
no library of mezcal calculated). `one core` is mezcal on a single core.

`--profile pyramid` compares the pyramid with libvips' tiffsave and with mezcal's JPEG of the same options: quality 85,
4:2:0. From quality 90 on, libvips stores RGB instead of YCbCr, in twice the bytes. `--gigapixel` adds a master of
32,000 x 32,000 pixels in tiles of JPEG.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

CASES: dict[str, dict[str, object]] = {
    "plain": {},
    "lzw": {"compression": "lzw"},
    "deflate": {"compression": "deflate"},
    "tiles": {"tile": True, "tile_width": 256, "tile_height": 256},
    "jpeg": {"compression": "jpeg", "Q": 90, "tile": True, "tile_width": 256, "tile_height": 256},
    "16bit": {},
    "cmyk": {},
    "bilevel": {"compression": "ccittfax4"},
}
PROFILES: dict[str, tuple[str, dict[str, object]]] = {
    "adobe-rgb": ("srgb", {"compression": "lzw"}),
    "eci-rgb": ("srgb", {}),
    "prophoto": ("rgb16", {}),
    "grey-gamma": ("b-w", {}),
    "cmyk-profile": ("cmyk", {}),
}
ENGINES = ("mezcal", "pillow", "floor")
PROFILE_ENGINES = ("mezcal", "one core", "libvips", "imagecms")
PYRAMID_ENGINES = ("pyramid", "jpeg", "tiffsave")
PYRAMID_OPTIONS: dict[str, Any] = {"quality": 85, "subsampling": "4:2:0"}
GIGAPIXEL = 1024


def main() -> None:
    given = arguments()
    if given.child:
        measure(given.child[0], Path(given.child[1]))
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        for megapixels in given.megapixels:
            report(megapixels, given, Path(folder))
        if given.gigapixel:
            given.only, given.runs = ["jpeg"], 1
            report(GIGAPIXEL, given, Path(folder))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--megapixels", type=float, nargs="+", default=[12, 100])
    parser.add_argument("--only", nargs="+", default=list(CASES))
    parser.add_argument("--engines", nargs="+")
    parser.add_argument("--profile", choices=["mezzanine", "pyramid"], default="mezzanine")
    parser.add_argument("--gigapixel", action="store_true")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def report(megapixels: float, given: argparse.Namespace, folder: Path) -> None:
    print(f"\n{megapixels:g} megapixels, medians of {given.runs}: wall s / CPU s / peak MB")
    ratios: list[tuple[float, float, float]] = []
    for case in given.only:
        master = folder / f"{case}.tif"
        make(case, 2, folder / "warm.tif")
        make(case, megapixels, master)
        engines = given.engines or engines_for(case, given.profile)
        rounds = [{engine: child(engine, master) for engine in engines} for _ in range(given.runs)]
        medians = {engine: median([figures[engine] for figures in rounds]) for engine in engines}
        line = "   ".join(f"{name} {w:6.2f} {c:6.2f} {m:5.0f}" for name, (w, c, m) in medians.items())
        print(f"{case:12} {line}", flush=True)
        if case in PROFILES and given.profile == "mezzanine":
            report_profile(medians, master)
        if set(medians) == set(PYRAMID_ENGINES):
            ours, jpeg, tiffsave = (medians[engine][0] for engine in PYRAMID_ENGINES)
            print(f"{'':12} wall of the pyramid: {ours / jpeg:.2f} of the JPEG's, {ours / tiffsave:.2f} of tiffsave's")
        master.unlink()
        if set(medians) == set(ENGINES):
            ours, pillow, floor = (medians[engine] for engine in ENGINES)
            ratios.append((ours[0] / pillow[0], ours[1] / pillow[1], ours[0] / floor[0]))
    if ratios:
        middle = [statistics.median(column) for column in zip(*ratios, strict=True)]
        print(f"median of mezcal : Pillow, wall {middle[0]:.2f}, CPU {middle[1]:.2f}")
        print(f"median of mezcal : floor,  wall {middle[2]:.2f}")


def engines_for(case: str, profile: str) -> tuple[str, ...]:
    if profile == "pyramid":
        return PYRAMID_ENGINES
    return PROFILE_ENGINES if case in PROFILES else ENGINES


def report_profile(medians: dict[str, list[float]], master: Path) -> None:
    """Print the ratios to libvips' own conversion, and the mean CIEDE2000 to ImageCms."""
    if {"mezcal", "libvips"} <= medians.keys():
        mine, plain = medians["mezcal"], medians["libvips"]
        half = mine[1] / 2
        print(f"{'':12} CPU {mine[1] / plain[1]:.2f} and wall {mine[0] / plain[0]:.2f} of libvips', ", end="")
        print(f"wall {mine[0] / half:.2f} of half its own CPU, peak {mine[2]:.0f} MB", flush=True)
    with tempfile.TemporaryDirectory(dir=master.parent) as folder:
        pictures = [Path(folder) / name for name in ("mezcal.jpg", "imagecms.jpg")]
        ours()(master, pictures[0])
        imagecms()(master, pictures[1])
        print(f"{'':12} mean CIEDE2000 {difference(*pictures):.2f}", flush=True)


def difference(first: Path, second: Path) -> float:
    """Returns the mean CIEDE2000 between two sRGB pictures, each halved twice so that JPEG's noise counts less."""
    import pyvips

    images = [pyvips.Image.new_from_file(str(path)).colourspace("srgb").shrink(4, 4) for path in (first, second)]
    return float(images[0].colourspace("lab").dE00(images[1].colourspace("lab")).avg())


def median(runs: list[list[float]]) -> list[float]:
    return [statistics.median(column) for column in zip(*runs, strict=True)]


def child(engine: str, master: Path) -> list[float]:
    command = [sys.executable, "-m", "benchmarks.convert", "--child", engine, str(master)]
    if engine == "one core":
        command = ["taskset", "-c", "0", *command]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "VIPS_CONCURRENCY": "1"}
    )
    if done.returncode:
        raise SystemExit(f"{engine} on {master.name}: {done.stderr[-500:]}")
    values: list[float] = json.loads(done.stdout.splitlines()[-1])
    return values


def make(case: str, megapixels: float, path: Path) -> None:
    """Write a master like a photo: smooth structure with fine noise that never repeats, 4:3."""
    import pyvips

    height = int((megapixels * 1e6 * 3 / 4) ** 0.5)
    width = int(megapixels * 1e6 / height)
    levels = [pyvips.Image.gaussnoise(96, 72, sigma=60, mean=120, seed=seed) for seed in range(3)]
    piece = levels[0].bandjoin(levels[1:]).resize(21.4, kernel="cubic").crop(0, 0, 2000, 1500)
    image = piece.replicate(-(-width // 2000), -(-height // 1500)).crop(0, 0, width, height)
    image = (image + pyvips.Image.gaussnoise(width, height, sigma=3, mean=0, seed=4)).cast("uchar")
    image = image.copy(interpretation="srgb")
    if case == "16bit":
        image = (image.cast("ushort") * 257).cast("ushort").copy(interpretation="rgb16")
    if case == "prophoto":
        image = (image.cast("ushort") * 257).cast("ushort").copy(interpretation="rgb16")
    if case == "grey-gamma":
        image = image[1].copy(interpretation="b-w")
    if case in ("cmyk", "cmyk-profile"):
        image = (255 - image).cast("uchar").bandjoin(20).copy(interpretation="cmyk")
    if case == "bilevel":
        image = (image[1] > 120).copy(interpretation="b-w")
    options = {**CASES.get(case, {}), "bigtiff": megapixels > 1000, "bitdepth": 1 if case == "bilevel" else 0}
    if case.startswith("turn"):
        image = image.copy()
        image.set_type(pyvips.GValue.gint_type, "orientation", int(case[4:]))
    if case in PROFILES:
        image = image.copy()
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile(case))
        options |= PROFILES[case][1]
    image.tiffsave(str(path), **options)


def profile(case: str) -> bytes:
    """Returns the ICC profile of the masters of *case*."""
    import pyvips

    from benchmarks import profiles

    if case == "cmyk-profile":
        return bytes(pyvips.Operation.call("profile_load", "cmyk"))
    return {
        "adobe-rgb": lambda: profiles.rgb(profiles.ADOBE_RGB, profiles.gamma(2.19921875)),
        "eci-rgb": lambda: profiles.rgb(profiles.ECI_RGB, profiles.lightness()),
        "prophoto": lambda: profiles.rgb(profiles.PROPHOTO, profiles.gamma(1.8)),
        "grey-gamma": lambda: profiles.grey(profiles.gamma(1.8)),
    }[case]()


def measure(engine: str, master: Path) -> None:
    """Print wall seconds, CPU seconds and the peak of resident megabytes."""
    engines = {"mezcal": ours, "one core": ours, "pillow": pillow, "floor": floor}
    pyramids = {"pyramid": pyramid, "jpeg": small_jpeg, "tiffsave": tiffsave}
    run = {**engines, **pyramids, "libvips": libvips, "imagecms": imagecms}[engine]
    with tempfile.TemporaryDirectory(dir=master.parent) as folder:
        target = Path(folder) / "out.jpg"
        convert = run()
        convert(master.parent / "warm.tif", target)
        begin, cpu = time.perf_counter(), time.process_time()
        convert(master, target)
        print(json.dumps([time.perf_counter() - begin, time.process_time() - cpu, peak()]))


def peak() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def ours(**options: Any) -> Callable[[Path, Path], None]:
    from mezcal.convert import ConversionContext, ConversionOptions, convert

    chosen = ConversionOptions(max_pixels=None, **options)

    def run(master: Path, target: Path) -> None:
        with master.open("rb") as file:
            convert(file, target, ConversionContext(chosen, scratch=target.parent))

    return run


def pyramid() -> Callable[[Path, Path], None]:
    return ours(format="pyramid", **PYRAMID_OPTIONS)


def small_jpeg() -> Callable[[Path, Path], None]:
    return ours(**PYRAMID_OPTIONS)


def tiffsave() -> Callable[[Path, Path], None]:
    import pyvips

    pyvips.concurrency_set(2)

    def run(master: Path, target: Path) -> None:
        image = pyvips.Image.tiffload(str(master), access="sequential", unlimited=True)
        image.tiffsave(
            str(target), tile=True, tile_width=256, tile_height=256, pyramid=True, compression="jpeg",
            Q=PYRAMID_OPTIONS["quality"], keep="none",
        )  # fmt: skip

    return run


def pillow() -> Callable[[Path, Path], None]:
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None

    def run(master: Path, target: Path) -> None:
        with Image.open(master) as image:
            image.save(target, "JPEG", quality=90, subsampling=0)

    return run


def floor() -> Callable[[Path, Path], None]:
    import pyvips

    def run(master: Path, target: Path) -> None:
        memory = pyvips.Image.tiffload(str(master), access="sequential", unlimited=True).copy_memory()
        if memory.format == "ushort":
            memory = memory.cast("uchar", shift=True).copy_memory()
        memory.jpegsave(str(target), Q=90, subsample_mode="off")

    return run


def libvips() -> Callable[[Path, Path], None]:
    import pyvips

    def run(master: Path, target: Path) -> None:
        image = pyvips.Image.tiffload(str(master), access="sequential", unlimited=True)
        intent = "perceptual" if image.bands == 4 else "relative"
        shown = image.icc_transform("srgb", embedded=True, intent=intent, black_point_compensation=True, depth=8)
        shown.jpegsave(str(target), Q=90, subsample_mode="off", keep="none")

    return run


def imagecms() -> Callable[[Path, Path], None]:
    import io

    import numpy as np
    import tifffile
    from PIL import Image, ImageCms

    Image.MAX_IMAGE_PIXELS = None

    def run(master: Path, target: Path) -> None:
        page = tifffile.TiffFile(master).pages[0]
        pixels = page.asarray()  # Pillow reads no RGB of 16 bits
        pixels = (pixels / 257).round().astype("u1") if pixels.dtype == np.uint16 else pixels
        mode = {2: "L", 3: "RGB"}[pixels.ndim] if pixels.ndim == 2 or pixels.shape[2] == 3 else "CMYK"
        source = ImageCms.ImageCmsProfile(io.BytesIO(page.tags[34675].value))
        intent = ImageCms.Intent.PERCEPTUAL if mode == "CMYK" else ImageCms.Intent.RELATIVE_COLORIMETRIC
        shown = ImageCms.profileToProfile(
            Image.fromarray(pixels, mode), source, ImageCms.createProfile("sRGB"), intent, "RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )  # fmt: skip
        assert shown is not None
        shown.save(target, "JPEG", quality=90, subsampling=0)

    return run


if __name__ == "__main__":
    main()
