"""Samples of any kind to 8-bit grey or sRGB: depth, profile, alpha."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyvips

from mezcal.convert.engines import libvips

if TYPE_CHECKING:
    from mezcal.convert.engines.decoded import Decoded
    from mezcal.convert.options import ConversionOptions

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

BANDS = {"grey": 1, "rgb": 3, "cmyk": 4}
INTERPRETATIONS = {"grey": "b-w", "rgb": "srgb", "cmyk": "cmyk"}

ValueRange = tuple[float, float]  # the values of black and of white


@dataclass(frozen=True, slots=True)
class ColourConversion:
    """How every pixel becomes 8-bit grey or RGB. It is the same for all rows.

    *value_range* is the range of the data, if `Decoded.peak` is None. *profile* is the profile that fits the pixels.
    With *transform*, it is applied to them instead of being embedded.
    """

    decoded: Decoded
    background: tuple[int, int, int]
    value_range: ValueRange | None
    profile: bytes | None
    transform: bool

    @property
    def embedded_profile(self) -> bytes | None:
        """The profile that is written into the derivative."""
        return None if self.transform else self.profile

    @property
    def changes_pixels(self) -> bool:
        """False if the samples are the result already."""
        decoded, image = self.decoded, self.decoded.image
        shown = decoded.space in ("grey", "rgb") and image.format == "uchar" and image.bands == decoded.colours
        return not shown or self.transform or decoded.peak != 255 or decoded.inverted

    @property
    def keeps_upper_byte(self) -> bool:
        """True if the result is the upper eight of sixteen bits."""
        decoded, image = self.decoded, self.decoded.image
        plain = decoded.space in ("grey", "rgb") and image.bands == decoded.colours and not decoded.inverted
        return plain and not self.transform and image.format == "ushort" and decoded.peak == 65535

    @property
    def bands(self) -> int:
        """Bands of the result."""
        decoded = self.decoded
        transparent = decoded.alpha is not None and decoded.alpha < decoded.image.bands
        return 1 if decoded.space == "grey" and not (transparent and _coloured(self.background)) else 3

    def apply(self, image: Any) -> Any:
        """Returns *image*, which is `decoded.image` or rows of it, as 8-bit grey or RGB."""
        decoded = self.decoded
        colour, alpha = _colour_and_alpha(image, decoded)
        if decoded.space in ("lab", "xyz"):
            colour = colour.colourspace("srgb")
        else:
            colour = self._convert_colour(_scaled(colour, decoded, self.value_range))
        if alpha is None:
            return colour
        return _flattened(colour, _scaled_alpha(alpha, decoded), self.background)

    def _convert_colour(self, image: Any) -> Any:
        if self.decoded.space == "cmyk":
            return _from_cmyk(image, self.profile)
        image = _with_interpretation(image, self.decoded.space)
        if self.transform and self.profile is not None:
            convert = _grey_by_profile if self.decoded.space == "grey" else _by_profile
            return convert(image, self.profile)
        return _with_interpretation(_eight_bits(image), self.decoded.space)


def colour_conversion(decoded: Decoded, options: ConversionOptions, values: ValueRange | None) -> ColourConversion:
    """Returns how the pixels of *decoded* are converted. *values* is needed if `Decoded.peak` is None."""
    icc, transform = None, False
    if decoded.space in ("grey", "rgb", "cmyk"):
        icc = _usable_profile(decoded.icc, decoded.space)
        transform = decoded.space == "cmyk" or (icc is not None and options.color != "keep")
    if icc is not None and decoded.space != "cmyk" and transform and _is_srgb(icc, decoded.space):
        icc, transform = None, False
    return ColourConversion(decoded, options.background, values, icc, transform)


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


def _scaled_alpha(alpha: Any, decoded: Decoded) -> Any:
    """Returns alpha in 8 bits. It is neither inverted nor stretched with the colours."""
    opaque = decoded.peak or OPAQUE[alpha.format]
    return alpha if opaque == 255 and alpha.format == "uchar" else alpha.linear(255 / opaque, 0.5).cast("uchar")


def _eight_bits(image: Any) -> Any:
    return image if image.format == "uchar" else image.cast("uchar", shift=True)


def _from_cmyk(image: Any, icc: bytes | None) -> Any:
    image = image.copy(interpretation="cmyk")
    if icc:
        return _transform(_with_profile(image, icc), "perceptual")
    return _eight_bits(image).icc_transform("srgb", input_profile="cmyk", intent="perceptual", depth=8)


def _by_profile(image: Any, icc: bytes) -> Any:
    return _transform(_with_profile(image, icc), "relative")


def _grey_by_profile(image: Any, icc: bytes) -> Any:
    """Returns grey with sRGB's curve. The profile is applied to each level once, not to each pixel."""
    levels = pyvips.Image.identity(ushort=image.format == "ushort")
    return image.maplut(_by_profile(_with_interpretation(levels, "grey"), icc)[1]).copy(interpretation="b-w")


def _transform(image: Any, intent: str) -> Any:
    return image.icc_transform("srgb", embedded=True, intent=intent, black_point_compensation=True, depth=8)


def _with_interpretation(image: Any, space: str) -> Any:
    wide = image.format != "uchar"
    names = {"grey": ("b-w", "grey16"), "rgb": ("srgb", "rgb16")}
    return image.copy(interpretation=names[space][wide])


def _with_profile(image: Any, icc: bytes) -> Any:
    image = image.copy()
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", icc)
    return image


def _usable_profile(icc: bytes | None, space: str) -> bytes | None:
    """Returns *icc* if it is a profile for such pixels, else None: a wrong profile is worse than none."""
    if not icc or len(icc) < 132 or icc[36:40] != b"acsp":
        return None
    if icc[16:20] != {"grey": b"GRAY", "rgb": b"RGB ", "cmyk": b"CMYK"}[space]:
        return None
    try:
        probe = _probe(BANDS[space], 2).copy(interpretation=INTERPRETATIONS[space])
        _by_profile(probe, icc).avg()
    except libvips.FAILURES:
        libvips.forget_errors()
        return None
    return icc


def _is_srgb(icc: bytes, space: str) -> bool:
    """Returns True if the profile changes colours by rounding only: then the pixels can stay as they are."""
    probe = _probe(BANDS[space], 6).copy(interpretation=INTERPRETATIONS[space])
    return bool((_by_profile(probe, icc) - probe).abs().max() <= 2)


def _probe(bands: int, steps: int) -> Any:
    """Returns all combinations of *steps* values in *bands* bands, one a pixel."""
    index = pyvips.Image.identity(ushort=True, size=steps**bands)
    levels = [(index // steps**band % steps) * (255 / (steps - 1)) for band in range(bands)]
    return (levels[0].bandjoin(levels[1:]) if bands > 1 else levels[0]).cast("uchar")


def _flattened(colour: Any, alpha: Any, background: tuple[int, int, int]) -> Any:
    """Returns the picture over *background*. Grey stays grey if the background is grey."""
    if colour.bands == 1 and _coloured(background):
        colour = colour.bandjoin([colour, colour]).copy(interpretation="srgb")
    return colour.bandjoin(alpha).flatten(background=list(background)[: colour.bands])


def _coloured(background: tuple[int, int, int]) -> bool:
    return len(set(background)) > 1
