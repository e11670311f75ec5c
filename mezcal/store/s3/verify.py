"""Verifying a bucket: each image is read whole and compared with its own metadata."""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, cast

from mezcal.errors import StoreDown
from mezcal.store.housekeeping.verify import Defect, VerifiedItem, choose_sample, is_cut
from mezcal.store.local.layout import name_of
from mezcal.store.s3.bucket import ObjectChanged
from mezcal.store.s3.object_metadata import EVICTED, is_own_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mezcal.store.s3.bucket import StoredObject
    from mezcal.store.s3.store import S3Store

TRIAL_SECONDS = 3600.0  # a process tries the bucket's writes for a second: an older trial was left by a dead one


class S3Verifier:
    """Verifies *store*; with *mend*, removes defects. A bucket has no lone sidecars and no empty folders."""

    def __init__(self, store: S3Store, *, mend: bool = False) -> None:
        self._store = store
        self._bucket = store.bucket
        self._mend = mend

    def verify(self, sample: int | None = None) -> Iterator[VerifiedItem]:
        """Yields each image, or *sample* of them chosen at random, and what dead processes left."""
        images: Iterable[StoredObject] = self._store.images()
        for image in images if sample is None else choose_sample(images, sample):
            verified = self._verify(image.name)
            if verified is not None:
                yield verified
        for trial in self._store.trials():
            if trial.modified < time.time() - TRIAL_SECONDS:
                yield VerifiedItem(trial.name, Defect.DEAD_DRAFT, self._remove(trial))

    def _verify(self, name: str) -> VerifiedItem | None:
        """Returns the finding about the image *name*, None if it is gone or was published again meanwhile."""
        found = self._bucket.head(name)
        if found is None or (EVICTED in found.metadata and not found.size):  # the latter was taken back
            return None
        if not is_own_object(found):
            return None
        try:
            defect = self._defect(found)
        except ObjectChanged:
            return None
        return VerifiedItem(
            name_of(PurePosixPath(name)),
            defect,
            defect is not None and defect is not Defect.UNREADABLE_IMAGE and self._remove(found),
            without_sidecar=defect is None and "sha256" not in found.metadata,
            bytes=found.size,
        )

    def _defect(self, found: StoredObject) -> Defect | None:
        if not found.size:
            return Defect.EMPTY
        content = ContentDigest()
        try:
            self._bucket.download(found.name, found.etag, None, cast("BinaryIO", content))
        except StoreDown:
            self._bucket.head(found.name)  # raises if the store fails, and not only this object
            return Defect.UNREADABLE_IMAGE
        if is_cut(found.name, content.ends):
            return Defect.CUT
        expected = (found.metadata.get("sha256", content.hexdigest), found.metadata.get("size", str(found.size)))
        return None if expected == (content.hexdigest, str(found.size)) else Defect.CHANGED

    def _remove(self, found: StoredObject) -> bool:
        """Remove *found* if mending, and if nothing was published meanwhile. Returns True if it was removed."""
        with suppress(ObjectChanged):
            if self._mend:
                self._store.trash.remove(found)
                return True
        return False


class ContentDigest:
    """A file that keeps of its content only the SHA-256 and the first and last two bytes."""

    def __init__(self) -> None:
        self.truncate()

    def seek(self, _offset: int) -> int:
        """Go to the start, the only place to which a download seeks."""
        return 0

    def truncate(self) -> int:
        """Start again, as a second attempt of a download does."""
        self._digest = hashlib.sha256()
        self.ends = (b"", b"")
        return 0

    def write(self, data: bytes) -> int:
        """Add *data*."""
        self._digest.update(data)
        first, last = self.ends
        self.ends = ((first + data[:2])[:2], (last + data[-2:])[-2:])
        return len(data)

    @property
    def hexdigest(self) -> str:
        """The SHA-256 of what was written."""
        return self._digest.hexdigest()
