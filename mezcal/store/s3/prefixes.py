"""Leaving out of a listing what belongs to another installation, with a prefix below ours in the same bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mezcal.store.local.layout import OURS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mezcal.store.s3.bucket import Bucket, StoredObject

CHECK = f"{OURS}/check"  # every running installation has written it, and no image's name ends so


def without_others(bucket: Bucket, listed: Iterable[StoredObject], after: str) -> Iterator[StoredObject]:
    """Yields the objects *listed* after the name *after*, without those of other installations.

    In the order of names, an installation's own folder comes before its images, except those whose path begins with
    a character that sorts before the full stop.
    """
    other = _other_prefix(bucket, after)
    for found in listed:
        if other and found.name.startswith(other):
            continue
        if f"/{OURS}/" in found.name:
            other = _other_prefix(bucket, found.name)
        if not (other and found.name.startswith(other)):
            yield found


def _other_prefix(bucket: Bucket, name: str) -> str:
    """Returns the prefix of the other installation that *name* belongs to, "" if it is ours."""
    folders = (name[: place + 1] for place, character in enumerate(name) if character == "/")
    return next((folder for folder in folders if bucket.head(folder + CHECK)), "")
