"""Planes for a look that passes over them twice, and costs no decoding the second time."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np

from mezcal.convert.fits.read.byte_ranges import fill
from mezcal.convert.fits.read.planes import BLOCK, HELD_MOST, Held, Sections, blocks
from mezcal.convert.fits.read.rice_tiles import Tiles

if TYPE_CHECKING:
    from pathlib import Path

    from mezcal.convert.fits.read.planes import Pixels, Plane


def twice(plane: Plane, folder: Path | None) -> Plane:
    """*plane* as it may be passed over twice. `Tiles` that are too large to be held keep what was looked into."""
    if isinstance(plane, Tiles) and plane.nbytes <= HELD_MOST:
        return Held(plane.rows(0, plane.shape[0]))
    compressed = isinstance(plane, Sections) and type(plane.section).__name__ == "CompImageSection"
    return Spilled(plane, folder) if compressed else plane


class Spilled:
    """Pixels decoded once: in memory as far as `HELD_MOST`, the rest in a file without a name in *folder*.

    Raises `OSError` where the disk has no room for all of it.
    """

    def __init__(self, plane: Plane, folder: Path | None) -> None:
        self.shape = rows, columns = plane.shape
        first = plane.rows(0, 1)
        self._dtype = first.dtype
        self._head = np.empty((min(rows, HELD_MOST // first.nbytes // BLOCK * BLOCK), columns), self._dtype)
        self._file = cast("BinaryIO", tempfile.TemporaryFile(dir=folder))  # noqa: SIM115 - lives as we do
        with ExitStack() as unless_written:
            unless_written.enter_context(self._file)
            self._write(plane)
            unless_written.pop_all()

    def _write(self, plane: Plane) -> None:
        for start, stop in blocks(self.shape[0], BLOCK):
            block = plane.rows(start, stop)
            if stop <= len(self._head):
                self._head[start:stop] = block
            else:
                self._file.write(np.ascontiguousarray(block).data)
        self._file.flush()

    def rows(self, start: int, stop: int) -> Pixels:
        """The rows, read back where they are not in memory."""
        held = len(self._head)
        if stop <= held:
            return self._head[start:stop]
        tail = np.empty((stop - max(start, held), self.shape[1]), self._dtype)
        fill(tail, self._file, (max(start, held) - held) * self.shape[1] * self._dtype.itemsize)
        return tail if start >= held else np.concatenate([self._head[start:], tail])
