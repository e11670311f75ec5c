"""How a thumbnail is to look: every parameter of a request, checked and normalised, as one frozen value."""

from __future__ import annotations

import unicodedata
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mezcal.errors import BadRecipe

if TYPE_CHECKING:
    from collections.abc import Mapping

LOOKS = ("lco", "robust")
STRETCHES = ("linear", "asinh", "sqrt", "log")
LIMITS = ("zscale", "percentile", "minmax")
COLORMAPS = ("gray", "viridis", "inferno", "heat", "ice")
ORIENTS = ("snap", "exact")
TRUE, FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
LABEL_MAX = 200  # characters: what no width of ours can show is a mistake
HDU_NAME_MAX = 68  # characters of a FITS string value
ROBUST_ONLY = ("stretch", "limits", "invert", "colormap", "orient")


@dataclass(frozen=True, slots=True)
class ThumbnailOptions:
    """All that makes a thumbnail's pixels, apart from its frames; width and height in pixels, to fit inside.

    *hdu* and *plane* (from 1) are None where the first picture is meant. What one look does not use has one
    value there, so that equal pictures have equal recipes.
    """

    look: str = "robust"
    width: int = 200
    height: int = 200
    label: str | None = None
    color: bool = False
    median: bool = False
    percentile: float | None = None
    quality: int = 80
    stretch: str | None = "linear"
    limits: str | None = "zscale"
    invert: bool = False
    colormap: str = "gray"
    orient: str = "snap"
    hdu: str | None = None
    plane: int | None = None

    @classmethod
    def parse(cls, given: Mapping[str, Any], *, default: str = "robust", max_edge: int = 4096) -> ThumbnailOptions:
        """The look that *given* asks for, as strings of a query or values of a message; others are ignored.

        `BadRecipe` names the parameter, what it holds and what it may be.
        """
        asked = Asked(given)
        look = asked.one_of("look", LOOKS, default)
        frame: dict[str, Any] = {
            "look": look,
            "width": asked.whole("width", 200, 1, max_edge),
            "height": asked.whole("height", 200, 1, max_edge),
            "label": asked.label(),
            "color": asked.boolean("color"),
            "quality": asked.whole("quality", 80, 1, 100),
            "hdu": asked.hdu(),
            "plane": asked.whole("plane", 0, 1, 1_000_000) or None,
        }
        return cls(**frame, **(_lco(asked) if look == "lco" else _robust(asked)))

    def as_json(self) -> dict[str, Any]:
        """Small JSON, of which `parse` makes the same look again. Defaults are said: they may change, keys may not."""
        foreign = ROBUST_ONLY if self.look == "lco" else ()
        return {name: value for name, value in asdict(self).items() if value is not None and name not in foreign}


def _lco(asked: Asked) -> dict[str, Any]:
    for name in ROBUST_ONLY:
        if asked.has(name):
            raise BadRecipe(f"{name} belongs to look=robust: look=lco draws as thumbnail-service did")
    median = asked.boolean("median")
    percentile = asked.number("percentile", 99.5, 0, 100)
    return {"median": median, "percentile": percentile if median else None, "stretch": None, "limits": None}


def _robust(asked: Asked) -> dict[str, Any]:
    median = asked.boolean("median")  # black is the median, white the percentile, as of old
    limits = "percentile" if median else asked.one_of("limits", LIMITS, "zscale")
    percentile = asked.number("percentile", 99.5, 50, 100)
    return {
        "median": median,
        "percentile": percentile if limits == "percentile" else None,
        "stretch": asked.one_of("stretch", STRETCHES, "linear"),
        "limits": limits,
        "invert": asked.boolean("invert"),
        "colormap": asked.one_of("colormap", COLORMAPS, "gray"),
        "orient": asked.one_of("orient", ORIENTS, "snap"),
    }


class Asked:
    """The parameters of one request, each read by one rule; an empty one counts as not given."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given

    def has(self, name: str) -> bool:
        """Whether *name* was given."""
        return self._given.get(name) not in {None, ""}

    def text(self, name: str) -> str:
        """*name* as text, empty if it was not given."""
        value = self._given.get(name)
        return "" if value is None else str(value)

    def wrong(self, name: str, may: str) -> BadRecipe:
        """The failure of a parameter that is not what it may be."""
        return BadRecipe(f"{name} is {self.text(name)[:40]!r}: it may be {may}")

    def one_of(self, name: str, choices: tuple[str, ...], default: str) -> str:
        """One of *choices*, in any case."""
        value = self.text(name).lower() or default
        if value not in choices:
            raise self.wrong(name, f"{', '.join(choices[:-1])} or {choices[-1]}")
        return value

    def boolean(self, name: str) -> bool:
        """True or false, in the words that people use; false if not given."""
        value = self.text(name).strip().lower() or "false"
        if value not in TRUE + FALSE:
            raise self.wrong(name, "true or false")
        return value in TRUE

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number from *least* to *most*."""
        text = self.text(name).strip()
        if not text:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
            raise self.wrong(name, f"a whole number from {least} to {most}")
        return int(text)

    def number(self, name: str, default: float, least: float, most: float) -> float:
        """A number above *least*, up to *most*."""
        text = self.text(name).strip()
        try:
            value = float(text or default)
        except ValueError:
            value = float("nan")
        if not least < value <= most:
            raise self.wrong(name, f"a number above {least:g}, up to {most:g}")
        return value

    def label(self) -> str | None:
        """The label's text in one line; None if there is none."""
        text = unicodedata.normalize("NFC", self.text("label")).strip()
        if len(text) > LABEL_MAX or any(unicodedata.category(char) in {"Cc", "Cs"} for char in text):
            raise self.wrong("label", f"one line of up to {LABEL_MAX} characters")
        return text or None

    def hdu(self) -> str | None:
        """An HDU by its number or its EXTNAME, in capitals as FITS compares them."""
        text = self.text("hdu").strip().upper()
        if len(text) > HDU_NAME_MAX or not text.isprintable() or not text.isascii():
            raise self.wrong("hdu", "the number or the name of an HDU")
        return text or None
