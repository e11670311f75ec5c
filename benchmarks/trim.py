"""Trimming a large store to half, and what hits notice of it.

    python -m benchmarks.trim [--files 1000000] [--layout md5_encoded] [--root DIR] [--seconds 10]

Makes a store of sparse images with sidecars, in age from a day to a year, and asks an API in front of it for one
image, a request each 5 ms: with nothing else going on, while another process only computes, and while `mezcal cache
trim --to` half of it runs. Then, the same for one turn of the periodic work. Prints seconds, images a second, the
trimming process' largest memory, and p50 and p99 of the hits in milliseconds. --root should be a file system with
three times as many free files; what was made is removed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from hashlib import md5
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.hits import mezcal
from benchmarks.load import CHUNK, Line, run_of
from mezcal.settings import Layout
from mezcal.store import LocalStore
from mezcal.store.housekeeping.trim import Bounds, Trim, TrimState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.load import Run

SIZE = 500_000  # bytes of each image, of which the disk holds none
A_DAY, A_YEAR = 86_400, 365 * 86_400
HOT = "100KB"
PAUSE = 0.005
SIDECAR = b'{"sha256": "' + b"0" * 64 + b'"}\n'
TURN = 30.0
BUSY = "while True: sum(range(10000))"


def main() -> None:
    options = arguments()
    root = Path(tempfile.mkdtemp(prefix="trim-", dir=options.root))
    try:
        measure(root, options)
    finally:
        subprocess.run(["rm", "-rf", str(root)], check=True)


def measure(root: Path, options: argparse.Namespace) -> None:
    began = time.monotonic()
    fill(root, options.files, options.layout)
    hot = root / HOT / "image.jpg"
    hot.parent.mkdir()
    hot.write_bytes(b"\xff\xd8" + os.urandom(100_000) + b"\xff\xd9")
    print(
        f"conditions: {options.files:,} images, layout {options.layout}, made in {time.monotonic() - began:.0f} s; "
        f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    with mezcal(root, None, 1) as api:
        hits = Hits(("127.0.0.1", api.port))
        for title, busy in (("hits alone", []), ("hits next to one that computes", [sys.executable, "-c", BUSY])):
            with ExitStack() as stack:
                if busy:
                    stack.enter_context(running(busy, {}))
                hits.watch(lambda: time.sleep(options.seconds))
            hits.tell(title)
        for title, more in (("rehearsal: two walks", ["--dry-run"]), ("trim to half", [])):
            with running(trimming(options, *more), {"STORAGE_DIR": str(root)}) as trim:
                hits.watch(partial(ended, trim, title, options.files))
            hits.tell("  hits meanwhile")
    with_turns(root)
    left = sum(1 for found in LocalStore(root, Layout(options.layout)).inventory.walk() if found.size)
    print(f"{left:,} images are left")


def with_turns(root: Path) -> None:
    """Trim to half of the rest in runs of the periodic work; each run continues where the last one ended."""
    store = LocalStore(root, Layout.BASIC, 60)
    seconds: list[float] = []
    size = TrimState.from_bytes(store.inventory.load_state()).survey.bytes
    while True:
        began = time.monotonic()
        did = Trim(store.inventory, Bounds(max_bytes=size // 2), 60).run(TURN)
        seconds.append(time.monotonic() - began)
        if did.done:
            break
    print(
        f"turns of {TURN:g} s: {len(seconds)}, the longest {max(seconds):.1f} s, {sum(seconds):.0f} s together; "
        f"the notes have {len(store.inventory.load_state()):,} bytes"
    )


class Hits:
    """Hits on one image, a request each 5 ms, for as long as something else is done."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._run: Run | None = None

    def watch(self, work: Callable[[], None]) -> None:
        """Send requests from a separate thread while *work* runs."""
        times: list[float] = []
        over = threading.Event()
        client = threading.Thread(target=self._ask, args=(times, over))
        client.start()
        began = time.perf_counter()
        try:
            work()
        finally:
            over.set()
            client.join()
        self._run = run_of(times, 0, time.perf_counter() - began)

    def _ask(self, times: list[float], over: threading.Event) -> None:
        line = Line(self._address, f"/images/{HOT}", memoryview(bytearray(CHUNK)))
        while not over.wait(PAUSE):
            line.ask()
            while (took := line.take()) is None:
                select.select([line.socket], [], [], 10)
            times.append(took)
        line.socket.close()

    def tell(self, title: str) -> None:
        """Print what the last watch saw."""
        assert self._run is not None
        print(f"{title:32} p50 {self._run.p50:6.2f} ms  p99 {self._run.p99:6.2f} ms  {self._run.rate:5.0f} a second")


def fill(root: Path, number: int, layout: str) -> None:
    """Make images in the given layout: names as umd-lib/mezcal's, ages at random."""
    chance = random.Random(1)
    now = time.time()
    for one in range(number):
        name = md5(str(one).encode(), usedforsecurity=False).hexdigest()
        folder = {
            "basic": f"box-{one // 100_000}/{one // 100 % 1000:03d}/{one % 100:02d}.tif",
            "md5_encoded": name,
            "md5_encoded_pairtree": f"{name[:2]}/{name[2:4]}/{name[4:6]}/{name}",
        }[layout]
        place = f"{root}/{folder}"
        os.makedirs(place)  # noqa: PTH103 - a million times
        descriptor = os.open(f"{place}/image.jpg", os.O_WRONLY | os.O_CREAT)
        os.ftruncate(descriptor, SIZE)
        used = now - A_DAY - chance.random() * A_YEAR
        os.utime(descriptor, (used, used))
        os.close(descriptor)
        descriptor = os.open(f"{place}/image.json", os.O_WRONLY | os.O_CREAT)
        os.write(descriptor, SIDECAR)
        os.close(descriptor)


def trimming(options: argparse.Namespace, *more: str) -> list[str]:
    half = str(options.files * SIZE // 2)
    return [str(Path(sys.executable).with_name("mezcal")), "cache", "trim", "--json", "--to", half, *more]


@contextmanager
def running(command: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ | env, cwd="/"
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            process.wait()


def ended(process: subprocess.Popen[bytes], title: str, number: int) -> None:
    began = time.monotonic()
    assert process.stdout is not None
    answer = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - began
    result = json.loads(answer)
    print(
        f"{title:32} {seconds:7.1f} s {number / seconds:9.0f} images/s {used.ru_maxrss / 1024:7.0f} MB "
        f"{used.ru_utime + used.ru_stime:7.1f} s CPU  {result['evicted']:,} evicted, exit {process.returncode}",
        flush=True,
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--layout", choices=list(Layout), default="md5_encoded")
    parser.add_argument("--root", type=Path)
    parser.add_argument("--seconds", type=float, default=10)
    return parser.parse_args()


if __name__ == "__main__":
    main()
