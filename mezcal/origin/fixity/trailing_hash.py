"""Hashes a master behind its download, on a thread of its own, so that hashing delays neither download nor reader."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from mezcal.errors import MasterIncomplete, StoreDown
from mezcal.origin.fixity.digest import BLOCK, RunningDigest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mezcal.origin.fixity.digest import Digest

    ReadCallback = Callable[[int, memoryview], int]


class TrailingHash:
    """The digests by *algorithms* of the bytes that *read* returns.

    *read* fills a buffer from an offset on, and returns the number of bytes. It is only asked for what has arrived.
    The thread begins with the first whole block: a smaller master is hashed by `finish` itself.
    """

    def __init__(self, algorithms: Iterable[str], read: ReadCallback) -> None:
        self._running = [RunningDigest(name) for name in algorithms]
        self._read = read
        self._changed = threading.Condition()
        self._arrived = 0  # bytes that may be read: always the whole blocks, at the end all
        self._ended = self._stopped = False
        self._hashed = 0
        self._error: OSError | None = None
        self._thread: threading.Thread | None = None

    def advance(self, received: int) -> None:
        """Record that the first *received* bytes have arrived."""
        blocks = received - received % BLOCK
        if not self._running or blocks <= self._arrived:
            return
        with self._changed:
            self._arrived = blocks
            self._changed.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="origin-hash", daemon=True)
            self._thread.start()

    def finish(self, received: int) -> list[Digest]:
        """Return the digests of the whole master, which has *received* bytes: wait for those not hashed yet.

        Raises `StoreDown` if they cannot be read, and `MasterIncomplete` after `stop`.
        """
        with self._changed:
            self._arrived, self._ended = received, True
            self._changed.notify()
        if self._thread is None and self._running:
            self._run()
        self._join()
        if self._error is not None:
            raise StoreDown(f"the scratch folder cannot be read: {self._error.strerror}") from self._error
        if self._running and self._hashed < received:
            raise MasterIncomplete("the master was not hashed to its end")
        return [one.result() for one in self._running]

    def stop(self) -> None:
        """Hash no further block."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def close(self) -> None:
        """Stop, and wait until *read* is not called any more."""
        self.stop()
        self._join()

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        buffer = memoryview(bytearray(BLOCK))
        try:
            while (count := self._next()) and (read := self._read(self._hashed, buffer[:count])):
                for one in self._running:
                    one.update(buffer[:read])
                self._hashed += read
        except OSError as error:
            self._error = error

    def _next(self) -> int:
        """Wait for more bytes. Returns how many to read, 0 if no more are to be hashed."""
        with self._changed:
            self._changed.wait_for(lambda: self._arrived > self._hashed or self._ended or self._stopped)
            return 0 if self._stopped else min(BLOCK, self._arrived - self._hashed)
