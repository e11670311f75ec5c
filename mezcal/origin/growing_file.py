"""A scratch file that grows while it is read, so that a conversion hides behind its download."""

from __future__ import annotations

import io
import os
import tempfile
import threading
import time
from typing import TYPE_CHECKING

from mezcal.errors import OriginFailed, StoreDown, is_disk_full

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import IO

    from mezcal.errors import Failure
    from mezcal.origin.retries import Retries


ROOM_TRIES = 3


def no_room(_needed: int) -> bool:
    """Nothing can be evicted where the scratch file is."""
    return False


class MasterScratch:
    """The master as far as it has arrived: everything up to `front`, and spans that were fetched ahead.

    The file has no name: whatever ends the process, the disk is free again. Reader and writer use positioned
    calls, so neither disturbs the other.
    """

    def __init__(self, folder: Path, size: int | None, tries: Retries, room: Callable[[int], bool] = no_room) -> None:
        self._room = room
        self._file = _unnamed(folder)
        self._fd = self._file.fileno()
        self._news = threading.Condition()
        self._tries = tries
        self._spans: list[tuple[int, int]] = []
        self._ended = False
        self._failure: Failure | None = None
        self._users = 2  # the download and the reader; the last one out closes the file
        self.front = 0
        self.landed: float | None = None  # when the last byte came, by the monotonic clock
        self.size = size  # None until it is known

    def put(self, at: int, piece: bytes) -> None:
        """Write *piece* at *at*, where the front is or behind it; what is there already must be the same."""
        known = max(0, min(len(piece), self.front - at))
        if known and os.pread(self._fd, known, at) != piece[:known]:
            raise OriginFailed("the master changed while it was read")
        if known < len(piece):
            self._write(at + known, piece[known:])
            with self._news:
                self.front = at + len(piece)
                self._news.notify_all()

    def put_ahead(self, at: int, piece: bytes) -> None:
        """Write *piece* beyond the front."""
        self._write(at, piece)
        with self._news:
            self._spans.append((at, at + len(piece)))
            self._news.notify_all()

    def _write(self, at: int, piece: bytes) -> None:
        view, tries = memoryview(piece), ROOM_TRIES
        while view:
            try:
                written = os.pwrite(self._fd, view, at)
            except OSError as error:
                if not (is_disk_full(error) and tries and self._room(max((self.size or 0) - self.front, len(view)))):
                    # from None: who sees a full disk behind it would make room, and find this master given up
                    raise StoreDown(f"the scratch folder cannot be written: {error.strerror}") from None
                tries -= 1
            else:
                view, at = view[written:], at + written

    def end(self, failure: Failure | None = None) -> None:
        """Nothing more will come: the master is whole, or *failure* says why it is not."""
        with self._news:
            self._ended, self._failure = True, failure
            if failure is None:
                self.size, self.landed = self.front, time.monotonic()
            self._news.notify_all()

    def has(self, at: int) -> int:
        """How many bytes can be read from *at* on without waiting."""
        if at < self.front:
            return self.front - at
        return max((end - at for start, end in self._spans if start <= at < end), default=0)

    def read_into(self, at: int, buffer: memoryview) -> int:
        """Fill *buffer* with what is there from *at* on, at least a byte unless the master ends before."""
        if self.size is not None and at >= self.size:
            return 0
        self._wait_for(lambda: self.has(at) > 0)
        count = min(self.has(at), len(buffer))
        return os.preadv(self._fd, [buffer[:count]], at) if count else 0

    def wait_whole(self) -> int:
        """Wait until all has arrived, and say how many bytes that is; raises what prevented it."""
        self._wait_for(lambda: False)
        return self.front

    def _wait_for(self, there: Callable[[], bool]) -> None:
        if there():
            return
        with self._news:
            while not (there() or self._ended):
                self._news.wait(self._tries.time_left())
            if not there() and self._failure is not None:
                raise self._failure

    def release(self) -> None:
        """Say that one of the two users is done."""
        with self._news:
            self._users -= 1
            last = self._users == 0
        if last:
            self._file.close()


def _unnamed(folder: Path) -> IO[bytes]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=folder, buffering=0)
    except OSError as error:
        raise StoreDown(f"the scratch folder cannot be used: {error.strerror}") from error


class GrowingFile(io.RawIOBase):
    """A scratch file for reading, as if it had arrived already; wrap it in a BufferedReader."""

    def __init__(self, scratch: MasterScratch, fetch_ahead: Callable[[int], None]) -> None:
        self._scratch = scratch
        self._fetch_ahead = fetch_ahead
        self._at = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always, also to where nothing has arrived yet."""
        return True

    def tell(self) -> int:
        """The position in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move; from the end, this waits for the whole master where its size is not known."""
        start = {os.SEEK_SET: lambda: 0, os.SEEK_CUR: self.tell, os.SEEK_END: self._end}[whence]()
        if start + offset < 0:
            raise ValueError("a position before the file's beginning")
        self._at = start + offset
        return self._at

    def _end(self) -> int:
        return self._scratch.size if self._scratch.size is not None else self._scratch.wait_whole()

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill the buffer as far as has arrived, at least one byte; 0 only at the master's end."""
        if self.closed:
            raise ValueError("the master was left: it cannot be read any more")
        if not self._scratch.has(self._at):
            self._fetch_ahead(self._at)
        count = self._scratch.read_into(self._at, memoryview(buffer).cast("B"))
        self._at += count
        return count
