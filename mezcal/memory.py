"""How much memory the conversions of one worker may hold at once, and who holds how much of it.

The budget is shared by a worker's pool processes through a nameless file with a row for each. Its locks are the
kernel's, which ends them with the process, however that ends: so a killed process gives its share back. Who waits
holds nothing: so nobody waits for somebody who waits. The order is interactive before bulk, and first come, first
served within both: so a large master is not overtaken for ever by small ones.
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

from mezcal import machine
from mezcal.errors import TooLarge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 2**20
MAIN = 160 * MIB  # a worker's main process, and what no process may be without
IDLE = 96 * MIB  # a pool process that has converted something, and does nothing
STREAMING = 96 * MIB  # more than that, of a master that is not held whole, whatever its size
SMALL = 48 * MIB  # the same of a picture of no size: libraries, tables, buffers
HEADROOM = 0.9  # of a container: the rest is for the kernel's own, and for what is not given back at once
LOOK_SECONDS = 0.05

HEAD, ROW = struct.Struct("<q"), struct.Struct("<qqqq")
ROWS = 256  # processes of one worker
GUARD, LIVES = 0, 1  # where the file's locks are: one byte for the table, and one for each row


def processes(budget: int, *, spare: bool) -> int:
    """How many pool processes suit this container: a core and memory for a common master each.

    With *spare* there are two at least, memory permitting: one long conversion must not hold up who waits.
    """
    room = (budget // STREAMING) if budget else (_usable() - MAIN) // (IDLE + STREAMING)
    return max(1, min(max(machine.cores(), 2 if spare else 1), room, ROWS))


def budget(count: int) -> int:
    """Bytes for the conversions of a worker of *count* processes: at least one common master's."""
    return max(STREAMING, _usable() - MAIN - count * IDLE)


def _usable() -> int:
    return int(machine.memory() * HEADROOM)


class Stage(IntEnum):
    """Where the process of a row stands."""

    FREE, WAITS, HOLDS = range(3)


class Row(NamedTuple):
    """What one process holds, or waits for: *rank* is lower for who goes first, then *ticket* is."""

    stage: int = Stage.FREE
    size: int = 0
    rank: int = 0
    ticket: int = 0


class Budget:
    """*total* bytes, to be made before the pool's processes are forked."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._file = _nameless()
        os.ftruncate(self._file, HEAD.size + ROWS * ROW.size)
        self._mine: tuple[int, int] | None = None  # the process, for a fork copies this too, and its row

    def fileno(self) -> int:
        """The table's descriptor."""
        return self._file

    @contextmanager
    def share(self, rank: int, heed: Callable[[float], None]) -> Iterator[Callable[[int], None]]:
        """A function that takes so many bytes for this process, blocking until there is room; all are given back.

        It is one job's. Asked again for more it gives back what it has and waits for all. *heed* is called with
        the seconds of each wait, and ends it by raising. `TooLarge` where there is no room at any time.
        """

        def take(needed: int) -> None:
            self._take(max(needed, 0), rank, heed)

        try:
            yield take
        finally:
            if self._mine is not None and self._mine[0] == os.getpid():
                with self._guarded():
                    self._write(self._mine[1], Row())

    def held(self) -> int:
        """Bytes that living processes hold at this moment."""
        with self._guarded():
            return sum(row.size for _, row in self._living() if row.stage == Stage.HOLDS)

    def _take(self, needed: int, rank: int, heed: Callable[[float], None]) -> None:
        if needed > self.total:
            raise TooLarge(
                f"it would take {needed // MIB:,} MB of memory to convert, and the worker may take "
                f"{self.total // MIB:,} MB (WORKER_MEMORY)"
            )
        row = self._row()
        with self._guarded():
            had = self._read(row)
            if had.stage == Stage.HOLDS and had.size >= needed:
                return
            wanted = Row(Stage.WAITS, needed, rank, self._next_ticket())
            self._write(row, wanted)
        began = time.monotonic()
        while not self._admitted(row, wanted):
            heed(time.monotonic() - began)
            time.sleep(LOOK_SECONDS)

    def _admitted(self, row: int, wanted: Row) -> bool:
        with self._guarded():
            others = [other for at, other in self._living() if at != row]
            first = all(other[2:] > wanted[2:] for other in others if other.stage == Stage.WAITS)
            taken = sum(other.size for other in others if other.stage == Stage.HOLDS)
            if not first or taken + wanted.size > self.total:
                return False
            self._write(row, wanted._replace(stage=Stage.HOLDS))
            return True

    # --- the table

    def _row(self) -> int:
        """The row of this process, whose lock says that it lives; the first one that is nobody's."""
        if self._mine is None or self._mine[0] != os.getpid():
            with self._guarded():
                at = next(at for at in range(ROWS) if self._lock(at))
                self._write(at, Row())
            self._mine = os.getpid(), at
        return self._mine[1]

    def _living(self) -> Iterator[tuple[int, Row]]:
        """Rows of processes that live; those of dead ones are freed. Under the guard."""
        own = self._mine[1] if self._mine is not None and self._mine[0] == os.getpid() else None
        for at in range(ROWS):
            row = self._read(at)
            if row.stage == Stage.FREE:
                continue
            if at != own and self._lock(at):
                self._write(at, Row())
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, LIVES + at)
            else:
                yield at, row

    def _lock(self, at: int) -> bool:
        with suppress(BlockingIOError, PermissionError):
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, LIVES + at)
            return True
        return False

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, GUARD)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, GUARD)

    def _next_ticket(self) -> int:
        (ticket,) = HEAD.unpack(os.pread(self._file, HEAD.size, 0))
        os.pwrite(self._file, HEAD.pack(ticket + 1), 0)
        return int(ticket) + 1

    def _read(self, at: int) -> Row:
        return Row(*ROW.unpack(os.pread(self._file, ROW.size, HEAD.size + at * ROW.size)))

    def _write(self, at: int, row: Row) -> None:
        os.pwrite(self._file, ROW.pack(*row), HEAD.size + at * ROW.size)


def _nameless() -> int:
    """A file that is gone with its last process; in memory where the system has such."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("mezcal-memory")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
