"""The rectangle of a frame's pixels that a cutout shows, and a plane of these pixels alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mezcal.convert.fits.read.planes import Plane
from mezcal.errors import NoSuchSection

if TYPE_CHECKING:
    from mezcal.convert.fits.read.planes import Pixels

TURNED = 1.5  # times as long may be the sides of a section that is turned: a square needs 1.42
MARGIN = 4  # pixels around a section that is turned or moved: interpolation needs neighbours
SIDE_MAX = 4096  # pixels of a section, or twice the frame's side if that is more


@dataclass(frozen=True, slots=True)
class Section:
    """Columns from *left* and rows from *bottom*, counted from 0. They may be outside of the frame.

    *centre* is the position that was asked for, x and y from 0 at the pixels' centres.
    """

    left: int
    bottom: int
    width: int
    height: int
    centre: tuple[float, float]

    @classmethod
    def around(cls, centre: tuple[float, float], size: tuple[float, float]) -> Section:
        """Returns the section of *size* pixels, rounded, around *centre*. It begins as astropy's `Cutout2D` does."""
        width, height = (max(1, round(side)) for side in size)
        return cls(math.ceil(centre[0] - width / 2), math.ceil(centre[1] - height / 2), width, height, centre)

    @property
    def corner(self) -> Pixels:
        """The edge of the first pixel, x and y."""
        return np.array([self.left, self.bottom], float)

    def covered(self, shape: tuple[int, int]) -> float:
        """Returns the share of the section that is in a frame with *shape* rows and columns."""
        rows, columns = shape
        across = min(self.left + self.width, columns) - max(self.left, 0)
        along = min(self.bottom + self.height, rows) - max(self.bottom, 0)
        return max(0, across) * max(0, along) / (self.width * self.height)

    def check_size(self, shape: tuple[int, int], *, turned: bool = False) -> None:
        """Raise `NoSuchSection` if the section has too many pixels for a frame with *shape* rows and columns.

        That of a *turned* picture has its corners in it, too.
        """
        for side, most in zip((self.height, self.width), shape, strict=True):
            if side > (TURNED if turned else 1) * max(SIDE_MAX, 2 * most):
                raise NoSuchSection(
                    f"size is {self.width:,} x {self.height:,} pixels of the frame, which has {shape[1]:,} x "
                    f"{shape[0]:,}: a cutout has at most twice the frame's, or {SIDE_MAX:,}"
                )

    def __str__(self) -> str:
        """Returns the section as FITS writes it: `[x1:x2,y1:y2]`, from 1, with both ends in it."""
        right, top = self.left + self.width, self.bottom + self.height
        return f"[{self.left + 1}:{right},{self.bottom + 1}:{top}]"


class SectionPlane(Plane):
    """The pixels of a *section* of *plane*. Those outside of the frame are NaN."""

    def __init__(self, plane: Plane, section: Section) -> None:
        self.shape = section.height, section.width
        rows = max(0, section.bottom), section.bottom + section.height
        self._plane = plane.for_window(rows, (max(0, section.left), section.left + section.width))
        self._section = section
        self._whole = section.covered(plane.shape) == 1

    def rows(self, start: int, stop: int) -> Pixels:
        """Returns the rows, read again."""
        section, (rows, columns) = self._section, self._plane.shape
        left, right = max(0, section.left), min(section.left + section.width, columns)
        first, last = max(0, section.bottom + start), min(section.bottom + stop, rows)
        if self._whole:
            return self._plane.window((first, last), (left, right))
        block = np.full((stop - start, section.width), np.nan, np.float32)
        if first < last and left < right:
            part = self._plane.window((first, last), (left, right))
            below, before = first - section.bottom - start, left - section.left
            block[below : below + last - first, before : before + right - left] = part
        return block

    @property
    def decoding_bytes(self) -> int:
        """Those of the frame's plane."""
        return self._plane.decoding_bytes

    @property
    def row_pixels(self) -> int:
        """Those of the frame: they may have to be decoded together. More if the section is wider."""
        return max(self._plane.row_pixels, self.shape[1])

    def block_height(self, step: int = 1) -> int:
        """Returns that of the frame's plane."""
        return self._plane.block_height(step)

    def release(self) -> None:
        """Free the memory of the frame's plane."""
        self._plane.release()
