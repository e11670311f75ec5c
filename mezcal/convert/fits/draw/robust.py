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

BYTE_MAX = 255.0
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
    values = _statistics_picture(small).ravel()
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


def _statistics_picture(small: Pixels) -> Pixels:
    """Returns an averaged plane, averaged further to about `STATISTICS_EDGE`."""
    step = max(1, round(max(small.shape) / STATISTICS_EDGE))
    return box_means(small, (step, step))


def grey_levels(plane: Pixels, scale: Scale, options: ThumbnailOptions) -> Image.Image:
    """Returns one averaged plane as 8-bit grey. *scale* brings it to its final size before it is stretched."""
    within = limits(plane, options)
    table = _bytes(_stretched(np.linspace(0, 1, STEPS + 1), options))  # faster than stretching every pixel
    scaled = scale(plane)
    picture, top = np.empty(scaled.size[::-1], np.uint8), 0
    for band in scaled.bands:
        share = within.apply(band)
        share *= STEPS
        table.take(share.astype(np.uint16), out=picture[top : top + len(band)], mode="clip")
        top += len(band)
    return Image.fromarray(picture)


def colour_levels(
    planes: list[Pixels], scale: Scale, options: ThumbnailOptions, *, finished: bool = False
) -> Image.Image:
    """Returns red, visual and blue as 8-bit RGB with the same limits, after Lupton et al. 2004 (PASP 116, 133).

    All three have one scale, the stretch acts on their mean alone, and pixels that are too bright keep their hue.
    *finished* planes are a picture in bytes, whose colours are kept as they are.
    """
    blacks, grey, within = _colour_limits([_statistics_picture(plane) for plane in planes], options, finished=finished)
    if options.vmin is not None:
        blacks = [np.float32(options.vmin)] * len(planes)
    if options.vmax is not None:
        within = Limits(0.0, max(options.vmax - float(min(blacks)), smallest_step(0)))
    scaled = [scale(plane) for plane in planes]
    picture, top = np.empty((*scaled[0].size[::-1], 3), np.uint8), 0
    for bands in zip(*(plane.bands for plane in scaled), strict=True):
        light = _known([band - black for band, black in zip(bands, blacks, strict=True)], grey)
        mean = _mean(light)
        with np.errstate(all="ignore"):
            factor = np.where(mean > 0, _stretched(within.apply(mean), options) / mean, 0)
        rgb = np.stack([band * factor for band in light], axis=-1)
        rgb = np.clip(np.nan_to_num(rgb, nan=0.0, posinf=0.0, neginf=0.0), 0, None)
        picture[top : top + len(mean)] = _bytes(rgb / np.maximum(rgb.max(axis=-1, keepdims=True), 1))
        top += len(mean)
    return Image.fromarray(picture)


def _colour_limits(
    small: list[Pixels], options: ThumbnailOptions, *, finished: bool
) -> tuple[list[np.float32], np.float32, Limits]:
    """Returns what is black in each of the averaged planes, and above it: the sky's light, and the limits of all three.

    Each sky is at the same distance from black, so that it is the same grey. Black is below and white above the noise
    of the plane with most of it: noise that is cut has a colour.
    """
    if finished and options.limits == "zscale":  # the limits of such pictures were chosen before
        return [np.float32(0)] * len(small), np.float32(0), Limits(0.0, BYTE_MAX)
    skies = [np.float32(0 if finished else _sky(plane)) for plane in small]
    found = [limits_by_rule(plane - sky, options) for plane, sky in zip(small, skies, strict=True)]
    white = max(each.white for each in found)
    black = np.float32(min(0.0, *(each.black for each in found)))
    within = Limits(0.0, float((white if white > 0 else 1.0) - black))
    return [sky + black for sky in skies], -black, within


def _known(planes: list[Pixels], grey: np.float32) -> list[Pixels]:
    """Returns *planes* with *grey*, the sky's light, where only others have pixels: what those show is drawn."""
    known = np.isfinite(planes).any(axis=0)
    return [np.where(np.isnan(plane) & known, grey, plane) for plane in planes]


def _mean(planes: list[Pixels]) -> Pixels:
    mean: Pixels = sum(planes[1:], start=planes[0]) / np.float32(len(planes))
    return mean


def _sky(plane: Pixels) -> float:
    values = plane[np.isfinite(plane)]
    return float(np.median(values)) if len(values) else 0.0


def _stretched(share: Pixels, options: ThumbnailOptions) -> Pixels:
    stretch = STRETCHES[options.stretch or "linear"]()
    stretched: Pixels = np.clip(stretch(share), 0, 1)
    return stretched


def _bytes(share: Pixels) -> Pixels:
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
