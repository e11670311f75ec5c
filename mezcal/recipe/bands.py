"""Weights and limits of the three colours of a composite, and the stretch of Lupton et al. 2004."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mezcal.errors import BadRecipe
from mezcal.recipe.cutout import decimal
from mezcal.recipe.cutout.angles import parse_number
from mezcal.recipe.cutout.named_frames import BANDS

if TYPE_CHECKING:
    from mezcal.recipe.parameters import Parameters

BAND_PARAMETERS = tuple(f"{band}_{what}" for what in ("weight", "vmin", "vmax") for band in BANDS)
STRETCHES = ("linear", "asinh", "sqrt", "log")
VALUE_MAX = 1e38  # of pixel values: pixels are drawn as 32-bit floats
WEIGHT_MAX = 1_000
Q = 8.0  # Lupton's softening, if only his stretch is given: as in astropy
Q_MIN, Q_MAX = 0.01, 100
FRACTION = 0.1  # of the stretch, up to which Lupton's curve has the slope of a linear one

Triple = tuple[float | None, float | None, float | None]


@dataclass(frozen=True, slots=True)
class Bands:
    """What is different for red, green and blue.

    *weights* multiply their light. *vmin* and *vmax* are the pixel values of black and white, None for the common ones.
    """

    weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
    vmin: Triple = (None, None, None)
    vmax: Triple = (None, None, None)

    @classmethod
    def parse(cls, parameters: Parameters) -> Bands | None:
        """Returns what was asked for, None if nothing was. Raises `BadRecipe` for what is not valid."""
        if not any(map(parameters.has, BAND_PARAMETERS)):
            return None
        if not parameters.boolean("color"):
            name = next(filter(parameters.has, BAND_PARAMETERS))
            raise BadRecipe(f"{name} is of composites: name three frames by red, green and blue, or add color=true")
        red, green, blue = (_weight(parameters, f"{band}_weight") for band in BANDS)
        if not red + green + blue:
            raise BadRecipe("red_weight, green_weight and blue_weight are all 0: one has to be above 0")
        found = cls((red, green, blue), _limits(parameters, "vmin"), _limits(parameters, "vmax"))
        found._check_order(parameters)
        return None if found == cls() else found

    def _check_order(self, parameters: Parameters) -> None:
        common = {name: _value(parameters, name, -VALUE_MAX, VALUE_MAX) for name in ("vmin", "vmax")}
        for band, vmin, vmax in zip(BANDS, self.vmin, self.vmax, strict=True):
            low, high = common["vmin"] if vmin is None else vmin, common["vmax"] if vmax is None else vmax
            if low is not None and high is not None and not low < high:
                raise BadRecipe(
                    f"{band} is black at {low:g} and white at {high:g}: {band}_vmax has to be above {band}_vmin"
                )

    def as_json(self) -> dict[str, Any]:
        """Returns small JSON, of which `parse` makes the same again."""
        groups = {"weight": self.weights, "vmin": self.vmin, "vmax": self.vmax}
        pairs = (
            (f"{band}_{what}", value)
            for what, group in groups.items()
            for band, value in zip(BANDS, group, strict=True)
        )
        return {
            name: value for name, value in pairs if value is not None and not (name.endswith("weight") and value == 1)
        }


def _limits(parameters: Parameters, what: str) -> Triple:
    red, green, blue = (_value(parameters, f"{band}_{what}", -VALUE_MAX, VALUE_MAX) for band in BANDS)
    return red, green, blue


def _weight(parameters: Parameters, name: str) -> float:
    given = _value(parameters, name, 0, WEIGHT_MAX)
    return 1.0 if given is None else given


def _value(parameters: Parameters, name: str, least: float, most: float) -> float | None:
    return decimal(parameters, name, least, most) if parameters.has(name) else None


@dataclass(frozen=True, slots=True)
class Lupton:
    """Lupton's curve with his softening *q*.

    *stretch* is the length of its linear part in pixel values, None if the limits say what is white.
    """

    q: float
    stretch: float | None = None

    @property
    def softening(self) -> float:
        """The factor s of the same curve from black 0 to white 1: asinh(s x) / asinh(s)."""
        return math.sinh(math.asinh(FRACTION * self.q) / FRACTION)

    @property
    def white(self) -> float | None:
        """How far white is above black, in pixel values. None if limits say it."""
        return None if self.stretch is None else self.stretch * self.softening / self.q

    def as_json(self) -> dict[str, Any]:
        """Returns small JSON, of which `parse_stretch` makes the same again."""
        return {"Q": self.q} | ({} if self.stretch is None else {"stretch": self.stretch})


def parse_stretch(parameters: Parameters) -> tuple[str, Lupton | None]:
    """Returns the name of the stretch, and Lupton's if `Q` is given or the stretch is a number.

    Raises `BadRecipe` for others.
    """
    number = parse_number(parameters.text("stretch"))
    if number is None and not parameters.has("Q"):
        return _name(parameters, "linear"), None
    q = decimal(parameters, "Q", Q_MIN, Q_MAX) if parameters.has("Q") else Q
    if number is None:
        if _name(parameters, "asinh") != "asinh":
            raise BadRecipe("Q is of stretch=asinh, or of a number as in astropy's make_lupton_rgb: stretch=5&Q=8")
        return "asinh", Lupton(q)
    if not 0 < number <= VALUE_MAX:
        raise parameters.invalid("stretch", f"a number above 0, {', '.join(STRETCHES[:-1])} or {STRETCHES[-1]}")
    for name in ("vmax", *(f"{band}_vmax" for band in BANDS)):
        if parameters.has(name):
            raise BadRecipe(f"{name} and stretch={number:g} both say what is white: leave one of them out")
    return "asinh", Lupton(q, number)


def _name(parameters: Parameters, default: str) -> str:
    return parameters.one_of("stretch", STRETCHES, default)
