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


def open_picture(master: MasterReader, check_size: Callable[[int, int], None], *, smaller: bool) -> Decoded:
    """Returns the picture. Raises `CannotRead`, or `TooLarge` if it takes too much memory.

    With *smaller*, a picture that takes too much memory is decoded in a smaller size, if its coding contains one.
    """
    header = boxes.read(master)
    stream = codestream.read(master, header.start)
    check_size(stream.width, stream.height)
    if not _is_uniform(stream):
        return _by_pillow(master, stream, header, smaller=smaller)
    channels = Channels.of(header, stream)
    needed = stream.row_bytes()
    if needed > memory_limits.DECODED_MAX:
        return _by_pillow(master, stream, header, smaller=smaller)
    master.reserve(needed)
    rows = TileRows(master, stream, channels)
    first = rows.fetch(0)
    strips = Strips(stream.width, stream.height, first.shape[2], first.dtype, stream.strip_rows, rows.fetch)
    rows.first = first
    return channels.meaning(strips.image(), strips.failures)


def _is_uniform(stream: Codestream) -> bool:
    """Returns True if imagecodecs decodes *stream*: components of one kind, or YCC whose chroma is subsampled."""
    kinds = {(part.depth, part.signed) for part in stream.components}
    sampling = [(part.across, part.down) for part in stream.components]
    subsampled = len(sampling) == 3 and sampling[0] == (1, 1) and sampling[1] == sampling[2] and sampling[1][0] == 2
    return stream.divisible and len(kinds) == 1 and (subsampled or set(sampling) == {(1, 1)})


def _by_pillow(master: MasterReader, stream: Codestream, header: boxes.Jp2Header, *, smaller: bool) -> Decoded:
    """Returns the picture in the largest size that does not take too much memory."""
    size = stream.width, stream.height
    needed = stream.reduced_bytes(0)
    levels = range(1, stream.levels + 1) if smaller and needed > memory_limits.DECODED_MAX else ()
    fitting = (level for level in levels if stream.reduced_bytes(level) <= memory_limits.DECODED_MAX)
    reduction = next(fitting, 0)
    if not reduction:
        memory_limits.check_whole(*size, needed, "JPEG 2000")
    master.reserve(stream.reduced_bytes(reduction))
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
