"""Which axes of an HDU are the rows and the columns of its picture, and which one counts its colours."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from mezcal.convert.fits.read.planes import Pixels

COLOURS = 3
COLOURS_AND_ALPHA = 4  # only as the axis that runs fastest: four planes of a cube may be anything
SIDE_MIN = 8  # pixels: a smaller array is no picture with colours
COLOUR_TYPES = {"", "RGB", "COLOR", "COLOUR"}  # values of CTYPE: others are wavelengths, polarisations, times


@dataclass(frozen=True, slots=True)
class Layout:
    """An array's *shape*, and the numbers of the axes that are the rows and columns of a plane.

    All other axes count planes. With *coloured*, the first three planes are red, green and blue.
    """

    shape: tuple[int, ...]
    row_axis: int
    column_axis: int
    coloured: bool = False

    @classmethod
    def of(cls, hdu: Any) -> Layout:
        """Returns the layout of *hdu*. Axes of one pixel are left out, as long as two others remain."""
        shape = tuple(map(int, hdu.shape))
        colours = _colour_axis(hdu.header, shape)
        axes = [axis for axis, size in enumerate(shape) if size > 1 and axis != colours]
        rows, columns = axes[-2:] if len(axes) > 1 else (len(shape) - 2, len(shape) - 1)
        return cls(shape, rows, columns, colours is not None)

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Rows and columns of a plane."""
        return self.shape[self.row_axis], self.shape[self.column_axis]

    @property
    def is_usual(self) -> bool:
        """True if a plane's pixels are next to each other in the file, row after row."""
        return self.column_axis == len(self.shape) - 1 and self.row_axis == len(self.shape) - 2

    @property
    def row_pixels(self) -> int:
        """The pixels that are read for a row of one plane."""
        return prod(self.shape[self.row_axis + 1 :])

    @property
    def planes(self) -> int:
        """How many planes there are."""
        return prod(self.shape) // max(1, prod(self.plane_shape))

    def rows(self, section: Any, number: int, start: int, stop: int) -> Pixels:
        """Returns rows of the *number*-th plane, from 0, of what *section* reads. The first axis of FITS runs fastest.

        Axes after the rows are read whole: astropy reads each of their pixels on its own otherwise.
        """
        others = [axis for axis in range(len(self.shape)) if axis not in {self.row_axis, self.column_axis}]
        places = np.unravel_index(number, [self.shape[axis] for axis in others]) if others else ()
        index: list[Any] = [slice(None)] * len(self.shape)
        for axis, place in zip(others, places, strict=True):
            index[axis] = int(place)
        block = np.asarray(section[(*index[: self.row_axis], slice(start, stop))])
        return block if self.is_usual else np.ascontiguousarray(block[(slice(None), *index[self.row_axis + 1 :])])


def _colour_axis(header: Any, shape: tuple[int, ...]) -> int | None:
    """Returns the axis that counts red, green and blue, by what programs for amateurs write. None if there is none."""
    axes = [axis for axis, size in enumerate(shape) if size > 1]
    if len(axes) != COLOURS:
        return None
    last = len(shape) - 1
    sizes = {axis: {COLOURS, COLOURS_AND_ALPHA} if axis == last else {COLOURS} for axis in axes}
    counting = [axis for axis in axes if shape[axis] in sizes[axis]]
    if len(counting) != 1 or any(shape[axis] < SIDE_MIN for axis in axes if axis not in counting):
        return None
    try:
        kind = str(header.get(f"CTYPE{len(shape) - counting[0]}", "")).strip().upper()
    except ValueError:  # a card that cannot be parsed
        return None
    return counting[0] if kind in COLOUR_TYPES else None
