"""A walk through a local store in parts: each goes on where the one before ended, in whichever process.

A store may hold ten million images, in one folder or in any depth. So no folder is ever listed as a whole: it is read
in blocks, and the walk knows a place in it by what the file system itself gives for that (`seekdir`).
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from mezcal.recipe import Mezzanine
from mezcal.store.local.layout import BY_KEY, IMAGE, OURS, SIDECAR, pages
from mezcal.store.values import Sidecar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK = 512  # entries of a folder that are read at once, at least
LEFT_ALONE = {"lost+found"}  # at the root: the file system's own


@dataclass(frozen=True, slots=True)
class Found:
    """A folder of the store and what it holds; sizes in bytes, times in seconds since 1970.

    *size* is the image's, None if there is none, *written* when that was; *beside* and *noted* are the sidecar's size
    and time, *noted* None if there is none. *used* is when the image was last read, as far as that is known (to a
    day, most often), or written.
    """

    folder: str
    size: int | None = None
    used: float = 0
    beside: int = 0
    noted: float | None = None
    empty: bool = False
    written: float = 0

    @property
    def bytes(self) -> int:
        """The image and its sidecar."""
        return (self.size or 0) + self.beside


@dataclass(slots=True)
class FolderLevel:
    """A folder on the way to where the walk is: the block that is read, by its place, and what is left of it."""

    folder: str
    at: int
    left: list[str]  # folders, the next one last
    following: int | None  # the place of the next block
    inside: str | None = None  # the folder in which the walk is


class Walk:
    """The folders under *root* behind *cursor* ("" is the beginning), in the order in which the disk has them.

    What is added or removed meanwhile may be met or not; all else is met once. `cursor` is where to go on.
    """

    def __init__(self, root: Path, cursor: str = "") -> None:
        self._root = str(root)
        self._levels = list(self._resumed(cursor))
        self._fresh = not self._levels

    def __iter__(self) -> Iterator[Found]:
        """Each folder, before those in it."""
        if self._fresh:
            self._fresh = False
            yield self._enter("")
        while self._levels:
            level = self._levels[-1]
            if level.left:
                level.inside = level.left.pop()
                yield self._enter(os.path.join(level.folder, level.inside))  # noqa: PTH118 - a million times
            elif level.following is None:
                self._levels.pop()
            else:
                entered = self._level(level.folder, level.following)
                self._levels[-1:] = [entered] if entered else []

    @property
    def cursor(self) -> str:
        """Where a later walk goes on behind what this one has given; "" once it has given all."""
        return json.dumps([[level.at, level.inside] for level in self._levels]) if self._levels else ""

    def _enter(self, folder: str) -> Found:
        names, files, following, count = _block(self._path(folder), 0, folder)
        if names or following is not None:
            self._levels.append(FolderLevel(folder, 0, names, following))
        if following is not None:  # the image may come in any later block
            files = _files(self._path(folder))
        return _found(folder, files, empty=count == 0)

    def _level(self, folder: str, at: int) -> FolderLevel | None:
        names, _, following, _ = _block(self._path(folder), at, folder)
        return FolderLevel(folder, at, names, following) if names or following is not None else None

    def _path(self, folder: str) -> str:
        return os.path.join(self._root, folder) if folder else self._root  # noqa: PTH118

    def _resumed(self, cursor: str) -> Iterator[FolderLevel]:
        """The levels of *cursor*, down to the first folder that is gone."""
        folder = ""
        for at, inside in _places(cursor):
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


def _places(cursor: str) -> list[tuple[int, str | None]]:
    """A cursor's content; nothing, if it is none of ours."""
    try:
        return [(int(at), inside) for at, inside in json.loads(cursor or "[]")]
    except (ValueError, TypeError):
        return []


def _block(path: str, at: int, folder: str) -> tuple[list[str], dict[str, os.stat_result], int | None, int]:
    """The folders and files of ours among the entries from *at* on, where the next block begins, and how many."""
    with suppress(OSError):  # it may be pruned meanwhile; and a place in it that the file system does not know
        if at == 0:
            with os.scandir(path) as entries:
                first = list(islice(entries, BLOCK + 1))
                if len(first) <= BLOCK:
                    return *_sorted(first, folder), None, len(first)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            listed, following = _from(descriptor, at)
            return *_sorted(listed, folder), following, len(listed)
        finally:
            os.close(descriptor)
    return [], {}, None, -1


def _from(descriptor: int, at: int) -> tuple[list[os.DirEntry[Any]], int | None]:
    """A block of entries from the place *at* on; where a place cannot be told, that is all of them.

    The iterator shares the descriptor's place, which moves on whenever the kernel is asked for more.
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


def _sorted(entries: list[os.DirEntry[Any]], folder: str) -> tuple[list[str], dict[str, os.stat_result]]:
    """*entries* as folders to enter and files of ours."""
    names, files = [], {}
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if _entered(folder, entry.name):
                names.append(entry.name)
        elif entry.name in {IMAGE, SIDECAR}:
            with suppress(FileNotFoundError):
                files[entry.name] = entry.stat()
    names.reverse()
    return names, files


def _entered(folder: str, name: str) -> bool:
    """Whether derivatives may lie below: of our own folder, only what is kept by key."""
    if folder == OURS:
        return name == BY_KEY
    return bool(folder) or name not in LEFT_ALONE


def _files(path: str) -> dict[str, os.stat_result]:
    files = {}
    for name in (IMAGE, SIDECAR):
        with suppress(OSError):
            files[name] = os.stat(os.path.join(path, name))  # noqa: PTH116, PTH118
    return files


def _found(folder: str, files: dict[str, os.stat_result], *, empty: bool) -> Found:
    image, sidecar = files.get(IMAGE), files.get(SIDECAR)
    return Found(
        folder,
        image.st_size if image else None,
        max(image.st_atime, image.st_mtime) if image else 0,
        sidecar.st_size if sidecar else 0,
        sidecar.st_mtime if sidecar else None,
        empty,
        image.st_mtime if image else 0,
    )


def sidecar_at(folder: Path) -> Sidecar | None:
    """The sidecar in *folder*, None if there is none that can be read."""
    try:
        return Sidecar.from_bytes((folder / SIDECAR).read_bytes())
    except OSError:
        return None


def pages_in(root: Path, path: str) -> list[Mezzanine]:
    """The pages of the master at *path* that have a folder."""
    with suppress(OSError), os.scandir(root / pages(path)) as folders:
        return [Mezzanine(path, int(entry.name)) for entry in folders if entry.name.isdecimal()]
    return []
