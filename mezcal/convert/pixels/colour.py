"""Samples of any kind to grey or sRGB, mostly of 8 bits: depth, profile, alpha."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyvips

from mezcal.convert.pixels import profiles

if TYPE_CHECKING:
    from mezcal.convert.engines.decoded import Decoded
    from mezcal.convert.options import ConversionOptions
    from mezcal.convert.pixels.matrix_tables import MatrixTables

FLOAT_MAX = 1e30  # larger floats stand for no data
NODATA = (-9999, -99999, -32767, -32768)  # what writers use without saying so
OPAQUE = {
    "uchar": 255,
    "char": 127,
    "ushort": 65535,
    "short": 32767,
    "uint": 2**32 - 1,
    "int": 2**31 - 1,
    "float": 1,
    "double": 1,
}  # alpha, by libvips' format, where the format has no peak
DIRECT = {("uchar", 255), ("ushort", 65535)}  # formats and peaks of samples that are converted by tables

ValueRange = tuple[float, float]  # the values of black and of white


@dataclass(frozen=True, slots=True)
class ColourConversion:
    """How every pixel becomes grey or RGB. It is the same for all rows.

    *value_range* is the range of the data, if `Decoded.peak` is None. *profile* is the profile that fits the pixels.
    With *transform*, it is applied to them instead of being embedded. The result has 8 bits, 16 with *wide*. With
    *keep_alpha*, alpha becomes its last band; else the picture is shown over *background*.
    """

    decoded: Decoded
    background: tuple[int, int, int]
    value_range: ValueRange | None
    profile: bytes | None
    transform: bool
    wide: bool = False
    keep_alpha: bool = False

    @property
    def embedded_profile(self) -> bytes | None:
        """The profile that is written into the derivative."""
        return None if self.transform else self.profile

    @property
    def changes_pixels(self) -> bool:
        """False if the samples are the result already."""
        decoded, image = self.decoded, self.decoded.image
        result = ("ushort", 65535) if self.wide else ("uchar", 255)
        shown = decoded.space in ("grey", "rgb") and (image.format, decoded.peak) == result
        shown = shown and image.bands == self.bands and (self._opaque or self._keeps_alpha_as_it_is)
        return not shown or self.transform or decoded.inverted

    @property
    def keeps_upper_byte(self) -> bool:
        """True if the result is the upper eight of sixteen bits."""
        decoded, image = self.decoded, self.decoded.image
        plain = decoded.space in ("grey", "rgb") and image.bands == decoded.colours and not decoded.inverted
        return plain and not self.wide and not self.transform and image.format == "ushort" and decoded.peak == 65535

    @property
    def tables(self) -> MatrixTables | None:
        """Tables that convert the samples as they are, None if `apply` has to."""
        decoded, image = self.decoded, self.decoded.image
        plain = decoded.space == "rgb" and not decoded.inverted and (image.format, decoded.peak) in DIRECT
        if not plain or self.wide or not self._opaque or not self.transform or self.profile is None:
            return None
        return profiles.tables_of(self.profile, int(decoded.peak or 0) + 1)

    @property
    def _opaque(self) -> bool:
        return self.decoded.alpha is None or self.decoded.alpha >= self.decoded.image.bands

    @property
    def has_alpha(self) -> bool:
        """True if the last band of the result is alpha."""
        return self.keep_alpha and not self._opaque

    @property
    def bands(self) -> int:
        """Bands of the result."""
        grey = self.decoded.space == "grey" and (self._opaque or self.keep_alpha or not _coloured(self.background))
        return (1 if grey else 3) + self.has_alpha

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the result's samples."""
        return np.dtype("u2" if self.wide else "u1")

    @property
    def _keeps_alpha_as_it_is(self) -> bool:
        """True if the colours are not multiplied by alpha, which follows them as in the result."""
        return self.keep_alpha and not self.decoded.associated and self.decoded.alpha == self.decoded.colours

    def apply(self, image: Any) -> Any:
        """Returns *image*, which is `decoded.image` or rows of it, as grey or RGB."""
        decoded = self.decoded
        colour, alpha = _colour_and_alpha(image, decoded)
        if decoded.space in ("lab", "xyz"):
            colour = colour.colourspace("srgb")
        else:
            colour = self._convert_colour(_scaled(colour, decoded, self.value_range))
        if alpha is None:
            return colour
        alpha = _scaled_alpha(alpha, decoded, 65535 if self.wide else 255)
        return colour.bandjoin(alpha) if self.keep_alpha else _flattened(colour, alpha, self.background)

    def _convert_colour(self, image: Any) -> Any:
        if self.decoded.space == "cmyk":
            return _from_cmyk(image, self.profile)
        image = _with_interpretation(image, self.decoded.space)
        if self.transform and self.profile is not None:
            depth = 16 if self.wide else 8
            if self.decoded.space == "grey":
                return _grey_by_profile(image, self.profile, depth)
            return profiles.by_profile(image, self.profile, "rgb", depth)
        return _with_interpretation(image if self.wide else _eight_bits(image), self.decoded.space)


def colour_conversion(decoded: Decoded, options: ConversionOptions, values: ValueRange | None) -> ColourConversion:
    """Returns how the pixels of *decoded* are converted. *values* is needed if `Decoded.peak` is None."""
    icc, transform = None, False
    if decoded.space in ("grey", "rgb", "cmyk"):
        icc = profiles.usable_profile(decoded.icc, decoded.space)
        transform = decoded.space == "cmyk" or (icc is not None and options.color != "keep")
    if icc is not None and decoded.space != "cmyk" and transform and profiles.is_srgb(icc, decoded.space):
        icc, transform = None, False
    wide = options.depth == 16 and decoded.space in ("grey", "rgb") and (decoded.peak is None or decoded.peak > 255)
    return ColourConversion(decoded, options.background, values, icc, transform, wide, options.alpha == "keep")


