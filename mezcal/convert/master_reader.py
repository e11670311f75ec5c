"""The master as a file that remembers what went wrong with reading it.

Decoders turn every failure to read into their own complaint about the picture; a download that broke off must
not be told as a broken master.
"""

from __future__ import annotations

import errno
import io
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable


class MasterReader(io.RawIOBase):
    """*master* for reading and seeking; `failure` is the first exception that it raised.

    *room* is told how many bytes its decoder will hold, and blocks until they may be had.
    """

    def __init__(self, master: BinaryIO, room: Callable[[int], None] | None = None) -> None:
        super().__init__()
        self._master = master
        self._room = room
        self.failure: Exception | None = None

    def will_hold(self, needed: int) -> None:
        """Return when *needed* bytes more than a small picture's may be taken; what ends the wait is a `failure`."""
        if self._room is None:
            return
        try:
            self._room(needed)
        except Exception as error:
            self.failure = self.failure or error
            raise

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """*size* bytes, fewer only at the end, all that is left if negative; blocks as the master does.

        Decoders take a short read for the end, so a master that gives what has just arrived is asked on.
        """
        try:
            data = self._master.read(-1 if size is None else size)
            if size is None or size < 0 or len(data) in (0, size):
                return data
            return data + self._rest(size - len(data))
        except Exception as error:
            self.failure = self.failure or error
            raise

    def _rest(self, size: int) -> bytes:
        pieces = []
        while size and (piece := self._master.read(size)):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def readinto(self, buffer: object, /) -> int:
        """Fill *buffer* as far as one read goes."""
        view = memoryview(buffer)  # type: ignore[arg-type]
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        """Whatever is left."""
        return self.read(-1)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """The new position."""
        if whence == 0 and offset < 0:
            raise OSError(errno.EINVAL, "a position before the beginning")  # no fault of the master's
        try:
            return self._master.seek(offset, whence)
        except Exception as error:
            if not isinstance(error, ValueError) and getattr(error, "errno", 0) != errno.EINVAL:
                self.failure = self.failure or error
            raise

    def tell(self) -> int:
        """The position."""
        return self._master.tell()

    def fileno(self) -> int:
        """The master's descriptor; `OSError` if it has none."""
        fileno = getattr(self._master, "fileno", None)
        if fileno is None:
            raise io.UnsupportedOperation("fileno")
        return int(fileno())

    @property
    def other_way(self) -> str | None:
        """A path by which another reader has its own position in the same file, even a nameless one."""
        try:
            return f"/proc/self/fd/{self.fileno()}"
        except OSError:
            return None
