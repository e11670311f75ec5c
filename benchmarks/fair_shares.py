"""One client that asks for far too much, and all the others: `python -m benchmarks.fair_shares` in the root folder.

A whole `mezcal up` in front of a repository on loopback that takes a while for each master. Some clients ask for one
new image after the other, and hits come at a steady rate: first while a generator sends so many requests a second to a
plain nginx that answers 404, then while the same generator asks mezcal for new images, as one more client. So the
ratios contain what the client costs the others, not what the generator costs the machine. Prints the times of the
others, and what the client was answered. The misses' p95 should be at most 1.5 times that of the first run, the hits'
p99 at most 2 times.

The clients are told apart by X-Forwarded-For, as a proxy on this machine sends it, and nobody is exempt.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

import requests

from benchmarks.load import Run, steady
from mezcal.runtime.nginx import nginx
from tests.support.installation import SAMPLES, running_installation
from tests.support.origin_server import OriginServer
from tests.support.roles import free_port
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.installation import Installation


Address = tuple[str, int]
Times = tuple[list[float], Run]  # the milliseconds of the misses; the hits

WARM = "maps/valley.tif"
MASTER = (SAMPLES / WARM).read_bytes()
GREEDY, OTHERS = "192.0.2.1", "198.51.100.{}"
HIT_PAUSE, MISS_PAUSE = 0.02, 0.3  # seconds from an answer to the next request
RAMP = 4.0  # seconds in which the client takes its places: not measured
PLAIN = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 404; }} }}
}}
"""


class Repository(OriginServer):
    """Has the same master under every name, and takes *seconds* for each."""

    seconds = 0.0

    def script_of(self, path: str):
        rate = len(MASTER) / self.seconds if self.seconds else 0
        return self._scripts.setdefault(path, self.script(path, body=MASTER, rate=rate))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="of each of the two runs (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=200, help="requests of the client a second")
    parser.add_argument("--clients", type=int, default=3, help="others, each with one request at a time")
    parser.add_argument("--workers", default="4", help="pool processes")
    parser.add_argument("--origin-seconds", type=float, default=0.3, help="that the repository takes for a master")
    parser.add_argument("--nginx", default="always", choices=("always", "never"))
    options = parser.parse_args()
    print(f"conditions: {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {options.workers} pool processes,")
    print(
        f"{options.clients} other clients, {options.origin_seconds:g} s for a master, nginx in front: {options.nginx}"
    )
    with ExitStack() as stack:
        repository = stack.enter_context(Repository())
        repository.seconds = options.origin_seconds
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        plain = stack.enter_context(plain_nginx(folder))
        given = {"CLIENT_SHARE_EXEMPT": "none", "LOG_LEVEL": "WARNING", "ACCESS_LOG": "none"}
        parts = ("--nginx", options.nginx, "--workers", options.workers)
        installation = stack.enter_context(running_installation(folder, repository.url, *parts, **given))
        measure(installation, plain, options)


def measure(installation: Installation, plain: Address, options: argparse.Namespace) -> None:
    until(lambda: installation.ask(WARM).status_code == 200, what="the image of the hits")
    before, _ = during(installation, plain, options)
    after, answers = during(installation, address_of(installation), options)
    for name, (misses, hits) in (("nginx's 404", before), ("new images", after)):
        failed = sum(one == float("inf") for one in misses)
        print(f"the client asks for {name}:")
        print(f"    others' misses p50 {quantile(misses, 50):.1f}, p95 {quantile(misses, 95):.1f} ms", end="")
        print(
            f" ({len(misses):,}, {failed} failed); hits p50 {hits.p50:.2f}, p99 {hits.p99:.2f} ms ({hits.rate:.0f}/s)"
        )
    print(f"misses' p95: {quantile(after[0], 95) / quantile(before[0], 95):.2f} times, at most 1.5 wanted")
    print(f"hits' p99: {after[1].p99 / before[1].p99:.2f} times, at most 2 wanted")
    print("the client was answered: " + ", ".join(f"{status} {number:,}" for status, number in answers.most_common()))


