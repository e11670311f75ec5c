"""Recipes out of messages."""

from __future__ import annotations

from typing import Any

from mezcal.errors import BadRecipe
from mezcal.recipe.mezzanine import Mezzanine
from mezcal.recipe.thumbnail import Thumbnail

Recipe = Mezzanine | Thumbnail


def from_json(data: dict[str, Any]) -> Recipe:
    """Returns the recipe in a message. Raises `BadRecipe`: a message is checked like any other input."""
    match data.get("kind"):
        case Mezzanine.kind:
            return Mezzanine.from_json(data)
        case Thumbnail.kind:
            return Thumbnail.from_json(data)
        case other:
            raise BadRecipe(f"there is no recipe of the kind {other!r}")


def known_recipe(data: dict[str, Any]) -> Recipe | None:
    """Returns the recipe in a job, None if it is of another version and not valid in this one."""
    try:
        return from_json(data)
    except (BadRecipe, KeyError, TypeError, ValueError, AttributeError):
        return None
