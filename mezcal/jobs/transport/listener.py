"""One connection per process that hears of ended jobs and wakes whoever waits for them."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING

from redis import RedisError

from mezcal.errors import Busy, Unavailable
from mezcal.jobs.state.keys import JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from redis.client import PubSub

    from mezcal.jobs.state.table import JobTable

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25  # the net below the messages: one round trip for all who wait
RECONNECT_SECONDS = 0.5
LOOK_SECONDS = 0.5  # how often whoever waits looks whether its client is still there: it costs one system call
UNSETTLED = {JobState.QUEUED, JobState.DELAYED, JobState.RUNNING}


class Waiter:
    """One request that waits for one job. *gone* says whether its client has left."""

    __slots__ = ("_gone", "_listener", "_woken", "key")

    def __init__(self, key: str, gone: Callable[[], bool], listener: Listener) -> None:
        self.key = key
        self._gone = gone
        self._listener = listener
        self._woken = threading.Event()

    def wake(self) -> None:
        """Let it look again."""
        self._woken.set()

    def sleep(self, until: float) -> bool:
        """Sleep until there is something to look at; False at *until* (monotonic), or when nobody waits any more.

        The waiting thread itself looks for its client, so that the place is free within a second even while
        the broker is away.
        """
        while True:
            left = min(until, self._listener.ends) - time.monotonic()
            if self._woken.wait(max(0.0, min(left, LOOK_SECONDS))):
                self._woken.clear()
                return True
            if left <= 0 or self._gone():
                return False


class Listener:
    """Wakes waiters; at most *most* of them wait at once, so that they never crowd out hits."""

    def __init__(self, table: JobTable, most: int) -> None:
        self._table = table
        self._most = most
        self._lock = threading.Lock()
        self._waiters: defaultdict[str, set[Waiter]] = defaultdict(set)
        self._count = 0
        self._pid = 0
        self.ends = math.inf  # when the last wait ends, by the monotonic clock

    @contextmanager
    def waiting(self, key: str, gone: Callable[[], bool]) -> Iterator[Waiter]:
        """A place among those who wait for *key*; `Busy` where all are taken."""
        waiter = Waiter(key, gone, self)
        with self._lock:
            if self.ends < math.inf:
                raise Unavailable("this server is being stopped: ask again")
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

    def drain(self, seconds: float) -> None:
        """Let nobody else wait, and those who do for *seconds* at most. Takes no lock: signal handlers call it."""
        self.ends = time.monotonic() + seconds

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
        """Wake those whose job has settled unheard."""
        with self._lock:
            keys = list(self._waiters)
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
