"""The trash keeps evicted derivatives for PIN_SECONDS: after a HEAD, the image can be fetched for so long.

Readers mark nothing: nginx cannot, and neither can mezcal on a read-only file system. All evicted within the same half
of PIN_SECONDS is in one folder, named by the time of its removal. So housekeeping reads only a few names.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING

from mezcal.errors import DISK_FULL, StoreDown
from mezcal.store.local.files import ABSENT, os_errors_as_store_down, rename
from mezcal.store.local.ownership import sidecar_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path, PurePosixPath


class Trash:
    """The folder of evicted derivatives. `put`, `take_back` and `forget` need the derivative's publishing lock.

    *own* is a derivative's path below the store's root. In the trash it is `<digest of that>.jpg`, whatever its format.
    """

    def __init__(self, root: Path, seconds: float) -> None:
        self.root = root
        self.seconds = seconds

    def put(self, own: PurePosixPath, image: Path) -> None:
        """Move *image*, the derivative *own*, and its sidecar to the trash. Raises `FileNotFoundError`."""
        if not self.seconds:
            remove(image)
            return
        place = self._current_folder() / digest_of(own)
        try:
            _move(image, place.with_suffix(".jpg"))
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            remove(image)  # no space even for a folder: this eviction is to free some
            return
        with suppress(FileNotFoundError):
            sidecar_path(image).rename(place.with_suffix(".json"))

    def _current_folder(self) -> Path:
        step = max(1, int(self.seconds / 2))
        return self.root / str((int(time.time() + self.seconds) // step + 1) * step)

    def has(self, own: PurePosixPath) -> bool:
        """Returns True if the derivative *own* is in the trash. Reads a few names. Raises `StoreDown`."""
        with os_errors_as_store_down():
            return any(place.exists() for place in self._places(own))

    def take_back(self, own: PurePosixPath, image: Path) -> None:
        """Move the derivative *own* back to *image*, if it is in the trash and nothing is there.

        The image comes last: if the process dies in between, it is still in the trash, and not without its sidecar.
        """
        for place in self._places(own):
            with suppress(*ABSENT, StoreDown):  # removed at this moment: then it is made again
                if place.exists() and not image.exists():
                    if place.with_suffix(".json").exists():  # umd-lib/mezcal's have none
                        rename(place.with_suffix(".json"), sidecar_path(image))
                    rename(place, image)
                    with suppress(OSError):  # another user's file
                        os.utime(image, ns=(time.time_ns(), image.stat().st_mtime_ns))  # used now

    def forget(self, own: PurePosixPath) -> None:
        """Remove the derivative *own* from the trash."""
        for place in self._places(own):
            place.unlink(missing_ok=True)
            place.with_suffix(".json").unlink(missing_ok=True)

    def empty(self, limit: int) -> int:
        """Remove up to *limit* files evicted more than PIN_SECONDS ago. Returns how many."""
        removed = 0
        for place in self._folders():
            if int(place.name) <= time.time() and removed < limit:
                removed += _remove_files(place, limit - removed)
        return removed

    def _places(self, own: PurePosixPath) -> Iterator[Path]:
        name = digest_of(own)
        return (place / f"{name}.jpg" for place in self._folders())

    def _folders(self) -> list[Path]:
        with suppress(*ABSENT):
            return [self.root / name for name in os.listdir(self.root) if name.isdecimal()]  # noqa: PTH208 - on misses
        return []


def digest_of(own: PurePosixPath) -> str:
    """Returns the name under which the derivative *own* is locked and kept in the trash."""
    return sha256(os.fsencode(own)).hexdigest()[:32]


def _move(image: Path, place: Path) -> None:
    try:
        image.rename(place)
    except FileNotFoundError:
        place.parent.mkdir(parents=True, exist_ok=True)
        image.rename(place)


def remove(image: Path) -> None:
    """Remove *image* and its sidecar. Raises `FileNotFoundError`."""
    image.unlink()
    sidecar_path(image).unlink(missing_ok=True)


def _remove_files(place: Path, limit: int) -> int:
    """Remove up to *limit* files in *place*, and the folder once it is empty. Returns how many files."""
    with suppress(*ABSENT):
        with os.scandir(place) as entries:
            paths = [entry.path for entry in islice(entries, limit)]
        for path in paths:
            with suppress(FileNotFoundError):
                os.unlink(path)  # noqa: PTH108 - half a million times
        if len(paths) < limit:
            with suppress(OSError):  # another process works on it, too
                place.rmdir()
        return len(paths)
    return 0
