"""Which conditions a server honours: each process tries them once, because some servers refuse or ignore them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mezcal.errors import StoreDown
from mezcal.store.protocols import ServerFeature
from mezcal.store.s3.bucket import Bucket, Fields, NotSupported, ObjectChanged, StoredObject

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

OTHER_TAG = '"00000000000000000000000000000000"'
FALSE_CONDITIONS: tuple[Fields, ...] = ({"IfNoneMatch": "*"}, {"IfMatch": OTHER_TAG})


@dataclass(frozen=True, slots=True)
class Capabilities:
    """*writes*: PUT honours If-None-Match and If-Match, the latter with *bare_tags* only without the quotes of the tag.

    *copies*: a copy honours the condition on its source. *deletes*: DELETE honours If-Match.
    """

    writes: bool
    bare_tags: bool
    copies: bool
    deletes: bool

    def unchanged(self, before: StoredObject | None) -> Fields:
        """Returns the condition of a write that nothing was written since *before* was seen, if the server has any."""
        if not self.writes:
            return {}
        if before is None:
            return {"IfNoneMatch": "*"}
        return {"IfMatch": before.etag.strip('"') if self.bare_tags else before.etag}


def probe(bucket: Bucket, name: str) -> Capabilities:
    """Try with the object *name* which conditions the server honours. It is removed at the end. Raises `StoreDown`."""
    etag = bucket.put(name, b"")
    try:
        refuses = all(_refused(bucket.put, name, b"", false) for false in FALSE_CONDITIONS)
        quoted = refuses and not _refused(bucket.put, name, b"", {"IfMatch": etag})
        bare = refuses and not quoted and not _refused(bucket.put, name, b"", {"IfMatch": etag.strip('"')})
        other = StoredObject(name, 0, 0, OTHER_TAG, {})
        copies = _refused(bucket.replace_metadata, other, {}, {})
        found = Capabilities(quoted or bare, bare, copies, _refused(bucket.delete_if, name, OTHER_TAG))
    finally:
        bucket.delete(name)
    _report(found)
    return found


def features(can: Capabilities) -> list[ServerFeature]:
    """Returns what an operator wants to know of a server that *can* do so much."""
    if can.writes:
        tags = ", tags without quotes" if can.bare_tags else ""
        writes = ServerFeature("writes", f"conditional (If-None-Match, If-Match{tags})")
    else:
        hint = "a stalled worker may show an older image briefly; a newer version of the server may know them"
        writes = ServerFeature("writes", "the object store ignores or refuses conditions on writes", hint)
    if can.deletes:
        return [writes, ServerFeature("deletes", "conditional (If-Match)")]
    return [writes, ServerFeature("deletes", "without conditions: an object is looked at just before it is removed")]


def uploads_feature(bucket: Bucket) -> ServerFeature:
    """Returns whether incomplete multipart uploads can be found. Raises `StoreDown`."""
    try:
        bucket.abort_uploads(before=0, is_ours=lambda _name: False)
    except NotSupported:
        hint = "set a lifecycle rule of the bucket that aborts them after a day"
        return ServerFeature("uploads", "the object store does not list incomplete multipart uploads", hint)
    except StoreDown as failure:
        if failure.may_pass:
            raise
        return ServerFeature("uploads", failure.reason, failure.hint)
    return ServerFeature("uploads", "incomplete multipart uploads are listed")


def _refused(request: Callable[..., object], *arguments: object) -> bool:
    """Returns True if *request* is refused because its condition does not hold."""
    try:
        request(*arguments)
    except ObjectChanged:
        return True
    except NotSupported:
        return False
    return False


def _report(found: Capabilities) -> None:
    if not found.writes:
        log.warning("the object store supports no conditional writes: a stalled writer may be noticed only afterwards")
    elif not found.deletes:
        log.info("the object store supports no conditional deletions: an object is looked at just before it is removed")
