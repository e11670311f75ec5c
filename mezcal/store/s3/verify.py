"""Whether the images of a bucket are what was made: each is read whole, and compared with its own metadata."""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, cast

from mezcal.errors import StoreDown
from mezcal.store.housekeeping.verify import END, START, Fault, Judged, chosen
from mezcal.store.local.layout import IMAGE
from mezcal.store.s3.bucket import ObjectChanged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mezcal.store.s3.bucket import StoredObject
    from mezcal.store.s3.store import S3Store

TRIED_SECONDS = 3600.0  # a process tries the bucket's writes for a second: whatever is older was left by a dead one


class VerifyBucket:
    """As `verify.Verify`, for *store*. There is no sidecar to be alone, and no folder to be empty."""

    def __init__(self, store: S3Store, *, mend: bool = False) -> None:
        self._store = store
        self._bucket = store.bucket
        self._mend = mend

    def all(self, sample: int | None = None) -> Iterator[Judged]:
        """Each image, or *sample* of them chosen at random, and what dead processes left. Raises `StoreDown`."""
        found: Iterable[StoredObject] = self._store.images()
        for one in found if sample is None else chosen(found, sample):
            judged = self._judged(one.name)
            if judged is not None:
                yield judged
        for left in self._store.trials():
            if left.modified < time.time() - TRIED_SECONDS:
                yield Judged(left.name, Fault.SCRATCH, self._removed(left))

    def _judged(self, name: str) -> Judged | None:
        """What is wrong with the image *name*; None if it is gone, or published anew, meanwhile."""
        found = self._bucket.head(name)
        if found is None:
            return None
        try:
            fault = self._fault(found)
        except ObjectChanged:
            return None
        bare = "sha256" not in found.metadata
        return Judged(
            name.removesuffix(f"/{IMAGE}"),
            fault,
            fault is not None and fault is not Fault.REFUSED and self._removed(found),
            bare=fault is None and bare,
            bytes=found.size,
        )

    def _fault(self, found: StoredObject) -> Fault | None:
        if not found.size:
            return Fault.EMPTY
        read = Digest()
        try:
            self._bucket.download(found.name, found.etag, None, cast("BinaryIO", read))
        except StoreDown:
            self._bucket.head(found.name)  # raises if it is the store that fails, and not this object
            return Fault.REFUSED
        if read.ends != (START, END):
            return Fault.CUT
        told = found.metadata.get("sha256", read.hexdigest)
        size = found.metadata.get("size", str(found.size))
        return None if (told, size) == (read.hexdigest, str(found.size)) else Fault.CHANGED

    def _removed(self, found: StoredObject) -> bool:
        """Remove *found*, where that is wished and nothing was published meanwhile; whether it was."""
        with suppress(ObjectChanged):
            if self._mend:
                self._bucket.delete(found.name, found.etag)
                return True
        return False


class Digest:
    """Takes an object's bytes and keeps none of them but the first and the last two."""

    def __init__(self) -> None:
        self.truncate()

    def seek(self, _offset: int) -> int:
        """To the beginning: nothing else is asked for."""
        return 0

    def truncate(self) -> int:
        """Begin anew, as another try does."""
        self._digest = hashlib.sha256()
        self._size = 0
        self.ends = (b"", b"")
        return 0

    def write(self, data: bytes) -> int:
        """Take *data*."""
        self._digest.update(data)
        self._size += len(data)
        first, last = self.ends
        self.ends = ((first + data[:2])[:2], (last + data[-2:])[-2:])
        return len(data)

    def tell(self) -> int:
        """Bytes taken."""
        return self._size

    @property
    def hexdigest(self) -> str:
        """The SHA-256 of what was taken."""
        return self._digest.hexdigest()
