"""Verifying a local store: each image is read and compared with its sidecar, and leftovers are found."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from mezcal.store.housekeeping.verify import Defect, VerifiedItem, choose_sample, is_cut
from mezcal.store.local.files import ABSENT, as_store_down, open_image, os_errors_as_store_down, prune, remove_orphan
from mezcal.store.local.layout import IMAGE, name_of
from mezcal.store.local.ownership import foreign_file, sidecar_of, sidecar_path

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
        if foreign_file(self._store.root, item.image) is not None:
            return None
        image, size = self._store.root / item.image, item.size or 0
        name = name_of(item.image)
        defect = self._defect(image)
        if defect is None:
            return VerifiedItem(name, without_sidecar=item.sidecar_modified is None, bytes=size) if size else None
        if not self._mend:
            return VerifiedItem(name, defect, bytes=size)
        with os_errors_as_store_down(), self._store.publishing(item.image):
            defect = self._defect(image)
            ours = foreign_file(self._store.root, item.image) is None
            mended = defect is not None and ours and self._remove(image, defect)
        return VerifiedItem(name, defect, mended, bytes=size)

    def _defect(self, image: Path) -> Defect | None:
        try:
            descriptor = open_image(str(image), os.O_RDONLY)
        except ABSENT:
            return self._defect_without_image(image)
        except OSError:
            return Defect.IRREGULAR if _is_irregular(image) else Defect.UNREADABLE_IMAGE
        try:
            return _image_defect(descriptor, image)
        except OSError:
            return Defect.UNREADABLE_IMAGE
        finally:
            os.close(descriptor)

    def _defect_without_image(self, image: Path) -> Defect | None:
        if sidecar_path(image).exists():
            return Defect.LONE_SIDECAR
        if image.name != IMAGE:  # the folder is verified with its image.jpg
            return None
        try:
            with os.scandir(image.parent) as entries:
                return None if any(entries) or image.parent == self._store.root else Defect.EMPTY_FOLDER
        except OSError:  # removed meanwhile
            return None

    def _remove(self, image: Path, defect: Defect) -> bool:
        """Remove the files with *defect*. Returns False if they must stay: an operator has to check the disk."""
        if defect is Defect.UNREADABLE_IMAGE:
            return False
        try:
            if defect in REMOVE_IMAGE:
                image.unlink(missing_ok=True)
            if defect is not Defect.EMPTY_FOLDER:
                sidecar_path(image).unlink(missing_ok=True)
        except IsADirectoryError:
            return False
        prune(image.parent, self._store.root)
        return True

    def _verify_scratch(self) -> Iterator[VerifiedItem]:
        """Yields the drafts of dead writers, which the next sweep of a worker removes anyway."""
        with suppress(*ABSENT):
            for path in self._store.scratch.iterdir():
                if remove_orphan(path, dry_run=not self._mend):
                    yield VerifiedItem(str(path.relative_to(self._store.root)), Defect.DEAD_DRAFT, self._mend)


def sha256_of(path: Path) -> str | None:
    """Returns the SHA-256 of the image at *path*, None if it is gone. Reading does not change its time of last use."""
    try:
        descriptor = open_image(str(path), os.O_RDONLY)
    except ABSENT:
        return None
    except OSError as error:
        raise as_store_down(error) from error
    before = os.fstat(descriptor)
    try:
        with os_errors_as_store_down():
            return _read(descriptor)[0]
    finally:
        _restore_access_time(descriptor, before)
        os.close(descriptor)


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
    if is_cut(path.name, ends):
        return Defect.CUT
    sidecar = sidecar_of(path)
    if sidecar is None:
        return Defect.UNREADABLE_SIDECAR if sidecar_path(path).exists() else None
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
