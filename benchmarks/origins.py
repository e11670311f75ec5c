"""Several origins, one dead and one slow: `python -m benchmarks.origins` in the root folder.

A whole `mezcal up` in front of a repository on loopback, a folder, a bucket, a repository that is dead and one that
takes long for each master. A client asks for new images of each of the first three, one after the other: by turns
alone, and while others ask for images of the dead and the slow one all the time. Prints the times of the first three;
their p95 beside the others should be at most 1.1 times that alone. In brackets behind the ratio is where it lies in
nine of ten resamples: the p95 of a hundred requests is the time of five of them. `direct` are the same objects, asked
for by the client itself: what the bucket's server, or a busy machine, takes longer is not mezcal's. Before all that,
each pool process makes an image. Its first one takes 0.2 s more, and the slow one's jobs move the others' to processes
that were idle.

The bucket is moto's, or a new one at `--s3 URL`, an S3 server for which the environment has AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY. The dead repository refuses connections (`--dead refuses`), swallows their packets as a firewall
does (`swallows`), or accepts them and says nothing (`silent`).
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import requests
from botocore.session import Session

from benchmarks.fair_shares import Repository
from tests.support.dead_origins import KINDS, dead_server
from tests.support.installation import SAMPLES, running_installation
from tests.support.s3_server import KEYS, running_s3

if TYPE_CHECKING:
    from collections.abc import Iterator

MASTER = (SAMPLES / "maps/valley.tif").read_bytes()
PAUSE = 0.1  # seconds from an answer to the next request
RAMP = 6.0  # seconds before each run, not measured
RESAMPLES = 2000
Times = dict[str, list[float]]
UrlOf = Callable[[int], str]  # of the master with this number


def main() -> None:
    options = arguments()
    print(f"conditions: {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {options.workers} pool processes,")
    print(f"bucket at {options.s3 or 'moto'}; the dead one {options.dead}; {options.others} clients for each of the")
    print(f"others, which have {options.places} places", flush=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        good, slow = stack.enter_context(Repository()), stack.enter_context(Repository())
        slow.seconds = options.slow_seconds
        dead = stack.enter_context(dead_server(options.dead))
        most = int((2 * options.seconds + RAMP) / (4 * PAUSE)) + 4
        bucket, direct = stack.enter_context(bucket_of_masters(options.s3, folder, most))
        (folder / "masters").mkdir()
        for number in range(most):
            (folder / f"masters/{number}.tif").write_bytes(MASTER)
        file = folder / "origins.toml"
        place = f'[folder]\nprefix = "folder"\nurl = "{(folder / "masters").as_uri()}"\n'
        file.write_text(f"{web('good', good.url)}{place}{bucket}{others(slow.url, dead, options.places)}")
        given = {"ORIGINS_FILE": str(file), "CLIENT_SHARE_EXEMPT": "127.0.0.0/8", "LOG_LEVEL": "ERROR"}
        parts = ("--nginx", "never", "--workers", options.workers)
        installation = stack.enter_context(running_installation(folder, good.url + "home/", *parts, **given))
        measure(installation.url, {**installed(installation.url), "direct": direct}, options)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="alone, and beside the others (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="in which both are divided (default: %(default)s)")
    parser.add_argument("--workers", default="5", help="pool processes")
    parser.add_argument("--slow-seconds", type=float, default=5, help="that the slow repository takes for a master")
    parser.add_argument("--others", type=int, default=4, help="clients of each of the dead and the slow one")
    parser.add_argument("--places", type=int, default=1, help="concurrency of both; 0 is no bound")
    parser.add_argument("--dead", default="refuses", choices=KINDS, help="how the dead one is dead")
    parser.add_argument("--s3", default="", metavar="URL", help="an S3 server instead of moto's")
    return parser.parse_args()


@contextmanager
def bucket_of_masters(url: str, folder: Path, most: int) -> Iterator[tuple[str, UrlOf]]:
    """Make a bucket with *most* masters at *url*, or at moto's server. Yields the table of its origin, and its URLs."""
    keys = {name: os.environ[name] for name in KEYS} if url else KEYS
    with ExitStack() as stack:
        url = url or stack.enter_context(running_s3(folder)).url
        session, name = Session(), f"origins-{uuid4().hex[:12]}"
        session.set_credentials(*keys.values())
        client = stack.enter_context(closing(session.create_client("s3", "us-east-1", endpoint_url=url)))
        client.create_bucket(Bucket=name)
        for number in range(most):
            client.put_object(Bucket=name, Key=f"{number}.tif", Body=MASTER)
        user, password = keys.values()
        table = (
            f'[bucket]\nprefix = "bucket"\nurl = "s3://{name}"\ninternal_url = "{url}"\nregion = "us-east-1"\n'
            f'username = "{user}"\npassword = "{password}"\n'
        )
        yield (
            table,
            lambda number: client.generate_presigned_url("get_object", {"Bucket": name, "Key": f"{number}.tif"}),
        )
        for number in range(most):
            client.delete_object(Bucket=name, Key=f"{number}.tif")
        client.delete_bucket(Bucket=name)


