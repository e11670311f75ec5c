"""A bucket as whoever keeps the store within its bounds sees it.

Nobody can say when an object was last read: what was written or found fresh least lately goes first.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from mezcal.errors import StoreDown
from mezcal.store.local.layout import IMAGE, OURS
from mezcal.store.local.walk import Found
from mezcal.store.s3.bucket import ConditionsNotSupported, ObjectChanged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.store.s3.store import S3Store

NOTES = f"{OURS}/trim.json"
LOCK = f"{OURS}/trim.lock"
LOCKED_SECONDS = 600.0  # after which who trims is taken for dead; two at once do no harm but work twice
AGAIN_SECONDS = 1.0


class S3Steps:
    """The derivatives behind *cursor*, in the order of their names."""

    def __init__(self, store: S3Store, cursor: str) -> None:
        self._store = store
        self.cursor = cursor

    def __iter__(self) -> Iterator[Found]:
        """One after the other, a thousand for each request."""
        for entry in self._store.entries(self.cursor):
            self.cursor = entry.name
            folder = entry.name.removesuffix(f"/{IMAGE}")
            yield Found(folder, entry.size, entry.modified, noted=entry.modified)
        self.cursor = ""


class S3Inventory:
    """The derivatives of *store* by their names."""

    def __init__(self, store: S3Store) -> None:
        self._store = store
        self._bucket = store.bucket

    def walk(self, cursor: str = "") -> S3Steps:
        """All there is, from *cursor* on."""
        return S3Steps(self._store, cursor)

    def evict(self, found: Found, before: float) -> int:
        """Mark what was *found*, unless it was written since *before*; its bytes, or 0."""
        name = f"{found.folder}/{IMAGE}"
        now = self._bucket.head(name)
        if now is None or now.modified >= before:
            return 0
        return now.size if self._store.trash.put(now) else 0

    def clear(self, most: int) -> int:  # noqa: ARG002 - it takes requests, so seconds are its bound
        """Nothing: what was put aside is removed by `expire`, which is a chore of its own."""
        return 0

    def tidy(self, folder: str) -> None:
        """Nothing: a bucket has no folders."""

    def free_bytes(self) -> None:
        """None: a bucket has no end that could be asked for."""
        return

    @contextmanager
    def alone(self, *, wait: bool) -> Iterator[bool]:
        """Hold an object that only one can make, as far as the server knows conditional writes."""
        held = self._hold()
        while wait and not held:
            time.sleep(AGAIN_SECONDS)
            held = self._hold()
        try:
            yield bool(held)
        finally:
            if held:
                with suppress(ObjectChanged, StoreDown):
                    self._bucket.delete(LOCK, held)

    def _hold(self) -> str:
        """The lock's tag, "" if another holds it."""
        found = self._bucket.head(LOCK)
        if found is not None and found.modified < time.time() - LOCKED_SECONDS:
            with suppress(ObjectChanged):
                self._bucket.delete(LOCK, found.etag)
        try:
            who = repr(time.time_ns()).encode()
            return self._bucket.put(LOCK, who, {"IfNoneMatch": "*"} if self._store.conditional else {})
        except (ObjectChanged, ConditionsNotSupported):
            return ""

    def notes(self) -> bytes:
        """What was noted last; empty if nothing was."""
        return self._bucket.read(NOTES) or b""

    def note(self, notes: bytes) -> None:
        """Keep *notes*."""
        self._bucket.put(NOTES, notes)
