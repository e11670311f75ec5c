"""The objects of a bucket as housekeeping sees them.

S3 does not tell when an object was last read: what was written or found fresh least recently is evicted first.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, BinaryIO, cast
from uuid import uuid4

from mezcal.errors import StoreDown
from mezcal.store.inventory import InventoryItem
from mezcal.store.local.layout import OURS
from mezcal.store.s3.bucket import ObjectChanged, StoredObject
from mezcal.store.s3.object_metadata import is_own_object
from mezcal.store.s3.verify import ContentDigest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from mezcal.store.s3.store import S3Store
    from mezcal.store.values import Sidecar

STATE = f"{OURS}/trim.json"
LOCK = f"{OURS}/trim.lock"
ORIGIN = f"{OURS}/origin.json"
DENIALS = f"{OURS}/denials.json"
CHANGE_ATTEMPTS = 20
LOCK_SECONDS = 600.0  # an older lock was left by a dead process; two that trim at once only do the work twice
RETRY_SECONDS = 1.0


class S3InventoryWalk:
    """The derivatives of *store* after *cursor*, in the order of their names."""

    def __init__(self, store: S3Store, cursor: str) -> None:
        self._store = store
        self.cursor = cursor

    def __iter__(self) -> Iterator[InventoryItem]:
        """Yields one item after the other, a thousand for each request.

        An object's time is that of its last refresh, which is a copy onto itself: so it is the sidecar's time, too.
        """
        for entry in self._store.images(self.cursor):
            if not entry.size:
                continue
            self.cursor = entry.name
            folder, _, image = entry.name.rpartition("/")
            yield InventoryItem(
                folder,
                image,
                size=entry.size,
                last_used=entry.modified,
                sidecar_modified=entry.modified,
                modified=entry.modified,
            )
        self.cursor = ""


class S3Inventory:
    """The derivatives of *store* by their names."""

    sidecars_per_walk = 500  # thumbnails are old and need nothing, but each costs a request to know

    def __init__(self, store: S3Store) -> None:
        self._store = store
        self._bucket = store.bucket

    def walk(self, cursor: str = "") -> S3InventoryWalk:
        """Returns a walk through the derivatives from *cursor* on."""
        return S3InventoryWalk(self._store, cursor)

    def sidecar(self, item: InventoryItem) -> Sidecar | None:
        """Returns the sidecar of *item*, None if there is none."""
        return self._store.sidecar_at(str(item.image))

    def sha256(self, item: InventoryItem) -> str | None:
        """Returns the SHA-256 of the object of *item*, which is read whole; None if it is gone or was replaced."""
        found, content = self._bucket.head(str(item.image)), ContentDigest()
        if found is None:
            return None
        try:
            self._bucket.download(found.name, found.etag, None, cast("BinaryIO", content))
        except ObjectChanged:
            return None
        return content.hexdigest

    def evict(self, item: InventoryItem, before: float) -> int:
        """Mark *item* as evicted, unless it was written since *before*. Returns its bytes, or 0."""
        found = self._bucket.head(str(item.image))
        if found is None or found.modified >= before or not is_own_object(found):
            return 0
        return found.size if self._store.trash.put(found) else 0

    def empty_trash(self, limit: int) -> int:  # noqa: ARG002 - the protocol's
        """Do nothing: `S3Store.expire`, a chore, removes what was evicted. Returns 0."""
        return 0

    def remove_empty_folder(self, folder: str) -> None:
        """Do nothing: a bucket has no folders."""

    def free_bytes(self) -> None:
        """Returns None: a bucket has no limit."""
        return

    @contextmanager
    def exclusive(self, *, wait: bool) -> Iterator[bool]:
        """Hold an object that only one process can write, if the server supports conditional writes.

        It is free if it is empty, and never deleted: not every server would notice that another process holds it now.
        """
        etag = self._lock()
        while wait and not etag:
            time.sleep(RETRY_SECONDS)
            etag = self._lock()
        try:
            yield bool(etag)
        finally:
            if etag:
                with suppress(StoreDown):
                    self._write_lock(b"", StoredObject(LOCK, 0, 0, etag, {}))

    def _lock(self) -> str:
        """Take the lock. Returns its entity tag, "" if another process holds it."""
        found = self._bucket.head(LOCK)
        if found is not None and found.size and found.modified > time.time() - LOCK_SECONDS:
            return ""
        token = uuid4().hex.encode()
        return self._write_lock(token, found) or self._etag_of(token)

    def _etag_of(self, token: bytes) -> str:
        """Returns the entity tag of the lock if it holds *token*, else "".

        It does if the response to the first attempt was lost: the repeated one finds the lock changed.
        """
        found = self._bucket.head(LOCK) if self._bucket.read(LOCK) == token else None
        return found.etag if found else ""

    def _write_lock(self, holder: bytes, before: StoredObject | None) -> str:
        """Write the lock, unless it has changed since *before*. Returns its entity tag, "" if it has changed."""
        try:
            return self._bucket.put(LOCK, holder, self._store.capabilities().unchanged(before))
        except ObjectChanged:
            return ""

    def load_state(self) -> bytes:
        """Returns what was saved last, empty if nothing was."""
        return self._bucket.read(STATE) or b""

    def save_state(self, state: bytes) -> None:
        """Save *state*."""
        self._bucket.put(STATE, state)

    def load_origin_note(self) -> bytes | None:
        """Returns the content of the origin note, None if there is none."""
        return self._bucket.read(ORIGIN)

    def save_origin_note(self, note: bytes, *, replace: bool) -> bool:
        """Save *note*. Returns False if there is one already, unless it is to be replaced."""
        try:
            self._bucket.put(ORIGIN, note, {} if replace else self._store.capabilities().unchanged(None))
        except ObjectChanged:
            return False
        return True

    def denials_version(self) -> str | None:
        """Returns a value that differs after each change of the denials, None if there are none: one request."""
        found = self._bucket.head(DENIALS)
        return found.etag if found else None

    def load_denials(self) -> bytes | None:
        """Returns the object of denials, None if there is none."""
        return self._bucket.read(DENIALS)

    def change_denials(self, change: Callable[[bytes | None], bytes]) -> None:
        """Replace the object of denials by what *change* makes of it. Raises `StoreDown` if others always come first.

        A server without conditional writes may lose one of two changes in the same moment.
        """
        for _ in range(CHANGE_ATTEMPTS):
            found = self._bucket.head(DENIALS)
            content = change(self._bucket.read(DENIALS) if found else None)
            with suppress(ObjectChanged):
                self._bucket.put(DENIALS, content, self._store.capabilities().unchanged(found))
                return
        raise StoreDown("the denials are being changed by others all the time: try again")

    def begin_removal(self) -> None:
        """Returns None, and notes nothing: nginx serves no files of a bucket."""

    def removal(self) -> None:
        """Returns None: the queue alone knows what is to be removed."""

    def end_removal(self, note: str) -> None:
        """Do nothing."""

    def removing(self) -> AbstractContextManager[bool]:
        """Return what lets every process remove what is denied: two of them only do the work twice."""
        return nullcontext(enter_result=True)