def others(slow: str, dead: str, places: int) -> str:
    bound = f"concurrency = {places}\n"
    return web("slow", slow) + bound + web("dead", dead) + bound


def web(name: str, url: str) -> str:
    return f'[{name}]\nprefix = "{name}"\nurl = "{url}"\n'


def installed(url: str) -> dict[str, UrlOf]:
    """Returns the URLs of the images at the installation *url* by the names of their origins."""
    return {name: f"{url}/images/{name}/{{}}.tif".format for name in ("good", "folder", "bucket")}


def measure(url: str, wanted: dict[str, UrlOf], options: argparse.Namespace) -> None:
    numbers = count(1)  # of masters, each asked for once
    warm_all(wanted["good"], int(options.workers))
    ask_all(wanted, RAMP, numbers)
    alone: Times = {name: [] for name in wanted}
    beside: Times = {name: [] for name in wanted}
    answers = {prefix: Counter[int]() for prefix in ("slow", "dead")}
    for _ in range(options.rounds):
        add(alone, ask_all(wanted, options.seconds / options.rounds, numbers))
        with asking(url, answers, options.others):
            time.sleep(RAMP)
            add(beside, ask_all(wanted, options.seconds / options.rounds, numbers))
    for name, times in alone.items():
        failed = sum(one == float("inf") for one in times + beside[name])
        low, high = bounds(times, beside[name])
        print(f"{name}: {told(times)} alone, {told(beside[name])} beside both, {failed} failed;", end=" ")
        print(
            f"p95 {p95(beside[name]) / p95(times):.2f} times ({low:.2f} to {high:.2f}), at most 1.1 wanted", flush=True
        )
    for prefix, counted in answers.items():
        print(
            f"clients of the {prefix} one: "
            + ", ".join(f"{number} times {status}" for status, number in counted.items())
        )


def ask_all(wanted: dict[str, UrlOf], seconds: float, numbers: Iterator[int]) -> Times:
    """Ask for new images of all origins in turn. Returns the milliseconds of each, infinite for a failure."""
    times: Times = {name: [] for name in wanted}
    ends = time.monotonic() + seconds
    with requests.Session() as session:
        session.trust_env = False
        while time.monotonic() < ends:
            number = next(numbers)
            for name, taken in times.items():
                url = wanted[name](number)
                began = time.perf_counter()
                status = session.get(url, timeout=60).status_code
                taken.append(1000 * (time.perf_counter() - began) if status == 200 else float("inf"))
                time.sleep(PAUSE)
    return times


def warm_all(url_of: UrlOf, processes: int) -> None:
    """Have each pool process import what it needs: more images are asked for at once than there are processes."""
    with ThreadPoolExecutor(4 * processes) as pool:
        for answer in pool.map(requests.get, [url_of(-number) for number in range(12 * processes)]):
            assert answer.status_code == 200, answer.text


def add(times: Times, more: Times) -> None:
    for name, taken in more.items():
        times[name] += taken


@contextmanager
def asking(url: str, answers: dict[str, Counter[int]], clients: int) -> Iterator[None]:
    """Have so many *clients* ask for images of each of the others. At the end the last answers are waited for."""
    stop = threading.Event()
    askers = [
        threading.Thread(target=ask_until, args=(url, prefix, stop, counted))
        for prefix, counted in answers.items()
        for _ in range(clients)
    ]
    for thread in askers:
        thread.start()
    yield
    stop.set()
    for thread in askers:
        thread.join()


def ask_until(url: str, prefix: str, stop: threading.Event, answers: Counter[int]) -> None:
    with requests.Session() as session:
        session.trust_env = False
        while not stop.is_set():
            with suppress(requests.RequestException):  # the installation ends
                answers[session.get(f"{url}/images/{prefix}/{uuid4().hex}.tif", timeout=60).status_code] += 1
            stop.wait(0.2)


def told(times: list[float]) -> str:
    return f"p50 {statistics.median(times):.0f}, p95 {p95(times):.0f} ms ({len(times)})"


def p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=100)[94]


def bounds(alone: list[float], beside: list[float]) -> tuple[float, float]:
    """Returns between which ratios of the p95 nine of ten resamples lie."""
    chance = random.Random(1)
    ratios = sorted(
        p95(chance.choices(beside, k=len(beside))) / p95(chance.choices(alone, k=len(alone))) for _ in range(RESAMPLES)
    )
    return ratios[RESAMPLES // 20], ratios[-RESAMPLES // 20]


if __name__ == "__main__":
    main()
