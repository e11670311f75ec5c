"""The table of the files that the processes of a worker share: which frame each file has, and who uses it.

The table is a nameless file with a row for each shared file. Locks of the kernel on its bytes show who uses a row; they
end with their process, so what a killed process was writing is free again. No process waits long for a lock, so a
stopped one blocks no other.
"""

from __future__ import annotations

import fcntl
import os
import struct
import threading
import time
from contextlib import contextmanager, suppress
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ROW = struct.Struct("<q16sqqqq")
CHANGE_SECONDS = 1.0  # a change takes less than a millisecond: who has not ended it by then is stopped
POLL_SECONDS = 0.002


class FrameState(IntEnum):
    """What a row's file has. `BY_CHOICE`: the whole frame is arriving, and its server would send parts, too."""

    FREE, ARRIVING, BY_CHOICE, WHOLE = range(4)


class FrameRow(NamedTuple):
    """One shared file: the frame that it has, by *name*, its *size* and that of the *note* behind it, in bytes.

    Times are nanoseconds of the machine's monotonic clock.
    """

    state: int = FrameState.FREE
    name: bytes = b""
    size: int = 0
    note: int = 0
    began: int = 0  # when the download began
    arrived: int = 0

    @property
    def bytes(self) -> int:
        """The bytes on the disk."""
        return self.size + self.note


class FrameTable:
    """The rows of *count* files. Processes that inherit the descriptor *file* share them."""

    def __init__(self, file: int, count: int) -> None:
        self._file, self.count = file, count
        self._held: set[tuple[int, int]] = set()  # process and row: the kernel lets a process lock a row twice
        self._changing = threading.Lock()  # between threads; the kernel's locks are between processes
        os.ftruncate(file, count * ROW.size)

    def fileno(self) -> int:
        """Return the table's descriptor."""
        return self._file

    @contextmanager
    def changing(self) -> Iterator[bool]:
        """Yield True if no other process changes the table meanwhile, False if one does that was stopped."""
        with self._changing:
            deadline = time.monotonic() + CHANGE_SECONDS
            while not (alone := self._lock(self.count)) and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
            try:
                yield alone
            finally:
                if alone:
                    self._unlock(self.count)

    def rows(self) -> list[FrameRow]:
        """Return all rows."""
        return [FrameRow(*fields) for fields in ROW.iter_unpack(os.pread(self._file, self.count * ROW.size, 0))]

    def write(self, at: int, row: FrameRow) -> None:
        """Replace the row *at*."""
        os.pwrite(self._file, ROW.pack(*row), at * ROW.size)

    def lock(self, at: int, *, shared: bool = False) -> bool:
        """Lock the row *at* for this process; *shared* with others that read its file. Returns True if that succeeded.

        It fails also if this process has locked it already.
        """
        if self.holds(at) or not self._lock(at, shared=shared):
            return False
        self._held.add((os.getpid(), at))
        return True

    def holds(self, at: int) -> bool:
        """Return True if this process has locked the row *at*."""
        return (os.getpid(), at) in self._held

    def unlock(self, at: int) -> None:
        """Unlock the row *at*."""
        self._unlock(at)
        self._held.discard((os.getpid(), at))

    def _lock(self, at: int, *, shared: bool = False) -> bool:
        with suppress(BlockingIOError, PermissionError):
            fcntl.lockf(self._file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB, 1, at)
            return True
        return False

    def _unlock(self, at: int) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, at)
