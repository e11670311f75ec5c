"""A walk through a local store in parts: each continues where the one before ended, in any process.

A store may hold ten million images, in one folder or at any depth. So no folder is ever listed as a whole: it is read
in blocks, and a place in it is known by the file system's own position (`seekdir`).
"""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from mezcal.recipe import Mezzanine
from mezcal.store.inventory import InventoryItem
from mezcal.store.local.layout import BUILT_IN, BY_KEY, IMAGE, OURS, FileNames, pages, sidecar_name

if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from pathlib import Path

BLOCK = 512  # entries of a folder that are read at a time, at least
LEFT_ALONE = {"lost+found"}  # at the root: the file system's own


@dataclass(slots=True)
class FolderLevel:
    """A folder on the path to the walk's position: the position of its current block, and the rest of that block."""

    folder: str
    at: int
    left: list[str]  # folders, the next one at the end
    following: int | None  # the position of the next block
    inside: str | None = None  # the folder in which the walk is


class FolderWalk:
    """The folders under *root* after *cursor* ("" is the beginning), in the order of the disk.

    Folders that are added or removed meanwhile may be yielded or not; all others are yielded once.
    """

    def __init__(self, root: Path, cursor: str = "", names: FileNames = BUILT_IN) -> None:
        self._root = str(root)
        self._names = names
        self._sidecars = _images_by_sidecar(names)
        self._levels = list(self._resumed(cursor))
        self._fresh = not self._levels

    def __iter__(self) -> Iterator[InventoryItem]:
        """Yields each folder before the folders in it: first with its `image.jpg`, then with each other image in it."""
        if self._fresh:
            self._fresh = False
            yield from self._enter("")
        while self._levels:
            level = self._levels[-1]
            if level.left:
                level.inside = level.left.pop()
                yield from self._enter(os.path.join(level.folder, level.inside))  # noqa: PTH118 - a million times
            elif level.following is None:
                self._levels.pop()
            else:
                entered = self._level(level.folder, level.following)
                self._levels[-1:] = [entered] if entered else []

    @property
    def cursor(self) -> str:
        """Where a later walk continues after the folders that were yielded so far; "" once all were."""
        return json.dumps([[level.at, level.inside] for level in self._levels]) if self._levels else ""

    def _enter(self, folder: str) -> list[InventoryItem]:
        names, files, following, count = _block(self._path(folder), 0, folder, self._names.all)
        if names or following is not None:
            self._levels.append(FolderLevel(folder, 0, names, following))
        if following is not None:  # the image may be in any later block
            files = _files(self._path(folder), self._names.all)
        others = [_item(folder, name, files) for name in _with_sidecar(files, self._sidecars)]
        return [_item(folder, IMAGE, files, empty=count == 0), *others]

    def _level(self, folder: str, at: int) -> FolderLevel | None:
        names, _, following, _ = _block(self._path(folder), at, folder, self._names.all)
        return FolderLevel(folder, at, names, following) if names or following is not None else None

    def _path(self, folder: str) -> str:
        return os.path.join(self._root, folder) if folder else self._root  # noqa: PTH118

    def _resumed(self, cursor: str) -> Iterator[FolderLevel]:
        """Yields the levels of *cursor*, down to the first folder that is gone."""
        folder = ""
        for at, inside in _positions(cursor):
            level = self._level(folder, at)
            if level is None:
                return
            if inside in level.left:
                del level.left[level.left.index(inside) :]
                level.inside = inside
            yield level
            if level.inside is None:
                return
            folder = os.path.join(folder, level.inside)  # noqa: PTH118


def _positions(cursor: str) -> list[tuple[int, str | None]]:
    """Returns the content of a cursor, an empty list if it is not one of ours."""
    try:
        return [(int(at), inside) for at, inside in json.loads(cursor or "[]")]
    except (ValueError, TypeError):
        return []


