"""The part of a frame that a cutout shows: its centre and its size, checked and normalised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mezcal.errors import BadRecipe
from mezcal.recipe.cutout.angles import parse_degrees, parse_number, parse_size

if TYPE_CHECKING:
    from mezcal.recipe.parameters import Parameters

SKY_DIGITS = 7  # of degrees: 0.4 milliarcseconds
PIXEL_DIGITS = 3
SIZE_DIGITS = 3  # of arcseconds
PLACE_MAX = 1_000_000  # pixels from the frame's first one
SIDE_MAX_PIXELS = 65_535
SIDE_MAX_ARCSEC = 180 * 3600
RA_FORMS = "degrees from 0 to 360, or hours as 12:34:56.7 or 12h34m56.7s"
DEC_FORMS = "degrees from -90 to 90, or as +12:34:56 or +12d34m56s"
SIZE_FORMS = "a side or two, as 30, 30x20arcsec, 2arcmin, 0.1deg or 256px"


@dataclass(frozen=True, slots=True)
class Cutout:
    """A rectangle around a *centre*.

    The centre is right ascension and declination in degrees if *on_sky*, else x and y as FITS counts pixels: the centre
    of the first one is 1, 1. The *size* is width and height: columns and rows if *in_pixels*, else arcseconds along
    the picture's width and height.
    """

    centre: tuple[float, float]
    on_sky: bool
    size: tuple[float, float]
    in_pixels: bool

    @classmethod
    def parse(cls, parameters: Parameters) -> Cutout | None:
        """Returns the cutout that was asked for, None if it is the whole frame.

        Raises `BadRecipe` with the parameter that is missing or not valid, and what it may be.
        """
        given = [name for name in ("ra", "dec", "x", "y", "size") if parameters.has(name)]
        if not given:
            return None
        _check_complete(set(given))
        on_sky = "ra" in given
        centre = _sky(parameters) if on_sky else (_pixel(parameters, "x"), _pixel(parameters, "y"))
        return cls(centre, on_sky, *_size(parameters, on_sky=on_sky))

    def as_json(self) -> dict[str, Any]:
        """Returns small JSON, of which `parse` makes the same cutout again."""
        names = ("ra", "dec") if self.on_sky else ("x", "y")
        unit = "px" if self.in_pixels else "arcsec"
        width, height = (f"{side:.{SIZE_DIGITS}f}".rstrip("0").rstrip(".") for side in self.size)
        return {**dict(zip(names, self.centre, strict=True)), "size": f"{width}x{height}{unit}"}


def _check_complete(given: set[str]) -> None:
    """Raise `BadRecipe` unless the names *given* are a centre and a size."""
    pairs = {"ra": "dec", "dec": "ra", "x": "y", "y": "x"}
    for name, other in pairs.items():
        if name in given and other not in given:
            raise BadRecipe(f"{name} is given without {other}: a cutout needs both, and size")
    if {"ra", "x"} <= given:
        raise BadRecipe("the centre is given twice: it may be ra and dec, or x and y")
    if given == {"size"}:
        raise BadRecipe("size is given without a centre: a cutout needs ra and dec, or x and y")
    if "size" not in given:
        raise BadRecipe(f"size is missing: it may be {SIZE_FORMS}")


def _sky(parameters: Parameters) -> tuple[float, float]:
    ra, dec = parse_degrees(parameters.text("ra"), hours=True), parse_degrees(parameters.text("dec"), hours=False)
    if ra is None or not 0 <= ra <= 360:
        raise parameters.invalid("ra", RA_FORMS)
    if dec is None or not -90 <= dec <= 90:
        raise parameters.invalid("dec", DEC_FORMS)
    return round(ra % 360, SKY_DIGITS) % 360, round(dec, SKY_DIGITS) + 0.0  # no -0.0: it would be another key


def _pixel(parameters: Parameters, name: str) -> float:
    return round(decimal(parameters, name, -PLACE_MAX, PLACE_MAX), PIXEL_DIGITS) + 0.0


def _size(parameters: Parameters, *, on_sky: bool) -> tuple[tuple[float, float], bool]:
    """Returns width and height, and True if they are pixels."""
    size = parse_size(parameters.text("size"))
    if size is None:
        raise parameters.invalid("size", SIZE_FORMS)
    if not (on_sky or size.unit):
        raise parameters.invalid("size", "pixels, as 256px, or arcseconds, as 30arcsec: around x and y it needs a unit")
    in_pixels = size.unit == "px"
    width, height = (round(side, SIZE_DIGITS) for side in size[:2])
    if in_pixels and not (width.is_integer() and height.is_integer()):
        raise parameters.invalid("size", "whole pixels, as 256px or 256x128px")
    least, most = (1, SIDE_MAX_PIXELS) if in_pixels else (0.001, SIDE_MAX_ARCSEC)
    if not (least <= width <= most and least <= height <= most):
        raise parameters.invalid("size", f"sides from {least:g} to {most:,} {'pixels' if in_pixels else 'arcsec'}")
    return (width, height), in_pixels


def decimal(parameters: Parameters, name: str, least: float, most: float, hint: str = "") -> float:
    """Returns a decimal number from *least* to *most*. Raises `BadRecipe`, with the *hint*, for anything else."""
    value = parse_number(parameters.text(name))
    if value is None or not least <= value <= most:
        raise parameters.invalid(name, f"a number from {_written(least)} to {_written(most)}{hint}")
    return value


def _written(bound: float) -> str:
    return f"{bound:,}" if abs(bound) < 1e9 else f"{bound:g}"
