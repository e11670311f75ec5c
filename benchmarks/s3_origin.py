"""What signing costs: masters from a bucket against the same bytes from the same server without a signature.

    python -m benchmarks.s3_origin [--rounds 9] [--masters 20] [--list 100000]

The server is a bare answerer on loopback, in a separate process, that looks at no signature: what is measured is our
side. The first table has milliseconds for one master, downloaded whole, and for one revalidation (HEAD), at both:
medians of interleaved rounds, and the ratio. The second has the time and the memory in which all names of a bucket
are read, a thousand in a page.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.hits import free_port, serving
from mezcal.origin import open_origin
from mezcal.settings import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.origin import Origin

SIZES = {"100 KB": 100_000, "10 MB": 10_000_000, "100 MB": 100_000_000}
SERVER = """
import socket, sys, threading
from urllib.parse import parse_qs, urlsplit
COUNT = int(sys.argv[2])
ENTRY = "<Contents><Key>%s</Key><LastModified>2026-11-29T12:00:00.000Z</LastModified><Size>1</Size></Contents>"
def page(query):
    start = int(query.get("continuation-token", ["0"])[0])
    stop = min(start + 1000, COUNT)
    text = "".join(ENTRY % f"prefix/box{number // 500:05}/page{number:07}.tif" for number in range(start, stop))
    more = f"<NextContinuationToken>{stop}</NextContinuationToken>" if stop < COUNT else ""
    return f"<ListBucketResult>{text}{more}</ListBucketResult>".encode()
def serve(line):
    file = line.makefile("rb")
    while asked := file.readline():
        method, target = asked.split()[:2]
        while file.readline() not in (b"\\r\\n", b""):
            pass
        parts = urlsplit(target.decode())
        body = page(parse_qs(parts.query)) if parts.query else None
        size = len(body) if body is not None else int(parts.path.rpartition("/")[2].partition(".")[0])
        head = "HTTP/1.1 200 OK\\r\\nLast-Modified: Sun, 22 Nov 2026 03:00:00 GMT\\r\\nETag: \\"5d41402a\\"\\r\\n"
        head += f"Content-Type: image/tiff\\r\\nAccept-Ranges: bytes\\r\\nContent-Length: {size}\\r\\n\\r\\n"
        line.sendall(head.encode())
        if method == b"GET":
            line.sendall(body if body is not None else b"x" * size)
with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128) as door:
    while True:
        line = door.accept()[0]
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(line,), daemon=True).start()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--masters", type=int, default=20, help="of 100 KB in a round; of larger ones fewer")
    parser.add_argument("--list", type=int, default=100_000, help="names in the bucket")
    options = parser.parse_args()
    port = free_port()
    command = [sys.executable, "-c", SERVER, str(port), str(options.list)]
    with tempfile.TemporaryDirectory() as folder, serving(command, port, None, {}):
        print(f"{os.cpu_count()} cores, {options.rounds} rounds, load average {os.getloadavg()[0]:.1f}")
        compare(origins(port, Path(folder)), options)
        walk(origins(port, Path(folder))["signed"], options.list)


def origins(port: int, folder: Path) -> dict[str, Origin]:
    url = f"http://127.0.0.1:{port}"
    key = {"repo_username": "id", "repo_password": "secret", "repo_internal_url": url}
    given = {"_env_file": None, "tmp_dir": folder}
    return {
        "plain": open_origin(load(repo_base_url=f"{url}/bucket/prefix", **given)),
        "signed": open_origin(load(repo_base_url="s3://bucket/prefix", **key, **given)),
    }


def compare(both: dict[str, Origin], options: argparse.Namespace) -> None:
    print(f"\n{'request':10}{'plain ms':>10}{'signed ms':>11}{'ratio':>8}")
    works: dict[str, tuple[Callable[[Origin], None], int]] = {"HEAD": (revalidate, 5 * options.masters)}
    for name, size in SIZES.items():
        works[name] = downloading(f"{size}.tif"), max(1, options.masters * 100_000 // size)
    for name, (work, count) in works.items():
        taken: dict[str, list[float]] = {origin: [] for origin in both}
        for _ in range(options.rounds):
            for origin, at in both.items():
                taken[origin].append(clocked(work, at, count))
        plain, signed = (statistics.median(taken[origin]) for origin in both)
        print(f"{name:10}{plain:10.3f}{signed:11.3f}{signed / plain:8.3f}", flush=True)


def revalidate(origin: Origin) -> None:
    origin.revalidate("100000.tif", '"5d41402a"', None)


def downloading(path: str) -> Callable[[Origin], None]:
    def download(origin: Origin) -> None:
        with origin.open(path) as master:
            master.complete()

    return download


def clocked(work: Callable[[Origin], None], origin: Origin, count: int) -> float:
    """Milliseconds of one *work*, of *count* in a row."""
    begun = time.perf_counter()
    for _ in range(count):
        work(origin)
    return 1000 * (time.perf_counter() - begun) / count


def walk(origin: Origin, count: int) -> None:
    begun = time.perf_counter()
    assert sum(1 for _ in origin.listing.walk("")) == count
    took = time.perf_counter() - begun
    tracemalloc.start()
    assert sum(1 for _ in origin.listing.walk("")) == count
    peak = tracemalloc.get_traced_memory()[1]
    print(f"\n{count:,} names listed in {took:.1f} s, {peak / 2**20:.1f} MB at most")


if __name__ == "__main__":
    main()
