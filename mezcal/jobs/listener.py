"""One connection per process that hears of ended jobs and wakes whoever waits for them."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING

from redis import RedisError

from mezcal.errors import Busy
from mezcal.jobs.keys import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from redis.client import PubSub

    from mezcal.jobs.table import Table

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25  # the net below the messages: one round trip for all who wait
RECONNECT_SECONDS = 0.5
UNSETTLED = {State.QUEUED, State.LATER, State.RUNNING}


class Waiter:
    """One request that waits for one job. *gone* says whether its client has left."""

    __slots__ = ("_woken", "gone", "key", "left")

    def __init__(self, key: str, gone: Callable[[], bool]) -> None:
        self.key = key
        self.gone = gone
        self.left = False
        self._woken = threading.Event()

    def wake(self) -> None:
        """Let it look again."""
        self._woken.set()

    def wait(self, seconds: float) -> bool:
        """Sleep until there is something to look at; False when *seconds* are over."""
        woken = self._woken.wait(max(seconds, 0))
        self._woken.clear()
        return woken


class Listener:
    """Wakes waiters; at most *most* of them wait at once, so that they never crowd out hits."""

    def __init__(self, table: Table, most: int) -> None:
        self._table = table
        self._most = most
        self._lock = threading.Lock()
        self._waiters: defaultdict[str, set[Waiter]] = defaultdict(set)
        self._count = 0
        self._pid = 0

    @contextmanager
    def waiting(self, key: str, gone: Callable[[], bool]) -> Iterator[Waiter]:
        """A place among those who wait for *key*; `Busy` where all are taken."""
        waiter = Waiter(key, gone)
        with self._lock:
            if self._count >= self._most:
                raise Busy(f"{self._most} requests wait already: ask again in a moment")
            self._count += 1
            self._waiters[key].add(waiter)
            self._start()
        try:
            yield waiter
        finally:
            with self._lock:
                self._count -= 1
                self._waiters[key].discard(waiter)
                if not self._waiters[key]:
                    del self._waiters[key]

    def count(self) -> int:
        """How many wait."""
        return self._count

    def _start(self) -> None:
        """Start listening in this process: threads do not survive a fork, so not before somebody waits."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            threading.Thread(target=self._listen, name="listener", daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                with self._table.redis.pubsub(ignore_subscribe_messages=True) as channel:
                    channel.subscribe(self._table.keys.ended)
                    self._wake_all()  # what ended while nobody listened
                    self._hear(channel)
            except (RedisError, OSError) as error:
                log.warning("the queue cannot be heard: %s", error)
            except Exception:
                log.exception("listening failed")
            time.sleep(RECONNECT_SECONDS)

    def _hear(self, channel: PubSub) -> None:
        polled = 0.0
        while True:
            message = channel.get_message(timeout=POLL_SECONDS)
            if message is not None:
                self._wake(message["data"])
            if time.monotonic() - polled >= POLL_SECONDS:
                self._poll()
                polled = time.monotonic()

    def _poll(self) -> None:
        """Wake those whose job has settled unheard, and those whose clients have left."""
        with self._lock:
            keys = list(self._waiters)
            waiters = [waiter for group in self._waiters.values() for waiter in group]
        for waiter in waiters:
            if waiter.gone():
                waiter.left = True
                waiter.wake()
        if keys:
            for key, state in zip(keys, self._table.states(keys), strict=True):
                if state not in UNSETTLED:
                    self._wake(key)

    def _wake(self, key: str) -> None:
        with self._lock:
            for waiter in self._waiters.get(key, ()):
                waiter.wake()

    def _wake_all(self) -> None:
        with self._lock:
            for group in self._waiters.values():
                for waiter in group:
                    waiter.wake()
