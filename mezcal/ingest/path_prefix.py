"""What is stored of the masters whose paths begin with some letters."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from mezcal.errors import BadRecipe
from mezcal.recipe import Mezzanine, from_json
from mezcal.settings import Layout
from mezcal.store.local.layout import OURS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.recipe import Recipe
    from mezcal.store import Store, StoredEntry

NAMELESS = None  # nobody knows whose it is: umd-lib/mezcal stored it, under an MD5


def stored_below(prefix: str, store: Store, layout: Layout) -> Iterator[Mezzanine | None]:
    """The mezzanines in *store* whose paths begin with *prefix*, pages too; `NAMELESS` for what has no known path.

    The whole store is walked: only a sidecar, or the folder's name in the layout `basic`, tells a path.
    """
    for entry in store.entries():
        recipe = _recipe(entry, layout)
        if recipe is NAMELESS:
            yield NAMELESS
        elif isinstance(recipe, Mezzanine) and recipe.path.startswith(prefix):
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
        return NAMELESS
    return NAMELESS
