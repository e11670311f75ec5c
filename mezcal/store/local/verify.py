"""Verifying a local store: each image is read and compared with its sidecar, and leftovers are found."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from mezcal.store.housekeeping.verify import JPEG_END, JPEG_START, Defect, VerifiedItem, choose_sample
from mezcal.store.local.files import ABSENT, open_image, os_errors_as_store_down, prune, remove_orphan
from mezcal.store.local.layout import IMAGE, SIDECAR
from mezcal.store.local.walk import sidecar_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from mezcal.store.inventory import InventoryItem
    from mezcal.store.local.store import LocalStore

BLOCK = 1 << 20
REMOVE_IMAGE = {Defect.EMPTY, Defect.CUT, Defect.CHANGED, Defect.UNREADABLE_SIDECAR, Defect.IRREGULAR}


class LocalVerifier:
    """Verifies *store*; with *mend*, removes defects."""

    def __init__(self, store: LocalStore, *, mend: bool = False) -> None:
        self._store = store
        self._mend = mend

    def verify(self, sample: int | None = None) -> Iterator[VerifiedItem]:
        """Yields each folder that is not just a path to others, or *sample* images chosen at random, and leftovers."""
        items: Iterable[InventoryItem] = self._store.inventory.walk()
        for item in items if sample is None else choose_sample(items, sample):
            verified = self.verify_item(item)
            if verified is not None:
                yield verified
        yield from self._verify_scratch()

    def verify_item(self, item: InventoryItem) -> VerifiedItem | None:
        """Returns the finding about *item*, None if nothing is there.

        Before mending it is read again under the publishing lock: an image is published before its sidecar.
        """
        if item.size is None and item.sidecar_modified is None and not (item.empty or item.irregular):
            return None
        defect, size = self._defect(item.folder), item.size or 0
        if defect is None:
            return (
                VerifiedItem(item.folder, without_sidecar=item.sidecar_modified is None, bytes=size) if size else None
            )
        if not self._mend:
            return VerifiedItem(item.folder, self._defect(item.folder), bytes=size)
        with os_errors_as_store_down(), self._store.publishing(PurePosixPath(item.folder)):
            defect = self._defect(item.folder)
            mended = defect is not None and self._remove(item.folder, defect)
        return VerifiedItem(item.folder, defect, mended, bytes=size)

    def _defect(self, folder: str) -> Defect | None:
        path = self._store.root / folder
        try:
            descriptor = open_image(str(path / IMAGE), os.O_RDONLY)
        except ABSENT:
            return self._defect_without_image(path)
        except OSError:
            return Defect.IRREGULAR if _is_irregular(path / IMAGE) else Defect.UNREADABLE_IMAGE
        try:
            return _image_defect(descriptor, path)
        except OSError:
            return Defect.UNREADABLE_IMAGE
        finally:
            os.close(descriptor)

    def _defect_without_image(self, path: Path) -> Defect | None:
        if (path / SIDECAR).exists():
            return Defect.LONE_SIDECAR
        try:
            with os.scandir(path) as entries:
                return None if any(entries) or path == self._store.root else Defect.EMPTY_FOLDER
        except OSError:  # removed meanwhile
            return None

    def _remove(self, folder: str, defect: Defect) -> bool:
        """Remove the files with *defect*. Returns False if they must stay: an operator has to check the disk."""
        path = self._store.root / folder
        if defect is Defect.UNREADABLE_IMAGE:
            return False
        try:
            if defect in REMOVE_IMAGE:
                (path / IMAGE).unlink(missing_ok=True)
            if defect is not Defect.EMPTY_FOLDER:
                (path / SIDECAR).unlink(missing_ok=True)
        except IsADirectoryError:
            return False
        prune(path, self._store.root)
        return True

    def _verify_scratch(self) -> Iterator[VerifiedItem]:
        """Yields the drafts of dead writers, which the next sweep of a worker removes anyway."""
        with suppress(*ABSENT):
            for path in self._store.scratch.iterdir():
                if remove_orphan(path, dry_run=not self._mend):
                    yield VerifiedItem(str(path.relative_to(self._store.root)), Defect.DEAD_DRAFT, self._mend)


def _is_irregular(path: Path) -> bool:
    with suppress(OSError):
        return not stat.S_ISREG(path.lstat().st_mode)
    return False


def _image_defect(descriptor: int, path: Path) -> Defect | None:
    """Returns the defect of an open image, None if it is sound. Reading does not change its time of last use."""
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        return Defect.IRREGULAR
    try:
        digest, ends = _read(descriptor)
    finally:
        _restore_access_time(descriptor, before)
    if not before.st_size:
        return Defect.EMPTY
    if ends != (JPEG_START, JPEG_END):
        return Defect.CUT
    sidecar = sidecar_in(path)
    if sidecar is None:
        return Defect.UNREADABLE_SIDECAR if (path / SIDECAR).exists() else None
    return None if (sidecar.size, sidecar.sha256) == (before.st_size, digest) else Defect.CHANGED


def _read(descriptor: int) -> tuple[str, tuple[bytes, bytes]]:
    """Returns the SHA-256 of a file, and its first and last two bytes."""
    digest = hashlib.sha256()
    first = last = b""
    while block := os.read(descriptor, BLOCK):
        digest.update(block)
        first = first or block[:2]
        last = (last + block)[-2:]
    return digest.hexdigest(), (first, last)


def _restore_access_time(descriptor: int, before: os.stat_result) -> None:
    """Restore the access time: verifying is not use."""
    now = os.fstat(descriptor)
    if now.st_atime_ns != before.st_atime_ns and now.st_mtime_ns == before.st_mtime_ns:
        with suppress(OSError):
            os.utime(descriptor, ns=(before.st_atime_ns, before.st_mtime_ns))
