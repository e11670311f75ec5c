"""Angles and sizes on the sky as astronomers write them: decimal degrees, sexagesimal, with units."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

NUMBER = r"(?:[0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})"
DECIMAL = re.compile(rf"[+-]?{NUMBER}(?:e[+-]?[0-9]{{1,2}})?", re.IGNORECASE)
SEXAGESIMAL = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>[0-9]{1,3})(?:(?P<unit>[hd])|[: ]) *"
    r"(?P<minutes>[0-9]{1,2}(?P<fraction>\.[0-9]*)?)(?:(?:m|[: ]) *(?:(?P<seconds>[0-9]{1,2}(?:\.[0-9]{0,40})?)s?)?)?",
    re.IGNORECASE,
)
SIZE = re.compile(rf"({NUMBER})(?: *x *({NUMBER}))? *(arcsec|arcmin|deg|px)?", re.IGNORECASE)
ARCSECONDS = {"arcsec": 1.0, "arcmin": 60.0, "deg": 3600.0}  # by the suffix of a size
TEXT_MAX = 60  # characters


class CutoutSize(NamedTuple):
    """Width and height, in pixels or in arcseconds. *unit* is the suffix that was given, empty if there was none."""

    width: float
    height: float
    unit: str


def parse_degrees(text: str, *, hours: bool) -> float | None:
    """Returns the degrees that *text* says, in decimal or sexagesimal form. None if it says none.

    With *hours*, a sexagesimal angle without a unit is in hours, as right ascensions are.
    """
    value = parse_number(text)
    if value is not None:
        return value
    match = SEXAGESIMAL.fullmatch(text.strip()) if len(text) <= TEXT_MAX else None
    return None if match is None else _sexagesimal(match, hours=hours)


def parse_number(text: str) -> float | None:
    """Returns the decimal number that *text* says. None if it says none: no NaN, no infinity, no other digits."""
    if len(text) > TEXT_MAX or not DECIMAL.fullmatch(text.strip()):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def _sexagesimal(match: re.Match[str], *, hours: bool) -> float | None:
    unit = (match["unit"] or ("h" if hours else "d")).lower()
    minutes, seconds = float(match["minutes"]), float(match["seconds"] or 0)
    both_fractions = match["fraction"] is not None and match["seconds"] is not None
    if minutes >= 60 or seconds >= 60 or both_fractions or (unit == "h" and not hours):
        return None
    value = (int(match["whole"]) + minutes / 60 + seconds / 3600) * (15 if unit == "h" else 1)
    return -value if match["sign"] == "-" else value  # "-00:30" is south: the sign is not that of the number


def parse_size(text: str) -> CutoutSize | None:
    """Returns the size that *text* says, as `30`, `30x20arcsec`, `2arcmin` or `256px`. None if it says none."""
    match = SIZE.fullmatch(text.strip()) if len(text) <= TEXT_MAX else None
    if match is None:
        return None
    unit = (match[3] or "").lower()
    factor = ARCSECONDS.get(unit, 1.0)
    width = float(match[1]) * factor
    return CutoutSize(width, width if match[2] is None else float(match[2]) * factor, unit)
