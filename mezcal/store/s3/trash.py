"""Evicting in two steps, because S3 renames nothing: a mark in the object's metadata, and its removal later.

A HEAD shows the mark, so that a hit within PIN_SECONDS removes it. A URL that was given out works meanwhile. An empty
object under `.mezcal/evicted/` says which objects to look at later.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING

from mezcal.errors import StoreDown
from mezcal.store.local.layout import OURS
from mezcal.store.s3.bucket import Bucket, Fields, ObjectChanged
from mezcal.store.s3.object_metadata import EVICTED

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.store.s3.bucket import StoredObject
    from mezcal.store.s3.capabilities import Capabilities

log = logging.getLogger(__name__)

EVICTIONS = f"{OURS}/evicted/"
EMPTYING_SECONDS = 45.0  # less than the time until the next such chore; enough for some thousand objects


class BucketTrash:
    """The evicted objects of *bucket*. *fields* returns the headers of an object, which a copy would lose.

    *capabilities* returns what the server supports.
    """

    def __init__(
        self, bucket: Bucket, fields: Callable[[str], Fields], capabilities: Callable[[], Capabilities]
    ) -> None:
        self._bucket = bucket
        self._fields = fields
        self._capabilities = capabilities

    def put(self, found: StoredObject) -> bool:
        """Mark *found* as evicted. Returns False if it was marked already, or published again meanwhile.

        The list entry is written before the mark, and again if there is a mark: `empty` may just have removed it.
        """
        self._list(found)
        if EVICTED in found.metadata:
            return False
        return self._mark(found, {**found.metadata, EVICTED: repr(time.time())})

    def _list(self, found: StoredObject) -> None:
        self._bucket.put(EVICTIONS + sha256(found.name.encode()).hexdigest(), found.name.encode())

    def take_back(self, found: StoredObject) -> None:
        """Remove *found*, which was published after its lease was lost. Raises `ObjectChanged` if a newer one is there.

        The newer one may be written at this very moment. A server that would not notice that gets an empty object in
        its place, by a conditional write: it counts as missing, and `empty` removes it later.
        """
        can = self._capabilities()
        if can.deletes or not can.writes:
            self.remove(found)
            return
        self._list(found)
        mark = {EVICTED: repr(time.time())}
        self._bucket.put(found.name, b"", {"CacheControl": "no-store", "Metadata": mark, **can.unchanged(found)})

    def remove(self, found: StoredObject) -> None:
        """Remove *found*. Raises `ObjectChanged` if something was published since.

        If the server supports no conditional deletions, that is looked at just before: a request may come between.
        """
        if self._capabilities().deletes:
            self._bucket.delete_if(found.name, found.etag)
            return
        now = self._bucket.head(found.name)
        if now is not None and now.etag != found.etag:
            raise ObjectChanged
        self._bucket.delete(found.name)

    def restore(self, found: StoredObject) -> StoredObject | None:
        """Remove the mark from *found*. Returns the object as it is now; it is served even if the mark cannot go."""
        try:
            self._mark(found, {name: value for name, value in found.metadata.items() if name != EVICTED})
        except StoreDown as error:
            log.warning("an evicted derivative cannot be kept: %s", error.detail)
            return found
        return self._bucket.head(found.name)

    def _mark(self, found: StoredObject, metadata: dict[str, str]) -> bool:
        try:
            self.replace_metadata(found, metadata, {})
        except ObjectChanged:
            return False
        return True

    def replace_metadata(self, found: StoredObject, metadata: dict[str, str], condition: Fields) -> None:
        """Give *found* other *metadata*. Raises `ObjectChanged` if another object was published meanwhile.

        A server that would not notice that may have given the metadata to the newer one: it is taken back then.
        """
        self._bucket.replace_metadata(found, {**self._fields(found.name), "Metadata": metadata}, condition)
        if self._capabilities().copies:
            return
        now = self._bucket.head(found.name)
        if now is not None and now.metadata.get("made") == metadata.get("made") and not _same_bytes(now, found):
            self.take_back(now)
            raise ObjectChanged

    def empty(self, before: float, seconds: float = EMPTYING_SECONDS) -> int:
        """Remove the objects marked before *before* and still marked, for at most *seconds*. Returns how many."""
        removed, ends = 0, time.monotonic() + seconds
        for entry in self._bucket.list(EVICTIONS):
            if time.monotonic() > ends:
                break
            if entry.modified > before:
                continue
            name = (self._bucket.read(entry.name) or b"").decode()
            found = self._bucket.head(name) if name else None
            if found is not None and EVICTED in found.metadata:
                with suppress(ObjectChanged):
                    self.remove(found)
                    removed += 1
            self._bucket.delete(entry.name)
        return removed


def _same_bytes(one: StoredObject, other: StoredObject) -> bool:
    """Returns False if two objects have other bytes. The tag of one sent in parts says nothing after a copy."""
    parts = "-" in one.etag + other.etag
    return one.size == other.size and (parts or one.etag == other.etag)
