"""North up and east left: how the rows of a frame become the rows of a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from mezcal.convert.fits.read.planes import Pixels

SKY_AXES = ({"RA", "DEC"}, {"GLON", "GLAT"}, {"ELON", "ELAT"}, {"SLON", "SLAT"})  # the beginnings of CTYPE1 and CTYPE2
SPECTRA = {"SPECTRUM", "ARC", "LAMPFLAT"}  # values of OBSTYPE


@dataclass(frozen=True, slots=True)
class Orientation:
    """One of the eight ways to lay a frame out: transpose it first, then flip the picture's rows and columns."""

    transpose: bool = False
    flip_rows: bool = True  # FITS has its first row at the bottom
    flip_columns: bool = False

    @property
    def last_row_first(self) -> bool:
        """True if the frame's last row comes first, along that axis of the picture on which its rows are."""
        return self.flip_columns if self.transpose else self.flip_rows

    def picture_size(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Returns width and height of the picture of a frame with *shape* rows and columns."""
        rows, columns = shape
        return (rows, columns) if self.transpose else (columns, rows)

    def apply(self, block: Pixels) -> Pixels:
        """Returns *block* as it is in the picture."""
        block = block.T if self.transpose else block
        block = block[::-1] if self.flip_rows else block
        return block[:, ::-1] if self.flip_columns else block

    def to_picture(self, points: Pixels, shape: tuple[int, int]) -> Pixels:
        """Returns where the frame's *points* (x, y) are in the picture. Edges of pixels are whole numbers."""
        width, height = self.picture_size(shape)
        x, y = (points[:, 1], points[:, 0]) if self.transpose else (points[:, 0], points[:, 1])
        return np.stack([width - x if self.flip_columns else x, height - y if self.flip_rows else y], 1)

    def to_frame(self, points: Pixels, shape: tuple[int, int]) -> Pixels:
        """Returns where the picture's *points* are in the frame: the inverse of `to_picture`."""
        width, height = self.picture_size(shape)
        x = width - points[:, 0] if self.flip_columns else points[:, 0]
        y = height - points[:, 1] if self.flip_rows else points[:, 1]
        return np.stack([y, x] if self.transpose else [x, y], 1)

    def direction(self, vector: Pixels) -> Pixels:
        """Returns where a direction of the frame points on the screen, y upwards."""
        x, y = (vector[1], vector[0]) if self.transpose else (vector[0], vector[1])
        return np.array([-x if self.flip_columns else x, y if self.flip_rows else -y])


FLIPPED = Orientation()


def orientation_of(header: Any, *, lco: bool = False) -> tuple[Orientation, float]:
    """Returns the orientation that brings north nearest to the top and east to the left, and the remaining angle.

    The angle is in degrees, counter-clockwise. Frames without coordinates on the sky, and spectra, are only flipped.
    With *lco*, the four cards of a CD matrix turn a frame, whatever its axes are, and nothing else does: as in
    thumbnail-service.
    """
    turned = _has_cd_matrix(header) if lco else _has_sky_axes(header)
    is_spectrum = str(header.get("OBSTYPE", "")).strip().upper() in SPECTRA
    matrix = sky_matrix(header) if turned and not is_spectrum else None
    return (FLIPPED, 0.0) if matrix is None else nearest_orientation(matrix)


def nearest_orientation(matrix: Pixels) -> tuple[Orientation, float]:
    """Returns the same for a *matrix* of east and north (rows) for a step of one pixel along x and y (columns)."""
    inverse = np.linalg.inv(matrix)
    north, east = inverse @ [0.0, 1.0], inverse @ [1.0, 0.0]
    north, east = north / np.linalg.norm(north), east / np.linalg.norm(east)
    orientations = (Orientation(*choice) for choice in product((False, True), repeat=3))
    best = max(orientations, key=lambda each: round(each.direction(north)[1] - each.direction(east)[0], 9))
    right, up = best.direction(north)
    return best, math.degrees(math.atan2(right, up))


def _has_sky_axes(header: Any) -> bool:
    """Returns True if both axes are on the sky. Those of the Sun are not: its west belongs on the right."""
    axes = {str(header.get(name, "")).strip().upper().split("-")[0] for name in ("CTYPE1", "CTYPE2")}
    return axes in SKY_AXES


def _has_cd_matrix(header: Any) -> bool:
    return all(f"CD{i}_{j}" in header for i, j in product((1, 2), repeat=2))


def sky_matrix(header: Any) -> Pixels | None:
    """Returns degrees east and north for a step of one pixel along x and y, from CD, PC or CDELT with CROTA2.

    None if they are missing, or if they are no numbers.
    """
    try:
        matrix = _matrix(header)
    except (TypeError, ValueError):
        return None
    with np.errstate(all="ignore"):
        usable = matrix is not None and np.isfinite(matrix).all() and abs(np.linalg.det(matrix)) > 1e-20
    return matrix if usable else None


def _matrix(header: Any) -> Pixels | None:
    if "CD1_1" in header or "CD1_2" in header:
        return _square([header.get(f"CD{i}_{j}", 0.0) for i, j in product((1, 2), repeat=2)])
    steps = [header.get("CDELT1"), header.get("CDELT2")]
    if None in steps or not str(header.get("CTYPE1", "")).strip():
        return None
    across, along = map(float, steps)
    for name in ("PC{}_{}", "PC{:03}{:03}"):  # the second one is of drafts of the standard
        cards = {name.format(i, j): float(i == j) for i, j in product((1, 2), repeat=2)}
        if any(card in header for card in cards):
            return _square([header.get(*card) for card in cards.items()]) * [[across], [along]]
    angle = math.radians(float(header.get("CROTA2", 0.0)))
    cos, sin = math.cos(angle), math.sin(angle)
    return _square([across * cos, -along * sin, across * sin, along * cos])


def _square(values: list[Any]) -> Pixels:
    return np.array(values, float).reshape(2, 2)
