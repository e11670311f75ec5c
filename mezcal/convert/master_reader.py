"""The master as a file that remembers the first failure to read it.

Decoders turn every failure to read into a complaint about the picture. A download that broke off must not be
reported as a damaged master.
"""

from __future__ import annotations

import errno
import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, cast

from mezcal.convert.context import no_memory_limit
from mezcal.errors import TooLarge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

READ_BYTES = 200  # what a decoder's Python objects for one small read take, about


class MasterReader(io.RawIOBase):
    """Reads and seeks in *master*. `failure` is the first exception that *master* or *reserve_memory* raised."""

    def __init__(self, master: BinaryIO, reserve_memory: Callable[[int], None] = no_memory_limit) -> None:
        super().__init__()
        self._master = master
        self._reserve_memory = reserve_memory
        self._replaced: dict[int, bytes] = {}
        self._header_left: int | None = None
        self.failure: Exception | None = None

    def reserve(self, needed: int) -> None:
        """Wait until *needed* bytes may be used, on top of what a small picture takes."""
        try:
            self._reserve_memory(needed)
        except Exception as error:
            self.failure = self.failure or error
            raise

    @contextmanager
    def header_limit(self, most: int | None) -> Iterator[None]:
        """Let a decoder read no more than *most* bytes, None for any number, while it opens the master."""
        self._header_left = most
        try:
            yield
        finally:
            self._header_left = None

    def _count_header(self, size: int) -> None:
        """Raise `TooLarge` if a decoder has read too much, or in too many small pieces, to find the picture."""
        if self._header_left is not None:
            self._header_left -= size + READ_BYTES
            if self._header_left < 0:
                raise TooLarge("its header has tens of megabytes, which would be in memory: save it without metadata")

    def replace(self, offset: int, data: bytes) -> None:
        """Return *data* instead of the bytes at *offset* from now on."""
        self._replaced[offset] = data

    def readable(self) -> bool:
        """Returns True."""
        return True

    def seekable(self) -> bool:
        """Returns True."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Returns *size* bytes, or all that is left if *size* is negative. Blocks as the master does.

        Fewer bytes are returned only at the end: decoders take a short read for the end of the file, and a growing
        master returns what has just arrived.
        """
        try:
            self._count_header(size or 0)
            start = self._master.tell() if self._replaced else 0
            data = self._master.read(-1 if size is None else size)
            if size is not None and 0 < len(data) < size:
                data += self._read_rest(size - len(data))
            return self._with_replaced(start, data) if self._replaced else data
        except Exception as error:
            self.failure = self.failure or error
            raise

    def _with_replaced(self, start: int, data: bytes) -> bytes:
        """Returns *data*, read from *start* on, with what `replace` was given."""
        changed = None
        for offset, new in self._replaced.items():
            first, last = max(start, offset), min(start + len(data), offset + len(new))
            if first < last:
                changed = changed or bytearray(data)
                changed[first - start : last - start] = new[first - offset : last - offset]
        return bytes(changed) if changed is not None else data

    def _read_rest(self, size: int) -> bytes:
        pieces = []
        while size and (piece := self._master.read(size)):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def readinto(self, buffer: object, /) -> int:
        """Fill *buffer*. Returns the bytes read, fewer than its size only at the end."""
        view = memoryview(buffer)  # type: ignore[arg-type]
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Returns the new position."""
        if whence == 0 and offset < 0:
            raise OSError(errno.EINVAL, "a position before the beginning")  # the decoder's fault, not the master's
        try:
            return self._master.seek(offset, whence)
        except Exception as error:
            if not isinstance(error, ValueError) and getattr(error, "errno", 0) != errno.EINVAL:
                self.failure = self.failure or error
            raise

    def tell(self) -> int:
        """Returns the position."""
        return self._master.tell()

    def fileno(self) -> int:
        """Returns the master's file descriptor. Raises `OSError` if it has none, or if it has other bytes."""
        fileno = getattr(self._master, "fileno", None)
        if fileno is None or self._replaced:
            raise io.UnsupportedOperation("fileno")
        return int(fileno())

    @property
    def reopen_path(self) -> str | None:
        """A path at which the same bytes can be read again, with its own position. None if there is none."""
        try:
            return f"/proc/self/fd/{self.fileno()}"
        except OSError:
            return None


class PatchedReader(MasterReader):
    """Reads *master* as if *patch* were at *position*: inside the file, or at its end to make it longer."""

    def __init__(self, master: MasterReader, position: int, patch: bytes) -> None:
        super().__init__(cast("BinaryIO", master), master.reserve)
        self._start, self._patch = position, patch
        self._position = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Returns *size* bytes, or all that is left if *size* is negative. Fewer only at the end."""
        if size is None or size < 0:
            size = self._length()
        self._master.seek(self._position)
        data = bytearray(self._master.read(size))
        first, last = self._start - self._position, self._start + len(self._patch) - self._position
        if first < size and last > 0:
            data[max(first, 0) : last] = self._patch[max(-first, 0) :]
        self._position += len(data[:size])
        return bytes(data[:size])

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Returns the new position."""
        self._position = offset + {0: 0, 1: self._position, 2: self._length() if whence == 2 else 0}[whence]
        return self._position

    def tell(self) -> int:
        """Returns the position."""
        return self._position

    def fileno(self) -> int:
        """Raises `OSError`: the file itself has other bytes."""
        raise io.UnsupportedOperation("fileno")

    def _length(self) -> int:
        return max(self._master.seek(0, 2), self._start + len(self._patch))
