"""Raw frames of several amplifiers put together, each part where the detector has it (DETSEC and DATASEC)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mezcal.convert.fits.read.planes import release

if TYPE_CHECKING:
    from mezcal.convert.fits.read.planes import Pixels, Plane

SECTION = re.compile(r"\[\s*(\d+)\s*:\s*(\d+)\s*,\s*(\d+)\s*:\s*(\d+)\s*\]")


class Section(NamedTuple):
    """Columns and rows of a section, from 0; the last one is the end and not in it. Backwards ones are flipped."""

    left: int
    right: int
    bottom: int
    top: int
    flip_columns: bool
    flip_rows: bool


def section(text: object) -> Section | None:
    """`[x1:x2,y1:y2]`, counted from 1 with both ends in it; None if it is something else."""
    found = SECTION.fullmatch(str(text).strip())
    if found is None:
        return None
    x1, x2, y1, y2 = map(int, found.groups())
    if not min(x1, x2, y1, y2):
        return None
    return Section(min(x1, x2) - 1, max(x1, x2), min(y1, y2) - 1, max(y1, y2), x1 > x2, y1 > y2)


def is_part(hdu: Any) -> bool:
    """Whether *hdu* says where on a detector it lies."""
    return section(hdu.header.get("DETSEC", "")) is not None


def quadrants(pictures: list[Any]) -> list[Any]:
    """The HDUs of *pictures* that are parts of one detector; none where they are not."""
    flat = [hdu for hdu in pictures if len(hdu.shape) == 2]
    places = [section(hdu.header.get("DETSEC", "")) for hdu in flat]
    together = len(flat) > 1 and None not in places and len(set(places)) == len(flat)
    return flat if together else []


@dataclass(frozen=True, slots=True)
class MosaicPart:
    """One amplifier's pixels: *data* in its own plane, *there* on the detector, *bias* to be subtracted."""

    plane: Plane
    data: Section
    there: Section
    bias: float

    def rows(self, start: int, stop: int) -> Pixels:
        """The detector's rows from *start* to *stop*, of this part's columns, as the detector has them."""
        first, last = start - self.there.bottom, stop - self.there.bottom
        height = self.there.top - self.there.bottom
        if self.there.flip_rows != self.data.flip_rows:
            first, last = height - last, height - first
        block = self.plane.rows(self.data.bottom + first, self.data.bottom + last)
        block = block[:, self.data.left : self.data.right]
        block = block[::-1] if self.there.flip_rows != self.data.flip_rows else block
        block = block[:, ::-1] if self.there.flip_columns != self.data.flip_columns else block
        return block.astype(np.float32) - np.float32(self.bias)


@dataclass(frozen=True, slots=True)
class Mosaic:
    """The whole detector; where no part lies, pixels are NaN."""

    parts: tuple[MosaicPart, ...]
    left: int
    bottom: int
    shape: tuple[int, int]

    @classmethod
    def of(cls, planes: list[tuple[Plane, Any]]) -> Mosaic:
        """The mosaic of planes with their headers, all of which have a DETSEC."""
        parts = tuple(_part(plane, header) for plane, header in planes)
        left, bottom = min(part.there.left for part in parts), min(part.there.bottom for part in parts)
        right, top = max(part.there.right for part in parts), max(part.there.top for part in parts)
        return cls(parts, left, bottom, (top - bottom, right - left))

    def release(self) -> None:
        """Give back what the parts keep."""
        for part in self.parts:
            release(part.plane)

    def rows(self, start: int, stop: int) -> Pixels:
        """The rows, put together from every part that reaches into them."""
        block = np.full((stop - start, self.shape[1]), np.nan, np.float32)
        for part in self.parts:
            first = max(start + self.bottom, part.there.bottom)
            last = min(stop + self.bottom, part.there.top)
            if first < last:
                columns = slice(part.there.left - self.left, part.there.right - self.left)
                block[first - self.bottom - start : last - self.bottom - start, columns] = part.rows(first, last)
        return block


def _part(plane: Plane, header: Any) -> MosaicPart:
    rows, columns = plane.shape
    there = section(header["DETSEC"])
    data = section(header.get("DATASEC", "")) or Section(0, columns, 0, rows, flip_columns=False, flip_rows=False)
    if there is None or data.right > columns or data.top > rows or _size(there) != _size(data):
        raise ValueError(f"DETSEC {header['DETSEC']} and DATASEC {header.get('DATASEC')} do not fit together")
    return MosaicPart(plane, data, there, _bias(plane, section(header.get("BIASSEC", ""))))


def _size(area: Section) -> tuple[int, int]:
    return area.right - area.left, area.top - area.bottom


def _bias(plane: Plane, overscan: Section | None) -> float:
    """The amplifier's own zero, or its neighbours would show as steps; from at most 64 rows of overscan.

    It is 0 where the plane has no such rows and columns.
    """
    if overscan is None or overscan.right > plane.shape[1]:
        return 0.0
    top = min(overscan.top, overscan.bottom + 64, plane.shape[0])
    if top <= overscan.bottom:
        return 0.0
    values = plane.rows(overscan.bottom, top)[:, overscan.left : overscan.right]
    return float(np.nanmedian(values)) if values.size else 0.0
