"""The images that nginx has served, if the store is mounted `noatime` and the file system does not record this.

nginx writes the name of each hit into a file, 64 KiB at a time; a worker reads it and empties it. Lines that are
written in between are lost; this does no harm, because a popular image is used again.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from mezcal.errors import BadRecipe
from mezcal.recipe import Mezzanine, Profile

if TYPE_CHECKING:
    from pathlib import Path

    from mezcal.store.protocols import NotesUse

ESCAPED = re.compile(rb"\\x([0-9A-F]{2})")  # nginx writes quotes, backslashes and bytes beyond ASCII so
NAMES_MAX = 50_000  # names remembered, which are not checked again: most hits are of few images
LINE_BYTES_MAX = 16_384


class UseLog:
    """The file *path*, in which nginx writes the names of the images of *store* that it served."""

    def __init__(self, store: NotesUse, path: Path) -> None:
        self._store = store
        self._path = path

    def read(self) -> int:
        """Note each use in the file, and empty it. Returns how many images were found."""
        seen: set[bytes] = set()
        noted = 0
        with suppress(FileNotFoundError), self._path.open("rb+") as file:
            for name in iter(lambda: file.readline(LINE_BYTES_MAX), b""):
                if name in seen:
                    continue
                if len(seen) == NAMES_MAX:
                    seen.clear()
                seen.add(name)
                noted += self._note(name.rstrip(b"\n"))
            file.truncate(0)
        return noted

    def _note(self, name: bytes) -> bool:
        """Note the use of the image that nginx calls *name*. Returns False if there is none."""
        try:
            recipe = _recipe_of(ESCAPED.sub(lambda escaped: bytes([int(escaped[1], 16)]), name).decode())
        except (BadRecipe, UnicodeDecodeError):
            return False
        return self._store.note_use(recipe)


def _recipe_of(name: str) -> Mezzanine:
    """Returns the recipe of a line: the path of a mezzanine's master, or `/<file name>/<path>`. Raises `BadRecipe`."""
    if not name.startswith("/"):
        return Mezzanine.parse(name)
    file_name, _, path = name[1:].partition("/")
    return Mezzanine.parse(path, profile=Profile.of_file(file_name))


def access_times_kept(folder: Path) -> bool:
    """Returns True if the file system of *folder* notes when a file is read: not if it is mounted `noatime`.

    Raises `OSError` if *folder* cannot be written.
    """
    probe = folder / f".probe-{os.getpid()}"
    folder.mkdir(parents=True, exist_ok=True)
    probe.write_bytes(b"x")
    try:
        os.utime(probe, (0, 1))  # last read long ago, and before it was written: `relatime` would note a read
        probe.read_bytes()
        return probe.stat().st_atime > 0
    finally:
        probe.unlink()
