"""What comparing masters with their digests costs, and that one flipped bit is always found.

    python -m benchmarks.fixity [--rounds 7] [--only jpeg] [--mbit 1000] [--flipped 1000]

The first table has the seconds from the request for a master until its derivative is stored, without a digest and with
one of each algorithm, and the ratios to the time without: medians of interleaved rounds, so that other load on the
machine meets all alike. Masters come from a server on loopback, in a separate process, as fast as it can, or at so many
Mbit/s. Then masters with one flipped bit each are asked for; each must be refused, and nothing may be stored.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyvips

from benchmarks.hits import free_port, serving
from mezcal.convert import ConversionOptions
from mezcal.derive import JobContext, derive
from mezcal.errors import MasterDamaged
from mezcal.origin import open_origin
from mezcal.recipe import Mezzanine
from mezcal.settings import Layout, load
from mezcal.store.local.store import LocalStore

if TYPE_CHECKING:
    from mezcal.origin import Origin

ALGORITHMS = ("none", "sha-256", "crc64nvme", "md5", "sha-512")
SMALL = "small"
MASTERS: dict[str, tuple[int, dict[str, Any]]] = {  # megapixels, and how libvips writes them
    "plain 1 MP": (1, {}),
    "plain 12 MP": (12, {}),
    "plain 100 MP": (100, {}),
    "lzw 100 MP": (100, {"compression": "lzw"}),
    "jpeg 100 MP": (100, {"compression": "jpeg", "Q": 90, "tile": True, "tile_width": 256, "tile_height": 256}),
}
# /<algorithm>/<bit to flip, or whole>/<name>.tif
SERVER = """
import base64, hashlib, os, re, socket, sys, threading, time
import anycrc
folder, rate = sys.argv[2], float(sys.argv[3]) * 125_000
files = {name: open(os.path.join(folder, name), "rb").read() for name in os.listdir(folder) if name.endswith(".tif")}
names = {"sha-256": "sha256", "sha-512": "sha512", "md5": "md5"}
digests = {(key, file): base64.b64encode(hashlib.new(value, data).digest()).decode()
           for key, value in names.items() for file, data in files.items()}
crc = anycrc.Model("CRC64-NVME")
digests |= {("crc64nvme", file): base64.b64encode(crc.calc(data).to_bytes(8, "big")).decode()
            for file, data in files.items()}
def send(line, data):
    begun, step = time.perf_counter(), 65_536 if rate else len(data)
    for at in range(0, len(data), step):
        pause = begun + at / rate - time.perf_counter() if rate else 0
        if pause > 0:
            time.sleep(pause)
        line.sendall(data[at:at + step])
