"""Finds stored derivatives by path prefix."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from mezcal.errors import BadRecipe
from mezcal.recipe import Mezzanine, from_json
from mezcal.settings import Layout
from mezcal.store.local.layout import OURS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mezcal.recipe import Recipe
    from mezcal.store import Housekeeping, StoredEntry

UNKNOWN_PATH = None  # umd-lib/mezcal stored it under the MD5 of a path


def find_stored(is_named: Callable[[str], bool], store: Housekeeping, layout: Layout) -> Iterator[Mezzanine | None]:
    """Return the mezzanines in *store* whose paths are named, pages included, and `UNKNOWN_PATH` for unknown ones.

    Reads the whole store: only a sidecar, or the folder's name in the layout `basic`, has the path.
    """
    for entry in store.entries():
        recipe = _recipe(entry, layout)
        if recipe is UNKNOWN_PATH:
            yield UNKNOWN_PATH
        elif isinstance(recipe, Mezzanine) and is_named(recipe.path):
            yield recipe


def _recipe(entry: StoredEntry, layout: Layout) -> Recipe | None:
    sidecar = entry.sidecar()
    folder = PurePosixPath(entry.name).parent
    try:
        if sidecar is not None:
            return from_json(sidecar.recipe)
        if layout is Layout.BASIC and folder.parts[:1] != (OURS,):
            return Mezzanine.parse(str(folder))
    except BadRecipe:
        return UNKNOWN_PATH
    return UNKNOWN_PATH
