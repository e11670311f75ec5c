"""Raw frames of several amplifiers joined to one picture, each part at its place on the detector (DETSEC, DATASEC)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mezcal.convert.fits.read.planes import Plane

if TYPE_CHECKING:
    from mezcal.convert.fits.read.planes import Pixels

SECTION = re.compile(r"\[\s*(\d+)\s*:\s*(\d+)\s*,\s*(\d+)\s*:\s*(\d+)\s*\]")


class DetectorSection(NamedTuple):
    """Columns and rows of a section, from 0. *right* and *top* are not in it."""

    left: int
    right: int
    bottom: int
    top: int
    flip_columns: bool
    flip_rows: bool


def parse_section(text: object) -> DetectorSection | None:
    """Returns the section `[x1:x2,y1:y2]`, counted from 1 with both ends in it. None if *text* is something else."""
    match = SECTION.fullmatch(str(text).strip())
    if match is None:
        return None
    x1, x2, y1, y2 = map(int, match.groups())
    if not min(x1, x2, y1, y2):
        return None
    return DetectorSection(min(x1, x2) - 1, max(x1, x2), min(y1, y2) - 1, max(y1, y2), x1 > x2, y1 > y2)


def is_part(hdu: Any) -> bool:
    """Returns True if *hdu* is a part of a detector: if it has a DETSEC."""
    return parse_section(hdu.header.get("DETSEC", "")) is not None


def parts_of_one_detector(pictures: list[Any]) -> list[Any]:
    """Returns the HDUs of *pictures* that are parts of one detector, an empty list if they are not."""
    flat = [hdu for hdu in pictures if len(hdu.shape) == 2]
    places = [parse_section(hdu.header.get("DETSEC", "")) for hdu in flat]
    together = len(flat) > 1 and None not in places and len(set(places)) == len(flat)
    return flat if together else []


@dataclass(frozen=True, slots=True)
class MosaicPart:
    """One amplifier's pixels: section *data* of its plane, section *target* of the detector. *bias* is subtracted."""

    plane: Plane
    data: DetectorSection
    target: DetectorSection
    bias: float

    def rows(self, start: int, stop: int) -> Pixels:
        """Returns the detector's rows from *start* to *stop*, in this part's columns."""
        first, last = start - self.target.bottom, stop - self.target.bottom
        height = self.target.top - self.target.bottom
        if self.target.flip_rows != self.data.flip_rows:
            first, last = height - last, height - first
        block = self.plane.rows(self.data.bottom + first, self.data.bottom + last)
        block = block[:, self.data.left : self.data.right]
        block = block[::-1] if self.target.flip_rows != self.data.flip_rows else block
        block = block[:, ::-1] if self.target.flip_columns != self.data.flip_columns else block
        return block.astype(np.float32) - np.float32(self.bias)


@dataclass(frozen=True)
class Mosaic(Plane):
    """The whole detector. Pixels between the parts are NaN."""

    parts: tuple[MosaicPart, ...]
    left: int
    bottom: int
    shape: tuple[int, int]

    @classmethod
    def of(cls, planes: list[tuple[Plane, Any]]) -> Mosaic:
        """Returns the mosaic of planes with their headers, all of which have a DETSEC."""
        parts = tuple(_part(plane, header) for plane, header in planes)
        left, bottom = min(part.target.left for part in parts), min(part.target.bottom for part in parts)
        right, top = max(part.target.right for part in parts), max(part.target.top for part in parts)
        return cls(parts, left, bottom, (top - bottom, right - left))

    @property
    def decoding_bytes(self) -> int:
        """Those of all parts."""
        return sum(part.plane.decoding_bytes for part in self.parts)

    def release(self) -> None:
        """Free the memory of all parts."""
        for part in self.parts:
            part.plane.release()

    def rows(self, start: int, stop: int) -> Pixels:
        """Returns the rows, joined from all parts that have pixels in them."""
        block = np.full((stop - start, self.shape[1]), np.nan, np.float32)
        for part in self.parts:
            first = max(start + self.bottom, part.target.bottom)
            last = min(stop + self.bottom, part.target.top)
            if first < last:
                columns = slice(part.target.left - self.left, part.target.right - self.left)
                block[first - self.bottom - start : last - self.bottom - start, columns] = part.rows(first, last)
        return block


def _part(plane: Plane, header: Any) -> MosaicPart:
    rows, columns = plane.shape
    target = parse_section(header["DETSEC"])
    whole = DetectorSection(0, columns, 0, rows, flip_columns=False, flip_rows=False)
    data = parse_section(header.get("DATASEC", "")) or whole
    if target is None or data.right > columns or data.top > rows or _size(target) != _size(data):
        raise ValueError(f"DETSEC {header['DETSEC']} and DATASEC {header.get('DATASEC')} do not fit together")
    return MosaicPart(plane, data, target, _bias(plane, parse_section(header.get("BIASSEC", ""))))


def _size(area: DetectorSection) -> tuple[int, int]:
    return area.right - area.left, area.top - area.bottom


def _bias(plane: Plane, overscan: DetectorSection | None) -> float:
    """Returns the amplifier's zero, from at most 64 rows of *overscan*. It is 0 if the plane has no such pixels.

    Without it, there would be steps of brightness between the amplifiers.
    """
    if overscan is None or overscan.right > plane.shape[1]:
        return 0.0
    top = min(overscan.top, overscan.bottom + 64, plane.shape[0])
    if top <= overscan.bottom:
        return 0.0
    values = plane.rows(overscan.bottom, top)[:, overscan.left : overscan.right]
    return float(np.nanmedian(values)) if values.size else 0.0
