"""The newest and the largest derivatives, with small previews that a worker makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import url_for

from api.responses.jobs import image_path
from mezcal.errors import Failure
from mezcal.jobs.recent import NO_PREVIEW
from mezcal.recipe import from_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from api.context import ApiContext
    from mezcal.recipe import Recipe
    from mezcal.store import Stored

ITEMS_MAX = 8
CANDIDATES = 24  # of the newest: some of them may have been deleted


@dataclass(frozen=True, slots=True)
class GalleryItem:
    """A derivative: *size* in bytes, *width* and *height* in pixels, *made* in seconds since 1970.

    *href* is its URL path, None for a thumbnail; *preview* is the URL path of its preview, None until there is one.
    """

    label: str
    href: str | None
    size: int
    width: int | None
    height: int | None
    made: float | None
    preview: str | None


def newest(context: ApiContext) -> list[GalleryItem]:
    """Return the stored derivatives that were made last. Empty if the broker or the store cannot be reached."""
    try:
        stored, _ = _find(context, map(from_json, context.jobs.recent.newest(CANDIDATES)))
        return _items(context, stored)
    except Failure:
        return []


def largest(context: ApiContext) -> list[GalleryItem]:
    """Return the largest stored derivatives, and remove deleted ones from the list of candidates.

    Empty if the broker or the store cannot be reached.
    """
    try:
        stored, deleted = _find(context, map(from_json, context.jobs.recent.largest()))
        context.jobs.recent.remove(deleted)
        items = _items(context, stored)
    except Failure:
        return []
    return sorted(items, key=lambda item: -item.size)


def _find(context: ApiContext, recipes: Iterable[Recipe]) -> tuple[dict[Recipe, Stored], list[Recipe]]:
    """Return the first ITEMS_MAX of *recipes* that are stored, and those before the last of them that are not."""
    stored: dict[Recipe, Stored] = {}
    deleted: list[Recipe] = []
    for recipe in recipes:
        if len(stored) == ITEMS_MAX:
            break
        if found := context.store.find(recipe):
            stored[recipe] = found
        else:
            deleted.append(recipe)
    return stored, deleted


def _items(context: ApiContext, stored: dict[Recipe, Stored]) -> list[GalleryItem]:
    previewed = _previewed(context, list(stored))
    return [_item(context, recipe, found, recipe.key in previewed) for recipe, found in stored.items()]


def _previewed(context: ApiContext, recipes: list[Recipe]) -> set[str]:
    """Return the keys of *recipes* that have a preview, and order the missing previews for the next request."""
    previews = context.jobs.recent.previews(recipes)
    for recipe in recipes:
        if previews[recipe.key] is None:
            context.jobs.request_preview(recipe)
    return {key for key, preview in previews.items() if preview and preview != NO_PREVIEW}


def _item(context: ApiContext, recipe: Recipe, stored: Stored, previewed: bool) -> GalleryItem:
    sidecar = context.store.sidecar(recipe)
    return GalleryItem(
        label=recipe.label,
        href=image_path(recipe),
        size=stored.size,
        width=sidecar.width if sidecar else None,
        height=sidecar.height if sidecar else None,
        made=sidecar.made if sidecar else None,
        preview=url_for("operator.preview", key=recipe.key) if previewed else None,
    )
