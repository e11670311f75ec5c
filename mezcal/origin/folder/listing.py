"""Lists the images and the subfolders of a folder, in the order of their names.

Hidden names are skipped, and files whose names do not end like those of images. No link to a folder is followed; a link
to a file counts if the file is below the origin's folder. A scan keeps at most 2 x `SCAN_MAX` names in memory: a larger
folder is scanned several times.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from mezcal.origin.folder.opening import scanned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCAN_MAX = 100_000
TIFF, JPEG, JPEG_2000 = {"tif", "tiff"}, {"jpg", "jpeg", "jpe"}, {"jp2", "j2k", "j2c", "jpc", "jpf", "jpx"}
NETPBM = {"pnm", "pbm", "pgm", "ppm", "pfm"}
OTHERS = {"png", "gif", "webp", "avif", "heic", "heif", "bmp", "dib", "psd", "qoi", "sgi"}
SUFFIXES = TIFF | JPEG | JPEG_2000 | NETPBM | OTHERS


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A folder that cannot be listed, and why."""

    path: str
    why: str


@dataclass(frozen=True, slots=True)
class FolderPage:
    """Some of the *folders* and *images* of a folder, by their names; *total* counts both in the whole folder."""

    folders: list[str]
    images: list[str]
    total: int


@dataclass(frozen=True, slots=True)
class FolderListing:
    """What lies below *folder*. Each *path* is relative to it; "" is the folder itself."""

    folder: str

    @property
    def root(self) -> str:
        """The folder without links. It is asked for each time: a link may be changed to lead to another folder."""
        return os.path.realpath(self.folder)

    def has_folder(self, path: str) -> bool:
        """Return True if there is a folder at *path*, and no link leads out to it."""
        return _holds(Path.is_dir, self._real(path))

    def has_file(self, path: str) -> bool:
        """Return True if there is a file at *path*, and no link leads out to it."""
        return _holds(Path.is_file, self._real(path))

    def path_of(self, absolute: str) -> str | None:
        """Return the path of the file or folder that is *absolute* on this machine, None if it lies elsewhere.

        A slash at its end stays. The folder may be reached by another way: by a link, or a second mount.
        """
        lexical = Path(os.path.normpath(absolute))
        slash = "/" if absolute.endswith("/") else ""
        above = (Path(self.folder),) if lexical.is_relative_to(self.folder) else (lexical, *lexical.parents)
        for parent in above:
            if _holds(Path(self.folder).samefile, parent):
                path = lexical.relative_to(parent).as_posix()
                return "" if path == "." else path + slash
        return None

    def page(self, path: str, start: int, most: int) -> FolderPage:
        """Return up to *most* names of the folder at *path*, after the first *start*. Folders come first.

        Raises `OSError` if the folder cannot be listed.
        """
        folders, images = self._counts(path)
        first = list(islice(self._names(path, _is_folder), start, start + most)) if start < folders else []
        start = max(start - folders, 0)
        rest = list(islice(self._names(path, self._image_test(path)), start, start + most - len(first)))
        return FolderPage(first, rest, folders + images)

    def walk(self, path: str, depth: int | None = None) -> Iterator[str | Unreadable]:
        """Yield the paths of all images below *path*, at most *depth* folders deeper, in the order of the names.

        The images of a folder come before its subfolders.
        """
        pending = [iter([path])]
        while pending:
            folder = next(pending[-1], None)
            if folder is None:
                pending.pop()
                continue
            try:
                for name in self._names(folder, self._image_test(folder)):
                    yield _join(folder, name)
            except OSError as error:
                yield Unreadable(folder, f"the folder cannot be listed: {error.strerror}")
                continue
            if depth is None or len(pending) <= depth:
                pending.append(self._subfolders(folder))

    def _subfolders(self, path: str) -> Iterator[str]:
        with suppress(OSError):  # the folder was listed before: it has been removed
            for name in self._names(path, _is_folder):
                yield _join(path, name)

    def _image_test(self, path: str) -> Callable[[os.DirEntry[str]], bool]:
        """Return a function that tests if an entry of the folder at *path* is an image."""

        def is_image(entry: os.DirEntry[str]) -> bool:
            if not has_image_suffix(entry.name):
                return False
            return entry.is_file(follow_symlinks=False) or (
                entry.is_symlink() and self.has_file(_join(path, entry.name))
            )

        return is_image

    def _counts(self, path: str) -> tuple[int, int]:
        """Return how many folders and images the folder at *path* has."""
        is_image, folders, images = self._image_test(path), 0, 0
        with self._scanned(path) as entries:
            for entry in entries:
                if not entry.name.startswith("."):
                    folders += _is_folder(entry)
                    images += is_image(entry)
        return folders, images

    def _names(self, path: str, wanted: Callable[[os.DirEntry[str]], bool]) -> Iterator[str]:
        """Yield the names in the folder at *path* that are *wanted*. Nothing is open while one is yielded."""
        last = ""
        while names := self._next_names(path, wanted, last):
            yield from names
            if len(names) < SCAN_MAX:
                return
            last = names[-1]

    def _next_names(self, path: str, wanted: Callable[[os.DirEntry[str]], bool], last: str) -> list[str]:
        """Return the first `SCAN_MAX` names after *last*."""
        names: list[str] = []
        with self._scanned(path) as entries:
            for entry in entries:
                if entry.name > last and not entry.name.startswith(".") and wanted(entry):
                    names.append(entry.name)
                    if len(names) == 2 * SCAN_MAX:
                        names = sorted(names)[:SCAN_MAX]
        return sorted(names)[:SCAN_MAX]

    @contextmanager
    def _scanned(self, path: str) -> Iterator[Iterator[os.DirEntry[str]]]:
        real = self._real(path)
        if real is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        with scanned(self.root, real.relative_to(self.root).parts) as entries:
            yield entries

    def _real(self, path: str) -> Path | None:
        """Return the absolute *path* without links, None if it leads out of the folder."""
        try:
            real = Path(os.path.realpath(Path(self.root, path)))
        except ValueError:  # a NUL
            return None
        return real if real.is_relative_to(self.root) else None


def has_image_suffix(name: str) -> bool:
    """Return True if *name* ends like that of an image."""
    stem, _, suffix = name.rpartition(".")
    return bool(stem) and suffix.lower() in SUFFIXES


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return True if *entry* is a folder, and no link to one."""
    return entry.is_dir(follow_symlinks=False)


def _holds(test: Callable[[Path], bool], path: Path | None) -> bool:
    """Return True if there is a *path* and *test* holds for it. A name that no file can have is no error."""
    try:
        return path is not None and test(path)
    except (OSError, ValueError):
        return False


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
