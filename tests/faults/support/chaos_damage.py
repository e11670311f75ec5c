"""What `make chaos` does besides killing and freezing: full disks, damaged state, clock steps, pages, changes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import numpy as np
import requests
import tifffile
from redis import Redis, RedisError

from tests.support.proc import command_line
from tests.support.signed import event, signed
from tests.support.waiting import until

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.installation import Installation

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
EDGE = 600  # a master has a megabyte
HOUR_MS = 3_600_000
FILLER = ".filler"
# Moves all times in Redis by ARGV[2] milliseconds, as if the server's clock had stepped the other way.
STEP = """
local prefix, step = ARGV[1], tonumber(ARGV[2])
local function shift(index, by)
  local found = redis.call('ZRANGE', index, 0, -1, 'WITHSCORES')
  for place = 1, #found, 2 do redis.call('ZADD', index, found[place + 1] + by, found[place]) end
end
for _, name in ipairs({'running', 'delayed', 'failed', 'chunks', 'queued:interactive', 'queued:bulk', 'askers'}) do
  shift(prefix .. name, step)
end
shift(prefix .. 'workers', step / 1000)
for _, index in ipairs(redis.call('KEYS', prefix .. 'places:*')) do shift(index, step) end
local fields = {'queued', 'asked', 'started', 'ended', 'refused_until', 'released', 'since'}
for _, name in ipairs({'paused_at', 'paused_until', 'probe_at', 'probe_until'}) do fields[#fields + 1] = name end
for _, pattern in ipairs({'job:*', 'circuit:*', 'round'}) do
  for _, hash in ipairs(redis.call('KEYS', prefix .. pattern)) do
    for _, field in ipairs(fields) do
      if redis.call('HEXISTS', hash, field) == 1 then redis.call('HINCRBY', hash, field, step) end
    end
  end
end
for _, name in ipairs({'clock', 'begun:bulk'}) do
  if redis.call('EXISTS', prefix .. name) == 1 then redis.call('INCRBY', prefix .. name, step) end
end
"""


def write_master(file: Path, seed: int) -> None:
    """Put a master of random squares in place of *file*."""
    pixels = np.random.default_rng(seed).integers(0, 256, (EDGE // 8, EDGE // 8, 3), dtype=np.uint8)
    draft = file.with_suffix(".draft")
    tifffile.imwrite(draft, pixels.repeat(8, 0).repeat(8, 1), photometric="rgb", rowsperstrip=16)
    draft.rename(file)


@contextmanager
def small_disks(data: Path) -> Iterator[bool]:
    """Mount file systems of their own at the data folder and at the cache. Yields False if that is not allowed."""
    places = [data, data / "cache"]
    mounted: list[Path] = []
    for place in places:
        place.mkdir(exist_ok=True)
        options = ["mount", "-t", "tmpfs", "-o", "size=2g,mode=755", "tmpfs", str(place)]
        if subprocess.run(options, capture_output=True, check=False).returncode == 0:
            mounted.append(place)
    try:
        yield len(mounted) == len(places)
    finally:
        for place in reversed(mounted):
            until(lambda place=place: umounted(place), what="the end of its processes")


def umounted(place: Path) -> bool:
    return subprocess.run(["umount", str(place)], capture_output=True, check=False).returncode == 0


class Changes:
    """Masters that change, each with an event that is sent until it is accepted, as a repository does."""

    def __init__(self, installation: Installation, masters: Path, known: Callable[[], int], seed: int) -> None:
        self._installation, self._masters, self._known = installation, masters, known
        self._chance = random.Random(seed)
        self._unsent: set[str] = set()
        self.sent: Counter[str] = Counter()

    def run(self, over: threading.Event) -> None:
        while not over.wait(self._chance.uniform(0.5, 2)) or self._unsent:
            if not over.is_set() and len(self._unsent) < 5:
                self._change()
            for name in list(self._unsent)[:20]:
                self._send(name)

    def send_all_again(self) -> None:
        """The state of the queue is lost: an operator has the events of the last hours sent again."""
        self._unsent |= set(self.sent)

    def _change(self) -> None:
        name = f"m{self._chance.randrange(self._known()):03}.tif"
        write_master(self._masters / name, self._chance.randrange(2**31))
        self._unsent.add(name)

    def _send(self, name: str) -> None:
        self._unsent.discard(name)
        self.sent[name] += 1
        body = event("updated", name)
        with suppress(requests.RequestException):
            answer = self._installation.request("/webhooks/standard", "POST", data=body, headers=signed(body, SECRET))
            if answer.status_code == 202:
                return
            assert answer.status_code in {502, 503}, answer.text  # 502 of nginx, while the API restarts
        self._unsent.add(name)


class Damage:
    """Faults of the machine. Each returns when its cause is over."""

    def __init__(self, installation: Installation, changes: Changes, sign_in: Path, chance: random.Random) -> None:
        self._installation, self._changes, self._sign_in, self._chance = installation, changes, sign_in, chance

    @property
    def _data(self) -> Path:
        return self._installation.folder / "data"

    def fill(self, folder: Path) -> None:
        """Leave no byte on the disk of *folder* for a while."""
        filler = folder / FILLER
        with filler.open("wb") as file:
            for size in (2**26, 2**20, 2**12):
                with suppress(OSError):
                    while True:
                        os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size)
            time.sleep(self._chance.uniform(1, 8))
        filler.unlink()

    def fill_cache(self) -> None:
        self.fill(self._data / "cache")

    def fill_data(self) -> None:
        self.fill(self._data)

    def damage_state(self) -> None:
        """Cut the power of the broker, so that its file ends with zeros."""
        assert self._installation.process is not None
        supervisor = self._installation.process.pid
        os.kill(supervisor, signal.SIGSTOP)
        try:
            for pid in self._installation.pids("valkey-server")[:1]:
                os.kill(pid, signal.SIGKILL)
                until(lambda pid=pid: not command_line(pid), what="the end of the broker")
            for log in (self._data / "broker").glob("*/*.incr.aof"):
                with log.open("ab") as file:
                    file.write(bytes(512))
        finally:
            os.kill(supervisor, signal.SIGCONT)
        until(self._broker_answers, 60, "the broker")
        self._changes.send_all_again()

    def step_clock(self) -> None:
        """Have the broker's clock step by an hour, back or ahead."""
        step = self._chance.choice((HOUR_MS, -HOUR_MS))
        with suppress(RedisError), self._redis() as redis:
            redis.eval(STEP, 0, self._installation.settings.redis_prefix, step)

    def show_sign_in_page(self) -> None:
        """The repository answers each request with a page, and with 200."""
        self._sign_in.touch()
        time.sleep(self._chance.choice((3, 10, 60)))
        self._sign_in.unlink()

    def _broker_answers(self) -> bool:
        with suppress(RedisError), self._redis() as redis:
            return bool(redis.ping())
        return False

    def _redis(self) -> Redis:
        return Redis(unix_socket_path=str(self._data / "run/broker.sock"), socket_timeout=5)
