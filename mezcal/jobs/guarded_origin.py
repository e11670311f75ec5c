"""An origin as one running job may use it."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from mezcal.jobs.origin_guard import OriginGuard
    from mezcal.jobs.state.leases import Lease
    from mezcal.origin import Master
    from mezcal.origin.kept_masters import KeptMasters


class GuardedOrigin:
    """*origin* within the limits of *guard*, for the job of *lease*, as long as that is valid.

    A master that is open already needs no place, unless it is read in parts: it sends no request.
    """

    def __init__(self, origin: KeptMasters, guard: OriginGuard, lease: Lease) -> None:
        self._origin, self._guard, self._lease = origin, guard, lease

    @contextmanager
    def open(self, path: str) -> Iterator[Master]:
        """Open the master at *path*. Reading it raises `Superseded` once the lease is lost."""
        with self._opened(self._origin.open, path) as master:
            yield master

    @contextmanager
    def open_parts(self, path: str) -> Iterator[Master]:
        """Do the same; only the parts that are read are requested, if the origin can bring parts."""
        with self._opened(self._origin.open_parts, path) as master:
            yield master

    @contextmanager
    def _opened(self, open_master: Callable[[str], AbstractContextManager[Master]], path: str) -> Iterator[Master]:
        place = nullcontext() if self._origin.holds(path) else self._guard.admit(self._lease)
        with place, open_master(path) as master:
            file = CheckedFile(master.file, self._lease.abandon_if_lost)
            yield replace(master, file=file)  # type: ignore[arg-type]  # it has what readers of a master use


def ignore_announcement(_start: int, _stop: int) -> None:
    """Ignore which bytes will be read: all of them are requested in any case."""


class CheckedFile:
    """*file* that calls *check* before each read: a job that lost its lease ends at its next read."""

    def __init__(self, file: BinaryIO, check: Callable[[], None]) -> None:
        self._file, self._check = file, check
        self.seek, self.tell, self.fileno = file.seek, file.tell, file.fileno
        self.seekable, self.readable = file.seekable, file.readable
        self.announce = getattr(file, "announce", ignore_announcement)

    def read(self, size: int = -1, /) -> bytes:
        """Return at most *size* bytes; all that are left if *size* is negative."""
        self._check()
        return self._file.read(size)

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill *buffer* as far as one read goes. Returns the number of bytes, 0 at the end."""
        self._check()
        count: int = self._file.readinto(buffer)  # type: ignore[attr-defined]  # masters are buffered readers
        return count
