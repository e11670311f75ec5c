"""Raw frames of several amplifiers joined to one picture, each part at its place on the detector (DETSEC, DATASEC)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mezcal.convert.fits.read.joined_header import joined_header
from mezcal.convert.fits.read.planes import Plane

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mezcal.convert.fits.read.planes import Pixels

EMPTY_MAX = 4  # times the area of all parts, that a mosaic may have
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


class PlacedPart(NamedTuple):
    """An HDU whose section *data* is the section *target* of the mosaic."""

    hdu: Any
    data: DetectorSection
    target: DetectorSection


def parts_of_one_detector(pictures: list[Any]) -> list[PlacedPart]:
    """Returns the HDUs of *pictures* with their places on one detector, an empty list if they do not fit together.

    DETSEC counts the detector's pixels. In a binned frame, several of them are one pixel of DATASEC.
    """
    flat = [hdu for hdu in pictures if len(hdu.shape) == 2]
    places = [parse_section(hdu.header.get("DETSEC", "")) for hdu in flat]
    targets, parts = [place for place in places if place is not None], [_data_section(hdu) for hdu in flat]
    data = [part for part in parts if part is not None]
    if len(flat) < 2 or len(set(targets)) < len(flat) or len(data) < len(flat):
        return []
    binnings = {_binning(target, section) for target, section in zip(targets, data, strict=True)}
    binning = binnings.pop()
    if binnings or binning is None:
        return []
    placed = list(map(PlacedPart, flat, data, _binned(targets, data, binning)))
    return placed if _is_compact(placed) else []


def _data_section(hdu: Any) -> DetectorSection | None:
    """Returns the pixels of *hdu* that show the detector: DATASEC, else TRIMSEC, else all. None if it lacks them."""
    rows, columns = hdu.shape
    whole = DetectorSection(0, columns, 0, rows, flip_columns=False, flip_rows=False)
    given = (parse_section(hdu.header.get(name, "")) for name in ("DATASEC", "TRIMSEC"))
    data = next((section for section in given if section is not None), whole)
    return None if data.right > columns or data.top > rows else data


def _binning(target: DetectorSection, data: DetectorSection) -> tuple[int, int] | None:
    """Returns how many columns and rows of the detector are one of *data*. None if they are no whole numbers.

    The detector may have some more, that fill no binned pixel.
    """
    x, y = (wide // narrow for wide, narrow in zip(_size(target), _size(data), strict=True))
    rest = [wide - by * narrow for wide, by, narrow in zip(_size(target), (x, y), _size(data), strict=True)]
    return None if not (x and y) or rest[0] >= x or rest[1] >= y else (x, y)


def _binned(
    targets: list[DetectorSection], data: list[DetectorSection], binning: tuple[int, int]
) -> Iterator[DetectorSection]:
    """Yields *targets* in binned pixels, from the lowest of them on, each as large as its *data*."""
    left, bottom = min(target.left for target in targets), min(target.bottom for target in targets)
    for target, part in zip(targets, data, strict=True):
        x, y = (target.left - left) // binning[0], (target.bottom - bottom) // binning[1]
        width, height = _size(part)
        yield target._replace(left=x, right=x + width, bottom=y, top=y + height)


def _is_compact(parts: list[PlacedPart]) -> bool:
    """Returns True if the mosaic is not mostly empty, as it would be with a wrong DETSEC."""
    right, top = max(part.target.right for part in parts), max(part.target.top for part in parts)
    covered = sum(math.prod(_size(part.target)) for part in parts)
    return right * top <= EMPTY_MAX * covered


@dataclass(frozen=True, slots=True)
class MosaicPart:
    """One amplifier's pixels: section *data* of its plane, section *target* of the detector. *bias* is subtracted.

    *header* is its own one, with the coordinates of the joined picture.
    """

    plane: Plane
    data: DetectorSection
    target: DetectorSection
    bias: float
    header: Any

    def distance_to(self, x: float, y: float) -> float:
        """Returns how many pixels *x* and *y*, counted from 0 in the joined picture, are outside of this amplifier."""
        target = self.target
        across = max(target.left - 0.5 - x, x - target.right + 0.5, 0.0)
        along = max(target.bottom - 0.5 - y, y - target.top + 0.5, 0.0)
        return math.hypot(across, along)

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
    shape: tuple[int, int]

    @classmethod
    def of(cls, placed: list[PlacedPart], planes: list[Plane], reserve: Callable[[int], None]) -> Mosaic:
        """Returns the mosaic of *planes*, those of the *placed* parts.

        *reserve* is called with the bytes that reading their overscan takes: parts may keep what they decode for it.
        """
        reserve(max(sum(plane.decoding_bytes for plane in planes), *(plane.block_bytes() for plane in planes)))
        parts = tuple(_part(*each) for each in zip(placed, planes, strict=True))
        right, top = max(part.target.right for part in parts), max(part.target.top for part in parts)
        return cls(parts, (top, right))

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
            first, last = max(start, part.target.bottom), min(stop, part.target.top)
            if first < last:
                columns = slice(part.target.left, part.target.right)
                block[first - start : last - start, columns] = part.rows(first, last)
        return block


def _part(placed: PlacedPart, plane: Plane) -> MosaicPart:
    overscan = parse_section(placed.hdu.header.get("BIASSEC", ""))
    header = joined_header(placed.hdu.header, placed.data, placed.target)
    return MosaicPart(plane, placed.data, placed.target, _bias(plane, overscan), header)


def _size(area: DetectorSection) -> tuple[int, int]:
    return area.right - area.left, area.top - area.bottom


def _bias(plane: Plane, overscan: DetectorSection | None) -> float:
    """Returns the amplifier's zero, from at most 64 rows of *overscan*. It is 0 if the plane has no such pixels.

    Without it, there would be steps of brightness between the amplifiers.
    """
    if overscan is None or overscan.right > plane.shape[1]:
        return 0.0
    top = min(overscan.top, overscan.bottom + min(64, plane.block_height()), plane.shape[0])
    if top <= overscan.bottom:
        return 0.0
    values = plane.rows(overscan.bottom, top)[:, overscan.left : overscan.right]
    return float(np.nanmedian(values)) if values.size else 0.0
