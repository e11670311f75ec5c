"""The three frames that a client names for a composite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mezcal.errors import BadRecipe
from mezcal.recipe.parameters import Parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

BANDS = ("red", "green", "blue")
ID_MAX = 2**63 - 1

RgbFrames = tuple[int, int, int]


def parse_rgb(given: Mapping[str, Any]) -> RgbFrames | None:
    """Returns the ids of the frames that are red, green and blue, None if none is named.

    Raises `BadRecipe` if one is missing, or no id.
    """
    parameters = Parameters(given)
    if not any(map(parameters.has, BANDS)):
        return None
    red, green, blue = (_frame_id(parameters, band) for band in BANDS)
    return red, green, blue


def _frame_id(parameters: Parameters, band: str) -> int:
    text = parameters.text(band).strip()
    if not text:
        raise BadRecipe(f"{band} is missing: red, green and blue are the ids of three frames")
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= ID_MAX):
        raise parameters.invalid(band, "the id of a frame")
    return int(text)
