"""The memory budget of a worker: how much memory its conversions may hold at once, and which process holds how much.

The pool processes share the budget through a nameless file with a row for each process, which only that process
writes. A lock of the kernel shows that a process lives. It ends with the process, so a killed process gives its share
back. No process waits for a lock, so a stopped process blocks no other. A process that waits for memory holds none, so
no two wait for each other. Interactive jobs come before bulk jobs, and within both the first comes first, so small
masters do not overtake a large one for ever.
"""

from __future__ import annotations

import fcntl
import os
import struct
import tempfile
import time
from contextlib import contextmanager, suppress
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from mezcal.errors import TooLarge
from mezcal.runtime import resources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 2**20
MAIN = 160 * MIB  # the main process of a worker, and what all its processes share
SECOND = 96 * MIB  # the main process of a second worker, and the supervisor of both
IDLE = 96 * MIB  # an idle pool process after a conversion
STREAMING = 96 * MIB  # added by a conversion that streams, whatever the size of its master
SMALL = 48 * MIB  # added by the conversion of a tiny picture: libraries, tables, buffers
HEADROOM = 0.9  # of the container; the rest is for the kernel, and for memory that is not given back at once
POLL_SECONDS = 0.05
STALE_SECONDS = 1.0  # a waiting process that has not polled for so long is stopped, and is overtaken

ROW = struct.Struct("<qqqqq")
ROWS = 256  # processes of one worker
INHERITED = "MEZCAL_MEMORY_BUDGET"  # variable that hands a budget to a program that shares it, see `handed_on`


