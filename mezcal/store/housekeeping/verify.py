"""Whether what is stored is what was made, and nothing else lies about."""

from __future__ import annotations

import hashlib
import os
import random
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Protocol, TypeVar

from mezcal.store.local.files import ABSENT, at_once, prune, remove_orphan, reported
from mezcal.store.local.layout import IMAGE, SIDECAR
from mezcal.store.local.walk import sidecar_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from mezcal.store.local.store import LocalStore
    from mezcal.store.local.walk import Found
    from mezcal.store.values import Sidecar


class HasSize(Protocol):
    """What a walk or a listing finds."""

    @property
    def size(self) -> int | None:
        """Bytes of the image; None if there is none."""


T = TypeVar("T", bound=HasSize)
START, END = b"\xff\xd8", b"\xff\xd9"  # of every JPEG
PIECE = 1 << 20


class Fault(StrEnum):
    """What can be wrong; what is said of each is what `mend` does about it."""

    EMPTY = "empty image"  # removed, with its sidecar: the next asker has it made anew
    CUT = "cut image"  # the same
    CHANGED = "not what its sidecar says"  # the same
    ALONE = "sidecar without image"  # the sidecar is removed
    UNREADABLE = "unreadable sidecar"  # the sidecar is removed: the image may be whole
    FOLDER = "empty folder"  # removed
    SCRATCH = "scratch file of a dead writer"  # removed
    REFUSED = "cannot be read"  # left: the disk, or the rights, must be looked at first


GONE_WITH_IMAGE = {Fault.EMPTY, Fault.CUT, Fault.CHANGED}
LEFT = {Fault.REFUSED}


@dataclass(frozen=True, slots=True)
class Judged:
    """One thing looked at: its folder, the fault in it, whether that was mended; *bare* is one without a sidecar, as
    umd-lib/mezcal left them, which is no fault.
    """

    folder: str
    fault: Fault | None = None
    mended: bool = False
    bare: bool = False
    bytes: int = 0


class Verify:
    """Looks at the derivatives of *store*; with *mend*, removes what is wrong."""

    def __init__(self, store: LocalStore, *, mend: bool = False) -> None:
        self._store = store
        self._mend = mend

    def all(self, sample: int | None = None) -> Iterator[Judged]:
        """Each folder with something in it, or of *sample* images chosen at random, and what is left over."""
        found: Iterable[Found] = self._store.shelf.walk()
        for one in found if sample is None else chosen(found, sample):
            judged = self.judge(one)
            if judged is not None:
                yield judged
        yield from self._scratch()

    def judge(self, found: Found) -> Judged | None:
        """What is wrong with what was *found*; looked at again, for an image is published before its sidecar."""
        if found.size is None and found.noted is None and not found.empty:
            return None
        fault = self._fault(found.folder)
        if fault is None:
            return Judged(found.folder, bare=found.noted is None, bytes=found.size or 0) if found.size else None
        if not self._mend:
            return Judged(found.folder, self._fault(found.folder), bytes=found.size or 0)
        with reported(), self._store.publishing(PurePosixPath(found.folder)):
            fault = self._fault(found.folder)
            mended = fault is not None and self._mended(found.folder, fault)
        return Judged(found.folder, fault, mended, bytes=found.size or 0)

    def _fault(self, folder: str) -> Fault | None:
        path = self._store.root / folder
        try:
            descriptor = at_once(str(path / IMAGE), os.O_RDONLY | os.O_CLOEXEC)
        except ABSENT:
            return self._without_image(path)
        except OSError:
            return Fault.REFUSED
        try:
            return _image_fault(descriptor, path)
        except OSError:
            return Fault.REFUSED
        finally:
            os.close(descriptor)

    def _without_image(self, path: Path) -> Fault | None:
        if (path / SIDECAR).exists():
            return Fault.ALONE
        try:
            with os.scandir(path) as entries:
                return None if any(entries) or path == self._store.root else Fault.FOLDER
        except OSError:  # pruned meanwhile
            return None

    def _mended(self, folder: str, fault: Fault) -> bool:
        path = self._store.root / folder
        if fault in LEFT:
            return False
        if fault in GONE_WITH_IMAGE:
            (path / IMAGE).unlink(missing_ok=True)
        if fault is not Fault.FOLDER:
            (path / SIDECAR).unlink(missing_ok=True)
        prune(path, self._store.root)
        return True

    def _scratch(self) -> Iterator[Judged]:
        """What killed writers left: told once, removed by the sweep that every worker does anyway."""
        with suppress(*ABSENT):
            for path in self._store.scratch.iterdir():
                if remove_orphan(path, only_look=not self._mend):
                    yield Judged(str(path.relative_to(self._store.root)), Fault.SCRATCH, self._mend)


def _image_fault(descriptor: int, path: Path) -> Fault | None:
    """What is wrong with an open image; reading it is not noted as its use."""
    before = os.fstat(descriptor)
    try:
        digest, ends = _read(descriptor)
    finally:
        _restore(descriptor, before)
    if not before.st_size:
        return Fault.EMPTY
    if ends != (START, END):
        return Fault.CUT
    sidecar = sidecar_at(path)
    if sidecar is None:
        return Fault.UNREADABLE if (path / SIDECAR).exists() else None
    return None if _describes(sidecar, before.st_size, digest) else Fault.CHANGED


def _describes(sidecar: Sidecar, size: int, digest: str) -> bool:
    return sidecar.size == size and sidecar.sha256 == digest


def _read(descriptor: int) -> tuple[str, tuple[bytes, bytes]]:
    """The SHA-256 of a file, and its first and last two bytes."""
    digest = hashlib.sha256()
    first = last = b""
    while piece := os.read(descriptor, PIECE):
        digest.update(piece)
        first = first or piece[:2]
        last = (last + piece)[-2:]
    return digest.hexdigest(), (first, last)


def _restore(descriptor: int, before: os.stat_result) -> None:
    """Put the time of the last reading back: what was only verified has not been used."""
    now = os.fstat(descriptor)
    if now.st_atime_ns != before.st_atime_ns and now.st_mtime_ns == before.st_mtime_ns:
        with suppress(OSError):
            os.utime(descriptor, ns=(before.st_atime_ns, before.st_mtime_ns))


def chosen(found: Iterable[T], number: int, choose: Callable[[int], int] = random.randrange) -> list[T]:
    """*number* of those with an image, each as likely as any other, and no more of them held than that."""
    kept: list[T] = []
    met = 0
    for one in found:
        if one.size is None:
            continue
        met += 1
        if len(kept) < number:
            kept.append(one)
        elif (place := choose(met)) < number:
            kept[place] = one
    return kept
