"""What in a listing belongs to another installation, which has a prefix below ours in the same bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mezcal.store.local.layout import OURS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mezcal.store.s3.bucket import Bucket, Object

CHECK = f"{OURS}/check"  # every living installation has written it, and no image's name ends so


def without_others(bucket: Bucket, listed: Iterable[Object], after: str) -> Iterator[Object]:
    """The objects *listed* behind the name *after*, less those of other installations.

    In the order of names an installation's own folder comes before all its images but those whose path begins with
    a character that comes before the full stop.
    """
    other = _around(bucket, after)
    for found in listed:
        if other and found.name.startswith(other):
            continue
        if f"/{OURS}/" in found.name:
            other = _around(bucket, found.name)
        if not (other and found.name.startswith(other)):
            yield found


def _around(bucket: Bucket, name: str) -> str:
    """The prefix of the other installation that *name* belongs to, "" if it is ours."""
    folders = (name[: place + 1] for place, character in enumerate(name) if character == "/")
    return next((folder for folder in folders if bucket.head(folder + CHECK)), "")
