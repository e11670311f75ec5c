"""The hits that nginx answers without anybody knowing: it notes each in a file, in lumps of 32 KiB, once a second.

A file, because it is what costs nginx least and what it cannot lose by us: a datagram per hit is a system call each,
`stub_status` cannot tell hits from what it passed on, and a pipe without its reader would stop nginx.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# For an API that counts, and for one that also writes a line for each.
SHORT = "$status $body_bytes_sent"
LONG = "$status $body_bytes_sent $msec $request_method $request_uri $mezcal_request_id $http_traceparent"
FULL = 16 * 2**20  # bytes after which the file is emptied
TURN = 2**20  # bytes read at once


@dataclass(frozen=True, slots=True)
class Hit:
    """One line of the file; the latter ones only where nginx was told to note them."""

    status: str
    bytes: int
    at: float = 0.0
    method: str = ""
    path: str = ""
    request_id: str = ""
    traceparent: str = ""

    @classmethod
    def of(cls, line: str) -> Hit | None:
        """The hit that *line* notes; None for what no nginx of ours wrote."""
        parts = line.split(" ")
        try:
            if len(parts) == 2:
                return cls(parts[0], int(parts[1]))
            return cls(parts[0], int(parts[1]), float(parts[2]), *parts[3:7])
        except (ValueError, TypeError, IndexError):
            return None


class HitsFile:
    """The file, read by one process at a time; beside it lies how far it was read, and whose turn it is."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._noted = path.with_name(f"{path.name}.read")
        self._lock: int | None = None

    def claim(self) -> bool:
        """Be the one who reads, for as long as this process lives; False where another is."""
        if self._lock is None:
            descriptor = os.open(self._noted, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(descriptor)
                return False
            self._lock = descriptor
        return True

    def news(self) -> Iterator[bytes]:
        """What nginx has added since, in whole lines; noted as read when the caller comes back for more.

        A file that has grown large is emptied: nginx appends, so it goes on at the start. What nginx writes
        between the last look and that, some microseconds of 16 MiB, is lost.
        """
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            at = self._at(os.fstat(file.fileno()))
            while piece := os.pread(file.fileno(), TURN, at):
                whole = piece[: piece.rfind(b"\n") + 1]
                if not whole:
                    break
                yield whole
                at += len(whole)
                self._note(os.fstat(file.fileno()), at)
        if at >= FULL:
            with suppress(OSError):  # another user's: whoever rotates it has to
                os.truncate(self._path, 0)
                self._note(self._path.stat(), 0)

    def _at(self, seen: os.stat_result) -> int:
        assert self._lock is not None, "only whoever has claimed the file reads it"
        inode, _, at = os.pread(self._lock, 64, 0).decode().strip().partition(" ")
        here = int(at or 0) if inode == str(seen.st_ino) else 0
        return here if here <= seen.st_size else 0

    def _note(self, seen: os.stat_result, at: int) -> None:
        assert self._lock is not None
        os.pwrite(self._lock, f"{seen.st_ino} {at}".ljust(64).encode(), 0)
