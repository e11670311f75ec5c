"""The tiles on their way into the file: those of the largest level at once, those of the others after it.

The tiles of a level follow each other in the file, in rows from the top, so a reader gets several of them in one
request. Those of the lower levels wait in a scratch file without a name. It has about a third of the bytes of the
largest level.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

    from mezcal.convert.pyramid.levels import Level

IN_MEMORY = 2**20  # bytes of the scratch file that are kept in memory: small pictures need no file


@dataclass
class TilePlaces:
    """Where the tiles of a level begin, and how many bytes each has."""

    offsets: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)


class TileFile:
    """Writes tiles to *file* from byte *start* on.

    The scratch file is in the folder *scratch*; None is the system's.
    """

    def __init__(self, file: BinaryIO, start: int, levels: list[Level], scratch: Path | None) -> None:
        self.tables = [TilePlaces() for _ in levels]
        self.end = start
        self._file = file
        folder = None if scratch is None else str(scratch)
        self._scratch: IO[bytes] = tempfile.SpooledTemporaryFile(IN_MEMORY, dir=folder)  # noqa: SIM115 - see `close`
        self._scratch_end = 0
        file.seek(start)

    def append(self, level: int, tile: bytes) -> None:
        """Write the next tile of *level*."""
        table = self.tables[level]
        table.counts.append(len(tile))
        if level == 0:
            table.offsets.append(self.end)
            self._write(tile)
        else:
            table.offsets.append(self._scratch_end)
            self._scratch.write(tile)
            self._scratch_end += len(tile)

    def append_lower_levels(self) -> None:
        """Copy the scratch file's tiles to the file, level by level. Nothing can be appended after that."""
        for table in self.tables[1:]:
            for number, count in enumerate(table.counts):
                self._scratch.seek(table.offsets[number])
                table.offsets[number] = self.end
                self._write(self._scratch.read(count))

    def _write(self, tile: bytes) -> None:
        self._file.write(tile)
        self.end += len(tile)

    def close(self) -> None:
        """Remove the scratch file."""
        self._scratch.close()
