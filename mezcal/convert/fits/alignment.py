"""Where a pixel of one frame is in another: by their sky coordinates, or by the stars both have."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.wcs import WCS
from PIL import Image

from mezcal.convert.fits.read.planes import BLOCK, HELD_MOST, Held, blocks, release
from mezcal.convert.fits.stars import brightest

if TYPE_CHECKING:
    from mezcal.convert.fits.draw.orientation import Orientation
    from mezcal.convert.fits.draw.scaling import Size
    from mezcal.convert.fits.read.frame import FitsFrame
    from mezcal.convert.fits.read.planes import Pixels, Plane

GRID = 9  # points a side from which the affine map is fitted
MISS_MOST = 2.0  # pixels by which the map may miss a point: else the two do not show the same sky
BRIGHTEST = 60  # stars a frame that are compared
NEAR = 3.0  # pixels within which two stars are the same
MATCHES_LEAST = 6
AGREEING = 0.25  # of the stars must be found in the other frame: some will always be near by chance

Affine = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]  # matrix and shift, of points (x, y)


def affine_between(red: FitsFrame, other: FitsFrame) -> tuple[Affine | None, str]:
    """The map from *red*'s pixels to *other*'s, and how it was found: `wcs`, `catalog` or `none`.

    Stars that we find ourselves are a catalogue, too: made where a frame brings none.
    """
    found = _by_coordinates(red, other)
    if found is not None:
        return found, "wcs"
    found = _by_stars(_stars(red), _stars(other))
    return found, "catalog" if found is not None else "none"


def _by_coordinates(red: FitsFrame, other: FitsFrame) -> Affine | None:
    """The map by both frames' coordinates; None where one has none, or such that no map comes from them."""
    rows, columns = red.plane.shape
    grid = np.stack(np.meshgrid(np.linspace(0, columns, GRID), np.linspace(0, rows, GRID)), -1).reshape(-1, 2)
    try:
        here, there = (WCS(frame.header.whole(), naxis=2) for frame in (red, other))
        if not (here.has_celestial and there.has_celestial):
            return None
        points = there.all_world2pix(here.all_pix2world(grid - 0.5, 0), 0, quiet=True) + 0.5
    except (ValueError, TypeError, KeyError):  # wcslib's errors are ValueErrors
        return None
    return _fit(grid, points)


def _fit(here: Pixels, there: Pixels) -> Affine | None:
    """The affine map from *here* to *there*; None where there is none that fits."""
    if not np.isfinite(there).all():
        return None
    solved, *_ = np.linalg.lstsq(np.column_stack([here, np.ones(len(here))]), there, rcond=None)
    matrix, shift = solved[:2].T, solved[2]
    missed = np.abs(here @ matrix.T + shift - there).max()
    return (matrix, shift) if missed <= MISS_MOST else None


def _stars(frame: FitsFrame) -> Pixels:
    """The brightest sources of the frame's own catalogue, or of its pixels where it has none: x and y of each."""
    table = frame.catalogue()
    if table is None:
        return brightest(frame.plane, BRIGHTEST)
    x, y, flux = (np.asarray(table[name], float) for name in ("x", "y", "flux"))
    sound = np.isfinite(x) & np.isfinite(y) & np.isfinite(flux)
    order = np.argsort(-flux[sound])[:BRIGHTEST]
    return np.stack([x[sound][order], y[sound][order]], 1) - 0.5


def _by_stars(here: Pixels, there: Pixels) -> Affine | None:
    """The shift that most pairs of stars share, refined to an affine map where enough of them agree."""
    if len(here) < MATCHES_LEAST or len(there) < MATCHES_LEAST:
        return None
    shifts = (there[None, :, :] - here[:, None, :]).reshape(-1, 2)
    best = _shared(shifts)
    away = np.hypot(*(there[None, :, :] - here[:, None, :] - best).transpose(2, 0, 1))
    pairs = [(row, int(line.argmin())) for row, line in enumerate(away) if line.min() < NEAR]
    if len(pairs) < max(MATCHES_LEAST, AGREEING * min(len(here), len(there))):
        return None
    first, second = np.array(pairs).T
    return _fit(here[first], there[second])


def _shared(shifts: Pixels) -> Pixels:
    """The mean of the *shifts* around the one that has most others near it; one by one, for pairs of all are 400 MB."""
    across, along = np.ascontiguousarray(shifts.T)
    near = [(np.abs(across - x) < NEAR) & (np.abs(along - y) < NEAR) for x, y in shifts.tolist()]
    mean: Pixels = shifts[near[int(np.argmax([np.count_nonzero(them) for them in near]))]].mean(0)
    return mean


def moved(plane: Plane, affine: Affine | None, shape: Size) -> Plane | None:
    """The whole *plane* with its pixels where the reference's are, which has so many rows and columns.

    Interpolated between neighbours, as thumbnail-service does it; None where that would take too much memory.
    """
    rows, columns = plane.shape
    if affine is None or 4 * max(rows * columns, shape[0] * shape[1]) > HELD_MOST:
        return None
    matrix, zero = affine
    pixels = np.ascontiguousarray(plane.rows(0, rows), dtype=np.float32)
    release(plane)
    there = np.empty(shape, np.float32)
    for start, stop in blocks(shape[0], BLOCK):
        corners = np.array([[x, y] for x in (0, shape[1]) for y in (start, stop)]) @ matrix.T + zero
        first, last = _between(corners[:, 1], rows)
        shift = zero + matrix @ [0, start] - [0, first]
        data = tuple(np.column_stack([matrix, shift]).ravel().tolist())
        seen, size = Image.fromarray(pixels[first:last]), (shape[1], stop - start)
        block = seen.transform(size, Image.Transform.AFFINE, data, Image.Resampling.BILINEAR)
        there[start:stop] = np.asarray(block)
    return Held(there)


def _between(places: Pixels, rows: int) -> tuple[int, int]:
    """The rows that are interpolated between at *places*: at least one, even if they are all outside."""
    first = min(max(0, math.floor(places.min()) - 2), rows - 1)
    return first, max(first + 1, min(rows, math.ceil(places.max()) + 2))


def aligned(
    small: Pixels, affine: Affine | None, turn: Orientation, by: Size, shapes: tuple[Size, Size], shape: Size
) -> Pixels:
    """*small*, a shrunk picture of a frame, as it would be had its pixels been where the reference's are.

    *shapes* are the rows and columns of the reference and of the frame, *shape* those of the reference's
    shrunk picture.
    """
    if affine is None and small.shape == shape:
        return small
    matrix, shift = affine or (np.eye(2), np.zeros(2))
    height, width = shape
    corners = np.array([[0.0, 0.0], [width, 0.0], [0.0, height]])
    points = turn.back(corners * by, shapes[0]) @ matrix.T + shift
    zero, right, down = turn.there(points, shapes[1]) / by
    across, along = (right - zero) / width, (down - zero) / height
    data = (across[0], along[0], zero[0], across[1], along[1], zero[1])
    unknown = float("nan") if small.dtype.kind == "f" else 0
    method, image = Image.Transform.AFFINE, Image.fromarray(small)
    return np.asarray(image.transform((width, height), method, data, Image.Resampling.BICUBIC, fillcolor=unknown))
