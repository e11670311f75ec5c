"""Evicting in two steps, for S3 renames nothing: a mark in the object's metadata, and its removal later.

A HEAD sees the mark, so that a hit within PIN_SECONDS takes it away again; a URL that was given out works meanwhile.
Beside it an empty-handed note under `.mezcal/evicted/` says which objects to look at later.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING

from mezcal.errors import StoreDown
from mezcal.store.local.layout import OURS
from mezcal.store.s3.bucket import Changed
from mezcal.store.s3.metadata import EVICTED, META

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mezcal.store.s3.bucket import Bucket, Object

log = logging.getLogger(__name__)

EVICTIONS = f"{OURS}/evicted/"
CLEARED_WITHIN = 45.0  # seconds: less than until the next such chore; some thousand objects


def put_aside(bucket: Bucket, found: Object, kept: Mapping[str, str]) -> bool:
    """Mark *found*; whether that was new. *kept* are the headers that a copy would lose.

    The note comes first, and again where there is a mark: it may have been removed just before that was set.
    """
    bucket.put(EVICTIONS + sha256(found.name.encode()).hexdigest(), found.name.encode())
    if EVICTED in found.headers:
        return False
    try:
        bucket.note(found, {**kept, **_metadata(found), EVICTED: repr(time.time())}, {})
    except Changed:  # published anew at this very moment
        return False
    return True


def bring_back(bucket: Bucket, found: Object, kept: Mapping[str, str]) -> Object | None:
    """Take the mark from *found*; where that cannot be, it can be had as long as it is there."""
    headers = _metadata(found)
    del headers[EVICTED]
    try:
        bucket.note(found, {**kept, **headers}, {})
    except Changed:
        return bucket.head(found.name)
    except StoreDown as error:
        log.warning("an evicted derivative cannot be kept: %s", error.detail)
        return found
    return bucket.head(found.name)


def remove_aside(bucket: Bucket, before: float, seconds: float = CLEARED_WITHIN) -> int:
    """Remove what was marked before the moment *before* and is marked still, for *seconds* at most; how many."""
    removed, ends = 0, time.monotonic() + seconds
    for note in bucket.listed(EVICTIONS):
        if time.monotonic() > ends:
            break
        if note.modified > before:
            continue
        name = (bucket.read(note.name) or b"").decode()
        found = bucket.head(name) if name else None
        if found is not None and EVICTED in found.headers:
            with suppress(Changed):
                bucket.delete(name, found.tag)
                removed += 1
        bucket.delete(note.name)
    return removed


def _metadata(found: Object) -> dict[str, str]:
    return {name: value for name, value in found.headers.items() if name.startswith(META)}
