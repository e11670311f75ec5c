"""The default look: limits from all pixels, whatever is no number left out, hues that mean something."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from astropy.visualization import AsinhStretch, LinearStretch, LogStretch, SqrtStretch
from PIL import Image

from mezcal.convert.fits.draw.box_means import averaged
from mezcal.convert.fits.draw.limits import Limits, least_above
from mezcal.convert.fits.draw.zscale import zscale

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.convert.fits.draw.scaling import Final
    from mezcal.convert.fits.read.planes import Pixels
    from mezcal.recipe import ThumbnailOptions

    Finish = Callable[[Pixels], Final]

STATISTICS_EDGE = 512  # pixels: limits come from a picture of about this size, whatever size is asked for
STRETCHES = {"linear": LinearStretch, "asinh": AsinhStretch, "sqrt": SqrtStretch, "log": LogStretch}

STEPS = 65_535  # of brightness, before the stretch: the steepest one makes half a level of each

ANCHORS = {
    "viridis": "440154 46327e 365c8d 277f8e 1fa187 4ac16d a0da39 fde725",
    "inferno": "000004 280b53 65156e 9f2a63 d44842 f57d15 fac127 fcffa4",
    "heat": "000000 800000 ff0000 ff8000 ffff00 ffffff",
    "ice": "000000 001a4d 00478f 1f86c7 7cc8e8 ffffff",
}


def limits(small: Pixels, look: ThumbnailOptions) -> Limits:
    """Black and white of an averaged plane, by the rule that *look* names."""
    values = _statistics(small).ravel()
    values = values[np.isfinite(values)]
    if not len(values):
        return Limits(0.0, 1.0)
    if look.limits == "zscale" and len(values) > 25:
        black, white = zscale(values)
    elif look.limits == "percentile" and look.percentile is not None:
        low = 50 if look.median else 100 - look.percentile
        black, white = np.percentile(values, [low, look.percentile])
    else:
        black, white = values.min(), values.max()
    black, white = float(black), float(white)
    return Limits(black, white if white > black else black + least_above(black))


def _statistics(small: Pixels) -> Pixels:
    """An averaged plane, averaged on to about the size that limits come from."""
    step = max(1, round(max(small.shape) / STATISTICS_EDGE))
    return averaged(small, (step, step))


def levels(planes: list[Pixels], finish: Finish, look: ThumbnailOptions) -> Image.Image:
    """One averaged plane as 8-bit grey. It is brought to its final size before it is stretched."""
    within = limits(planes[0], look)
    table = _bytes(_stretched(np.linspace(0, 1, STEPS + 1), look))  # quicker than to stretch every pixel
    final = finish(planes[0])
    shown, top = np.empty(final.size[::-1], np.uint8), 0
    for band in final.bands:
        share = within.apply(band)
        share *= STEPS
        table.take(share.astype(np.uint16), out=shown[top : top + len(band)], mode="clip")
        top += len(band)
    return Image.fromarray(shown)


def colour_levels(planes: list[Pixels], finish: Finish, look: ThumbnailOptions) -> Image.Image:
    """Red, visual and blue as 8-bit RGB with linked limits, after Lupton et al. 2004 (PASP 116, 133).

    Each plane loses its own sky, which is black; then one scale holds for all three, the stretch acts on their
    mean alone, and what is too bright keeps its hue.
    """
    looked_at = [_statistics(plane) for plane in planes]
    skies = [np.float32(_sky(plane)) for plane in looked_at]
    white = limits(_mean([plane - sky for plane, sky in zip(looked_at, skies, strict=True)]), look).white
    within = Limits(0.0, white if white > 0 else 1.0)
    finals = [finish(plane) for plane in planes]
    shown, top = np.empty((*finals[0].size[::-1], 3), np.uint8), 0
    for bands in zip(*(final.bands for final in finals), strict=True):
        lit = [band - sky for band, sky in zip(bands, skies, strict=True)]
        mean = _mean(lit)
        with np.errstate(all="ignore"):
            factor = np.where(mean > 0, _stretched(within.apply(mean), look) / mean, 0)
        rgb = np.stack([band * factor for band in lit], axis=-1)
        rgb = np.clip(np.nan_to_num(rgb, nan=0.0, posinf=0.0, neginf=0.0), 0, None)
        shown[top : top + len(mean)] = _bytes(rgb / np.maximum(rgb.max(axis=-1, keepdims=True), 1))
        top += len(mean)
    return Image.fromarray(shown)


def _mean(planes: list[Pixels]) -> Pixels:
    mean: Pixels = sum(planes[1:], start=planes[0]) / np.float32(len(planes))
    return mean


def _sky(plane: Pixels) -> float:
    values = plane[np.isfinite(plane)]
    return float(np.median(values)) if len(values) else 0.0


def _stretched(share: Pixels, look: ThumbnailOptions) -> Pixels:
    stretch = STRETCHES[look.stretch or "linear"]()
    done: Pixels = np.clip(stretch(share), 0, 1)
    return done


def _bytes(share: Pixels) -> Pixels:
    rounded: Pixels = np.rint(share * 255).astype(np.uint8)
    return rounded


def coloured(grey: Image.Image, look: ThumbnailOptions) -> Image.Image:
    """*grey*, inverted and in the colours of *look*."""
    if look.invert:
        grey = grey.point([255 - level for level in range(256)] * len(grey.getbands()))
    if look.colormap == "gray" or grey.mode != "L":
        return grey.convert("RGB")
    return Image.merge("RGB", [grey.point(list(band)) for band in _colours(look.colormap).T])


def _colours(name: str) -> Pixels:
    """256 colours, interpolated between the anchors."""
    anchors = np.array([list(bytes.fromhex(colour)) for colour in ANCHORS[name].split()], float)
    places = np.linspace(0, len(anchors) - 1, 256)
    bands = [np.interp(places, np.arange(len(anchors)), anchors[:, band]) for band in range(3)]
    colours: Pixels = np.rint(np.stack(bands, 1)).astype(np.uint8)
    return colours
