"""Any samples to 8-bit grey or sRGB: depth, profile, alpha."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyvips

from mezcal.convert.engines import libvips

if TYPE_CHECKING:
    from mezcal.convert.engines.decoded import Decoded
    from mezcal.convert.options import ConversionOptions

FLOAT_MAX = 3.4e38


@dataclass(frozen=True, slots=True)
class Treatment:
    """What is done to every pixel alike, whichever rows it is in, so that the picture is 8-bit grey or RGB.

    *span* is the data's range, where `Decoded.peak` is None; *profile* is the one that fits the pixels, and
    *transform* says that it is applied, not embedded.
    """

    loaded: Decoded
    background: tuple[int, int, int]
    span: tuple[float, float] | None
    profile: bytes | None
    transform: bool

    @property
    def embedded(self) -> bytes | None:
        """The profile that the derivative needs."""
        return None if self.transform else self.profile

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        loaded, image = self.loaded, self.loaded.image
        shown = loaded.space in ("grey", "rgb") and image.format == "uchar" and image.bands == loaded.colours
        return not shown or self.transform or loaded.peak != 255 or loaded.inverted

    @property
    def halves(self) -> bool:
        """Whether all there is to do is to keep the upper eight of sixteen bits."""
        loaded, image = self.loaded, self.loaded.image
        plain = loaded.space in ("grey", "rgb") and image.bands == loaded.colours and not loaded.inverted
        return plain and not self.transform and image.format == "ushort" and loaded.peak == 65535

    @property
    def bands(self) -> int:
        """Bands of what is shown."""
        loaded = self.loaded
        see_through = loaded.alpha is not None and loaded.alpha < loaded.image.bands
        return 1 if loaded.space == "grey" and not (see_through and _coloured(self.background)) else 3

    def of(self, image: Any) -> Any:
        """*image*, which is `loaded.image` or rows of it, as it is to be shown."""
        loaded = self.loaded
        colour, alpha = _parts(image, loaded)
        if loaded.space in ("lab", "xyz"):
            colour = colour.colourspace("srgb")
        else:
            colour = self._shown(_scaled(colour, loaded, self.span))
        if alpha is None:
            return colour
        return _over(colour, _eight_bits(_scaled(alpha, loaded, self.span)), self.background)

    def _shown(self, image: Any) -> Any:
        if self.loaded.space == "cmyk":
            return _from_cmyk(image, self.profile)
        image = _named(image, self.loaded.space)
        if self.transform and self.profile is not None:
            return _transform(_with_profile(image, self.profile), "relative")
        return _named(_eight_bits(image), self.loaded.space)


def treatment(loaded: Decoded, choices: ConversionOptions, span: tuple[float, float] | None) -> Treatment:
    """What has to be done to the pixels of *loaded*; *span* is needed where `Decoded.peak` is None."""
    icc, transform = None, False
    if loaded.space in ("grey", "rgb", "cmyk"):
        icc = _fitting(loaded.icc, loaded.space)
        transform = loaded.space == "cmyk" or (loaded.space == "rgb" and icc is not None and choices.color != "keep")
    if icc is not None and loaded.space == "rgb" and transform and _is_srgb(icc):
        icc, transform = None, False
    return Treatment(loaded, choices.background, span, icc, transform)


def needs_span(loaded: Decoded) -> bool:
    """Whether the data must be seen whole before it can be scaled."""
    return loaded.peak is None and loaded.space in ("grey", "rgb", "cmyk")


def span(loaded: Decoded) -> tuple[float, float]:
    """The value of black and of white, out of the data itself. Reads the whole picture.

    Floats within 0..1 mean just that (TIFF's convention); everything else is stretched from its least to its
    largest finite value.
    """
    colour = loaded.image.extract_band(0, n=loaded.colours)
    if colour.format in ("float", "double"):
        finite = colour.abs() <= FLOAT_MAX
        low = finite.ifthenelse(colour, FLOAT_MAX)
        both = low.bandjoin(finite.ifthenelse(colour, -FLOAT_MAX))
    else:
        both = colour.bandjoin(colour)
    stats = both.stats()
    half = colour.bands
    least = min(stats(0, 1 + band)[0] for band in range(half))
    most = max(stats(1, 1 + half + band)[0] for band in range(half))
    if (colour.format in ("float", "double") and least >= 0 and most <= 1) or least == most == 0:
        return 0.0, 1.0
    return least, most


def _parts(image: Any, loaded: Decoded) -> tuple[Any, Any]:
    if loaded.alpha is None or loaded.alpha >= image.bands:
        return image if image.bands == loaded.colours else image.extract_band(0, n=loaded.colours), None
    colour, alpha = image.extract_band(0, n=loaded.colours), image.extract_band(loaded.alpha)
    if loaded.associated:
        peak = loaded.peak or 1
        colour = (colour * peak / (alpha == 0).ifthenelse(peak, alpha)).cast(colour.format)
    return colour, alpha


def _scaled(image: Any, loaded: Decoded, span: tuple[float, float] | None) -> Any:
    """Samples with 0 as black (or no ink) and the format's largest value as white, in 8 or 16 bits."""
    if loaded.peak is None:
        low, high = span or (0.0, 1.0)
        scale = 65535 / (high - low) if high > low else 0
        image = image.linear(scale, -low * scale if scale else 32768)
        if image.format in ("float", "double"):
            image = (image == image).ifthenelse(image, 0)  # noqa: PLR0124 - NaN differs from itself
        image = image.cast("ushort")
    elif loaded.peak == 255 and image.format == "uchar":
        pass
    elif loaded.peak != 65535:
        image = image.linear(65535 / loaded.peak, 0.5).cast("ushort")
    if loaded.inverted:
        image = image.linear(-1, 255 if image.format == "uchar" else 65535).cast(image.format)
    return image


def _eight_bits(image: Any) -> Any:
    return image if image.format == "uchar" else image.cast("uchar", shift=True)


def _from_cmyk(image: Any, icc: bytes | None) -> Any:
    image = image.copy(interpretation="cmyk")
    if icc:
        return _transform(_with_profile(image, icc), "perceptual")
    return _eight_bits(image).icc_transform("srgb", input_profile="cmyk", intent="perceptual", depth=8)


def _transform(image: Any, intent: str) -> Any:
    return image.icc_transform("srgb", embedded=True, intent=intent, black_point_compensation=True, depth=8)


def _named(image: Any, space: str) -> Any:
    wide = image.format != "uchar"
    names = {"grey": ("b-w", "grey16"), "rgb": ("srgb", "rgb16")}
    return image.copy(interpretation=names[space][wide])


def _with_profile(image: Any, icc: bytes) -> Any:
    image = image.copy()
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", icc)
    return image


def _fitting(icc: bytes | None, space: str) -> bytes | None:
    """The profile if it is one, and for such pixels; else None: a wrong profile is worse than none."""
    if not icc or len(icc) < 132 or icc[36:40] != b"acsp":
        return None
    if icc[16:20] != {"grey": b"GRAY", "rgb": b"RGB ", "cmyk": b"CMYK"}[space]:
        return None
    if space == "grey":
        return icc
    try:
        probe = _probe(3 if space == "rgb" else 4, 2).copy(interpretation="srgb" if space == "rgb" else "cmyk")
        _transform(_with_profile(probe, icc), "relative").avg()
    except libvips.FAILURES:
        libvips.forget_errors()
        return None
    return icc


def _is_srgb(icc: bytes) -> bool:
    """Whether the profile changes no colour by more than rounding: then the pixels can stay as they are."""
    probe = _probe(3, 6).copy(interpretation="srgb")
    turned = _transform(_with_profile(probe, icc), "relative")
    return bool((turned - probe).abs().max() <= 2)


def _probe(bands: int, steps: int) -> Any:
    """All combinations of *steps* values in *bands* bands, one a pixel."""
    index = pyvips.Image.identity(ushort=True, size=steps**bands)
    levels = [(index // steps**band % steps) * (255 / (steps - 1)) for band in range(bands)]
    return levels[0].bandjoin(levels[1:]).cast("uchar")


def _over(colour: Any, alpha: Any, background: tuple[int, int, int]) -> Any:
    """The picture over *background*; grey stays grey where the background allows it."""
    if colour.bands == 1 and _coloured(background):
        colour = colour.bandjoin([colour, colour]).copy(interpretation="srgb")
    ground = list(background)[: colour.bands]
    return colour.bandjoin(alpha).flatten(background=ground)


def _coloured(background: tuple[int, int, int]) -> bool:
    return len(set(background)) > 1