def quantile(taken: list[float], part: int) -> float:
    return statistics.quantiles(taken, n=100)[part - 1]


# --- the two runs


def during(installation: Installation, target: Address, options: argparse.Namespace) -> tuple[Times, Counter[str]]:
    """Returns the times of the others' misses and hits while the generator sends its requests to *target*."""
    answers: multiprocessing.Queue[Counter[str]] = multiprocessing.Queue()
    seconds = options.seconds + 2 * RAMP
    generator = multiprocessing.Process(target=generate, args=(target, options.rate, seconds, answers))
    generator.start()
    time.sleep(RAMP)
    times = others(installation, options.clients, options.seconds)
    counted = answers.get(timeout=120)
    generator.join()
    until(lambda: installation.table.depths()["interactive"] == 0, 300, "an empty queue")
    return times, counted


def others(installation: Installation, clients: int, seconds: float) -> Times:
    """Ask for new images as so many clients, and for one that is stored."""
    misses: list[float] = []
    until_then = time.monotonic() + seconds
    threads = [
        threading.Thread(target=ask_for_new, args=(installation.url, OTHERS.format(number), until_then, misses))
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    hits = steady(address_of(installation), f"/images/{WARM}", HIT_PAUSE, seconds)
    for thread in threads:
        thread.join()
    return misses, hits


def ask_for_new(url: str, client: str, until_then: float, taken: list[float]) -> None:
    headers = {"X-Forwarded-For": client}
    with requests.Session() as session:
        session.trust_env = False
        while time.monotonic() < until_then:
            began = time.perf_counter()
            status = session.get(f"{url}/images/{uuid4().hex}.tif", headers=headers, timeout=60).status_code
            taken.append(1000 * (time.perf_counter() - began) if status == 200 else float("inf"))
            time.sleep(MISS_PAUSE)


def address_of(installation: Installation) -> Address:
    place = urlsplit(installation.url)
    return str(place.hostname), int(place.port or 80)


# --- the client that asks for too much


def generate(target: Address, rate: float, seconds: float, answers: multiprocessing.Queue[Counter[str]]) -> None:
    """Send requests for new images at a steady rate, however slowly they are answered. Puts the counts by status."""
    answers.put(asyncio.run(_generate(target, rate, seconds)))


async def _generate(target: Address, rate: float, seconds: float) -> Counter[str]:
    counts: Counter[str] = Counter()
    began, tasks = time.monotonic(), set()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        task = asyncio.create_task(_ask(target, counts))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.wait(tasks, timeout=30)
    for task in tasks:
        task.cancel()
    return counts


async def _ask(target: Address, counts: Counter[str]) -> None:
    name = f"{uuid4().hex}.tif"
    try:
        reader, writer = await asyncio.open_connection(*target)
        head = (
            f"GET /images/{name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Forwarded-For: {GREEDY}\r\n\r\n"
        )
        writer.write(head.encode())
        answer = await reader.read()
        writer.close()
    except OSError as error:
        counts[type(error).__name__] += 1
        return
    status = answer[9:12].decode() or "nothing"
    counts[status] += 1
    if status == "429" and b"\r\nretry-after: " not in answer.lower():
        counts["429 without Retry-After"] += 1


@contextmanager
def plain_nginx(folder: Path) -> Iterator[Address]:
    """Run an nginx that answers everything with 404."""
    binary = nginx()
    assert binary is not None, "this benchmark needs nginx"
    port = free_port()
    (folder / "plain.conf").write_text(PLAIN.format(folder=folder, port=port))
    process = subprocess.Popen([binary, "-c", str(folder / "plain.conf"), "-p", str(folder)])
    try:
        until(lambda: answers_404(port), what="nginx")
        yield "127.0.0.1", port
    finally:
        process.terminate()
        process.wait()


def answers_404(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/", timeout=5).status_code == 404
    except requests.ConnectionError:
        return False


if __name__ == "__main__":
    main()
