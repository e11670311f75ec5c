"""Every part killed, frozen, restarted and damaged at random instants under load: `make chaos [SECONDS=300] [SEED=1]`.

Twenty clients request 300 masters while bulk jobs run and masters change, and a fault happens every few seconds. At
the end every image must be byte for byte what a quiet run makes of the newest masters; no image may have cost more
downloads than one, its changes, and the faults that fell between its first download and its last; no failure may be
remembered, since no master is at fault; and nothing may be left behind. Prints the figures; exit code 1 and the reasons
if one of these does not hold. Full disks take root, to mount small ones.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import requests
from redis import Redis, RedisError

from mezcal.convert import ConversionOptions
from mezcal.derive import derive
from mezcal.jobs import Jobs
from mezcal.jobs.state.keys import Keys
from mezcal.jobs.state.policy import JobPolicy
from mezcal.jobs.state.table import JobTable
from mezcal.origin import open_origin
from mezcal.recipe import Mezzanine
from mezcal.settings import load
from mezcal.store import open_store
from tests.faults.support.chaos_damage import SECRET, Changes, Damage, small_disks, write_master
from tests.support.installation import Installation, running_installation
from tests.support.proc import command_line, state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLIENTS, MASTERS, BULK = 20, 300, 200
RATE = 3e6  # bytes per second: a master takes a third of a second to come
PAUSE = 3.0  # seconds between two faults, on average
RECOVERY = 10.0  # seconds after a fault in which its consequences count as its own: a lease, a reaper, a restart
SETTINGS = {
    "LEASE_SECONDS": "3",
    "MAX_ATTEMPTS": "20",  # kills are the rule here, not the master's fault
    "ORIGIN_READ_TIMEOUT": "5",
    "FAILURE_BRIEF_SECONDS": "1",
    "FAILURE_MISSING_SECONDS": "5",
    "WEBHOOK_SECRETS": SECRET,
    "RETRY_SECONDS": "1",
    "BREAKER_SECONDS": "1",
    "DRAIN_SECONDS": "5",
    "API_TOKENS": "chaos",
    "LOG_LEVEL": "WARNING",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What was done, from when to when (seconds since 1970)."""

    what: str
    began: float
    ended: float


@dataclass
class Course:
    """What happened."""

    faults: list[Fault] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    slowest: float = 0
    sent: Counter[str] = field(default_factory=Counter)  # events of each master


