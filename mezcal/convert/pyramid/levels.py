"""The levels of a pyramid: their sizes, and the mean of 2 x 2 pixels that leads from one to the next.

Sides are halved and rounded up, as Deep Zoom and the viewers of IIIF do, which ask for tiles by their number. libvips
and GDAL's COG driver round down: an edge of their lower levels can lack a row or column that a viewer asks for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Level:
    """One picture of the pyramid: *width* x *height* pixels in tiles of *tile* x *tile*. *index* 0 is the largest."""

    index: int
    width: int
    height: int
    tile: int

    @property
    def across(self) -> int:
        """Tiles in a row."""
        return -(-self.width // self.tile)

    @property
    def down(self) -> int:
        """Rows of tiles."""
        return -(-self.height // self.tile)

    @property
    def tiles(self) -> int:
        """Tiles in all."""
        return self.across * self.down


def levels_of(width: int, height: int, tile: int) -> list[Level]:
    """Returns the levels of a picture, from the largest to the one that is a single tile."""
    levels = [Level(0, width, height, tile)]
    while levels[-1].tiles > 1:
        width, height = -(-width // 2), -(-height // 2)
        levels.append(Level(len(levels), width, height, tile))
    return levels


def halved(pixels: NDArray[Any], *, alpha: bool = False) -> NDArray[Any]:
    """Returns the mean of each 2 x 2 of *pixels*, rounded half up. Rows and columns are even numbers.

    With *alpha*, the last band weighs the others: what is transparent has no colour.
    """
    if alpha:
        return _weighted(pixels)
    rows, columns, bands = pixels.shape
    lines = pixels.reshape(rows, columns * bands)
    wide = np.dtype("u2" if pixels.dtype == np.uint8 else "u4")
    pairs = np.add(lines[0::2], lines[1::2], dtype=wide)
    means = np.empty((rows // 2, columns // 2 * bands), wide)
    for band in range(bands):  # numpy adds these columns twice as fast as it copies pixels together
        np.add(pairs[:, band :: 2 * bands], pairs[:, band + bands :: 2 * bands], out=means[:, band::bands])
    means += 2
    means >>= 2
    return means.astype(pixels.dtype).reshape(rows // 2, columns // 2, bands)


def _weighted(pixels: NDArray[Any]) -> NDArray[Any]:
    colour, weight = pixels[..., :-1].astype("f8"), pixels[..., -1:].astype("f8")
    weights = _sum(weight)
    means = _sum(colour * weight) / np.where(weights == 0, 1, weights)
    means = np.where(weights == 0, _sum(colour) / 4, means)
    return np.floor(np.concatenate([means, weights / 4], axis=-1) + 0.5).astype(pixels.dtype)


def _sum(values: NDArray[Any]) -> NDArray[Any]:
    """Returns the sums of 2 x 2 pixels."""
    total: NDArray[Any] = values[0::2, 0::2] + values[0::2, 1::2] + values[1::2, 0::2] + values[1::2, 1::2]
    return total
