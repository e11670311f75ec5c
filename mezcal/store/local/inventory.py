"""The folders of a local store as housekeeping sees them."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from uuid import uuid4

from mezcal.errors import StoreDown
from mezcal.store.inventory import YOUNG_SECONDS, InventoryItem
from mezcal.store.local.files import ABSENT, lock_file, os_errors_as_store_down, prune, rename, sync
from mezcal.store.local.free_space import EmergencyEviction
from mezcal.store.local.ownership import foreign_file, sidecar_of, sidecar_path
from mezcal.store.local.trash import remove
from mezcal.store.local.verify import sha256_of
from mezcal.store.local.walk import FolderWalk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from mezcal.store.local.store import LocalStore
    from mezcal.store.values import Sidecar

STATE = "trim.json"
ORIGIN = "origin.json"
DENIALS = "denials.json"
REMOVAL = "removal"  # nginx looks for it: mezcal/runtime/nginx/hits.conf


class LocalInventory:
    """The folders of *store*."""

    sidecars_per_walk = 20_000  # some seconds of a local disk

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        self.root = store.root
        self._state_file = store.locks.parent / STATE
        self._origin_file = store.locks.parent / ORIGIN
        self._denials_file = store.locks.parent / DENIALS
        self._removal_file = store.locks.parent / REMOVAL

    def walk(self, cursor: str = "") -> FolderWalk:
        """Returns a walk through the folders from *cursor* on."""
        return FolderWalk(self.root, cursor, self._store.names)

    def sidecar(self, item: InventoryItem) -> Sidecar | None:
        """Returns the sidecar of *item*, None if there is none that can be read."""
        return sidecar_of(self.root / item.image)

    def sha256(self, item: InventoryItem) -> str | None:
        """Returns the SHA-256 of the image of *item*, None if it is gone. This is no use of it."""
        return sha256_of(self.root / item.image)

    def owns(self, item: InventoryItem) -> bool:
        """Returns False if *item* is a file of another program. May read its sidecar."""
        return foreign_file(self.root, item.image) is None

    def evict(self, item: InventoryItem, before: float) -> int:
        """Move *item* to the trash; `empty_trash` removes it after PIN_SECONDS. Returns its bytes, or 0.

        Its time is read again under the publishing lock: a derivative that was published or used meanwhile stays.
        """
        return self._take(item, before, outright=False)

    def remove(self, item: InventoryItem, before: float) -> int:
        """Do the same as `evict`, but remove the derivative at once. Returns the bytes that this frees."""
        return self._take(item, before, outright=True)

    def _take(self, item: InventoryItem, before: float, *, outright: bool) -> int:
        own = item.image
        image = self.root / own
        with os_errors_as_store_down(), self._store.publishing(own):
            try:
                status = image.lstat()
                if max(status.st_atime, status.st_mtime) >= before or not self.owns(item):
                    return 0
                size = status.st_size + _size(sidecar_path(image))
                if outright:
                    remove(image)
                else:
                    self._store.trash.put(own, image)
            except ABSENT:
                return 0
            prune(image.parent, self.root)
        return max(size, 1)

    def remove_empty_image(self, item: InventoryItem) -> None:
        """Remove the image of *item* if it has no bytes: nginx would serve it."""
        image = self.root / item.image
        with os_errors_as_store_down(), self._store.publishing(item.image), suppress(*ABSENT):
            if not image.lstat().st_size and self.owns(item):  # nothing was published meanwhile
                image.unlink()

    def remove_empty_folder(self, folder: str) -> None:
        """Remove *folder* if it is empty, and was not just created to be filled."""
        path = self.root / folder
        with suppress(OSError):
            if folder and path.stat().st_mtime < time.time() - YOUNG_SECONDS:
                prune(path, self.root)

    def free_bytes(self) -> int:
        """Returns how many bytes the file system can still store."""
        return self._store.free_bytes()

    def make_free_space(self, needed: int) -> bool:
        """Free *needed* bytes, and some files. Returns True if writing is worth another attempt."""
        trash = self._store.trash
        with self._locked("free_space", wait=True), os_errors_as_store_down():
            return EmergencyEviction(self, trash).free(needed, time.time() - max(YOUNG_SECONDS, trash.seconds))

    def empty_trash(self, limit: int) -> int:
        """Remove up to *limit* files evicted more than PIN_SECONDS ago. Returns how many."""
        with os_errors_as_store_down():
            return self._store.trash.empty(limit)

    def exclusive(self, *, wait: bool) -> AbstractContextManager[bool]:
        """Hold the lock of all processes that trim this store, on every host."""
        return self._locked("trim", wait=wait)

    @contextmanager
    def _locked(self, name: str, *, wait: bool) -> Iterator[bool]:
        with os_errors_as_store_down():
            descriptor = lock_file(self._store.locks, name)
        try:
            yield _lock(descriptor, wait=wait)
        finally:
            os.close(descriptor)

    def load_state(self) -> bytes:
        """Returns what was saved last, empty if nothing was."""
        try:
            return self._state_file.read_bytes()
        except OSError:
            return b""

    def save_state(self, state: bytes) -> None:
        """Save *state*. On a full disk the old state stays."""
        with suppress(StoreDown), self._store.draft() as draft, os_errors_as_store_down():
            draft.write_bytes(state)
            rename(draft, self._state_file)

    def load_origin_note(self) -> bytes | None:
        """Returns the content of the origin note, None if there is none."""
        with os_errors_as_store_down(), suppress(*ABSENT):
            return self._origin_file.read_bytes()
        return None

    def save_origin_note(self, note: bytes, *, replace: bool) -> bool:
        """Save *note*. Returns False if there is one already, unless it is to be replaced."""
        with self._locked("origin", wait=True), self._store.draft() as draft, os_errors_as_store_down():
            if self._origin_file.exists() and not replace:
                return False
            draft.write_bytes(note)
            sync(draft)
            rename(draft, self._origin_file)
        return True

    def denials_version(self) -> tuple[int, int, int] | None:
        """Returns a value that differs after each change of the denials, None if there are none. Costs one `stat`."""
        with os_errors_as_store_down(), suppress(*ABSENT):
            status = self._denials_file.stat()
            return status.st_mtime_ns, status.st_ino, status.st_size
        return None

    def load_denials(self) -> bytes | None:
        """Returns the file of denials, None if there is none."""
        with os_errors_as_store_down(), suppress(*ABSENT):
            return self._denials_file.read_bytes()
        return None

    def change_denials(self, change: Callable[[bytes | None], bytes]) -> None:
        """Replace the file of denials by what *change* makes of it, under the lock of all processes on every host."""
        with self._locked("denials", wait=True), self._store.draft() as draft:
            content = change(self.load_denials())
            with os_errors_as_store_down():
                draft.write_bytes(content)
                sync(draft)
                rename(draft, self._denials_file)

    def begin_removal(self) -> str:
        """Note that what is denied is to be removed: nginx asks the API about each file meanwhile. Returns the note."""
        note = uuid4().hex
        with self._locked("denials", wait=True), self._store.draft() as draft, os_errors_as_store_down():
            draft.write_text(note)
            sync(draft)
            rename(draft, self._removal_file)
        return note

    def removal(self) -> str | None:
        """Returns the note, None if nothing is to be removed."""
        with os_errors_as_store_down(), suppress(*ABSENT):
            return self._removal_file.read_text()
        return None

    def end_removal(self, note: str) -> None:
        """Delete *note*, unless another removal has begun since."""
        with self._locked("denials", wait=True), os_errors_as_store_down():
            if self.removal() == note:
                self._removal_file.unlink()

    def removing(self) -> AbstractContextManager[bool]:
        """Hold the lock of all processes that remove what is denied. Its value is False if another one holds it."""
        return self._locked("removal", wait=False)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _lock(descriptor: int, *, wait: bool) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
