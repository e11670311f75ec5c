"""Red, visual and blue as one picture, after Lupton et al. 2004 (PASP 116, 133)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from mezcal.convert.fits.draw.limits import Limits, smallest_step
from mezcal.convert.fits.draw.robust import as_bytes, limits_by_rule, statistics_picture, stretched
from mezcal.recipe.bands import Bands

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mezcal.convert.fits.draw.robust import Scale
    from mezcal.convert.fits.read.planes import Pixels
    from mezcal.recipe import ThumbnailOptions

BYTE_MAX = 255.0
NO_BANDS = Bands()


class BandScale(NamedTuple):
    """How the pixels of one colour become light: less *black*, times *gain*, plus *rest*.

    The sky has as much light with every gain, so that it is grey. *grey* is its light.
    """

    black: np.float32
    gain: np.float32
    rest: np.float32
    grey: np.float32

    def light(self, plane: Pixels) -> Pixels:
        """Returns the light of *plane*."""
        light: Pixels = plane - self.black
        if self.gain != 1:
            light *= self.gain
            light += self.rest
        return light


def colour_levels(
    planes: list[Pixels],
    scale: Scale,
    options: ThumbnailOptions,
    factors: Sequence[float] = (1.0, 1.0, 1.0),
    *,
    finished: bool = False,
) -> Image.Image:
    """Returns red, visual and blue as 8-bit RGB.

    All three have one scale unless *options* has weights and limits for each. The stretch acts on their mean alone, and
    pixels that are too bright keep their hue. *finished* planes are a picture in bytes, whose colours are kept as they
    are. Pixels of the frames were multiplied by *factors*: limits of one colour are in its frame's own pixel values.
    """
    small = [statistics_picture(plane) for plane in planes]
    bands, within = _band_scales(small, options, factors, finished=finished)
    scaled = [scale(plane) for plane in planes]
    picture, top = np.empty((*scaled[0].size[::-1], 3), np.uint8), 0
    for rows in zip(*(plane.bands for plane in scaled), strict=True):
        light = _known([band.light(plane) for band, plane in zip(bands, rows, strict=True)], bands)
        mean = _mean(light)
        with np.errstate(all="ignore"):
            factor = np.where(mean > 0, stretched(within.apply(mean), options) / mean, 0)
        rgb = np.stack([band * factor for band in light], axis=-1)
        rgb = np.clip(np.nan_to_num(rgb, nan=0.0, posinf=0.0, neginf=0.0), 0, None)
        picture[top : top + len(mean)] = as_bytes(rgb / np.maximum(rgb.max(axis=-1, keepdims=True), 1))
        top += len(mean)
    return Image.fromarray(picture)


def _band_scales(
    small: list[Pixels], options: ThumbnailOptions, factors: Sequence[float], *, finished: bool
) -> tuple[list[BandScale], Limits]:
    """Returns the scale of each averaged plane, and the limits of their mean light."""
    own = options.bands or NO_BANDS
    skies, black, span = _common_limits(small, own.weights, options, finished=finished)
    given = [options.vmin if vmin is None else vmin * factor for vmin, factor in zip(own.vmin, factors, strict=True)]
    blacks = [sky + black if vmin is None else vmin for sky, vmin in zip(skies, given, strict=True)]
    if options.lupton is not None and options.lupton.white is not None:
        span = options.lupton.white
    elif options.vmax is not None:
        span = _step(options.vmax - min(blacks))
    whites = [
        span if vmax is None else _step(vmax * factor - black)
        for vmax, factor, black in zip(own.vmax, factors, blacks, strict=True)
    ]
    pivots = [sky if vmin is None else vmin for sky, vmin in zip(skies, given, strict=True)]
    gains = [weight * span / white for weight, white in zip(own.weights, whites, strict=True)]
    bands = [_band_scale(*each) for each in zip(skies, blacks, pivots, gains, strict=True)]
    return bands, Limits(0.0, span)


def _step(distance: float) -> float:
    """Returns the *distance* of white from black, a small one if white is not above black."""
    return distance if distance > 0 else smallest_step(0)


def _band_scale(sky: float, black: float, pivot: float, gain: float) -> BandScale:
    """Returns the scale by which the pixel value *pivot* has the same light with every *gain*."""
    rest = (pivot - black) * (1 - gain)
    return BandScale(*map(np.float32, (black, gain, rest, (sky - black) * gain + rest)))


def _common_limits(
    small: list[Pixels], weights: Sequence[float], options: ThumbnailOptions, *, finished: bool
) -> tuple[list[float], float, float]:
    """Returns the sky of each averaged plane, where black is above it, and how far white is above black.

    Each sky is at the same distance from black, so that it is the same grey. Black is below and white above the noise
    of the plane with most of it: noise that is cut has a colour.
    """
    if finished and options.limits == "zscale":  # the limits of such pictures were chosen before
        return [0.0] * len(small), 0.0, BYTE_MAX
    skies = [0.0 if finished else _sky(plane) for plane in small]
    shown = [
        (plane - np.float32(sky)) * np.float32(weight)
        for plane, sky, weight in zip(small, skies, weights, strict=True)
        if weight
    ]
    found = [limits_by_rule(plane, options) for plane in shown]
    white = max(each.white for each in found)
    black = min(0.0, *(each.black for each in found))
    return skies, black, (white if white > 0 else 1.0) - black


def _known(light: list[Pixels], bands: list[BandScale]) -> list[Pixels]:
    """Returns *light* with the sky's where only other colours have pixels: what those show is drawn."""
    known = np.isfinite(light).any(axis=0)
    return [np.where(np.isnan(plane) & known, band.grey, plane) for plane, band in zip(light, bands, strict=True)]


def _mean(planes: list[Pixels]) -> Pixels:
    mean: Pixels = sum(planes[1:], start=planes[0]) / np.float32(len(planes))
    return mean


def _sky(plane: Pixels) -> float:
    values = plane[np.isfinite(plane)]
    return float(np.median(values)) if len(values) else 0.0
