"""A derivative in a bucket, held by its name: its bytes are fetched when, and as far as, they are needed."""

from __future__ import annotations

import os
import tempfile
from io import RawIOBase
from typing import TYPE_CHECKING, BinaryIO, cast

from mezcal.errors import StoreDown
from mezcal.store.s3.bucket import ObjectChanged
from mezcal.store.values import Replaced

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mezcal.store.s3.bucket import Bucket, StoredObject
    from mezcal.store.values import Opened

MEMORY_MAX = 1 << 20  # bytes up to which an image is fetched into memory, not to a disk


class S3File(RawIOBase):
    """Reads like the file it describes; see `RemoteDerivative` for the rest.

    The bytes arrive completely, in a file without a name, before any is sent: no client gets half an image from
    a store that fails midway, no slow client holds a connection to the store, and the kernel can send the file.
    """

    def __init__(self, bucket: Bucket, found: StoredObject, scratch: Path, reopen: Callable[[], Opened | None]) -> None:
        super().__init__()
        self._bucket = bucket
        self._found = found
        self._scratch = scratch
        self._whole: BinaryIO | None = None
        self.reopen = reopen

    @property
    def sha256(self) -> str | None:
        """The SHA-256 in the object's metadata, None if it is not one of ours."""
        return self._found.metadata.get("sha256")

    def fetch(self, span: tuple[int, int] | None = None) -> BinaryIO:
        """Fetch the bytes, or those from the first to the last of *span*, into a file. Raises `Replaced`."""
        file = self._create(self._found.size if span is None else span[1] - span[0] + 1)
        try:
            self._bucket.download(self._found.name, self._found.etag, span, file)
        except ObjectChanged as error:
            file.close()
            raise Replaced from error
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return file

    def _create(self, size: int) -> BinaryIO:
        if size <= MEMORY_MAX and hasattr(os, "memfd_create"):
            return os.fdopen(os.memfd_create("derivative"), "w+b", buffering=0)
        try:
            self._scratch.mkdir(parents=True, exist_ok=True)
            return cast("BinaryIO", tempfile.TemporaryFile(dir=self._scratch, buffering=0))
        except OSError as error:
            raise StoreDown(f"the scratch folder cannot be written: {error.strerror}") from error

    def presigned_url(self, method: str, since: float, seconds: int) -> str:
        """Returns a URL that allows anyone to do *method*, GET or HEAD, for *seconds* from *since* on."""
        return self._bucket.presigned_url(self._found.name, method, since, seconds)

    def readable(self) -> bool:
        """Returns True."""
        return True

    def readinto(self, buffer: object, /) -> int:
        """Read on, after fetching all at the first call."""
        if self._whole is None:
            self._whole = self.fetch()
        return self._whole.readinto(buffer)  # type: ignore[attr-defined, no-any-return]  # it is a raw file

    def close(self) -> None:
        """Release what reading has fetched."""
        if self._whole is not None:
            self._whole.close()
        super().close()
