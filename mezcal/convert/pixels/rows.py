"""The picture as it is to be encoded, row by row; the rows are made when they are read."""

from __future__ import annotations

from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyvips

from mezcal.convert.engines.row_stream import VIPS_FORMATS, strips_of
from mezcal.convert.pixels.strip_threads import map_strips, thread_count
from mezcal.convert.tiff import parallel_layouts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from mezcal.convert.engines.row_stream import Strips
    from mezcal.convert.pixels.colour import ColourConversion

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rows:
    """Strips of decoded samples, and the colour conversion that they still need; None if they can be encoded.

    *image* is the `pyvips.Image` that the strips come from, if there is one. The image or the strips may be read once,
    from top to bottom.
    """

    strips: Strips
    conversion: ColourConversion | None = None
    image: Any = None

    @classmethod
    def of(cls, image: Any, conversion: ColourConversion | None = None, parallel: Strips | None = None) -> Rows:
        """Returns the rows of a `pyvips.Image`. *parallel* are the same samples, if several threads can decode them.

        Only a conversion by profile takes so long that it is worth several threads.
        """
        if parallel is not None and (conversion is None or conversion.transform or not conversion.changes_pixels):
            return cls(parallel, conversion if conversion is not None and conversion.transform else None, image)
        if parallel is not None and conversion is not None and conversion.keeps_upper_byte:
            return cls(parallel_layouts.upper_bytes(parallel), None, conversion.apply(image))
        if conversion is not None and conversion.transform:
            return cls(strips_of(image), conversion, image)
        shown = conversion.apply(image) if conversion is not None and conversion.changes_pixels else image
        return cls(strips_of(shown), None, shown)

    @property
    def bands(self) -> int:
        """Bands of the converted picture: 1 or 3, and one more if alpha is kept."""
        return self.strips.bands if self.conversion is None else self.conversion.bands

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the converted samples, of 8 or 16 bits."""
        return self.strips.dtype if self.conversion is None else self.conversion.dtype

    def map(self, work: Callable[[NDArray[Any]], T]) -> Iterator[T]:
        """Yields *work* of the converted rows of each strip, in order, calculated by several threads."""
        convert = self._strip_converter()
        return map_strips(work if convert is None else lambda rows: work(convert(rows)), self.strips)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """Yields the converted rows of each strip, in order."""
        convert = self._strip_converter()
        if convert is None:
            return map(self.strips.fetch, range(self.strips.count))
        return map_strips(convert, self.strips)

    def _strip_converter(self) -> Callable[[Any], NDArray[Any]] | None:
        """Returns what turns a fetched strip into converted rows. None if fetched strips are converted rows."""
        decode = None if self.strips.decode is None else parallel_layouts.raising_cannot_read(self.strips.decode)
        if self.conversion is None:
            return decode
        tables = self.conversion.tables
        convert = SharedPipeline(self.strips, self.conversion).convert if tables is None else tables.convert
        return convert if decode is None else lambda coded: convert(decode(coded))

    def whole(self) -> Any:
        """Returns the picture as a `pyvips.Image`, for encoders that cannot work on strips."""
        if self.image is None:
            return self.strips.image()
        return self.image if self.conversion is None else self.conversion.apply(self.image)


class SharedPipeline:
    """One libvips pipeline that converts strips of several threads: the tables of a profile take long to make.

    It reads from a buffer that has a place for one strip of each thread. When another strip is copied to a place,
    libvips must forget what it has cached of the buffer.
    """

    def __init__(self, strips: Strips, conversion: ColourConversion) -> None:
        count = thread_count()
        self._rows = strips.rows
        self._buffer = np.zeros((count, strips.rows, strips.width, strips.bands), strips.dtype)
        self._input = pyvips.Image.new_from_memory(
            self._buffer.data, strips.width, count * strips.rows, strips.bands, VIPS_FORMATS[strips.dtype.name]
        )
        self._dtype = conversion.dtype
        self._output = conversion.apply(self._input.copy(interpretation=conversion.decoded.image.interpretation))
        self._free: SimpleQueue[int] = SimpleQueue()
        for place in range(count):
            self._free.put(place)

    def convert(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Returns *rows*, one strip or less, converted."""
        place = self._free.get()
        try:
            self._buffer[place, : len(rows)] = rows
            self._input.invalidate()
            region = pyvips.Region.new(self._output)
            data = region.fetch(0, place * self._rows, self._output.width, len(rows))
        finally:
            self._free.put(place)
        return np.frombuffer(data, self._dtype).reshape(len(rows), self._output.width, self._output.bands)
