"""Frames whose whole file is compressed. Those of compressed tiles are no such files."""

from __future__ import annotations

import bz2
import gzip
import os
import shutil
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from mezcal.errors import NotAnImage, TooLarge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

INFLATED_MAX = 8 * 2**30  # bytes: a compressed file may hold a thousand times its size
START = b"SIMPLE"
OPENERS: dict[bytes, Callable[[BinaryIO], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open}  # by the first bytes
OTHERS = {b"\xfd7zXZ": "xz", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd", b"\x1f\x9d": "compress"}


@contextmanager
def inflated(file: BinaryIO, scratch: Path | None) -> Iterator[BinaryIO]:
    """Yields *file*, or its content if it is gzip or bzip2: in a scratch file, as FITS is not read from start to end.

    Raises `NotAnImage` if the content is no FITS file, and `TooLarge`.
    """
    start = file.read(len(START))
    file.seek(0)
    opener = next((opener for magic, opener in OPENERS.items() if start.startswith(magic)), None)
    if opener is None:
        _check_is_fits(start)
        yield file
        return
    with tempfile.TemporaryFile(dir=scratch) as whole:
        with opener(file) as inflating:
            shutil.copyfileobj(cast("BinaryIO", _BoundedReader(inflating)), whole, 2**20)
        whole.seek(0)
        _check_is_fits(whole.read(len(START)))
        with open(os.dup(whole.fileno()), "rb") as reading:  # noqa: PTH123 - astropy wants a file opened for reading
            reading.seek(0)
            yield reading


def _check_is_fits(start: bytes) -> None:
    if start == START:
        return
    packed = next((name for magic, name in OTHERS.items() if start.startswith(magic)), None)
    if packed:
        raise NotAnImage(f"the frame is packed with {packed}: only gzip and bzip2 are unpacked")
    raise NotAnImage("the frame is no FITS file: it does not begin with SIMPLE")


class _BoundedReader:
    def __init__(self, file: Any) -> None:
        self._file, self._left = file, INFLATED_MAX

    def read(self, size: int) -> bytes:
        piece: bytes = self._file.read(size)
        self._left -= len(piece)
        if self._left < 0:
            raise TooLarge(f"the frame inflates to more than {INFLATED_MAX:,} bytes")
        return piece
