"""Hits of images that lie in a bucket, sent through the API or by redirect, or are in a local store; and HEADs.

    python -m benchmarks.s3 [--seconds 3] [--rounds 3] [--connections 16] [--sizes "100 KB" "1 MB"]

The object store is a bare answerer on loopback, in a separate process, that knows one image of each size: what is
measured is our side. The first table has the processor time of one HEAD by each client that is installed (ours, boto3,
minio, obstore) and what its import and first request take; the second requests per second, p50 and p99 in
milliseconds, and the API's CPU milliseconds per request. Rounds are interleaved and medians taken.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.hits import SIZES, Server, free_port, median, serving
from benchmarks.load import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLIENTS = ("ours", "boto3", "minio", "obstore")
KEY = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
HEADS = 500
STORE = """
import socket, sys, threading
SIZES = {"100KB": 100_000, "1MB": 1_000_000, "8MB": 8_000_000}
def serve(line):
    file = line.makefile("rb")
    while asked := file.readline():
        method, target = asked.split()[:2]
        fields = dict(iter(lambda: tuple(file.readline().rstrip().lower().split(b": ", 1)), (b"",)))
        size = SIZES.get(target.decode().split("/")[2], 0)
        head = "HTTP/1.1 200 OK\\r\\nLast-Modified: Sun, 22 Nov 2026 03:00:00 GMT\\r\\nETag: \\"5d41402a\\"\\r\\n"
        head += "Date: Sun, 22 Nov 2026 03:00:00 GMT\\r\\nContent-Type: image/jpeg\\r\\nx-amz-meta-width: 3000\\r\\n"
        head += "x-amz-meta-made: 1795320000.5\\r\\nx-amz-meta-sha256: " + "0" * 64 + "\\r\\n"
        head += f"Content-Length: {size}\\r\\n\\r\\n"
        line.sendall(head.encode() + (b"x" * size if method == b"GET" else b""))
with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128) as door:
    while True:
        line = door.accept()[0]
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(line,), daemon=True).start()
"""


def main() -> None:
    options = arguments()
    if options.client:
        measure(options.client, options.port)
        return
    with ExitStack() as stack:
        cache = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for size, count in SIZES.items():
            path = cache / size.replace(" ", "") / "image.jpg"
            path.parent.mkdir()
            path.write_bytes(b"x" * count)
        at = stack.enter_context(object_store())
        print(f"{os.cpu_count()} cores, {options.rounds} rounds, load average {os.getloadavg()[0]:.1f}")
        clients(at)
        servers = {
            "local": stack.enter_context(api(cache, {})),
            "proxy": stack.enter_context(api(cache, in_bucket(at, "proxy"))),
            "redirect": stack.enter_context(api(cache, in_bucket(at, "redirect"))),
        }
        print(f"\n{'size':8}{'served':10}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'CPU ms':>9}{'failed':>8}")
        for size in options.sizes:
            compare(servers, size, options)


def compare(servers: dict[str, Server], size: str, options: argparse.Namespace) -> None:
    runs = {name: [] for name in servers}
    cpu = {name: [] for name in servers}
    for _ in range(options.rounds):
        for name, server in servers.items():
            before, target = server.cpu_seconds(), f"/images/{size.replace(' ', '')}"
            run = load(("127.0.0.1", server.port), target, options.connections, options.seconds)
            runs[name].append(run)
            cpu[name].append(1000 * (server.cpu_seconds() - before) / max(1, run.rate * options.seconds))
    for name in servers:
        run, cost = median(runs[name]), statistics.median(cpu[name])
        print(f"{size:8}{name:10}{run.rate:9.0f}{run.p50:9.2f}{run.p99:9.2f}{cost:9.3f}{run.failed:8}", flush=True)


@contextmanager
def object_store() -> Iterator[int]:
    port = free_port()
    with serving([sys.executable, "-c", STORE, str(port)], port, None, {}):
        yield port


def in_bucket(at: int, how: str) -> dict[str, str]:
    place = {"STORAGE": "s3", "AWS_BUCKET": "bucket", "STORAGE_URL": f"http://127.0.0.1:{at}"}
    return {**place, **KEY, "S3_SERVE": how}


def api(cache: Path, env: dict[str, str]):
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--config",
        "python:api.server.gunicorn",
        "--bind",
        f"127.0.0.1:{port}",
    ]
    parts = {"STORAGE_DIR": str(cache), "REDIS_URL": "redis://127.0.0.1:1/0", "REPO_BASE_URL": "http://127.0.0.1:1/"}
    return serving(command, port, None, parts | env)


# --- clients, each in a separate process


def clients(at: int) -> None:
    print(f"{'client':10}{'CPU ms a HEAD':>15}{'ms a HEAD':>11}{'start s':>9}{'start MB':>10}", flush=True)
    for name in CLIENTS:
        command = [sys.executable, "-m", "benchmarks.s3", "--client", name, "--port", str(at)]
        subprocess.run(command, env=os.environ | KEY, check=True)


def measure(name: str, port: int) -> None:
    memory, began = resident(), time.perf_counter()
    with contextlib.suppress(ImportError):
        head = CALLS[name](port)
        head()
        start, memory = time.perf_counter() - began, resident() - memory
        spent, began = time.process_time(), time.perf_counter()
        for _ in range(HEADS):
            head()
        spent, took = (1000 * (time.process_time() - spent) / HEADS, 1000 * (time.perf_counter() - began) / HEADS)
        print(f"{name:10}{spent:15.3f}{took:11.3f}{start:9.2f}{memory:10.0f}")
        return
    print(f"{name:10}  is not installed")


def resident() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def ours(port: int) -> Callable[[], object]:
    from mezcal.settings import load as settings
    from mezcal.store.s3 import S3Store

    store = S3Store(settings(_env_file=None, storage="s3", aws_bucket="bucket", storage_url=f"http://127.0.0.1:{port}"))
    return lambda: store.bucket.head("100KB/image.jpg")


def boto3(port: int) -> Callable[[], object]:
    import boto3
    from botocore.config import Config

    style = Config(s3={"addressing_style": "path"})
    client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", config=style)
    return lambda: client.head_object(Bucket="bucket", Key="100KB/image.jpg")


def minio(port: int) -> Callable[[], object]:
    from minio import Minio

    at, key = f"127.0.0.1:{port}", {"access_key": "id", "secret_key": "secret"}
    client = Minio(at, secure=False, region="us-east-1", **key)
    return lambda: client.stat_object("bucket", "100KB/image.jpg")


def obstore(port: int) -> Callable[[], object]:
    import obstore
    from obstore.store import S3Store

    options = {"allow_http": True}
    store = S3Store("bucket", endpoint=f"http://127.0.0.1:{port}", client_options=options, region="us-east-1")
    return lambda: obstore.head(store, "100KB/image.jpg")


CALLS = {"ours": ours, "boto3": boto3, "minio": minio, "obstore": obstore}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["100 KB", "1 MB"], metavar="SIZE")
    parser.add_argument("--client", choices=CLIENTS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
