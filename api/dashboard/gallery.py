"""The newest and the largest derivatives, for people: a few, with small pictures that a worker makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import url_for

from api.routes.jobs import address
from mezcal.errors import Failure
from mezcal.jobs.recent import NO_PREVIEW
from mezcal.recipe import from_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from api.context import ApiContext
    from mezcal.recipe import Recipe

PIECES_MOST = 8
CANDIDATES = 24  # of which so many are still stored


@dataclass(frozen=True, slots=True)
class GalleryItem:
    """A derivative: *size* in bytes, its pixels, when it was made; *preview* is the address of a small picture."""

    label: str
    href: str | None
    size: int
    width: int | None
    height: int | None
    made: float | None
    preview: str | None


def newest(desk: ApiContext) -> list[GalleryItem]:
    """The derivatives made last, as far as they are stored."""
    try:
        return _pieces(desk, map(from_json, desk.jobs.recent.newest(CANDIDATES)))
    except Failure:
        return []


def largest(desk: ApiContext) -> list[GalleryItem]:
    """The largest derivatives made, as far as they are stored; those that are gone are forgotten."""
    try:
        recipes = [from_json(recipe) for recipe in desk.jobs.recent.largest()]
        found = _pieces(desk, recipes, forget=True)
    except Failure:
        return []
    return sorted(found, key=lambda piece: -piece.size)


def _pieces(desk: ApiContext, recipes: Iterable[Recipe], *, forget: bool = False) -> list[GalleryItem]:
    stored: list[Recipe] = []
    gone: list[Recipe] = []
    for recipe in recipes:
        if len(stored) == PIECES_MOST:
            break
        (stored if desk.store.find(recipe) else gone).append(recipe)
    if forget:
        desk.jobs.recent.remove(gone)
    there = _previewed(desk, stored)
    return [piece for recipe in stored if (piece := _piece(desk, recipe, there)) is not None]


def _previewed(desk: ApiContext, recipes: list[Recipe]) -> set[str]:
    """The keys of those of which there is a preview; the others' are asked for, and there the next time."""
    known = desk.jobs.recent.previews(recipes)
    for recipe in recipes:
        if known[recipe.key] is None:
            desk.jobs.request_preview(recipe)
    return {key for key, told in known.items() if told and told != NO_PREVIEW}


def _piece(desk: ApiContext, recipe: Recipe, previewed: set[str]) -> GalleryItem | None:
    found, sidecar = desk.store.find(recipe), desk.store.sidecar(recipe)
    if found is None:
        return None
    return GalleryItem(
        label=recipe.label,
        href=address(recipe),
        size=found.size,
        width=sidecar.width if sidecar else None,
        height=sidecar.height if sidecar else None,
        made=sidecar.made if sidecar else None,
        preview=url_for("operator.preview", key=recipe.key) if recipe.key in previewed else None,
    )
