"""The picture as it is to be shown, its rows still to be made."""

from __future__ import annotations

from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyvips

from mezcal.convert import strips as stripped
from mezcal.convert.side_by_side import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from mezcal.convert.colour import Treatment
    from mezcal.convert.strips import Strips

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rows:
    """Strips of samples as they were decoded, and the treatment that they still need; None if they are 8-bit.

    *image* is where the strips come from, if that is libvips; it or they may be read once, from top to bottom.
    """

    strips: Strips
    treatment: Treatment | None = None
    image: Any = None
    _lanes: SimpleQueue[Lane] = field(default_factory=SimpleQueue)

    @classmethod
    def of(cls, image: Any, treatment: Treatment | None = None) -> Rows:
        """The rows of a `pyvips.Image`."""
        needed = treatment if treatment is not None and treatment.changes else None
        return cls(stripped.of(image), needed, image)

    @property
    def bands(self) -> int:
        """Bands of what is shown: 1 or 3."""
        return self.strips.bands if self.treatment is None else self.treatment.bands

    def in_order(self, then: Callable[[NDArray[Any]], T]) -> Iterator[T]:
        """*then* of the shown rows of each strip, worked out by several threads."""
        return in_order(lambda rows: then(self._shown(rows)), self.strips)

    def one_by_one(self) -> Iterator[NDArray[Any]]:
        """The shown rows of each strip."""
        if self.treatment is not None:
            return in_order(self._shown, self.strips)
        return map(self.strips.fetch, range(self.strips.count))

    def whole(self) -> Any:
        """The picture as a `pyvips.Image`, for what cannot work on strips."""
        if self.image is None:
            return self.strips.image()
        return self.image if self.treatment is None else self.treatment.of(self.image)

    def _shown(self, rows: NDArray[Any]) -> NDArray[Any]:
        if self.treatment is None:
            return rows
        try:
            lane = self._lanes.get_nowait()
        except Empty:
            lane = Lane(self.strips, self.treatment)
        shown = lane.shown(rows)
        self._lanes.put(lane)
        return shown


class Lane:
    """One thread's way to treat rows: libvips' pipeline, made once since a profile's tables take long to reckon.

    It begins in a buffer that holds another strip each time; libvips is told to forget what it saw there before.
    """

    def __init__(self, strips: Strips, treatment: Treatment) -> None:
        self._buffer = np.zeros((strips.rows, strips.width, strips.bands), strips.dtype)
        kind = stripped.FORMATS[strips.dtype.name]
        self._begin = pyvips.Image.new_from_memory(self._buffer.data, strips.width, strips.rows, strips.bands, kind)
        self._end = treatment.of(self._begin.copy(interpretation=treatment.loaded.image.interpretation))

    def shown(self, rows: NDArray[Any]) -> NDArray[Any]:
        """*rows*, which may be fewer than a strip's, as 8-bit grey or RGB."""
        self._buffer[: len(rows)] = rows
        self._begin.invalidate()
        data = pyvips.Region.new(self._end).fetch(0, 0, self._end.width, len(rows))
        return np.frombuffer(data, "u1").reshape(len(rows), self._end.width, self._end.bands)
