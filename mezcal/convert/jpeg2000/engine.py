"""Decodes JPEG 2000 a row of tiles at a time by imagecodecs' OpenJPEG; what the components mean is read here.

Pillow's OpenJPEG decodes what imagecodecs cannot: components of different depths, and smaller sizes of pictures that
would take too much memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np

from mezcal.convert.engines import memory_limits, pillow
from mezcal.convert.engines.decoded import CannotRead, Damaged, Decoded, reported
from mezcal.convert.engines.libvips import first_line
from mezcal.convert.engines.row_stream import Strips
from mezcal.convert.jpeg2000 import boxes, codestream
from mezcal.convert.jpeg2000.channels import Channels
from mezcal.convert.pixels.strip_threads import thread_count

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mezcal.convert.jpeg2000.codestream import Codestream
    from mezcal.convert.master_reader import MasterReader


WITH_ROWS_MAX = 1_000 * 2**20  # bytes of a decoded picture and of the rows that are converted at a time


def open_picture(master: MasterReader, check_size: Callable[[int, int], None], *, edge: int, smaller: bool) -> Decoded:
    """Returns the picture. Raises `CannotRead`, or `TooLarge` if it takes too much memory.

    With *smaller*, a picture that takes too much memory is decoded in a smaller size, if its coding contains one. The
    memory of the rows counts, too, if they have to be scaled to a longest side of *edge* pixels.
    """
    header = boxes.read(master)
    stream = codestream.read(master, header.start)
    check_size(stream.width, stream.height)
    reduction = _reduction(stream, edge) if smaller else 0
    if reduction or not _is_uniform(stream) or stream.row_bytes() > memory_limits.DECODED_MAX:
        return _by_pillow(master, stream, header, reduction)
    channels = Channels.of(header, stream)
    master.reserve(stream.row_bytes())
    rows = TileRows(master, stream, channels)
    first = rows.fetch(0)
    strips = Strips(stream.width, stream.height, first.shape[2], first.dtype, stream.strip_rows, rows.fetch)
    rows.first = first
    return channels.meaning(strips.image(), strips.failures)


def _reduction(stream: Codestream, edge: int) -> int:
    """Returns how often *stream* is halved so that it takes no more memory than is allowed; 0 if nothing fits."""
    whole = stream.row_bytes() if _is_uniform(stream) else stream.reduced_bytes(0)
    sizes = [whole, *(stream.reduced_bytes(level) for level in range(1, stream.levels + 1))]
    fitting = (level for level, needed in enumerate(sizes) if needed <= memory_limits.DECODED_MAX)
    return next((level for level in fitting if sizes[level] + _row_bytes(stream, level, edge) <= WITH_ROWS_MAX), 0)


def _row_bytes(stream: Codestream, level: int, edge: int) -> int:
    """Returns the bytes of the rows that are converted at a time, if *stream* is halved *level* times."""
    space = "grey" if len(stream.components) < 3 else "rgb"
    size = stream.width >> level, stream.height >> level
    return memory_limits.bytes_of_columns(size, stream.pixel_bytes, space, edge)


def _is_uniform(stream: Codestream) -> bool:
    """Returns True if imagecodecs decodes *stream*: components of one kind, or YCC whose chroma is subsampled."""
    kinds = {(part.depth, part.signed) for part in stream.components}
    sampling = [(part.across, part.down) for part in stream.components]
    subsampled = len(sampling) == 3 and sampling[0] == (1, 1) and sampling[1] == sampling[2] and sampling[1][0] == 2
    return stream.divisible and len(kinds) == 1 and (subsampled or set(sampling) == {(1, 1)})


def _by_pillow(master: MasterReader, stream: Codestream, header: boxes.Jp2Header, reduction: int) -> Decoded:
    """Returns the picture, halved *reduction* times. Raises `TooLarge` if that takes too much memory."""
    size, needed = (stream.width, stream.height), stream.reduced_bytes(reduction)
    memory_limits.check_whole(*size, needed, "JPEG 2000")
    master.reserve(needed)
    return replace(pillow.reduced_jpeg_2000(master, reduction), icc=header.profile, full_size=size)


@dataclass
class TileRows:
    """Rows of tiles, decoded when they are fetched. *first* is kept for the next time that row 0 is fetched."""

    master: MasterReader
    stream: Codestream
    channels: Channels
    first: NDArray[Any] | None = None

    def fetch(self, index: int) -> NDArray[Any]:
        """Returns the *index*-th row of tiles: height x width x channels. Raises `Damaged` if it cannot be decoded."""
        if index == 0 and self.first is not None:
            first, self.first = self.first, None
            return first
        rows = [index] if self.stream.strip_rows < self.stream.height else range(self.stream.down)
        whole = [self._row(row) for row in rows]
        return whole[0] if len(whole) == 1 else np.concatenate(whole)

    def _row(self, row: int) -> NDArray[Any]:
        across = self.stream.across
        tiles = [self._tile(number) for number in range(row * across, (row + 1) * across)]
        return tiles[0] if len(tiles) == 1 else np.concatenate(tiles, axis=1)

    def _tile(self, number: int) -> NDArray[Any]:
        coded = self.stream.tile_codestream(self.master, number)
        try:
            samples = imagecodecs.jpeg2k_decode(coded, numthreads=thread_count())
        except imagecodecs.Jpeg2kError as error:
            raise Damaged(f"tile {number}: {reported('OpenJPEG', first_line(str(error)))}") from error
        left, top, right, bottom = self.stream.tile_area(number)
        samples = samples[..., None] if samples.ndim == 2 else samples
        if samples.shape[:2] != (bottom - top, right - left):
            raise CannotRead(f"tile {number} is decoded in another size")
        return self.channels.apply(samples)