def processes(budget: int) -> int:
    """Return how many pool processes suit this container: as many as it has cores, and memory for a common master each.

    Two at least where memory permits: one long conversion must not hold up a client. *budget* is WORKER_MEMORY.
    """
    room = (budget // STREAMING) if budget else (_usable() - MAIN - SECOND) // (IDLE + STREAMING)
    return max(1, min(max(resources.cores(), 2), room, ROWS))


def budget(count: int, *, workers: int = 1) -> int:
    """Return the bytes for the conversions of *workers* with *count* processes in all: at least a common master's."""
    return max(STREAMING, _usable() - MAIN - (workers - 1) * SECOND - count * IDLE)


def _usable() -> int:
    return int(resources.memory() * HEADROOM)


class ClaimStage(IntEnum):
    """The stage of a row's process. All others count a claim as if it were held."""

    FREE, WAITS, CLAIMS, HOLDS = range(4)


class Row(NamedTuple):
    """What one process holds or waits for. Times are nanoseconds of the machine's monotonic clock."""

    stage: int = ClaimStage.FREE
    size: int = 0
    rank: int = 0  # the lower one goes first
    since: int = 0  # then the one that asked first
    polled: int = 0  # when it last checked whether there is room


class MemoryBudget:
    """*total* bytes, shared by all processes that inherit *file*, the table of who holds how much.

    Without *file* a new table is made: do that before the pool's processes are forked.
    """

    def __init__(self, total: int, file: int | None = None) -> None:
        self.total = total
        self._file = nameless() if file is None else file
        os.ftruncate(self._file, ROWS * ROW.size)
        self._mine: tuple[int, int] | None = None  # the process, for a fork copies this too, and its row

    @classmethod
    def inherited(cls) -> MemoryBudget | None:
        """Return the budget that was handed to this program; None if there is none."""
        total, _, file = os.environ.get(INHERITED, "").partition(":")
        return cls(int(total), int(file)) if file else None

    def handed_on(self) -> str:
        """Return the value of the variable `INHERITED` for a program that inherits the table's descriptor."""
        return f"{self.total}:{self._file}"

    def fileno(self) -> int:
        """Return the table's descriptor."""
        return self._file

    @contextmanager
    def share(self, rank: int, check: Callable[[float], None]) -> Iterator[Callable[[int], None]]:
        """Yield a function that reserves bytes for this process and blocks until there is room. All are given back.

        A job that asks for more later gives back what it has and waits for all of it. *check* is called with the
        seconds waited so far, and ends the wait by raising. Raises `TooLarge` if there can never be room.
        """

        def take(needed: int) -> None:
            self._take(max(needed, 0), rank, check)

        try:
            yield take
        finally:
            if self._mine is not None and self._mine[0] == os.getpid():
                self._write(self._mine[1], Row())

    def held(self) -> int:
        """Return the bytes that living processes hold at this moment."""
        return sum(row.size for _, row in self._living() if row.stage == ClaimStage.HOLDS)

    def _take(self, needed: int, rank: int, check: Callable[[float], None]) -> None:
        if needed > self.total:
            raise TooLarge(
                f"it would take {needed // MIB:,} MB of memory to convert, and the worker may take "
                f"{self.total // MIB:,} MB (WORKER_MEMORY)"
            )
        at = self._row()
        had = self._rows()[at]
        if had.stage == ClaimStage.HOLDS and had.size >= needed:
            return
        wanted = Row(ClaimStage.WAITS, needed, rank, since=time.monotonic_ns())
        began = time.monotonic()
        while not self._admitted(at, wanted):
            check(time.monotonic() - began)
            time.sleep(POLL_SECONDS)

    def _admitted(self, at: int, wanted: Row) -> bool:
        """Try to hold *wanted* in the row *at*. Returns whether that succeeded.

        A claim is written before the others are read once more. If several claim at once, the last to write sees all
        others and withdraws. So they never hold too much together, even if one is stopped between two steps.
        """
        now = time.monotonic_ns()
        wanted = wanted._replace(polled=now)
        self._write(at, wanted)
        recent = now - int(STALE_SECONDS * 1e9)
        ahead = (wanted.rank, wanted.since, at)
        for other, row in self._others(at):
            if row.stage == ClaimStage.WAITS and row.polled > recent and (row.rank, row.since, other) < ahead:
                return False
        if not self._fits(at, wanted.size):
            return False
        self._write(at, wanted._replace(stage=ClaimStage.CLAIMS))
        if not self._fits(at, wanted.size):
            self._write(at, wanted)
            return False
        self._write(at, wanted._replace(stage=ClaimStage.HOLDS))
        return True

    def _fits(self, at: int, size: int) -> bool:
        taken = (row.size for _, row in self._others(at) if row.stage in {ClaimStage.CLAIMS, ClaimStage.HOLDS})
        return sum(taken) + size <= self.total

    # --- the table

    def _row(self) -> int:
        """Return the row of this process, and lock it: the first row without a lock."""
        if self._mine is None or self._mine[0] != os.getpid():
            at = next(at for at in range(ROWS) if self._lock(at))
            self._write(at, Row())
            self._mine = os.getpid(), at
        return self._mine[1]

    def _others(self, at: int) -> Iterator[tuple[int, Row]]:
        return ((other, row) for other, row in self._living() if other != at)

    def _living(self) -> Iterator[tuple[int, Row]]:
        """Yield the rows in use whose process lives. The row of a dead process is used again by the next one."""
        own = self._mine[1] if self._mine is not None and self._mine[0] == os.getpid() else None
        for at, row in enumerate(self._rows()):
            if row.stage == ClaimStage.FREE:
                continue
            if at != own and self._lock(at):
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, at)
            else:
                yield at, row

    def _lock(self, at: int) -> bool:
        with suppress(BlockingIOError, PermissionError):
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, at)
            return True
        return False

    def _rows(self) -> list[Row]:
        return [Row(*fields) for fields in ROW.iter_unpack(os.pread(self._file, ROWS * ROW.size, 0))]

    def _write(self, at: int, row: Row) -> None:
        os.pwrite(self._file, ROW.pack(*row), at * ROW.size)


def nameless() -> int:
    """Open a file that ends with its last process; in memory if the system has such files."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("mezcal-memory")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
