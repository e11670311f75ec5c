"""Writes the pyramid, in one pass through the rows of the picture."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from mezcal.convert.pixels.strip_threads import thread_count
from mezcal.convert.pyramid import bands, directories, tags
from mezcal.convert.pyramid.bands import LevelBands
from mezcal.convert.pyramid.directories import Field, HeaderWriter, PictureDirectory
from mezcal.convert.pyramid.levels import Level, levels_of
from mezcal.convert.pyramid.tile_coding import TileCoding, tile_coding
from mezcal.convert.pyramid.tile_file import TileFile

if TYPE_CHECKING:
    import numpy as np

    from mezcal.convert.context import ConversionContext
    from mezcal.convert.engines.decoded import Decoded
    from mezcal.convert.pixels.rows import Rows

Layout = tuple[int, "np.dtype[Any]"]


@dataclass(frozen=True, slots=True)
class PyramidEncoder:
    """Writes pictures as *context* asks for, with metadata of the *decoded* master and the profile *icc*."""

    context: ConversionContext
    decoded: Decoded
    icc: bytes | None

    def write(self, rows: Rows, file: BinaryIO) -> None:
        """Write *rows* to *file*: the tiles first, behind the space of the directories. The directories come last."""
        layout = (rows.bands, rows.dtype)
        levels = levels_of(rows.strips.width, rows.strips.height, self.context.options.tile)
        coding = tile_coding(self.context.options, *layout)
        fields = [self._fields(level, coding, layout) for level in levels]
        exif, subdirectories = self._exif(levels[0])
        fields[0] += exif
        empty = [
            PictureDirectory(own, [0] * level.tiles, [0] * level.tiles, {} if level.index else subdirectories)
            for own, level in zip(fields, levels, strict=True)
        ]
        tiles = TileFile(file, directories.header_size(empty), levels, self.context.scratch)
        try:
            self._write_tiles(rows, levels, coding, tiles)
            tiles.append_lower_levels()
        finally:
            tiles.close()
        filled = [
            PictureDirectory(one.fields, table.offsets, table.counts, one.subdirectories)
            for one, table in zip(empty, tiles.tables, strict=True)
        ]
        file.seek(0)
        file.write(HeaderWriter(big=tiles.end > directories.CLASSIC_MAX).header(filled))

    def _write_tiles(self, rows: Rows, levels: list[Level], coding: TileCoding, tiles: TileFile) -> None:
        layout, done = (rows.bands, rows.dtype), 0
        with ThreadPoolExecutor(thread_count(), "tiles") as pool:
            top: LevelBands | None = None
            for level in reversed(levels):
                top = LevelBands(level, layout, coding, pool, tiles.append, top)
            assert top is not None
            try:
                for strip in rows:
                    top.add(strip)
                    done += len(strip)
                    self.context.report_progress(done / rows.strips.height)
                top.finish()
            finally:
                pool.shutdown(cancel_futures=True)

    def _fields(self, level: Level, coding: TileCoding, layout: Layout) -> list[Field]:
        fields = tags.picture_fields(level, layout[0], 8 * layout[1].itemsize) + coding.fields
        fields += tags.resolution_fields(level, self.decoded.upright_dpi) + tags.profile_field(self.icc)
        if level.index == 0 and self.context.options.keep_metadata:
            fields += tags.metadata_fields(self.decoded)
        return fields

    def _exif(self, level: Level) -> tuple[list[Field], dict[int, list[Field]]]:
        if not self.context.options.keep_metadata:
            return [], {}
        return tags.exif_fields(self.decoded, (level.width, level.height))


def memory_needed(size: tuple[int, int], layout: Layout, tile: int) -> int:
    """Returns the bytes that the bands of all levels take, and the coded tiles of one band."""
    levels = levels_of(*size, tile)
    return sum(bands.buffers(level, layout) * bands.band_bytes(level, layout) for level in levels)
