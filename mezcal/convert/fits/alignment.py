"""Where a pixel of one frame is in another: by their sky coordinates, or by the stars that both have."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io.fits import VerifyError
from astropy.wcs import WCS
from PIL import Image

from mezcal.convert.fits.coordinates import is_bounded
from mezcal.convert.fits.read.planes import LARGE_BLOCK, WHOLE_MAX, ArrayPlane, blocks
from mezcal.convert.fits.stars import find_stars

if TYPE_CHECKING:
    from mezcal.convert.fits.draw.scaling import Size
    from mezcal.convert.fits.geometry import Geometry
    from mezcal.convert.fits.read.frame import FitsFrame
    from mezcal.convert.fits.read.planes import Pixels, Plane

GRID = 9  # points a side from which the affine map is fitted
ERROR_MAX = 2.0  # pixels between the map and a point: with more, the two do not show the same sky
STARS = 60  # the brightest of a frame that are compared
NEAR = 3.0  # pixels within which two stars are the same
MATCHES_MIN = 6
MATCHES_SHARE = 0.25  # of the stars must be in the other frame: some always match by chance

Affine = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]  # matrix and shift, of points (x, y)
Alignment = tuple[Affine | None, str]  # and how it was found


def affine_between(reference: FitsFrame, other: FitsFrame, here: Pixels | None = None) -> Alignment:
    """Returns the map from *reference*'s pixels to *other*'s, and how it was found.

    `wcs`: by the coordinates, which no stars contradict. `catalog`: by the stars of both catalogues. `stars`: by stars
    that were found in the pixels. `none`: not at all. `no-overlap`: by the coordinates, the frames show different parts
    of the sky. *here* are the stars of *reference*, if they are known.
    """
    affine = _by_coordinates(reference, other)
    have_catalogues = all(frame.catalogue() is not None for frame in (reference, other))
    elsewhere = affine is not None and not _overlaps(affine, reference, other)
    if elsewhere and not have_catalogues:
        return affine, "no-overlap"
    here, there = stars_of(reference) if here is None else here, stars_of(other)
    if affine is not None and _agree(here @ affine[0].T + affine[1], there):
        return affine, "wcs"
    by_stars = _by_stars(here, there)
    if by_stars is not None:
        return by_stars, "catalog" if have_catalogues else "stars"
    if affine is None:
        return None, "none"
    return affine, "no-overlap" if elsewhere else "wcs"


def _agree(here: Pixels, there: Pixels) -> bool:
    """Returns True if enough of the stars *here* are where stars are *there*."""
    return len(_pairs(here, there)) >= max(MATCHES_MIN, MATCHES_SHARE * min(len(here), len(there)))


def _pairs(here: Pixels, there: Pixels) -> list[tuple[int, int]]:
    """Returns the numbers of the stars *here* that have one near *there*, and of that one."""
    if not len(here) or not len(there):
        return []
    distances = np.hypot(*(there[None, :, :] - here[:, None, :]).transpose(2, 0, 1))
    return [(row, int(line.argmin())) for row, line in enumerate(distances) if line.min() < NEAR]


def _by_coordinates(reference: FitsFrame, other: FitsFrame) -> Affine | None:
    """Returns the map by both frames' coordinates. None if one has none, or if they give no map."""
    grid = _grid(reference)
    try:
        if any(float(frame.header.get("WCSERR", 0) or 0) for frame in (reference, other)):
            return None  # the pipeline says that its fit failed
        headers = [frame.header.merged() for frame in (reference, other)]
        if not all(map(is_bounded, headers)):
            return None
        here, there = (WCS(header, naxis=2) for header in headers)
        if not (here.has_celestial and there.has_celestial):
            return None
        points = there.all_world2pix(here.all_pix2world(grid - 0.5, 0), 0, quiet=True) + 0.5
    except (ValueError, TypeError, KeyError, VerifyError):  # wcslib's errors are ValueErrors
        return None
    return fit_affine(grid, points)


def _grid(frame: FitsFrame) -> Pixels:
    """Returns points (x, y) all over *frame*."""
    rows, columns = frame.plane.shape
    return np.stack(np.meshgrid(np.linspace(0, columns, GRID), np.linspace(0, rows, GRID)), -1).reshape(-1, 2)


def _overlaps(affine: Affine, reference: FitsFrame, other: FitsFrame) -> bool:
    """Returns True if *reference* has pixels where *other* has some."""
    points = _grid(reference) @ affine[0].T + affine[1]
    rows, columns = other.plane.shape
    low, high = points.min(axis=0), points.max(axis=0)
    return bool((high > 0).all() and (low < [columns, rows]).all())


