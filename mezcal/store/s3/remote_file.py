"""A derivative at the object store, held by its name: fetched when, and as far as, somebody wants its bytes."""

from __future__ import annotations

import os
import tempfile
from io import RawIOBase
from typing import TYPE_CHECKING, BinaryIO, cast

from mezcal.errors import StoreDown
from mezcal.store.s3.bucket import ObjectChanged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mezcal.store.s3.bucket import Bucket, StoredObject
    from mezcal.store.values import Opened

IN_MEMORY = 1 << 20  # bytes up to which no disk is written


class Replaced(Exception):
    """Another derivative was published, or this one deleted, since it was opened."""


class Distant(RawIOBase):
    """Reads like the file it describes; `bring` and `link` are for those who can do with less.

    What is brought comes whole, into a file without a name, before anything is sent on: nobody gets half an image
    from a store that fails midway, no slow client holds a connection there, and the kernel can send it.
    """

    def __init__(self, bucket: Bucket, found: StoredObject, scratch: Path, again: Callable[[], Opened | None]) -> None:
        super().__init__()
        self._bucket = bucket
        self._found = found
        self._scratch = scratch
        self._whole: BinaryIO | None = None
        self.again = again

    def bring(self, span: tuple[int, int] | None = None) -> BinaryIO:
        """A file of the bytes, or of those from the first to the last of *span*. Raises `Replaced`."""
        file = self._empty(self._found.size if span is None else span[1] - span[0] + 1)
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

    def _empty(self, size: int) -> BinaryIO:
        if size <= IN_MEMORY and hasattr(os, "memfd_create"):
            return os.fdopen(os.memfd_create("derivative"), "w+b", buffering=0)
        try:
            self._scratch.mkdir(parents=True, exist_ok=True)
            return cast("BinaryIO", tempfile.TemporaryFile(dir=self._scratch, buffering=0))
        except OSError as error:
            raise StoreDown(f"the scratch folder cannot be written: {error.strerror}") from error

    def link(self, method: str, since: float, seconds: int) -> str:
        """A URL at the store with which anybody may do *method*, GET or HEAD, from *since* on for *seconds*."""
        return self._bucket.presigned_url(self._found.name, method, since, seconds)

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: object, /) -> int:
        """Read on."""
        if self._whole is None:
            self._whole = self.bring()
        return self._whole.readinto(buffer)  # type: ignore[attr-defined, no-any-return]  # it is a raw file

    def close(self) -> None:
        """Let go of what was brought by reading."""
        if self._whole is not None:
            self._whole.close()
        super().close()
