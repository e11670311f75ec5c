"""The picture as it is to be shown, its rows still to be made."""

from __future__ import annotations

from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyvips

from mezcal.convert.engines import row_stream as stripped
from mezcal.convert.pixels.parallel import in_order, threads
from mezcal.convert.tiff import parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from mezcal.convert.engines.row_stream import Strips
    from mezcal.convert.pixels.colour import Treatment

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rows:
    """Strips of samples as they were decoded, and the treatment that they still need; None if they are 8-bit.

    *image* is where the strips come from, if that is libvips; it or they may be read once, from top to bottom.
    """

    strips: Strips
    treatment: Treatment | None = None
    image: Any = None

    @classmethod
    def of(cls, image: Any, treatment: Treatment | None = None, plain: Strips | None = None) -> Rows:
        """The rows of a `pyvips.Image`; only a profile is worth more threads than the one that decodes. *plain* are
        the same samples where several threads may decode them, too.
        """
        if plain is not None and (treatment is None or treatment.transform or not treatment.changes):
            return cls(plain, treatment if treatment is not None and treatment.transform else None, image)
        if plain is not None and treatment is not None and treatment.halves:
            return cls(parallel.eight_bits(plain), None, treatment.of(image))
        if treatment is not None and treatment.transform:
            return cls(stripped.of(image), treatment, image)
        shown = treatment.of(image) if treatment is not None and treatment.changes else image
        return cls(stripped.of(shown), None, shown)

    @property
    def bands(self) -> int:
        """Bands of what is shown: 1 or 3."""
        return self.strips.bands if self.treatment is None else self.treatment.bands

    def in_order(self, then: Callable[[NDArray[Any]], T]) -> Iterator[T]:
        """*then* of the shown rows of each strip, worked out by several threads."""
        shown = self._shown()
        return in_order(then if shown is None else lambda rows: then(shown(rows)), self.strips)

    def one_by_one(self) -> Iterator[NDArray[Any]]:
        """The shown rows of each strip."""
        shown = self._shown()
        return map(self.strips.fetch, range(self.strips.count)) if shown is None else in_order(shown, self.strips)

    def _shown(self) -> Callable[[Any], NDArray[Any]] | None:
        """What makes the rows that are shown of a strip as it is fetched; None if they are that already."""
        decode = None if self.strips.decode is None else parallel.guarded(self.strips.decode)
        if self.treatment is None:
            return decode
        lanes = Lanes(self.strips, self.treatment)
        return lanes.shown if decode is None else lambda raw: lanes.shown(decode(raw))

    def whole(self) -> Any:
        """The picture as a `pyvips.Image`, for what cannot work on strips."""
        if self.image is None:
            return self.strips.image()
        return self.image if self.treatment is None else self.treatment.of(self.image)


class Lanes:
    """The treatment of several strips at once: libvips' pipeline, made once since a profile's tables take long.

    It begins in a buffer with a place for a strip of each thread. Another strip is put there each time, so libvips
    is told to forget what it saw before.
    """

    def __init__(self, strips: Strips, treatment: Treatment) -> None:
        count = threads()
        self._rows = strips.rows
        self._buffer = np.zeros((count, strips.rows, strips.width, strips.bands), strips.dtype)
        self._begin = pyvips.Image.new_from_memory(
            self._buffer.data, strips.width, count * strips.rows, strips.bands, stripped.FORMATS[strips.dtype.name]
        )
        self._end = treatment.of(self._begin.copy(interpretation=treatment.loaded.image.interpretation))
        self._free: SimpleQueue[int] = SimpleQueue()
        for place in range(count):
            self._free.put(place)

    def shown(self, rows: NDArray[Any]) -> NDArray[Any]:
        """*rows*, a strip or fewer, as 8-bit grey or RGB."""
        place = self._free.get()
        try:
            self._buffer[place, : len(rows)] = rows
            self._begin.invalidate()
            region = pyvips.Region.new(self._end)
            data = region.fetch(0, place * self._rows, self._end.width, len(rows))
        finally:
            self._free.put(place)
        return np.frombuffer(data, "u1").reshape(len(rows), self._end.width, self._end.bands)
