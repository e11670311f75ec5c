"""Publishing without a lock: conditional writes, and the detection of servers that do not support them.

A worker can stop at any moment, also between confirming its lease and the moment at which its object appears. So it
looks at the object, confirms the lease, and writes on the condition that the object has not changed since. Another
worker that took over the job either published before the look, and then the lease is lost, or after it, and then the
condition fails. A deletion leaves no object to compare with: so the lease is confirmed once more after the write, and
the object is removed again if the lease was lost.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mezcal.errors import StoreDown, Superseded
from mezcal.store.s3.bucket import Bucket, ConditionsNotSupported, Fields, ObjectChanged
from mezcal.store.s3.object_metadata import number

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mezcal.store.s3.bucket import StoredObject
    from mezcal.store.values import Sidecar

log = logging.getLogger(__name__)

ATTEMPTS = 10
FALSE_CONDITIONS: tuple[Fields, ...] = ({"IfNoneMatch": "*"}, {"IfMatch": '"00000000000000000000000000000000"'})


def supports_conditions(bucket: Bucket, name: str) -> bool:
    """Returns True if the server honours conditional writes: some servers refuse them, some silently ignore them.

    Writes the object *name*, writes it again on conditions that do not hold, and removes it. Raises `StoreDown`.
    """
    bucket.put(name, b"")
    try:
        supported = all(_refused(bucket, name, condition) for condition in FALSE_CONDITIONS)
    except ConditionsNotSupported:
        supported = False
    finally:
        bucket.delete(name)
    if not supported:
        log.warning("the object store supports no conditional writes: a stalled writer may be noticed only afterwards")
    return supported


def _refused(bucket: Bucket, name: str, condition: Fields) -> bool:
    try:
        bucket.put(name, b"", condition)
    except ObjectChanged:
        return True
    return False


def unchanged(before: StoredObject | None) -> Fields:
    """Returns the condition that nothing was written since *before* was seen."""
    return {"IfMatch": before.etag} if before else {"IfNoneMatch": "*"}


@dataclass(frozen=True, slots=True)
class Publication:
    """One derivative on its way to the object *name*: the file *draft*, its *sidecar*, the object's *fields*.

    *conditional* says whether the server supports conditional writes. *guard* raises `Superseded` if the lease is lost.
    """

    bucket: Bucket
    name: str
    draft: Path
    sidecar: Sidecar
    fields: Fields
    guard: Callable[[], None]
    conditional: bool

    def publish(self) -> None:
        """Write the object, unless *guard* raises `Superseded`. Without conditional writes a moment is unguarded."""
        for _ in range(ATTEMPTS):
            before = self.bucket.head(self.name)
            self.guard()
            if not self._is_ours(before):  # it is if the response to the last attempt was lost
                try:
                    condition = unchanged(before) if self.conditional else {}
                    self.bucket.put_file(self.name, self.draft, self.fields, condition)
                except ObjectChanged:
                    continue
            self._confirm()
            return
        raise StoreDown("the object changes as fast as it is written")

    def _confirm(self) -> None:
        """Confirm the lease after the write. Removes what was written if the lease was lost."""
        try:
            self.guard()
        except Superseded:
            now = self.bucket.head(self.name)
            if now is not None and self._is_ours(now):
                with suppress(ObjectChanged):
                    self.bucket.delete(self.name, now.etag)
            raise

    def _is_ours(self, found: StoredObject | None) -> bool:
        if found is None or found.size != self.sidecar.size:
            return False
        return number(found.metadata, "made") == self.sidecar.made
