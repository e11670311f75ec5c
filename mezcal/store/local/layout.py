"""Which folder of a local store belongs to which recipe: umd-lib/mezcal's three layouts, made safe."""

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
OURS = ".mezcal"  # scratch files, locks and mapped derivatives; no mapped path begins with it
BY_KEY = "by-key"
DEPTH_MAX = 100  # folders: deeper than any repository's, and making them is recursive
NAME_MAX = 255  # bytes of one name on every common file system


def folder(recipe: Recipe, layout: Layout, most: int | None = None) -> PurePosixPath:
    """The folder, relative to the root, that holds *recipe*'s `image.jpg` and nothing of another's.

    *most* is the bytes of its path that the store takes, None where the file system bounds single names only.
    """
    if isinstance(recipe, Mezzanine) and recipe.page is not None:
        return pages(recipe.path) / str(recipe.page)
    if not isinstance(recipe, Mezzanine) or not _fits(recipe.path, layout, most):
        return by_key(recipe.key)
    if layout is Layout.BASIC:
        return PurePosixPath(recipe.path)
    digest = md5(recipe.path.encode(), usedforsecurity=False).hexdigest()
    if layout is Layout.MD5_ENCODED:
        return PurePosixPath(digest)
    return PurePosixPath(digest[0:2], digest[2:4], digest[4:6], digest)


def pages(path: str) -> PurePosixPath:
    """The folder that holds a folder for each page of the master at *path*: whoever forgets it finds them all."""
    return by_key(Mezzanine(path).key)


def by_key(key: str) -> PurePosixPath:
    """The folder of a derivative that no path names."""
    return PurePosixPath(OURS, BY_KEY, key[:2], key)


def _fits(path: str, layout: Layout, most: int | None) -> bool:
    """Whether *path* may name a folder: `a/image.jpg` would collide with the file of `a`, and `a.lock` with
    the lock that umd-lib/mezcal left beside `a`.
    """
    if layout is not Layout.BASIC:
        return True
    names = path.split("/")
    return (
        names[0] != OURS
        and (most is None or len(path.encode()) <= most)
        and len(names) <= DEPTH_MAX
        and not any(
            name in {IMAGE, SIDECAR} or name.endswith(".lock") or len(name.encode()) > NAME_MAX for name in names
        )
    )
