"""Whether a server honours conditional writes: some refuse them, and some take no notice, which is worse."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from mezcal.store.s3.bucket import Changed, Unconditional

if TYPE_CHECKING:
    from mezcal.store.s3.bucket import Bucket

log = logging.getLogger(__name__)

CONDITIONS = ({"if-none-match": "*"}, {"if-match": '"00000000000000000000000000000000"'})


def knows_conditions(bucket: Bucket, name: str) -> bool:
    """Write *name*, write it on conditions that do not hold, remove it. Raises `StoreDown` if it cannot be written."""
    bucket.put(name, b"")
    try:
        for condition in CONDITIONS:
            with suppress(Changed):
                bucket.put(name, b"", condition)
                return _told()
    except Unconditional:
        return _told()
    finally:
        bucket.delete(name)
    return True


def _told() -> bool:
    log.warning("the object store knows no conditional writes: a stalled writer may be noticed only afterwards")
    return False
