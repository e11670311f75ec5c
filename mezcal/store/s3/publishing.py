"""Publishing without a lock: by conditional writes, as far as the server supports them.

A worker can stop at any moment, also between confirming its lease and the moment at which its object appears. So it
looks at the object, confirms the lease, and writes on the condition that the object has not changed since. Another
worker that took over the job either published before the look, and then the lease is lost, or after it, and then the
condition fails. A deletion leaves no object to compare with: so the lease is confirmed once more after the write, and
the object is removed again if the lease was lost.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mezcal.errors import StoreDown, Superseded
from mezcal.store.s3.bucket import ObjectChanged
from mezcal.store.s3.object_metadata import is_own_object, number

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mezcal.store.s3.bucket import Bucket, Fields, StoredObject
    from mezcal.store.s3.capabilities import Capabilities
    from mezcal.store.s3.trash import BucketTrash
    from mezcal.store.values import Sidecar

ATTEMPTS = 10
FOREIGN_HINT = "move it away, or give the profile another name"


@dataclass(frozen=True, slots=True)
class Publication:
    """One derivative on its way to the object *name*: the file *draft*, its *sidecar*, the object's *fields*.

    *capabilities* says what the server supports. *guard* raises `Superseded` if the lease is lost.
    """

    bucket: Bucket
    trash: BucketTrash
    name: str
    draft: Path
    sidecar: Sidecar
    fields: Fields
    guard: Callable[[], None]
    capabilities: Capabilities

    def publish(self) -> None:
        """Write the object, unless *guard* raises `Superseded`. Without conditional writes a moment is unguarded."""
        for _ in range(ATTEMPTS):
            before = self.bucket.head(self.name)
            self.guard()
            if before is not None and not is_own_object(before):
                raise StoreDown(f"{before.name} in the bucket is another program's object", FOREIGN_HINT)
            if not self._is_ours(before):  # it is if the response to the last attempt was lost
                try:
                    self.bucket.put_file(self.name, self.draft, self.fields, self.capabilities.unchanged(before))
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
                    self.trash.take_back(now)
            raise

    def _is_ours(self, found: StoredObject | None) -> bool:
        if found is None or found.size != self.sidecar.size:
            return False
        return number(found.metadata, "made") == self.sidecar.made
