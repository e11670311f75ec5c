"""Any samples to 8-bit grey or sRGB: depth, profile, alpha."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyvips

from mezcal.convert import vips

if TYPE_CHECKING:
    from mezcal.convert.choices import Choices
    from mezcal.convert.loaded import Loaded

FLOAT_MAX = 3.4e38


def displayable(loaded: Loaded, choices: Choices, span: tuple[float, float] | None) -> tuple[Any, bytes | None]:
    """The picture as 8-bit grey or RGB without alpha, and the profile to embed, if any.

    *span* is the data's range, needed where `Loaded.peak` is None.
    """
    colour, alpha = _parts(loaded)
    if loaded.space in ("lab", "xyz"):
        colour, icc = colour.colourspace("srgb"), None
    else:
        colour = _scaled(colour, loaded, span)
        colour, icc = _by_profile(colour, loaded, choices)
    if alpha is not None:
        colour = _over(colour, _eight_bits(_scaled(alpha, loaded, span)), choices.background)
    return colour, icc


def needs_span(loaded: Loaded) -> bool:
    """Whether the data must be seen whole before it can be scaled."""
    return loaded.peak is None and loaded.space in ("grey", "rgb", "cmyk")


def span(loaded: Loaded) -> tuple[float, float]:
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


def _parts(loaded: Loaded) -> tuple[Any, Any]:
    image = loaded.image
    if loaded.alpha is None or loaded.alpha >= image.bands:
        return image.extract_band(0, n=loaded.colours), None
    colour, alpha = image.extract_band(0, n=loaded.colours), image.extract_band(loaded.alpha)
    if loaded.associated:
        peak = loaded.peak or 1
        colour = (colour * peak / (alpha == 0).ifthenelse(peak, alpha)).cast(colour.format)
    return colour, alpha


def _scaled(image: Any, loaded: Loaded, span: tuple[float, float] | None) -> Any:
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


def _by_profile(image: Any, loaded: Loaded, choices: Choices) -> tuple[Any, bytes | None]:
    icc = _fitting(loaded.icc, loaded.space)
    if loaded.space == "cmyk":
        return _from_cmyk(image, icc), None
    image = _named(image, loaded.space)
    if icc is None or loaded.space == "grey" or choices.color == "keep":
        return _named(_eight_bits(image), loaded.space), icc
    if _is_srgb(icc):
        return _named(_eight_bits(image), "rgb"), None
    return _transform(_with_profile(image, icc), "relative"), None


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
    except vips.FAILURES:
        vips.forget_errors()
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
    if colour.bands == 1 and len(set(background)) > 1:
        colour = colour.bandjoin([colour, colour]).copy(interpretation="srgb")
    ground = list(background)[: colour.bands]
    return colour.bandjoin(alpha).flatten(background=ground)
