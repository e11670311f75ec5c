"""A store seen from its shelves: whoever keeps it within its bounds knows folders and files, not recipes.

Of umd-lib/mezcal's caches in the MD5 layouts nobody can say which recipe a folder belongs to; so what is found is
evicted by where it lies.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Protocol

from mezcal.errors import StoreDown
from mezcal.store.housekeeping.free_space import Room
from mezcal.store.local.files import ABSENT, lock_file, prune, rename, reported
from mezcal.store.local.layout import IMAGE, SIDECAR
from mezcal.store.local.trash import remove
from mezcal.store.local.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from mezcal.store.local.store import LocalStore
    from mezcal.store.local.walk import Found

YOUNG = 60.0  # seconds for which nothing is evicted that was just written or used
NOTES = "trim.json"


class Steps(Protocol):
    """A walk that can be gone on with."""

    def __iter__(self) -> Iterator[Found]:
        """What is found, one after the other, in any order that stays the same."""

    @property
    def cursor(self) -> str:
        """Where to go on behind what was given so far; "" once all was."""


class Inventory(Protocol):
    """What keeping a store within its bounds asks of it. Every method raises `StoreDown` where the store fails."""

    def walk(self, cursor: str = "") -> Steps:
        """All there is, from *cursor* on, never held in memory at once."""

    def evict(self, found: Found, before: float) -> int:
        """Have what was *found* go, unless it was used since *before* (seconds since 1970); the bytes freed, or 0."""

    def clear(self, most: int) -> int:
        """Remove up to *most* files of what was evicted and could still be had till now; how many."""

    def tidy(self, folder: str) -> None:
        """Remove *folder* if it is empty."""

    def free_bytes(self) -> int | None:
        """Bytes that can still be stored; None where nobody knows an end."""

    def alone(self, *, wait: bool) -> AbstractContextManager[bool]:
        """Keep others from trimming; whether that was to be had, which it is in the end for who waits."""

    def notes(self) -> bytes:
        """What was noted last; empty if nothing was."""

    def note(self, notes: bytes) -> None:
        """Keep *notes*, for whichever process asks next."""


class LocalInventory:
    """The folders of a local store."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        self.root = store.root
        self._notes = store.locks.parent / NOTES

    def walk(self, cursor: str = "") -> Walk:
        """The folders, from *cursor* on."""
        return Walk(self.root, cursor)

    def evict(self, found: Found, before: float) -> int:
        """Put what was *found* aside; `clear` removes it after PIN_SECONDS. Its bytes, or 0.

        Looked at again under the publishing lock: what was published or used since it was found stays.
        """
        return self._take(found, before, outright=False)

    def remove(self, found: Found, before: float) -> int:
        """As `evict`, but gone at once."""
        return self._take(found, before, outright=True)

    def _take(self, found: Found, before: float, *, outright: bool) -> int:
        own = PurePosixPath(found.folder)
        image = self.root / own / IMAGE
        with reported(), self._store.publishing(own):
            try:
                status = image.stat()
                if max(status.st_atime, status.st_mtime) >= before:
                    return 0
                size = status.st_size + _size(image.with_name(SIDECAR))
                if outright:
                    remove(image)
                else:
                    self._store.aside.put(own, image)
            except ABSENT:
                return 0
            prune(image.parent, self.root)
        return max(size, 1)

    def drop_empty(self, folder: str) -> None:
        """Remove the image in *folder* if it has no bytes: nginx would serve it. Raises `StoreDown`."""
        image = self.root / folder / IMAGE
        with reported(), self._store.publishing(PurePosixPath(folder)), suppress(*ABSENT):
            if not image.stat().st_size:  # nobody has published meanwhile
                image.unlink()

    def tidy(self, folder: str) -> None:
        """Remove *folder* if it is empty, and not just being filled."""
        path = self.root / folder
        with suppress(OSError):
            if folder and path.stat().st_mtime < time.time() - YOUNG:
                prune(path, self.root)

    def free_bytes(self) -> int:
        """Bytes that the file system still takes."""
        return self._store.free_bytes()

    def make_room(self, needed: int) -> bool:
        """Have *needed* bytes free, and some files; whether it is worth another try."""
        with self._held("room", wait=True), reported():
            return Room(self, self._store.aside).made(needed, time.time() - max(YOUNG, self._store.aside.seconds))

    def clear(self, most: int) -> int:
        """Remove up to *most* files that were put aside and whose time is over; how many."""
        with reported():
            return self._store.aside.clear(most)

    def alone(self, *, wait: bool) -> AbstractContextManager[bool]:
        """Hold the lock of all who trim this store, on whichever host."""
        return self._held("trim", wait=wait)

    @contextmanager
    def _held(self, name: str, *, wait: bool) -> Iterator[bool]:
        with reported():
            descriptor = lock_file(self._store.locks, name)
        try:
            yield _locked(descriptor, wait=wait)
        finally:
            os.close(descriptor)

    def notes(self) -> bytes:
        """What was noted last; empty if nothing was."""
        try:
            return self._notes.read_bytes()
        except OSError:
            return b""

    def note(self, notes: bytes) -> None:
        """Keep *notes*; where the disk is full, the old ones."""
        with suppress(StoreDown), self._store.draft() as draft, reported():
            draft.write_bytes(notes)
            rename(draft, self._notes)


def _size(path: os.PathLike[str]) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - half a million times
    except OSError:
        return 0


def _locked(descriptor: int, *, wait: bool) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


class Rehearsed:
    """*shelf*, with nothing done to it: what would be evicted is counted as if it was."""

    def __init__(self, shelf: Inventory) -> None:
        self._shelf = shelf
        self._notes = shelf.notes()

    def walk(self, cursor: str = "") -> Steps:
        """As the shelf."""
        return self._shelf.walk(cursor)

    def evict(self, found: Found, before: float) -> int:
        """What would be freed."""
        return found.bytes if found.used < before else 0

    def clear(self, most: int) -> int:  # noqa: ARG002 - the protocol's
        """Nothing."""
        return 0

    def tidy(self, folder: str) -> None:
        """Nothing."""

    def free_bytes(self) -> int | None:
        """As the shelf."""
        return self._shelf.free_bytes()

    def alone(self, *, wait: bool) -> AbstractContextManager[bool]:
        """As the shelf."""
        return self._shelf.alone(wait=wait)

    def notes(self) -> bytes:
        """What was noted last, here or in the shelf."""
        return self._notes

    def note(self, notes: bytes) -> None:
        """Keep *notes* here."""
        self._notes = notes