def _block(
    path: str, at: int, folder: str, ours: frozenset[str]
) -> tuple[list[str], dict[str, os.stat_result], int | None, int]:
    """Returns the folders and files of ours among the entries from *at* on, the next block's position, and how many."""
    with suppress(OSError):  # it may be removed meanwhile, or the file system may not know the position
        if at == 0:
            with os.scandir(path) as entries:
                first = list(islice(entries, BLOCK + 1))
                if len(first) <= BLOCK:
                    return *_sorted(first, folder, ours), None, len(first)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            listed, following = _from(descriptor, at)
            return *_sorted(listed, folder, ours), following, len(listed)
        finally:
            os.close(descriptor)
    return [], {}, None, -1


def _from(descriptor: int, at: int) -> tuple[list[os.DirEntry[Any]], int | None]:
    """Returns a block of entries from the position *at* on; all of them if the file system has no positions.

    The iterator shares the descriptor's position, which advances whenever the kernel is asked for more.
    """
    os.lseek(descriptor, at, os.SEEK_SET)
    listed: list[os.DirEntry[Any]] = []
    place = at
    with os.scandir(descriptor) as entries:
        for entry in entries:
            now = os.lseek(descriptor, 0, os.SEEK_CUR)
            if len(listed) >= BLOCK and now != place:
                return listed, place
            place = now
            listed.append(entry)
    return listed, None


def _sorted(
    entries: list[os.DirEntry[Any]], folder: str, ours: frozenset[str]
) -> tuple[list[str], dict[str, os.stat_result]]:
    """Returns *entries* as folders to enter and files with names of *ours*."""
    names, files = [], {}
    for entry in entries:
        if entry.is_dir(follow_symlinks=False) and entry.name != IMAGE:
            if _entered(folder, entry.name):
                names.append(entry.name)
        elif entry.name in ours:
            with suppress(FileNotFoundError):
                files[entry.name] = entry.stat(follow_symlinks=False)
    names.reverse()
    return names, files


def _entered(folder: str, name: str) -> bool:
    """Returns True if derivatives may lie below. In our own folder only those kept by key do."""
    if folder == OURS:
        return name == BY_KEY
    return bool(folder) or name not in LEFT_ALONE


def _files(path: str, ours: frozenset[str]) -> dict[str, os.stat_result]:
    files = {}
    for name in ours:
        with suppress(OSError):
            files[name] = os.lstat(os.path.join(path, name))  # noqa: PTH118
    return files


def _item(folder: str, name: str, files: dict[str, os.stat_result], *, empty: bool = False) -> InventoryItem:
    found, sidecar = files.get(name), files.get(sidecar_name(name))
    image = found if found and stat.S_ISREG(found.st_mode) else None
    return InventoryItem(
        folder,
        name,
        size=image.st_size if image else None,
        last_used=max(image.st_atime, image.st_mtime) if image else 0,
        sidecar_size=sidecar.st_size if sidecar else 0,
        sidecar_modified=sidecar.st_mtime if sidecar else None,
        empty=empty,
        modified=image.st_mtime if image else 0,
        irregular=found is not image,
    )


def _with_sidecar(files: Container[str], sidecars: dict[str, list[str]]) -> list[str]:
    """Returns the images whose *sidecars* are among *files*: all others are other programs'.

    A sidecar whose image is missing is returned as one image, although pictures of frames have it in common.
    """
    named = [images for sidecar, images in sidecars.items() if sidecar in files]
    return [image for images in named for image in [each for each in images if each in files] or images[:1]]


def _images_by_sidecar(names: FileNames) -> dict[str, list[str]]:
    """Returns all images but `image.jpg` by the names of their sidecars, in the order of names."""
    named: dict[str, list[str]] = {}
    for image in sorted(names.images - {IMAGE}):
        named.setdefault(sidecar_name(image), []).append(image)
    return named


def pages_in(root: Path, path: str) -> Iterator[Mezzanine]:
    """Yields the pages of the master at *path* that have a folder in the store."""
    with suppress(OSError), os.scandir(root / pages(path)) as folders:
        for entry in folders:
            if entry.name.isdecimal():
                yield Mezzanine(path, int(entry.name))
