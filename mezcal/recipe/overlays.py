"""What is drawn over a picture: compass, scale bar, grid, and marks at positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mezcal.errors import BadRecipe
from mezcal.recipe.cutout.angles import parse_degrees, parse_size

if TYPE_CHECKING:
    from mezcal.recipe.parameters import Parameters

SWITCHES = ("compass", "scalebar", "grid")
MARKS_MAX = 50  # of one kind
DIGITS = 7  # of degrees
RADIUS_DIGITS = 3  # of arcseconds
RADIUS_MAX = 3600.0 * 180
CENTRE = "center"
CROSSHAIR_FORMS = f"{CENTRE}, or positions as 150.1,2.2 separated by semicolons, {MARKS_MAX} at most"
CIRCLE_FORMS = f"{CENTRE},5arcsec, or positions and radii as 150.1,2.2,5 separated by semicolons, {MARKS_MAX} at most"


@dataclass(frozen=True, slots=True)
class Mark:
    """A position on the sky in degrees, None for the picture's centre, and the radius of a circle in arcseconds."""

    position: tuple[float, float] | None
    radius: float | None = None

    def __str__(self) -> str:
        """Returns the mark as it is written in a request."""
        place = CENTRE if self.position is None else f"{self.position[0]},{self.position[1]}"
        return place if self.radius is None else f"{place},{self.radius}"


@dataclass(frozen=True, slots=True)
class Overlays:
    """All that is drawn over a picture, besides its label."""

    compass: bool = False
    scalebar: bool = False
    grid: bool = False
    crosshair: tuple[Mark, ...] = ()
    circle: tuple[Mark, ...] = ()

    @classmethod
    def parse(cls, parameters: Parameters) -> Overlays | None:
        """Returns the overlays that were asked for, None if there are none. Raises `BadRecipe` for others."""
        found = cls(
            compass=parameters.boolean("compass"),
            scalebar=parameters.boolean("scalebar"),
            grid=parameters.boolean("grid"),
            crosshair=_marks(parameters, "crosshair", CROSSHAIR_FORMS, with_radius=False),
            circle=_marks(parameters, "circle", CIRCLE_FORMS, with_radius=True),
        )
        return None if found == cls() else found

    @property
    def need_sky(self) -> bool:
        """True if the frame's sky coordinates are needed. A crosshair in the centre is drawn without them."""
        marks = self.crosshair + self.circle
        return self.compass or self.scalebar or self.grid or any(map(_is_on_sky, marks))

    def as_json(self) -> dict[str, Any]:
        """Returns small JSON, of which `parse` makes the same overlays again. What is not drawn is left out."""
        switches = {name: True for name in SWITCHES if getattr(self, name)}
        marks = {"crosshair": self.crosshair, "circle": self.circle}
        return {**switches, **{name: ";".join(map(str, given)) for name, given in marks.items() if given}}


def _is_on_sky(mark: Mark) -> bool:
    return mark.position is not None or mark.radius is not None


def _marks(parameters: Parameters, name: str, forms: str, *, with_radius: bool) -> tuple[Mark, ...]:
    texts = [text for text in parameters.text(name).split(";") if text.strip()]
    found = [_mark(text, with_radius=with_radius) for text in texts[:MARKS_MAX]]
    if len(texts) > MARKS_MAX:
        raise BadRecipe(f"{name} has {len(texts)} positions: {MARKS_MAX} at most")
    for number, mark in enumerate(found):
        if mark is None:
            raise BadRecipe(f"{name} is {texts[number].strip()[:40]!r}: it may be {forms}")
    return tuple(filter(None, found))


def _mark(text: str, *, with_radius: bool) -> Mark | None:
    """Returns the mark that *text* says, None if it says none."""
    parts = [part.strip() for part in text.split(",")]
    radius = _radius(parts.pop()) if with_radius else None
    if with_radius and radius is None:
        return None
    if [part.lower() for part in parts] == [CENTRE]:
        return Mark(None, radius)
    if len(parts) != 2:
        return None
    ra, dec = parse_degrees(parts[0], hours=True), parse_degrees(parts[1], hours=False)
    if ra is None or dec is None or not 0 <= ra <= 360 or not -90 <= dec <= 90:
        return None
    return Mark((round(ra % 360, DIGITS) % 360, round(dec, DIGITS) + 0.0), radius)


def _radius(text: str) -> float | None:
    size = parse_size(text)
    if size is None or size.unit == "px" or size.width != size.height or not 0 < size.width <= RADIUS_MAX:
        return None
    return round(size.width, RADIUS_DIGITS) or None