def resized(image: Any, across: float, down: float, *, alpha: bool) -> Any:
    """Returns the converted *image* in another size. With *alpha*, its last band weighs the others."""
    if not alpha:
        return image.resize(across, vscale=down)
    weighted = image.premultiply().resize(across, vscale=down)
    return weighted.unpremultiply().rint().cast(image.format)


def needs_value_range(decoded: Decoded) -> bool:
    """Returns True if all samples must be read before they can be scaled."""
    return decoded.peak is None and decoded.space in ("grey", "rgb", "cmyk")


def value_range(decoded: Decoded) -> ValueRange:
    """Read the whole picture. Returns the values of black and of white.

    Floats within 0..1 are kept (TIFF's convention). All else is stretched from its least to its largest value. Values
    that stand for no data do not count.
    """
    colour = decoded.image.extract_band(0, n=decoded.colours)
    counted = colour.abs() <= FLOAT_MAX
    if decoded.nodata is not None:
        counted &= colour != decoded.nodata
    usual = counted
    for value in NODATA:
        usual &= colour != value
    least, most, usual_least, usual_most = _extremes(colour, counted, usual)
    if least in NODATA and usual_least - least > usual_most - usual_least >= 0:
        least = usual_least
    is_float = colour.format in ("float", "double")
    if least > most or (is_float and least >= 0 and most <= 1) or least == most == 0:
        return 0.0, 1.0
    return least, most


def _extremes(colour: Any, *masks: Any) -> list[float]:
    """Returns the least and the largest value of *colour* within each of *masks*, read in one pass."""
    nothing = 2 * FLOAT_MAX
    wide = colour.cast("double")
    bands = [mask.ifthenelse(wide, fill) for mask in masks for fill in (nothing, -nothing)]
    stats, count = bands[0].bandjoin(bands[1:]).stats(), colour.bands
    found = []
    for first in range(0, len(bands) * count, 2 * count):
        found.append(min(stats(0, 1 + first + band)[0] for band in range(count)))
        found.append(max(stats(1, 1 + first + count + band)[0] for band in range(count)))
    return found


def _colour_and_alpha(image: Any, decoded: Decoded) -> tuple[Any, Any]:
    if decoded.alpha is None or decoded.alpha >= image.bands:
        return image if image.bands == decoded.colours else image.extract_band(0, n=decoded.colours), None
    colour, alpha = image.extract_band(0, n=decoded.colours), image.extract_band(decoded.alpha)
    if decoded.associated:
        peak = decoded.peak or OPAQUE[alpha.format]
        colour = (colour * peak / (alpha == 0).ifthenelse(peak, alpha)).cast(colour.format)
    return colour, alpha


def _scaled(image: Any, decoded: Decoded, values: ValueRange | None) -> Any:
    """Returns samples in 8 or 16 bits, with 0 as black (or no ink) and the format's largest value as white."""
    if decoded.peak is None:
        low, high = values or (0.0, 1.0)
        scale = 65535 / (high - low) if high > low else 0
        image = image.linear(scale, -low * scale if scale else 32768)
        if image.format in ("float", "double"):
            image = (image >= float("-inf")).ifthenelse(image, 0)  # NaN is not larger
        image = image.cast("ushort")
    elif decoded.peak == 255 and image.format == "uchar":
        pass
    elif decoded.peak != 65535:
        image = image.linear(65535 / decoded.peak, 0.5).cast("ushort")
    if decoded.inverted:
        image = image.linear(-1, 255 if image.format == "uchar" else 65535).cast(image.format)
    return image


def _scaled_alpha(alpha: Any, decoded: Decoded, most: int) -> Any:
    """Returns alpha from 0 to *most*: 255 or 65535. It is neither inverted nor stretched with the colours."""
    opaque, kind = decoded.peak or OPAQUE[alpha.format], "uchar" if most == 255 else "ushort"
    return alpha if opaque == most and alpha.format == kind else alpha.linear(most / opaque, 0.5).cast(kind)


def _eight_bits(image: Any) -> Any:
    return image if image.format == "uchar" else image.cast("uchar", shift=True)


def _from_cmyk(image: Any, icc: bytes | None) -> Any:
    image = image.copy(interpretation="cmyk")
    if icc:
        return profiles.by_profile(image, icc, "cmyk")
    return _eight_bits(image).icc_transform("srgb", input_profile="cmyk", intent="perceptual", depth=8)


def _grey_by_profile(image: Any, icc: bytes, depth: int) -> Any:
    """Returns grey with sRGB's curve. The profile is applied to each level once, not to each pixel."""
    levels = pyvips.Image.identity(ushort=image.format == "ushort")
    shown = profiles.by_profile(_with_interpretation(levels, "grey"), icc, "grey", depth)
    return _with_interpretation(image.maplut(shown[1]), "grey")


def _with_interpretation(image: Any, space: str) -> Any:
    wide = image.format != "uchar"
    names = {"grey": ("b-w", "grey16"), "rgb": ("srgb", "rgb16")}
    return image.copy(interpretation=names[space][wide])


def _flattened(colour: Any, alpha: Any, background: tuple[int, int, int]) -> Any:
    """Returns the picture over *background*. Grey stays grey if the background is grey."""
    if colour.bands == 1 and _coloured(background):
        colour = _with_interpretation(colour.bandjoin([colour, colour]), "rgb")
    most = 255 if colour.format == "uchar" else 65535
    shades = [shade * most // 255 for shade in background][: colour.bands]
    return colour.bandjoin(alpha).flatten(background=shades, max_alpha=most)


def _coloured(background: tuple[int, int, int]) -> bool:
    return len(set(background)) > 1
