"""Which images nginx has served, where the file system does not note it: a store mounted `noatime`.

nginx writes the name of each hit into a file, 64 KiB at a time; a worker reads it and empties it. What is written
between the one and the other is lost: a use that is forgotten, of an image that will be used again.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from mezcal.errors import BadRecipe
from mezcal.recipe import Mezzanine
from mezcal.store.local.files import note_use

if TYPE_CHECKING:
    from pathlib import Path

    from mezcal.store.local.store import LocalStore

ESCAPED = re.compile(rb"\\x([0-9A-F]{2})")  # nginx writes quotes, backslashes and all beyond ASCII so
NAMES_KEPT = 50_000  # names that are not looked up again: most hits are of few images
LONGEST = 16_384  # bytes of a line


class LastUse:
    """The file of uses at *place*."""

    def __init__(self, store: LocalStore, place: Path) -> None:
        self._store = store
        self._place = place

    def read(self) -> int:
        """Note each use that is in the file, and empty it; how many images were looked up."""
        seen: set[bytes] = set()
        looked_up = 0
        with suppress(FileNotFoundError), self._place.open("rb+") as file:
            for name in iter(lambda: file.readline(LONGEST), b""):
                if name in seen:
                    continue
                if len(seen) == NAMES_KEPT:
                    seen.clear()
                seen.add(name)
                looked_up += self._note(name.rstrip(b"\n"))
            file.truncate(0)
        return looked_up

    def _note(self, name: bytes) -> bool:
        """Note the use of what nginx calls *name*; whether there is such an image."""
        try:
            recipe = Mezzanine.parse(ESCAPED.sub(lambda hexed: bytes([int(hexed[1], 16)]), name).decode())
            descriptor = os.open(self._store.path(recipe), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (BadRecipe, UnicodeDecodeError, OSError):
            return False
        try:
            note_use(descriptor, os.fstat(descriptor))
        finally:
            os.close(descriptor)
        return True


def noted_by_reading(folder: Path) -> bool:
    """Whether the file system under *folder* notes that a file is read: not if it is mounted `noatime`."""
    probe = folder / f".probe-{os.getpid()}"
    folder.mkdir(parents=True, exist_ok=True)
    probe.write_bytes(b"x")
    try:
        os.utime(probe, (0, 1))  # last read long ago, and before it was written: `relatime` would note a reading
        probe.read_bytes()
        return probe.stat().st_atime > 0
    finally:
        probe.unlink()
