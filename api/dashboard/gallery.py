"""The newest and the largest derivatives, with small previews that a worker makes of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Self

from flask import url_for

from api.responses.jobs import image_path
from mezcal.errors import Failure
from mezcal.jobs.recent import NO_PREVIEW
from mezcal.recipe import from_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from api.context import ApiContext
    from mezcal.recipe import Recipe
    from mezcal.store import Described

ITEMS_MAX = 8
CANDIDATES = 100  # of the newest: some of them may have been deleted


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


@dataclass(frozen=True, slots=True)
class Galleries:
    """The newest and the largest stored derivatives."""

    newest: list[GalleryItem] = field(default_factory=list)
    largest: list[GalleryItem] = field(default_factory=list)

    @classmethod
    def of(cls, context: ApiContext) -> Self:
        """Ask the store once for each derivative. Empty if the broker or the store cannot be reached."""
        describe = cache(context.store.describe)  # a derivative may be in both lists
        recent = context.jobs.recent
        try:
            newest, missing = _find(describe, map(from_json, recent.newest(CANDIDATES)))
            largest, missing_too = _find(describe, map(from_json, recent.largest()))
            recent.remove([*missing, *missing_too])
            has_preview = previewed(context, list(newest | largest))
        except Failure:
            return cls()
        by_size = sorted(largest.items(), key=lambda item: -item[1].stored.size)
        return cls(_items(newest.items(), has_preview), _items(by_size, has_preview))


def _find(
    describe: Callable[[Recipe], Described | None], recipes: Iterable[Recipe]
) -> tuple[dict[Recipe, Described], list[Recipe]]:
    """Return the first ITEMS_MAX of *recipes* that are stored, and those before the last of them that are not."""
    stored: dict[Recipe, Described] = {}
    deleted: list[Recipe] = []
    for recipe in recipes:
        if len(stored) == ITEMS_MAX:
            break
        if described := describe(recipe):
            stored[recipe] = described
        else:
            deleted.append(recipe)
    return stored, deleted


def previewed(context: ApiContext, recipes: list[Recipe]) -> set[str]:
    """Return the keys of *recipes* that have a preview, and request the missing previews for the next visit."""
    previews = context.jobs.recent.previews(recipes)
    for recipe in recipes:
        if previews[recipe.key] is None:
            context.jobs.request_preview(recipe)
    return {key for key, preview in previews.items() if preview and preview != NO_PREVIEW}


def _items(stored: Iterable[tuple[Recipe, Described]], previewed: set[str]) -> list[GalleryItem]:
    return [_item(recipe, described, recipe.key in previewed) for recipe, described in stored]


def _item(recipe: Recipe, described: Described, previewed: bool) -> GalleryItem:
    sidecar = described.sidecar
    return GalleryItem(
        label=recipe.label,
        href=image_path(recipe),
        size=described.stored.size,
        width=sidecar.width if sidecar else None,
        height=sidecar.height if sidecar else None,
        made=sidecar.made if sidecar else None,
        preview=url_for("operator.preview", key=recipe.key) if previewed else None,
    )
