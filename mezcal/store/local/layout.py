"""The folder and the file of each recipe in a store: umd-lib/mezcal's three layouts, without their collisions."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import md5
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from mezcal.recipe import MEZZANINE, OF_FRAMES, PYRAMID, Mezzanine, Profile
from mezcal.settings import Layout

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import PurePath

    from mezcal.recipe import Recipe

IMAGE = MEZZANINE.file_name
OURS = ".mezcal"  # scratch files, locks and derivatives kept by key; no path that keeps its name begins with it
BY_KEY = "by-key"
DEPTH_MAX = 100  # folders: deeper than any repository's; creating them is recursive
NAME_MAX = 255  # bytes of one name on every common file system


def sidecar_name(image: str) -> str:
    """Returns the name of the sidecar of the file *image*: `image.json` for `image.jpg`."""
    return f"{image.rpartition('.')[0]}.json"


SIDECAR = sidecar_name(IMAGE)


@dataclass(frozen=True, slots=True)
class FileNames:
    """The names of the files in the folders of a store: *images* are derivatives, *all* are sidecars, too.

    *of_masters* are the images that are made of masters; the others are pictures of frames, which are kept by key.
    *taken* are the names of all files in the folder of a master.
    """

    images: frozenset[str]
    all: frozenset[str]
    of_masters: frozenset[str]
    taken: frozenset[str]

    @classmethod
    def of(cls, profiles: Iterable[Profile]) -> FileNames:
        """Returns the names where derivatives of *profiles* are made."""
        of_masters = frozenset({IMAGE, *(profile.file_name for profile in profiles)})
        images = of_masters.union(OF_FRAMES.values())
        return cls(images, _with_sidecars(images), of_masters, _with_sidecars(of_masters))


def _with_sidecars(images: frozenset[str]) -> frozenset[str]:
    return images | {sidecar_name(image) for image in images}


BUILT_IN = FileNames.of([PYRAMID])


@dataclass(frozen=True, slots=True)
class StoreLayout:
    """Where a store keeps the derivative of each recipe, by the setting *layout*.

    *max_bytes* limits the whole path; None if the store limits single names only, as file systems do.
    """

    layout: Layout
    names: FileNames = BUILT_IN
    max_bytes: int | None = None

    def image(self, recipe: Recipe) -> PurePosixPath:
        """Returns the path, relative to the root, of *recipe*'s derivative."""
        return self.folder(recipe) / recipe.file_name

    def folder(self, recipe: Recipe) -> PurePosixPath:
        """Returns the folder, relative to the root, that holds derivatives of *recipe*'s picture and no others."""
        if not isinstance(recipe, Mezzanine):
            return by_key(recipe.key)
        if recipe.page is not None:
            return pages(recipe.path) / str(recipe.page)
        if not self._is_safe(recipe.path):
            return pages(recipe.path)
        if self.layout is Layout.BASIC:
            return PurePosixPath(recipe.path)
        digest = md5(recipe.path.encode(), usedforsecurity=False).hexdigest()
        if self.layout is Layout.MD5_ENCODED:
            return PurePosixPath(digest)
        return PurePosixPath(digest[0:2], digest[2:4], digest[4:6], digest)

    def old_images(self, recipe: Recipe) -> list[PurePosixPath]:
        """Returns where *recipe*'s derivative may be from before: of the main picture, those in all profiles.

        umd-lib/mezcal stored a master under its path, whatever names are in it, and so did mezcal before one of them
        was that of a profile.
        """
        if not isinstance(recipe, Mezzanine) or recipe.page is not None or self.layout is not Layout.BASIC:
            return []
        if self._is_safe(recipe.path) or not self._is_name(recipe.path):
            return []
        names = sorted(self.names.of_masters) if recipe.is_main else [recipe.file_name]
        return [PurePosixPath(recipe.path, name) for name in names]

    def _is_safe(self, path: str) -> bool:
        """Returns True if *path* may name a folder.

        `a/image.jpg` would collide with the file of `a`, and `a.lock` with the lock file that umd-lib/mezcal left next
        to `a`.
        """
        if self.layout is not Layout.BASIC:
            return True
        taken = self.names.taken
        return self._is_name(path) and not any(name in taken or name.endswith(".lock") for name in path.split("/"))

    def _is_name(self, path: str) -> bool:
        """Returns True if there can be a folder *path* that is not our own."""
        names = path.split("/")
        return (
            names[0] != OURS
            and (self.max_bytes is None or len(path.encode()) <= self.max_bytes)
            and len(names) <= DEPTH_MAX
            and not any(len(name.encode()) > NAME_MAX for name in names)
        )


def pages(path: str) -> PurePosixPath:
    """Returns the folder that holds a folder for each page of the master at *path*, so that a purge finds them all."""
    return by_key(Mezzanine(path).key)


def by_key(key: str) -> PurePosixPath:
    """Returns the folder of a derivative that is kept by its key."""
    return PurePosixPath(OURS, BY_KEY, key[:2], key)


def name_of(image: PurePath) -> str:
    """Returns *image*, a path below the root, as people read it: an `image.jpg` is called as its folder.

    Two images may have the same name: `a/pyramid.tif/image.jpg` of an old cache, and the pyramid of `a`.
    """
    return str(image.parent if image.name == IMAGE else image)
