"""The default look: limits from all pixels without NaN, and hues that show the colours of the sources."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from astropy.visualization import AsinhStretch, LinearStretch, LogStretch, SqrtStretch, ZScaleInterval
from PIL import Image

from mezcal.convert.fits.draw.box_means import box_means
from mezcal.convert.fits.draw.limits import STEP_SHARE, Limits, smallest_step

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.convert.fits.draw.scaling import ScaledPlane
    from mezcal.convert.fits.read.planes import Pixels
    from mezcal.recipe import ThumbnailOptions

    Scale = Callable[[Pixels], ScaledPlane]

STATISTICS_EDGE = 512  # pixels: limits come from a picture of about this size, for any size of the thumbnail
ZSCALE_SAMPLES = 5_000  # astropy's default of 1,000 gives limits that depend more on which pixels are sampled
STRETCHES = {"linear": LinearStretch, "asinh": AsinhStretch, "sqrt": SqrtStretch, "log": LogStretch}

STEPS = 65_535  # of brightness before the stretch: the steepest stretch makes half a level of each

ANCHORS = {
    "viridis": "440154 46327e 365c8d 277f8e 1fa187 4ac16d a0da39 fde725",
    "inferno": "000004 280b53 65156e 9f2a63 d44842 f57d15 fac127 fcffa4",
    "heat": "000000 800000 ff0000 ff8000 ffff00 ffffff",
    "ice": "000000 001a4d 00478f 1f86c7 7cc8e8 ffffff",
}


def limits(small: Pixels, options: ThumbnailOptions) -> Limits:
    """Returns black and white of an averaged plane: those given in *options*, else by the rule in it."""
    if options.vmin is not None and options.vmax is not None:
        return Limits(options.vmin, options.vmax)
    found = limits_by_rule(small, options)
    black = found.black if options.vmin is None else options.vmin
    if options.lupton is not None and options.lupton.white is not None:
        white = black + options.lupton.white
        return Limits(black, white if white > black else black + smallest_step(black))
    white = found.white if options.vmax is None else options.vmax
    if white > black:
        return Limits(black, white)
    return (
        Limits(white - smallest_step(white), white)
        if options.vmin is None
        else Limits(black, black + smallest_step(black))
    )


def limits_by_rule(small: Pixels, options: ThumbnailOptions) -> Limits:
    """Returns black and white of an averaged plane, by the rule in *options*."""
    values = statistics_picture(small).ravel()
    values = values[np.isfinite(values)]
    if not len(values):
        return Limits(0.0, 1.0)
    if options.limits == "zscale" and len(values) > 25:
        samples = values[:: math.ceil(len(values) / ZSCALE_SAMPLES)]
        black, white = ZScaleInterval(n_samples=ZSCALE_SAMPLES).get_limits(samples)
    elif options.limits == "percentile" and options.percentile is not None:
        low = 50 if options.median else 100 - options.percentile
        black, white = np.percentile(values, [low, options.percentile])
    else:
        black, white = values.min(), values.max()
    if not white - black > STEP_SHARE * abs(black):  # most pixels have one value
        black, white = values.min(), values.max()
    black, white = float(black), float(white)
    return Limits(black, white if white > black else black + smallest_step(black))


def statistics_picture(small: Pixels) -> Pixels:
    """Returns an averaged plane, averaged further to about `STATISTICS_EDGE`."""
    step = max(1, round(max(small.shape) / STATISTICS_EDGE))
    return box_means(small, (step, step))


def grey_levels(plane: Pixels, scale: Scale, options: ThumbnailOptions) -> Image.Image:
    """Returns one averaged plane as 8-bit grey. *scale* brings it to its final size before it is stretched."""
    within = limits(plane, options)
    table = as_bytes(stretched(np.linspace(0, 1, STEPS + 1), options))  # faster than stretching every pixel
    scaled = scale(plane)
    picture, top = np.empty(scaled.size[::-1], np.uint8), 0
    for band in scaled.bands:
        share, target = within.apply(band), picture[top : top + len(band)]
        if options.lupton is not None:  # his curve may be too steep for the table
            target[...] = as_bytes(stretched(share, options))
        else:
            table.take((share * STEPS).astype(np.uint16), out=target, mode="clip")
        top += len(band)
    return Image.fromarray(picture)


def stretched(share: Pixels, options: ThumbnailOptions) -> Pixels:
    """Returns *share*, from black 0 to white 1, after the stretch of *options*."""
    if options.lupton is not None:
        softening = options.lupton.softening
        result: Pixels = np.arcsinh(share * softening) / np.arcsinh(softening)
        return result
    stretch = STRETCHES[options.stretch or "linear"]()
    clipped: Pixels = np.clip(stretch(share), 0, 1)
    return clipped


def as_bytes(share: Pixels) -> Pixels:
    """Returns *share*, from 0 to 1, as bytes."""
    rounded: Pixels = np.rint(share * 255).astype(np.uint8)
    return rounded


def coloured(grey: Image.Image, options: ThumbnailOptions) -> Image.Image:
    """Returns *grey* as RGB, inverted and in the colour map of *options*."""
    if options.invert:
        grey = grey.point([255 - level for level in range(256)] * len(grey.getbands()))
    if options.colormap == "gray" or grey.mode != "L":
        return grey.convert("RGB")
    return Image.merge("RGB", [grey.point(list(band)) for band in _colours(options.colormap).T])


def _colours(name: str) -> Pixels:
    """Returns 256 colours, interpolated between the anchors."""
    anchors = np.array([list(bytes.fromhex(colour)) for colour in ANCHORS[name].split()], float)
    places = np.linspace(0, len(anchors) - 1, 256)
    bands = [np.interp(places, np.arange(len(anchors)), anchors[:, band]) for band in range(3)]
    colours: Pixels = np.rint(np.stack(bands, 1)).astype(np.uint8)
    return colours
