"""The folder of each recipe in a store: umd-lib/mezcal's three layouts, without their collisions."""

from __future__ import annotations

from hashlib import md5
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from mezcal.recipe import Mezzanine
from mezcal.settings import Layout

if TYPE_CHECKING:
    from mezcal.recipe import Recipe

IMAGE = "image.jpg"
SIDECAR = "image.json"
OURS = ".mezcal"  # scratch files, locks and derivatives kept by key; no path that keeps its name begins with it
BY_KEY = "by-key"
DEPTH_MAX = 100  # folders: deeper than any repository's; creating them is recursive
NAME_MAX = 255  # bytes of one name on every common file system


def folder(recipe: Recipe, layout: Layout, max_bytes: int | None = None) -> PurePosixPath:
    """Returns the folder, relative to the root, that holds *recipe*'s `image.jpg` and nothing of another recipe.

    *max_bytes* limits the whole path; None if the store limits single names only, as file systems do.
    """
    if isinstance(recipe, Mezzanine) and recipe.page is not None:
        return pages(recipe.path) / str(recipe.page)
    if not isinstance(recipe, Mezzanine) or not _is_safe(recipe.path, layout, max_bytes):
        return by_key(recipe.key)
    if layout is Layout.BASIC:
        return PurePosixPath(recipe.path)
    digest = md5(recipe.path.encode(), usedforsecurity=False).hexdigest()
    if layout is Layout.MD5_ENCODED:
        return PurePosixPath(digest)
    return PurePosixPath(digest[0:2], digest[2:4], digest[4:6], digest)


def pages(path: str) -> PurePosixPath:
    """Returns the folder that holds a folder for each page of the master at *path*, so that a purge finds them all."""
    return by_key(Mezzanine(path).key)


def by_key(key: str) -> PurePosixPath:
    """Returns the folder of a derivative that is kept by its key."""
    return PurePosixPath(OURS, BY_KEY, key[:2], key)


def _is_safe(path: str, layout: Layout, max_bytes: int | None) -> bool:
    """Returns True if *path* may name a folder.

    `a/image.jpg` would collide with the file of `a`, and `a.lock` with the lock file that umd-lib/mezcal left next to
    `a`.
    """
    if layout is not Layout.BASIC:
        return True
    names = path.split("/")
    return (
        names[0] != OURS
        and (max_bytes is None or len(path.encode()) <= max_bytes)
        and len(names) <= DEPTH_MAX
        and not any(
            name in {IMAGE, SIDECAR} or name.endswith(".lock") or len(name.encode()) > NAME_MAX for name in names
        )
    )