def serve(line):
    file = line.makefile("rb")
    while asked := file.readline():
        method, target = asked.decode().split()[:2]
        span = None
        while (header := file.readline()) not in (b"\\r\\n", b""):
            if match := re.match(rb"range: bytes=(\\d+)-(\\d*)", header.lower()):
                span = match
        algorithm, bit, name = target.lstrip("/").split("/")
        data = files[name]
        if bit != "whole":
            at = int(bit)
            data = data[:at // 8] + bytes([data[at // 8] ^ 1 << at % 8]) + data[at // 8 + 1:]
        start = int(span[1]) if span else 0
        stop = int(span[2]) + 1 if span and span[2] else len(data)
        head = f"HTTP/1.1 {206 if span else 200} OK\\r\\nETag: \\"{bit}\\"\\r\\nContent-Type: image/tiff\\r\\n"
        head += f"Accept-Ranges: bytes\\r\\nContent-Length: {stop - start}\\r\\n"
        head += f"Content-Range: bytes {start}-{stop - 1}/{len(data)}\\r\\n" if span else ""
        if (algorithm, name) in digests:
            head += f"Repr-Digest: {algorithm}=:{digests[algorithm, name]}:\\r\\n"
        line.sendall(head.encode() + b"\\r\\n")
        if method == "GET":
            send(line, memoryview(data)[start:stop])
with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128) as door:
    while True:
        line = door.accept()[0]
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(line,), daemon=True).start()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="masters whose names begin so")
    parser.add_argument("--mbit", type=float, default=0, help="Mbit/s of the server; 0: as fast as it can")
    parser.add_argument("--flipped", type=int, default=1000, help="masters with a flipped bit")
    options = parser.parse_args()
    logging.disable()  # each flipped bit is a warning
    chosen = [name for name in MASTERS if name.startswith(options.only)]
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        for each in chosen:
            write_master(folder / file_of(each), *MASTERS[each])
        write_master(folder / f"{SMALL}.tif", 0.05, {})
        with serving([sys.executable, "-c", SERVER, str(port), str(folder), str(options.mbit)], port, None, {}):
            origin = open_origin(
                load(_env_file=None, repo_base_url=f"http://127.0.0.1:{port}/", tmp_dir=folder / "tmp")
            )
            store = LocalStore(folder / "cache", Layout.BASIC)
            print(f"{os.cpu_count()} cores, {options.rounds} rounds, load average {os.getloadavg()[0]:.1f}")
            compare(origin, store, chosen, options.rounds)
            flip(origin, store, (folder / f"{SMALL}.tif").stat().st_size, options.flipped)


def file_of(name: str) -> str:
    return f"{name.replace(' ', '-')}.tif"


def write_master(path: Path, megapixels: float, options: dict[str, Any]) -> None:
    """Write a picture with structure and noise: neither flat nor incompressible."""
    side = int((megapixels * 1e6) ** 0.5)
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32)
    noise = np.random.default_rng(1).normal(0, 4, (side, side)).astype(np.float32)
    bands = [127 + 90 * np.sin(rows / (50 + 9 * band)) * np.cos(columns / 70) + noise for band in range(3)]
    pixels = np.clip(np.stack(bands, axis=2), 0, 255).astype(np.uint8)
    pyvips.Image.new_from_memory(pixels.tobytes(), side, side, 3, "uchar").tiffsave(str(path), **options)


def compare(origin: Origin, store: LocalStore, chosen: list[str], rounds: int) -> None:
    print(f"\n{'master':14}{'none s':>9}" + "".join(f"{name:>10}" for name in ALGORITHMS[1:]))
    for name in chosen:
        taken: dict[str, list[float]] = {algorithm: [] for algorithm in ALGORITHMS}
        for turn in range(rounds + 1):  # the first is not counted: imports, and the first use of memory
            for algorithm in random.sample(ALGORITHMS, len(ALGORITHMS)):
                seconds = clocked(origin, store, f"{algorithm}/whole/{file_of(name)}")
                taken[algorithm] += [seconds] if turn else []
        middle = {algorithm: statistics.median(values) for algorithm, values in taken.items()}
        ratios = "".join(f"{middle[each] / middle['none']:10.3f}" for each in ALGORITHMS[1:])
        print(f"{name:14}{middle['none']:9.3f}{ratios}", flush=True)


def clocked(origin: Origin, store: LocalStore, path: str) -> float:
    begun = time.perf_counter()
    derive(Mezzanine.parse(path), origin, store, ConversionOptions(), JobContext(remake=True))
    return time.perf_counter() - begun


def flip(origin: Origin, store: LocalStore, size: int, count: int) -> None:
    refused = 0
    begun = time.perf_counter()
    for bit in random.sample(range(8 * size), count):
        recipe = Mezzanine.parse(f"{random.choice(ALGORITHMS[1:])}/{bit}/{SMALL}.tif")
        try:
            derive(recipe, origin, store, ConversionOptions())
        except MasterDamaged:
            refused += store.find(recipe) is None
    print(f"\n{count:,} masters with a flipped bit: {refused:,} refused, in {time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
