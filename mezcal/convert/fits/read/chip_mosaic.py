"""The chips of one exposure put together by their sky coordinates, on a plane that touches the sky (TAN).

The plane has the scale and the axes of the first chip. Its pixels are interpolated between those of the chips.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits
from PIL import Image

from mezcal.convert.fits.coordinates import FrameCoordinates
from mezcal.convert.fits.read.planes import WHOLE_MAX, Plane, blocks
from mezcal.errors import NoSuchSection

if TYPE_CHECKING:
    from mezcal.convert.fits.read.planes import Pixels

CELL = 64  # rows and columns in which coordinates are linear
EDGE_POINTS = 17  # a side of a chip, that say where it is
EMPTY_MAX = 8  # times the area of all chips, that a mosaic may have
FINER_MAX = 16  # pixels of a chip in one of the first chip: more would be read for a picture that does not show them
MARGIN = 2  # pixels around what is interpolated
TURNED = 0.5  # of a chip's rows: where a block needs more, the chip is kept in memory
KEPT_MAX = 2 * WHOLE_MAX  # bytes of chips that are kept
NEAR = 2 * CELL  # rows of the mosaic that a block of rows may reach over
FAR = "are far from each other on the sky"
KEPT_CARDS = ("OBSTYPE", "BUNIT", "EXPTIME", "EXPOSURE", "WCSERR")


@dataclass(frozen=True, slots=True)
class Chip:
    """One chip: its plane, its sky coordinates, and its first and last column and row in the mosaic.

    *rows_each* are those of its rows that are needed for `CELL` rows of the mosaic. *name* is that of its frame, empty
    if all chips are in one file.
    """

    plane: Plane
    coordinates: FrameCoordinates
    left: int = 0
    right: int = 0
    bottom: int = 0
    top: int = 0
    rows_each: int = 0
    name: str = ""

    @property
    def window_bytes(self) -> int:
        """The bytes of a window for `CELL` rows of the mosaic, as floats."""
        return 4 * self.plane.shape[1] * self.rows_each


@dataclass(frozen=True)
class ChipMosaic(Plane):
    """All chips on one plane with *coordinates*.

    Pixels between the chips are NaN. Where chips overlap, the first one counts.
    """

    chips: tuple[Chip, ...]
    shape: tuple[int, int]
    coordinates: FrameCoordinates
    _kept: dict[int, Pixels] = field(default_factory=dict)

    @property
    def decoding_bytes(self) -> int:
        """Those of the chips next to each other, of those that may be kept, and of a window with its copy.

        Chips above each other are not read at the same time.
        """
        bottom, top, decoding, kept, windows = np.array(
            [
                (chip.bottom, chip.top, chip.plane.decoding_bytes, 4 * math.prod(chip.plane.shape), chip.window_bytes)
                for chip in self.chips
            ]
            or [(0, 0, 0, 0, 0)]
        ).T
        together = (bottom < bottom[:, None] + NEAR) & (top > bottom[:, None] - NEAR)
        return int((together @ decoding + np.minimum(together @ kept, KEPT_MAX)).max() + 2 * windows.max())

    @property
    def row_pixels(self) -> int:
        """Those of the chips next to each other: they have to be decoded."""
        return 2 * self.shape[1]

    def release(self) -> None:
        """Free the memory of all chips."""
        self._kept.clear()
        for chip in self.chips:
            chip.plane.release()

    def rows(self, start: int, stop: int) -> Pixels:
        """Returns the rows, interpolated anew."""
        return self.window((start, stop), (0, self.shape[1]))

    def window(self, rows: tuple[int, int], columns: tuple[int, int]) -> Pixels:
        """Returns *rows* and *columns* of the mosaic."""
        block = np.full((rows[1] - rows[0], columns[1] - columns[0]), np.nan, np.float32)
        self._release_others(rows)
        for number, chip in enumerate(self.chips):
            low, high = max(rows[0], chip.bottom), min(rows[1], chip.top)
            left, right = max(columns[0], chip.left), min(columns[1], chip.right)
            if low < high and left < right:
                part = block[low - rows[0] : high - rows[0], left - columns[0] : right - columns[0]]
                for start, stop in blocks(high - low, CELL):
                    shown = self._interpolated(number, (low + start, low + stop), (left, right))
                    np.copyto(part[start:stop], shown, where=np.isnan(part[start:stop]))
        return block

    def _release_others(self, rows: tuple[int, int]) -> None:
        """Free the memory of the chips that have no pixels in *rows*."""
        for number, chip in enumerate(self.chips):
            if chip.top <= rows[0] or chip.bottom >= rows[1]:
                self._kept.pop(number, None)
                chip.plane.release()

    def for_window(self, rows: tuple[int, int], columns: tuple[int, int]) -> Plane:
        """Returns the mosaic with only the chips in the window. Their files are told which bytes will be read."""
        chips = []
        for chip in self.chips:
            low, high = max(rows[0], chip.bottom), min(rows[1], chip.top)
            left, right = max(columns[0], chip.left), min(columns[1], chip.right)
            if low < high and left < right:
                needed = self._rows_needed(chip, (low, high), (left, right))
                chips.append(replace(chip, plane=chip.plane.for_rows(*needed)) if needed else chip)
        return ChipMosaic(tuple(chips), self.shape, self.coordinates)

    def _rows_needed(self, chip: Chip, rows: tuple[int, int], columns: tuple[int, int]) -> tuple[int, int] | None:
        """Returns the first and last row of *chip* that is read for a window. None if its edges show none of it."""
        across, along = np.linspace(*columns, EDGE_POINTS), np.linspace(*rows, EDGE_POINTS)
        points = np.stack(np.meshgrid(across, along), -1).reshape(-1, 2)
        found = chip.coordinates.to_pixels(self.coordinates.to_sky(points - 0.5)) + 0.5
        first, last = _reach(found[np.isfinite(found[:, 1]), 1], chip.plane.shape[0])
        return (first, last) if first < last else None

    def _interpolated(self, number: int, rows: tuple[int, int], columns: tuple[int, int]) -> Pixels:
        """Returns a rectangle of the mosaic with the pixels of one chip. NaN is where it has none.

        A polynomial may have no inverse far outside of its chip: cells with such a corner show nothing of it.
        """
        chip, across = self.chips[number], np.unique([*range(*columns, CELL), columns[1]])
        edges = np.array([[x, y] for y in rows for x in across], float)
        found = chip.coordinates.to_pixels(self.coordinates.to_sky(edges - 0.5)) + 0.5
        size = columns[1] - columns[0], rows[1] - rows[0]
        height, width = chip.plane.shape
        finite: Pixels = np.isfinite(found.sum(axis=1))
        edges_known = finite[: len(across)] & finite[len(across) :]
        cells = np.flatnonzero(edges_known[:-1] & edges_known[1:]).tolist()
        known = found[finite]
        (first, last), (begin, end) = (_reach(known[:, axis], most) for axis, most in ((1, height), (0, width)))
        if not cells or first >= last or begin >= end:
            return np.full(size[::-1], np.nan, np.float32)
        source = Image.fromarray(self._pixels(number, (first, last), (begin, end)))
        low, high = (found - [begin, first]).reshape(2, len(across), 2)
        places = (across - columns[0]).tolist()
        mesh = [((places[i], 0, places[i + 1], size[1]), (*low[i], *high[i], *high[i + 1], *low[i + 1])) for i in cells]
        nan = float("nan")
        shown = source.transform(size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR, fillcolor=nan)
        return np.asarray(shown)

    def _pixels(self, number: int, rows: tuple[int, int], columns: tuple[int, int]) -> Pixels:
        """Returns a window of a chip as floats. A chip that is turned is kept: the next block needs its rows, too."""
        plane = self.chips[number].plane
        height, width = plane.shape
        if number not in self._kept and rows[1] - rows[0] > TURNED * height and self._has_room(4 * height * width):
            self._kept[number] = np.ascontiguousarray(plane.rows(0, height), np.float32)
        kept = self._kept.get(number)
        window = plane.window(rows, columns) if kept is None else kept[rows[0] : rows[1], columns[0] : columns[1]]
        return np.ascontiguousarray(window, np.float32)

    def _has_room(self, size: int) -> bool:
        """Returns True if *size* bytes more may be kept."""
        return size <= WHOLE_MAX and size + sum(each.nbytes for each in self._kept.values()) <= KEPT_MAX


def _reach(places: Pixels, most: int) -> tuple[int, int]:
    """Returns the first and last pixel, of *most*, that interpolation at *places* needs; nothing if there are none."""
    if not len(places):
        return 0, 0
    return max(0, math.floor(places.min()) - MARGIN), min(most, math.ceil(places.max()) + MARGIN)


def join_chips(chips: list[Chip]) -> ChipMosaic:
    """Returns the mosaic of *chips*.

    Raises `NoSuchSection` if they are far from each other on the sky, or if their pixels have very different sizes.
    """
    first = chips[0].coordinates
    rows, columns = first.shape
    middle = columns / 2 - 0.5, rows / 2 - 0.5
    (centre,) = first.to_sky(np.array([middle]))
    steps = [_steps(first, chip.coordinates) for chip in chips]
    finer = [abs(np.linalg.det(step)) for step in steps]
    if max(finer) > FINER_MAX:
        raise _unlike(chips[0], chips[int(np.argmax(finer))], "have pixels of very different sizes")
    plane = _plane_at(centre, first.derivative(middle) / 3600, middle)
    outlines = [_outline(chip, chips[0], plane) for chip in chips]
    low = np.floor(np.min([outline.min(axis=0) for outline in outlines], axis=0) + 0.5).astype(int)
    high = np.ceil(np.max([outline.max(axis=0) for outline in outlines], axis=0) + 0.5).astype(int)
    width, height = (high - low).tolist()
    area = sum(math.prod(chip.plane.shape) for chip in chips)
    if not (np.isfinite([low, high]).all() and width * height <= EMPTY_MAX * area):
        far = np.argmax([np.hypot(*(outline.mean(axis=0) - middle)) for outline in outlines])
        raise _unlike(chips[0], chips[int(far)], FAR)
    moved = _plane_at(centre, first.derivative(middle) / 3600, (middle[0] - low[0], middle[1] - low[1]))
    placed = [_placed(*each) for each in zip(chips, [outline - low for outline in outlines], steps, strict=True)]
    return ChipMosaic(tuple(placed), (height, width), FrameCoordinates.of(moved, (height, width)))


def _steps(first: FrameCoordinates, other: FrameCoordinates) -> Pixels:
    """Returns how many pixels of *other*, x and y (rows), a step of one pixel of *first* along x and y (columns) is."""
    here, there = (each.derivative((each.shape[1] / 2 - 0.5, each.shape[0] / 2 - 0.5)) for each in (first, other))
    steps: Pixels = np.linalg.solve(there, here)
    return steps


def _placed(chip: Chip, outline: Pixels, steps: Pixels) -> Chip:
    (left, bottom), (right, top) = (
        np.floor(outline.min(axis=0) + 0.5).astype(int).tolist(),
        np.ceil(outline.max(axis=0) + 0.5).astype(int).tolist(),
    )
    needed = abs(steps[1, 0]) * (right - left) + abs(steps[1, 1]) * CELL + 2 * MARGIN
    rows_each = min(chip.plane.shape[0], math.ceil(needed))
    return replace(chip, left=left, right=right, bottom=bottom, top=top, rows_each=rows_each)


def _unlike(first: Chip, other: Chip, what: str) -> NoSuchSection:
    """Returns the failure of chips that do not fit together. *what* says why."""
    if first.name == other.name:
        return NoSuchSection(f"the frame's chips {what}: name one by hdu instead of mosaic")
    return NoSuchSection(f"the chips of {first.name} and {other.name} {what}: a mosaic is of one exposure")


def _outline(chip: Chip, first: Chip, plane: Any) -> Pixels:
    """Returns where the edges of a chip are on the *plane*, whose header this is, in pixels from 0.

    Raises `NoSuchSection` if the plane does not reach it; *first* is the chip that it touches.
    """
    coordinates = chip.coordinates
    rows, columns = coordinates.shape
    across, along = np.linspace(-0.5, columns - 0.5, EDGE_POINTS), np.linspace(-0.5, rows - 0.5, EDGE_POINTS)
    points = np.stack(np.meshgrid(across, along), -1).reshape(-1, 2)
    found = FrameCoordinates.of(plane, coordinates.shape).to_pixels(coordinates.to_sky(points))
    if not np.isfinite(found).all():
        raise _unlike(first, chip, FAR)
    return found


def _plane_at(sky: Pixels, matrix: Pixels, place: tuple[float, float]) -> Any:
    """Returns the header of a plane that touches the *sky* at the pixel *place*. *matrix* is CD."""
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "RADESYS": "ICRS"})
    header.update({"CRVAL1": float(sky[0]), "CRVAL2": float(sky[1])})
    header.update({"CRPIX1": float(place[0]) + 1, "CRPIX2": float(place[1]) + 1})
    header.update({f"CD{row}_{column}": float(matrix[row - 1, column - 1]) for row in (1, 2) for column in (1, 2)})
    return header


def mosaic_header(mosaic: ChipMosaic, picture: Any) -> Any:
    """Returns the header of *mosaic*: its coordinates, and what counts for drawing from that of *picture*."""
    header = mosaic.coordinates.wcs.to_header()
    for name in KEPT_CARDS:
        value = picture.get(name)
        if value is not None:
            header[name] = value
    return header
