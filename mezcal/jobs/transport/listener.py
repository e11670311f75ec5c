"""One connection per process that receives the keys of ended jobs and wakes the requests that wait for them."""

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

from mezcal.errors import Unavailable
from mezcal.jobs.state.keys import JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from redis.client import PubSub

    from mezcal.jobs.state.table import JobTable

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25  # for lost messages: one round trip for all waiters
RECONNECT_SECONDS = 0.5
CLIENT_SECONDS = 0.5  # how often a waiter checks if its client is still connected: one system call
UNFINISHED = {JobState.QUEUED, JobState.DELAYED, JobState.RUNNING}


class Waiter:
    """One request that waits for one job. *gone* returns True when its client has left."""

    __slots__ = ("_gone", "_listener", "_woken", "key")

    def __init__(self, key: str, gone: Callable[[], bool], listener: Listener) -> None:
        self.key = key
        self._gone = gone
        self._listener = listener
        self._woken = threading.Event()

    def wake(self) -> None:
        """Wake the request: its job may have ended."""
        self._woken.set()

    def sleep(self, until: float) -> bool:
        """Sleep until the job may have ended. Returns False at *until* (monotonic clock), or when the client has left.

        The waiting thread checks its client itself, so that its place is free within a second even while the broker
        cannot be reached.
        """
        while True:
            left = min(until, self._listener.ends) - time.monotonic()
            if self._woken.wait(max(0.0, min(left, CLIENT_SECONDS))):
                self._woken.clear()
                return True
            if left <= 0 or self._gone():
                return False


class Listener:
    """Wakes waiters."""

    def __init__(self, table: JobTable) -> None:
        self._table = table
        self._lock = threading.Lock()
        self._waiters: defaultdict[str, set[Waiter]] = defaultdict(set)
        self._pid = 0
        self.ends = math.inf  # when the last wait ends, by the monotonic clock

    @contextmanager
    def waiting(self, key: str, gone: Callable[[], bool]) -> Iterator[Waiter]:
        """Wait for the job *key*. Raises `Unavailable` at shutdown."""
        waiter = Waiter(key, gone, self)
        with self._lock:
            if self.ends < math.inf:
                raise Unavailable("this server is being stopped: ask again")
            self._waiters[key].add(waiter)
            self._start()
        try:
            yield waiter
        finally:
            with self._lock:
                self._waiters[key].discard(waiter)
                if not self._waiters[key]:
                    del self._waiters[key]

    def drain(self, seconds: float) -> None:
        """Accept no more waiters, and end all waits in *seconds*. Takes no lock, because signal handlers call it."""
        self.ends = time.monotonic() + seconds

    def _start(self) -> None:
        """Start the thread with the first waiter of this process, because threads do not survive a fork."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            threading.Thread(target=self._listen, name="listener", daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                with self._table.redis.pubsub(ignore_subscribe_messages=True) as channel:
                    channel.subscribe(self._table.keys.ended)
                    self._wake_all()  # their jobs may have ended before the subscription
                    self._receive(channel)
            except (RedisError, OSError) as error:
                log.warning("the queue cannot be listened to: %s", error)
            except Exception:
                log.exception("listening failed")
            time.sleep(RECONNECT_SECONDS)

    def _receive(self, channel: PubSub) -> None:
        polled = 0.0
        while True:
            message = channel.get_message(timeout=POLL_SECONDS)
            if message is not None:
                self._wake(message["data"])
            if time.monotonic() - polled >= POLL_SECONDS:
                self._poll()
                polled = time.monotonic()

    def _poll(self) -> None:
        """Wake the waiters whose job ended without a message."""
        with self._lock:
            keys = list(self._waiters)
        if keys:
            for key, state in zip(keys, self._table.states(keys), strict=True):
                if state not in UNFINISHED:
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
