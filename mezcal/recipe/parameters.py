"""The parameters of a thumbnail request, checked one by one."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

from mezcal.errors import BadRecipe

if TYPE_CHECKING:
    from collections.abc import Mapping

TRUE, FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
SWITCHES = frozenset({"color", "median", "invert", "compass", "scalebar", "grid", "mosaic"})
LABEL_MAX = 200  # characters: a longer text fits no thumbnail
HDU_NAME_MAX = 68  # characters of a FITS string value


class Parameters:
    """Reads the parameters of one request. An empty value counts as missing.

    Every method raises `BadRecipe` with the parameter's name, its value and what it may be.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given

    def has(self, name: str) -> bool:
        """Returns True if *name* was given."""
        return self._given.get(name) not in {None, ""}

    def asks_for(self, name: str) -> bool:
        """Returns True if *name* was given, and is no switch that is off."""
        return self.has(name) and not (name in SWITCHES and self.text(name).strip().lower() in FALSE)

    def text(self, name: str) -> str:
        """Returns *name* as text, empty if it is missing."""
        value = self._given.get(name)
        return "" if value is None else str(value)

    def invalid(self, name: str, allowed: str) -> BadRecipe:
        """Returns the failure for a parameter *name* that is not *allowed*."""
        return BadRecipe(f"{name} is {self.text(name)[:40]!r}: it may be {allowed}")

    def one_of(self, name: str, choices: tuple[str, ...], default: str) -> str:
        """Returns one of *choices*; upper and lower case are the same."""
        value = self.text(name).lower() or default
        if value not in choices:
            raise self.invalid(name, f"{', '.join(choices[:-1])} or {choices[-1]}")
        return value

    def boolean(self, name: str) -> bool:
        """Returns True for any of `TRUE`, False for any of `FALSE` and if *name* is missing."""
        value = self.text(name).strip().lower() or "false"
        if value not in TRUE + FALSE:
            raise self.invalid(name, "true or false")
        return value in TRUE

    def is_not_false(self, name: str) -> bool:
        """Returns True for every word that is none of `FALSE`."""
        return self.has(name) and self.text(name).strip().lower() not in FALSE

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        """Returns a whole number from *least* to *most*."""
        text = self.text(name).strip()
        if not text:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
            raise self.invalid(name, f"a whole number from {least} to {most}")
        return int(text)

    def number(self, name: str, default: float, least: float, most: float) -> float:
        """Returns a number from *least* to *most*."""
        text = self.text(name).strip()
        try:
            value = float(text or default)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise self.invalid(name, f"a number from {least:g} to {most:g}")
        return value

    def label(self) -> str | None:
        """Returns the label's text in one line, None if there is no label. Letters with accents have one form."""
        return unicodedata.normalize("NFC", (self.label_as_given() or "").replace("\t", " ")).strip() or None

    def label_as_given(self) -> str | None:
        """Returns the label's text with its spaces and tabs, None if there is no other character."""
        text = self.text("label")
        kinds = {unicodedata.category(char) for char in text.replace("\t", "")}
        if len(text) > LABEL_MAX or kinds & {"Cc", "Cs"}:
            raise self.invalid("label", f"one line of up to {LABEL_MAX} characters")
        return text if text.strip() else None

    def hdu(self) -> str | None:
        """Returns the number or the EXTNAME of an HDU, in capitals, as FITS compares names."""
        text = self.text("hdu").strip().upper()
        if len(text) > HDU_NAME_MAX or not text.isprintable() or not text.isascii():
            raise self.invalid("hdu", "the number or the name of an HDU, as 1, SCI or SCI,2")
        return text or None
