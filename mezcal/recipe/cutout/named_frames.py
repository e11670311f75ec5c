"""The frames that a client names besides that of the path: three of a composite, or further chips of a mosaic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mezcal.errors import BadRecipe
from mezcal.recipe.parameters import FALSE, TRUE, Parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

BANDS = ("red", "green", "blue")
ID_MAX = 2**63 - 1
CHIPS_NAMED_MAX = 16
CHIPS = f"true, false, or the ids of up to {CHIPS_NAMED_MAX} frames, as 3863275,3863276"


@dataclass(frozen=True, slots=True)
class NamedFrames:
    """The ids of named frames: red, green and blue, or with *mosaic* those that are put together with the path's."""

    ids: tuple[int, ...]
    mosaic: bool = False

    @property
    def switch(self) -> dict[str, str]:
        """The parameter that `ThumbnailOptions` has for what is made of them."""
        return {"mosaic" if self.mosaic else "color": "true"}


def parse_named(given: Mapping[str, Any]) -> NamedFrames | None:
    """Returns the frames that are named in *given*, None if there are none.

    Raises `BadRecipe` if one is missing or no id, or if both a composite and a mosaic of frames are described.
    """
    parameters = Parameters(given)
    chips = _chips(parameters)
    composed = [name for name in BANDS if parameters.has(name)]
    if not chips and not composed:
        return None
    if chips and (composed or parameters.asks_for("color")):
        raise BadRecipe("mosaic with ids makes no composite: leave out color, red, green and blue, or say mosaic=true")
    if chips:
        return NamedFrames(chips, mosaic=True)
    return NamedFrames(tuple(_band(parameters, band) for band in BANDS))


def _chips(parameters: Parameters) -> tuple[int, ...]:
    """Returns the ids in `mosaic`, in their order and each once. There are none if it is a switch."""
    text = parameters.text("mosaic").strip()
    if not text or text.lower() in TRUE + FALSE:
        return ()
    numbers = {_id(part.strip()) for part in text.split(",")}
    if None in numbers or len(numbers) > CHIPS_NAMED_MAX:
        raise parameters.invalid("mosaic", CHIPS)
    return tuple(sorted(number for number in numbers if number is not None))


def _band(parameters: Parameters, band: str) -> int:
    text = parameters.text(band).strip()
    if not text:
        raise BadRecipe(f"{band} is missing: red, green and blue are the ids of three frames")
    number = _id(text)
    if number is None:
        raise parameters.invalid(band, "the id of a frame")
    return number


def _id(text: str) -> int | None:
    """Returns the id of a frame that *text* is, None if it is none."""
    is_number = text.isascii() and text.isdigit() and len(text) < 20
    return int(text) if is_number and int(text) <= ID_MAX else None