def fit_affine(here: Pixels, there: Pixels) -> Affine | None:
    """Returns the affine map from *here* to *there*. None if none fits."""
    if not np.isfinite(there).all():
        return None
    solved, *_ = np.linalg.lstsq(np.column_stack([here, np.ones(len(here))]), there, rcond=None)
    matrix, shift = solved[:2].T, solved[2]
    error = np.abs(here @ matrix.T + shift - there).max()
    return (matrix, shift) if error <= ERROR_MAX else None


def stars_of(frame: FitsFrame) -> Pixels:
    """Returns x and y of the brightest sources of the frame's catalogue, or of its pixels if it has none."""
    table = frame.catalogue()
    if table is None:
        return find_stars(frame.plane, STARS)
    x, y, flux = (np.asarray(table[name], float) for name in ("x", "y", "flux"))
    valid = np.isfinite(x) & np.isfinite(y) & np.isfinite(flux)
    order = np.argsort(-flux[valid])[:STARS]
    return np.stack([x[valid][order], y[valid][order]], 1) - 0.5


def _by_stars(here: Pixels, there: Pixels) -> Affine | None:
    """Returns the shift that most pairs of stars share, refined to an affine map. None if too few of them agree."""
    if len(here) < MATCHES_MIN or len(there) < MATCHES_MIN:
        return None
    shifts = (there[None, :, :] - here[:, None, :]).reshape(-1, 2)
    best = _most_common(shifts)
    if not _agree(here + best, there):
        return None
    first, second = np.array(_pairs(here + best, there)).T
    return fit_affine(here[first], there[second])


def _most_common(shifts: Pixels) -> Pixels:
    """Returns the mean of the *shifts* around the one that has most others near it.

    They are compared one with all, because an array of all pairs would take 400 MB.
    """
    across, along = np.ascontiguousarray(shifts.T)
    near = [(np.abs(across - x) < NEAR) & (np.abs(along - y) < NEAR) for x, y in shifts.tolist()]
    mean: Pixels = shifts[near[int(np.argmax([np.count_nonzero(mask) for mask in near]))]].mean(0)
    return mean


def move_plane(plane: Plane, affine: Affine | None, shape: Size) -> Plane | None:
    """Returns *plane* with its pixels where the reference's are, which has *shape* rows and columns.

    Pixels are interpolated between neighbours, as thumbnail-service does. None if it would take too much memory.
    """
    rows, columns = plane.shape
    if affine is None or 4 * max(rows * columns, shape[0] * shape[1]) > WHOLE_MAX:
        return None
    matrix, shift = affine
    pixels = np.ascontiguousarray(plane.rows(0, rows), dtype=np.float32)
    plane.release()
    moved = np.empty(shape, np.float32)
    for start, stop in blocks(shape[0], LARGE_BLOCK):
        corners = np.array([[x, y] for x in (0, shape[1]) for y in (start, stop)]) @ matrix.T + shift
        first, last = _needed_rows(corners[:, 1], rows)
        block_shift = shift + matrix @ [0, start] - [0, first]
        data = tuple(np.column_stack([matrix, block_shift]).ravel().tolist())
        source, size = Image.fromarray(pixels[first:last]), (shape[1], stop - start)
        block = source.transform(size, Image.Transform.AFFINE, data, Image.Resampling.BILINEAR)
        moved[start:stop] = np.asarray(block)
    return ArrayPlane(moved)


def _needed_rows(corners: Pixels, rows: int) -> tuple[int, int]:
    """Returns the rows needed to interpolate between *corners*: at least one, even if all are outside."""
    first = min(max(0, math.floor(corners.min()) - 2), rows - 1)
    return first, max(first + 1, min(rows, math.ceil(corners.max()) + 2))


def align_picture(small: Pixels, affine: Affine | None, reference: Geometry, shape: Size) -> Pixels:
    """Returns *small*, the averaged picture of a frame of *shape*, with its pixels where the *reference*'s are."""
    width, height = reference.small_size
    if affine is None and small.shape == (height, width):
        return small
    matrix, shift = affine or (np.eye(2), np.zeros(2))
    orientation, box = reference.orientation, reference.box
    corners = np.array([[0.0, 0.0], [width, 0.0], [0.0, height]])
    points = orientation.to_frame(corners * box, reference.shape) @ matrix.T + shift
    origin, right, down = orientation.to_picture(points, shape) / box
    across, along = (right - origin) / width, (down - origin) / height
    data = (across[0], along[0], origin[0], across[1], along[1], origin[1])
    unknown = float("nan") if small.dtype.kind == "f" else 0
    method, image = Image.Transform.AFFINE, Image.fromarray(small)
    return np.asarray(image.transform((width, height), method, data, Image.Resampling.BICUBIC, fillcolor=unknown))
