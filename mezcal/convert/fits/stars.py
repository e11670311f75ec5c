"""Stars found in a frame's own pixels, for frames that come without coordinates and without a catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mezcal.convert.fits.draw.orientation import Orientation
from mezcal.convert.fits.draw.scaling import means
from mezcal.convert.fits.read.planes import release

if TYPE_CHECKING:
    from mezcal.convert.fits.read.planes import Pixels, Plane

EDGE = 2048  # pixels: larger frames are averaged to at most this first
TILE = 32  # pixels a side of what one value of the sky stands for
SIGMAS = 6.0  # above the sky's noise, after each pixel was averaged with its neighbours
SHARPEST = 2.0  # times the pixels beside it, a star's centre may be; hot pixels, which all frames share, stand alone
AROUND = 2  # pixels to each side in which a star is the brightest, and over which its centre is weighed
FAINTEST = 1e-30  # where there is no noise at all
UPRIGHT = Orientation(flip_rows=False)


def brightest(plane: Plane, most: int) -> Pixels:
    """Centres of the *most* brightest stars of *plane*, the brightest first: x and y of each, in pixels from the lower
    left corner. *plane* is released.
    """
    by = max(1, -(-max(plane.shape) // EDGE))
    light = _without_hot_pixels(_above_sky(means(plane, UPRIGHT, (by, by))))
    release(plane)
    if min(light.shape) <= 2 * TILE:
        return np.empty((0, 2))
    smooth = _over(np.add, light, 1) / 9
    noise = 1.4826 * float(np.median(np.abs(smooth)))
    peaks = (smooth >= _over(np.maximum, smooth, AROUND)) & (smooth > SIGMAS * max(noise, FAINTEST))
    peaks[:AROUND] = peaks[-AROUND:] = peaks[:, :AROUND] = peaks[:, -AROUND:] = False
    rows, columns = np.nonzero(peaks)
    order = np.argsort(-smooth[rows, columns], kind="stable")[:most]
    return np.array([_centre(light, rows[one], columns[one]) for one in order]).reshape(-1, 2) * by


def _above_sky(pixels: Pixels) -> Pixels:
    """*pixels* less their sky, the median of each tile; what is no number counts as sky."""
    rows, columns = (side // TILE * TILE for side in pixels.shape)
    if not (rows and columns):
        return pixels
    tiles = pixels[:rows, :columns].reshape(rows // TILE, TILE, columns // TILE, TILE).swapaxes(1, 2)
    sky = np.median(np.nan_to_num(tiles, posinf=0, neginf=0).reshape(*tiles.shape[:2], -1), axis=-1)
    shape = pixels.shape[1], pixels.shape[0]
    even = np.asarray(Image.fromarray(sky.astype(np.float32)).resize(shape, Image.Resampling.BILINEAR))
    light: Pixels = np.nan_to_num(pixels - even, nan=0, posinf=0, neginf=0)
    return light


def _without_hot_pixels(light: Pixels) -> Pixels:
    beside = [np.roll(light, step, axis) for step in (-1, 1) for axis in (0, 1)]
    most: Pixels = np.clip(sum(beside[1:], start=beside[0]), 0, None) * np.float32(SHARPEST / len(beside))
    return np.minimum(light, most)


def _over(combine: np.ufunc, pixels: Pixels, reach: int) -> Pixels:
    """Each pixel combined with all that are at most *reach* rows and columns away; the edges run into each other."""
    for axis in (0, 1):
        whole = pixels
        for step in range(1, reach + 1):
            whole = combine(whole, combine(np.roll(pixels, step, axis), np.roll(pixels, -step, axis)))
        pixels = whole
    return pixels


def _centre(light: Pixels, row: int, column: int) -> tuple[float, float]:
    part = np.clip(light[row - AROUND : row + AROUND + 1, column - AROUND : column + AROUND + 1], 0, None)
    offsets = np.arange(-AROUND, AROUND + 1)
    weight = part.sum() or 1.0
    x, y = (part.sum(0) * offsets).sum() / weight, (part.sum(1) * offsets).sum() / weight
    return column + x + 0.5, row + y + 0.5
