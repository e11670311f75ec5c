"""A scratch file that grows while it is read, so that a master is converted while it is still arriving."""

from __future__ import annotations

import io
import os
import tempfile
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from mezcal.errors import MasterIncomplete, StoreDown, is_disk_full

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

    from mezcal.errors import Failure
    from mezcal.origin.retries import RetryBudget

# Frees bytes on the disk of the scratch files. Returns True if a write may succeed now.
FreeSpaceCallback = Callable[[int], bool]
FREE_SPACE_ATTEMPTS = 3


def free_nothing(_needed: int) -> bool:
    """Free no space: there is nothing to evict on the disk of the scratch files."""
    return False


class ScratchFile:
    """The part of a master that has arrived: the first `received` bytes, and spans that were fetched ahead.

    The file has no name, so its space is free again however the process ends. Reader and writer use positioned
    calls, so neither moves the other's position.
    """

    def __init__(
        self, folder: Path, size: int | None, budget: RetryBudget, free_space: FreeSpaceCallback = free_nothing
    ) -> None:
        self._free_space = free_space
        self._file = _create_unnamed(folder)
        self._fd = self._file.fileno()
        self._changed = threading.Condition()
        self._budget = budget
        self._spans: list[tuple[int, int]] = []
        self._ended = False
        self._failure: Failure | None = None
        self._users = 2  # the download and the reader; the last one to release it closes the file
        self.received = 0
        self.completed_at: float | None = None  # when the last byte arrived, on the monotonic clock
        self.size = size  # None until it is known

    def write(self, at: int, chunk: bytes) -> None:
        """Write *chunk* at the offset *at*, which is `received` or less; what of it has arrived before is compared.

        Raises `MasterIncomplete` if bytes that have arrived before, or were fetched ahead, are different now.
        """
        known = max(0, min(len(chunk), self.received - at))
        self._compare(at, chunk[:known])
        new = chunk[known:]
        if new:
            for start, end in self._spans:  # a reader may have read them
                first, last = max(start, at + known), min(end, at + len(chunk))
                self._compare(first, chunk[first - at : last - at] if first < last else b"")
            self._write(at + known, new)
            with self._changed:
                self.received = at + len(chunk)
                self._changed.notify_all()

    def _compare(self, at: int, known: bytes) -> None:
        if known and os.pread(self._fd, len(known), at) != known:
            raise MasterIncomplete("the master changed while it was read")

    def write_ahead(self, at: int, span: bytes) -> None:
        """Write *span* beyond the received bytes."""
        self._write(at, span)
        with self._changed:
            self._spans.append((at, at + len(span)))
            self._changed.notify_all()

    def _write(self, at: int, chunk: bytes) -> None:
        view, attempts = memoryview(chunk), FREE_SPACE_ATTEMPTS
        while view:
            try:
                written = os.pwrite(self._fd, view, at)
            except OSError as error:
                needed = max((self.size or 0) - self.received, len(view))
                if not (is_disk_full(error) and attempts and self._free_space(needed)):
                    # from None: a caller that sees a full disk as the cause would free space and run the job again
                    raise StoreDown(f"the scratch folder cannot be written: {error.strerror}") from None
                attempts -= 1
            else:
                view, at = view[written:], at + written

    def end(self, failure: Failure | None = None) -> None:
        """Record that nothing more will arrive: the master is complete, or *failure* says why not."""
        with self._changed:
            self._ended, self._failure = True, failure
            if failure is None:
                self.size, self.completed_at = self.received, time.monotonic()
            self._changed.notify_all()

    def available(self, at: int) -> int:
        """Return how many bytes can be read from the offset *at* on without waiting."""
        if at < self.received:
            return self.received - at
        return max((end - at for start, end in self._spans if start <= at < end), default=0)

    def read_into(self, at: int, buffer: memoryview) -> int:
        """Fill *buffer* with the bytes available from the offset *at* on; wait for the first of them.

        Returns the number of bytes, 0 at the master's end. Raises the download's failure.
        """
        if self.size is not None and at >= self.size:
            return 0
        self._wait_for(lambda: self.available(at) > 0)
        count = min(self.available(at), len(buffer))
        return os.preadv(self._fd, [buffer[:count]], at) if count else 0

    def wait_complete(self) -> int:
        """Wait until the whole master has arrived and return its bytes. Raises the download's failure."""
        self._wait_for(lambda: False)
        return self.received

    def _wait_for(self, is_available: Callable[[], bool]) -> None:
        if is_available():
            return
        with self._changed:
            while not (is_available() or self._ended):
                self._changed.wait(self._budget.time_left())
            if not is_available() and self._failure is not None:
                raise self._failure

    def release(self) -> None:
        """Record that one of the two users is finished with the file."""
        with self._changed:
            self._users -= 1
            is_last = self._users == 0
        if is_last:
            self._file.close()


def _create_unnamed(folder: Path) -> IO[bytes]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=folder, buffering=0)
    except OSError as error:
        raise StoreDown(f"the scratch folder cannot be used: {error.strerror}") from error


class ScratchBytes(Protocol):
    """The bytes of a `ScratchFile`, for reading. *size* is None until it is known."""

    size: int | None

    def available(self, at: int) -> int:
        """Return how many bytes can be read from the offset *at* on without waiting."""

    def read_into(self, at: int, buffer: memoryview) -> int:
        """Fill *buffer* from the offset *at* on; wait for the first byte. Returns the number of bytes, 0 at the end."""

    def wait_complete(self) -> int:
        """Wait until all bytes have arrived and return their number."""


class GrowingFile(io.RawIOBase):
    """A scratch file for reading, as if it had already arrived. Wrap it in a BufferedReader."""

    def __init__(self, scratch: ScratchBytes, fetch_ahead: Callable[[int], None]) -> None:
        self._scratch = scratch
        self._fetch_ahead = fetch_ahead
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True: a reader may seek to bytes that have not arrived."""
        return True

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position and return it. SEEK_END waits for the whole master if its size is not known."""
        start = {os.SEEK_SET: lambda: 0, os.SEEK_CUR: self.tell, os.SEEK_END: self._end}[whence]()
        if start + offset < 0:
            raise ValueError("a position before the file's beginning")
        self._position = start + offset
        return self._position

    def _end(self) -> int:
        return self._scratch.size if self._scratch.size is not None else self._scratch.wait_complete()

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill *buffer* with what has arrived, at least one byte. Returns 0 only at the master's end."""
        if self.closed:
            raise ValueError("the master was closed: it cannot be read any more")
        if not self._scratch.available(self._position):
            self._fetch_ahead(self._position)
        count = self._scratch.read_into(self._position, memoryview(buffer).cast("B"))
        self._position += count
        return count
