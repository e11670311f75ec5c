"""Finds stored derivatives by path prefix."""

from __future__ import annotations

from itertools import groupby
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from mezcal.errors import BadRecipe
from mezcal.recipe import Mezzanine, Profile, from_json
from mezcal.settings import Layout
from mezcal.store.local.layout import OURS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mezcal.recipe import Recipe
    from mezcal.store import Housekeeping, StoredEntry

UNKNOWN_PATH = None  # umd-lib/mezcal stored it under the MD5 of a path


def find_stored(is_named: Callable[[str], bool], store: Housekeeping, layout: Layout) -> Iterator[Mezzanine | None]:
    """Return the derivatives in *store* whose masters' paths are named, and `UNKNOWN_PATH` for unknown ones.

    Reads the whole store: only a sidecar, or the folder's name in the layout `basic`, has the path.
    """
    for _, entries in groupby(store.entries(), lambda entry: entry.name.rpartition("/")[0]):
        recipes = [_recipe(entry, layout) for entry in entries]  # before the caller deletes one of them, or all
        for recipe in recipes:
            if recipe is UNKNOWN_PATH:
                yield UNKNOWN_PATH
            elif isinstance(recipe, Mezzanine) and is_named(recipe.path):
                yield recipe


def _recipe(entry: StoredEntry, layout: Layout) -> Recipe | None:
    sidecar = entry.sidecar()
    image = PurePosixPath(entry.name)
    try:
        if sidecar is not None:
            return from_json(sidecar.recipe)
        if layout is Layout.BASIC and image.parts[:1] != (OURS,):
            return Mezzanine.parse(str(image.parent), profile=Profile.of_file(image.name))
    except BadRecipe:
        return UNKNOWN_PATH
    return UNKNOWN_PATH
