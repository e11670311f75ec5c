"""Publishing without a lock: no writer that was superseded replaces what came after it.

A worker may stand still between asking whether the job is still its own and the moment at which its object appears. So
it looks first, asks then, and writes on the condition that nothing has changed since it looked. Whoever took the job
over either published before the look, and then the question says so, or after it, and then the condition fails. A
deletion leaves no object to compare with: so the question is asked once more afterwards, and answered by taking back.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from mezcal.errors import StoreDown, Superseded
from mezcal.store.s3.bucket import Changed
from mezcal.store.s3.metadata import number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mezcal.store.s3.bucket import Bucket, Object
    from mezcal.store.values import Sidecar

TRIES = 10


def publish(  # noqa: PLR0913 - all that publishing is about
    bucket: Bucket,
    name: str,
    draft: Path,
    sidecar: Sidecar,
    headers: Mapping[str, str],
    guard: Callable[[], None],
    *,
    conditional: bool,
) -> None:
    """Write *draft* as *name*, unless *guard* raises `Superseded`; without *conditional* writes only nearly so."""
    for _ in range(TRIES):
        before = bucket.head(name)
        guard()
        if not _is(before, sidecar):  # else the answer to the last try was lost
            try:
                condition = unchanged(before) if conditional else {}
                bucket.put_file(name, draft, sidecar.sha256, headers, condition)
            except Changed:
                continue
        _confirm(bucket, name, sidecar, guard)
        return
    raise StoreDown("the object changes as fast as it is written")


def unchanged(before: Object | None) -> dict[str, str]:
    """The condition that nothing was written since *before* was seen."""
    return {"if-match": before.tag} if before else {"if-none-match": "*"}


def _confirm(bucket: Bucket, name: str, sidecar: Sidecar, guard: Callable[[], None]) -> None:
    try:
        guard()
    except Superseded:
        now = bucket.head(name)
        if now is not None and _is(now, sidecar):
            with suppress(Changed):
                bucket.delete(name, now.tag)
        raise


def _is(found: Object | None, sidecar: Sidecar) -> bool:
    return found is not None and number(found.headers, "made") == sidecar.made and found.size == sidecar.size
