"""The log file of the hits that nginx serves itself. nginx writes it once a second, 32 KiB at a time.

Other ways are worse: a datagram for each hit is a system call each, `stub_status` counts hits and proxied requests
together, and a pipe without a reader would stop nginx.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from mezcal.recipe import MEZZANINE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mezcal.recipe import Profile

# What an API needs that also logs the path of the image or compares it with its master. nginx escapes what is not
# printable ASCII. Only the last value may have a space.
PATH_AND_IDS = "$msec $request_method $request_uri $mezcal_request_id $http_traceparent"
FULL = 16 * 2**20  # bytes after which the file is emptied
BLOCK = 2**20  # bytes read at once


def hit_format(profile: str, *, long: bool) -> str:
    """Returns nginx's log format for hits of *profile*; the *long* one has the path of the image."""
    short = f"$status $body_bytes_sent {profile}"
    return f"{short} {PATH_AND_IDS}" if long else short


def use_format(profile: Profile) -> str:
    """Returns nginx's format for CACHE_USE_LOG: the path of the master, for the mezzanine without anything else.

    Workers read it (`mezcal.store.local.last_use`). No path begins with a slash.
    """
    return "$named" if profile == MEZZANINE else f"/{profile.file_name}/$named"


class HitFile:
    """The file at *path*. One process reads it at a time: `<path>.read` holds the position and a lock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position_path = path.with_name(f"{path.name}.read")
        self._position_file: int | None = None

    def claim(self) -> bool:
        """Become the reader for as long as this process lives. Returns False while another process is the reader."""
        if self._position_file is None:
            descriptor = os.open(self._position_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(descriptor)
                return False
            self._position_file = descriptor
        return True

    def new_lines(self) -> Iterator[bytes]:
        """Yield the new lines since the last call, in blocks of whole lines.

        A block counts as read when the caller requests the next one. A large file is emptied. nginx appends, so it
        continues at the start. Lines that nginx writes between the last read and the emptying are lost: some
        microseconds of every 16 MiB.
        """
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            position = self._load(os.fstat(file.fileno()))
            while block := os.pread(file.fileno(), BLOCK, position):
                whole = block[: block.rfind(b"\n") + 1]
                if not whole:
                    break
                yield whole
                position += len(whole)
                self._save(os.fstat(file.fileno()), position)
        if position >= FULL:
            with suppress(OSError):  # the file of another user, who must rotate it
                os.truncate(self._path, 0)
                self._save(self._path.stat(), 0)

    def _load(self, status: os.stat_result) -> int:
        assert self._position_file is not None, "only the process that has claimed the file reads it"
        inode, _, saved = os.pread(self._position_file, 64, 0).decode().strip().partition(" ")
        position = int(saved or 0) if inode == str(status.st_ino) else 0
        return position if position <= status.st_size else 0

    def _save(self, status: os.stat_result, position: int) -> None:
        assert self._position_file is not None
        os.pwrite(self._position_file, f"{status.st_ino} {position}".ljust(64).encode(), 0)