class Origin:
    """The repository's process."""

    def __init__(self, folder: Path, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder, self.log = folder, log
        self.url = f"http://127.0.0.1:{self.port}/"
        self.start()

    def start(self) -> None:
        words = [sys.executable, "-m", "tests.faults.support.slow_origin", self.folder, self.port, self.log, RATE]
        self.process = subprocess.Popen([str(word) for word in words])

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def downloads(self) -> dict[str, list[float]]:
        """Returns the times at which the downloads of each path began."""
        began: defaultdict[str, list[float]] = defaultdict(list)
        for line in self.log.read_text().splitlines():
            moment, _, path = line.partition(" ")
            began[path].append(float(moment))
        return began


def make_masters(folder: Path) -> list[str]:
    names = [f"m{number:03}.tif" for number in range(MASTERS)] + [f"b{number:03}.tif" for number in range(BULK)]
    for number, name in enumerate(names):
        write_master(folder / name, number)
    return names


def quiet_run(masters: Path, folder: Path, names: list[str]) -> dict[str, bytes]:
    """Returns the bytes of each image in a run without faults."""
    settings = load(_env_file=None, data_dir=folder, repo_base_url=masters.as_uri())
    origin, store, options = open_origin(settings), open_store(settings), ConversionOptions.of(settings)
    made = {name: derive(Mezzanine.parse(name), origin, store, options) for name in names}
    return {name: stored.path.read_bytes() for name, stored in made.items()}


# --- the load


def ask_for_ever(
    installation: Installation, course: Course, clock: Callable[[], float], over: threading.Event, seed: int
) -> None:
    """Ask for masters as they become known; the newest ones most, so that several wait for the same."""
    chance = random.Random(seed)
    while not over.is_set():
        known = known_at(clock)
        number = max(0, known - 1 - int(chance.expovariate(1 / 4)))
        began = time.monotonic()
        course.answers[outcome(installation, f"m{number:03}.tif")] += 1
        course.slowest = max(course.slowest, time.monotonic() - began)
        over.wait(chance.uniform(0, 0.4))


def known_at(clock: Callable[[], float]) -> int:
    """Returns how many masters clients know by now."""
    return max(1, min(MASTERS, int(clock() * MASTERS) + 1))


def outcome(installation: Installation, path: str) -> str:
    try:
        answer = installation.ask(path)
    except requests.RequestException:
        return "no answer"
    if answer.status_code == 200 and answer.content[-2:] != b"\xff\xd9":
        return "CUT"
    return str(answer.status_code) if answer.status_code == 200 else f"{answer.status_code} {problem(answer)}"


def problem(answer: requests.Response) -> str:
    with suppress(ValueError):
        return str(answer.json()["type"]).rpartition("/")[2]
    return "without a reason"


def bulk_for_ever(installation: Installation, clock: Callable[[], float], over: threading.Event) -> None:
    """Want everything else made in bulk, in five portions; tried again until the broker has taken it."""
    portions = [[Mezzanine.parse(f"b{n:03}.tif") for n in range(first, BULK, 5)] for first in range(5)]
    jobs = bulk_client(installation)
    for number, portion in enumerate(portions):
        while clock() < number / 5 * 0.8 and not over.wait(0.2):
            pass
        while True:
            try:
                jobs.spread(portion)
                break
            except Exception:  # noqa: BLE001 - the broker is dead just now
                time.sleep(0.5)


def bulk_client(installation: Installation) -> Jobs:
    url = f"redis+socket://{installation.folder}/data/run/broker.sock"
    return Jobs.of(load(_env_file=None, redis_url=url, repo_base_url=installation.settings.repo_base_url))


# --- the faults


class Chaos:
    """Faults at random, from one seed."""

    def __init__(
        self, installation: Installation, origin: Origin, course: Course, changes: Changes, seed: int, *, disks: bool
    ) -> None:
        self.installation, self.origin, self.course = installation, origin, course
        self.chance = random.Random(seed)
        damage = Damage(installation, changes, origin.log.with_suffix(".sign-in"), self.chance)
        disk = {"cache full": damage.fill_cache, "data folder full": damage.fill_data} if disks else {}
        self.kinds: dict[str, Callable[[], None]] = {
            "pool process killed": lambda: self.kill(self.pool),
            "pool process frozen": lambda: self.freeze(self.pool, 8),
            "worker killed": lambda: self.kill(self.worker),
            "worker frozen": lambda: self.freeze(self.worker, 6),
            "worker restarted": lambda: self.kill(self.worker, signal.SIGTERM),
            "API process killed": lambda: self.kill(self.api),
            "API process frozen": lambda: self.freeze(self.api, 3),
            "API restarted": lambda: self.kill(self.gunicorn, signal.SIGTERM),
            "broker killed": lambda: self.kill(self.broker),
            "broker frozen": lambda: self.freeze(self.broker, 6),
            "connections dropped": self.drop,
            "origin killed": self.restart_origin,
            "origin frozen": lambda: self.freeze(lambda: [self.origin.process.pid], 4),
            "sign-in page": damage.show_sign_in_page,
            "broker's state damaged": damage.damage_state,
            "broker's clock stepped": damage.step_clock,
            **disk,
        }

    def run(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            what = self.chance.choice(list(self.kinds))
            began = time.time()
            self.kinds[what]()
            self.course.faults.append(Fault(what, began, time.time()))
            time.sleep(self.chance.expovariate(1 / PAUSE))

    def pool(self) -> list[int]:
        return self.installation.pool()

    def worker(self) -> list[int]:
        return self.installation.workers()

    def api(self) -> list[int]:
        return self.installation.pids("api.server.gunicorn")[1:]

    def gunicorn(self) -> list[int]:
        return self.installation.pids("api.server.gunicorn")[:1]

    def broker(self) -> list[int]:
        return self.installation.pids("valkey-server")[:1]

    def kill(self, group: Callable[[], list[int]], number: signal.Signals = signal.SIGKILL) -> None:
        for pid in self.one_of(group):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def freeze(self, group: Callable[[], list[int]], most: float) -> None:
        for pid in self.one_of(group):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
            time.sleep(self.chance.uniform(0.2, most))
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def one_of(self, group: Callable[[], list[int]]) -> list[int]:
        pids = group()
        return [self.chance.choice(pids)] if pids else []

    def drop(self) -> None:
        with suppress(RedisError):
            table(self.installation).redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def restart_origin(self) -> None:
        self.origin.stop()
        time.sleep(self.chance.uniform(0.2, 2))
        self.origin.start()


def table(installation: Installation) -> JobTable:
    redis = Redis(
        unix_socket_path=str(installation.folder / "data/run/broker.sock"), decode_responses=True, socket_timeout=5
    )
    return JobTable(redis, Keys(installation.settings.redis_prefix), JobPolicy())


# --- the end


def wanted_later(installation: Installation, names: list[str], wanted: dict[str, bytes]) -> list[str]:
    """Ask for each until it is there, three minutes at most for all; which are wrong."""
    ends = time.monotonic() + 180
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda name: right_at_last(installation, name, wanted[name], ends), names)
        return [wrong for wrong in found if wrong is not None]


def right_at_last(installation: Installation, name: str, wanted: bytes, ends: float) -> str | None:
    """Returns what is wrong with the image of *name* at the moment *ends*, None as soon as it is right."""
    found = "no answer"
    while time.monotonic() < ends:
        with suppress(requests.RequestException):
            answer = installation.ask(name)
            if answer.content == wanted:
                return None
            found = f"{answer.status_code}, job {installation.job(name)}"
        time.sleep(0.5)
    return f"{name} is not what a quiet run makes: {found}"


def too_many(downloads: dict[str, list[float]], course: Course) -> list[str]:
    """Images that cost more downloads than one, their events, and the faults between the first and the last.

    While the disk was full, any of them may have been evicted.
    """
    wrong = []
    evicted = sum(fault.what == "cache full" for fault in course.faults)
    for name, moments in downloads.items():
        hits = [fault for fault in course.faults if fault.began <= moments[-1] and fault.ended + RECOVERY >= moments[0]]
        if len(moments) > 1 + len(hits) + course.sent[name] + evicted:
            wrong.append(f"{name} was downloaded {len(moments)} times with {len(hits)} faults")
    return wrong


def left_behind(installation: Installation) -> list[str]:
    """Scratch files, jobs that are not at their end, processes too many, keys without an expiry."""
    ends = time.monotonic() + 60
    while (left := remains(installation)) and time.monotonic() < ends:
        time.sleep(0.5)
    return left


def remains(installation: Installation) -> list[str]:
    try:
        jobs = table(installation)
        depths = {name: count for name, count in jobs.depths().items() if count}
        lasting = [key for key in jobs.redis.scan_iter(f"{jobs.keys.prefix}job:*") if jobs.redis.ttl(key) < 0]
    except RedisError as error:
        return [f"no broker: {error}"]
    left = [f"scratch file {path}" for path in installation.scratch()] + [f"{key} for ever" for key in lasting]
    stopped = [pid for pid in installation.pids("") if state(pid) == "T"]
    return left + ([f"jobs: {depths}"] if depths else []) + [f"frozen: {command_line(pid)}" for pid in stopped]


def run(seconds: float, seed: int) -> list[str]:
    """Run everything. Returns the violated promises."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        masters, log = folder / "masters", folder / "downloads.log"
        masters.mkdir()
        log.touch()
        names = make_masters(masters)
        origin, data = Origin(masters, log), folder / "installation" / "data"
        data.mkdir(parents=True)
        try:
            with (
                small_disks(data) as disks,
                running_installation(folder / "installation", origin.url, **SETTINGS) as installation,
            ):
                course = under_load(installation, origin, seconds, seed, disks=disks)
                wrong = wanted_later(installation, names, quiet_run(masters, folder / "quiet", names))
                wrong += too_many(origin.downloads(), course) + left_behind(installation)
                report(course, origin.downloads(), seconds, seed)
                if wrong:
                    print(*lines_about(installation, wrong[0]), sep="\n", file=sys.stderr)
                return wrong + (["an image was cut"] if course.answers["CUT"] else [])
        finally:
            origin.stop()


def lines_about(installation: Installation, what: str) -> list[str]:
    """Returns the last lines of the log, and of those that name the first word of *what*."""
    lines = [line for line in installation.journal.read_text().splitlines() if " 200 hit " not in line]
    return [line for line in lines if what.split(maxsplit=1)[0] in line][-40:] + lines[-40:]


def under_load(installation: Installation, origin: Origin, seconds: float, seed: int, *, disks: bool) -> Course:
    course, over, began = Course(), threading.Event(), time.monotonic()

    def clock() -> float:
        return (time.monotonic() - began) / seconds

    changes = Changes(installation, origin.folder, lambda: known_at(clock), seed)
    course.sent = changes.sent
    with joined(over) as threads:
        threads.append(threading.Thread(target=changes.run, args=(over,)))
        for number in range(CLIENTS):
            threads.append(
                threading.Thread(target=ask_for_ever, args=(installation, course, clock, over, seed + number))
            )
        threads.append(threading.Thread(target=bulk_for_ever, args=(installation, clock, over)))
        for thread in threads:
            thread.start()
        Chaos(installation, origin, course, changes, seed, disks=disks).run(seconds)
    return course


@contextmanager
def joined(over: threading.Event) -> Iterator[list[threading.Thread]]:
    threads: list[threading.Thread] = []
    try:
        yield threads
    finally:
        over.set()
        for thread in threads:
            thread.join()


def report(course: Course, downloads: dict[str, list[float]], seconds: float, seed: int) -> None:
    counts = Counter(len(moments) for moments in downloads.values())
    faults = Counter(fault.what for fault in course.faults)
    print(f"{seconds:g} s, seed {seed}: {len(course.faults)} faults, {sum(course.answers.values())} requests")
    print("faults:    " + ", ".join(f"{what} {count}" for what, count in sorted(faults.items())))
    print("answers:   " + ", ".join(f"{what} {count}" for what, count in sorted(course.answers.items())))
    print(f"events:    {sum(course.sent.values())} for {len(course.sent)} masters")
    print(f"slowest:   {course.slowest:.1f} s")
    print("downloads: " + ", ".join(f"{images} images {times}x" for times, images in sorted(counts.items())))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    wrong = run(options.seconds, options.seed)
    for line in itertools.islice(wrong, 20):
        print(f"WRONG: {line}")
    print("everything holds" if not wrong else f"{len(wrong)} things do not hold")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
