"""Drafts: local files that a derivative is written to before it is published, and their removal."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from uuid import uuid4

from mezcal.store.local.files import ABSENT, os_errors_as_store_down, remove_orphan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Scratch:
    """A folder of drafts. Each is locked while its writer lives, so that `sweep` recognises those of dead writers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """Create a file, removed at the end unless it was renamed. Raises `StoreDown` if none can be created."""
        with os_errors_as_store_down():
            path, descriptor = self._create_locked()
        try:
            yield path
        finally:
            try:
                path.unlink(missing_ok=True)
            finally:
                os.close(descriptor)  # with its lock: a sweep removes what could not be removed now

    def _create_locked(self) -> tuple[Path, int]:
        self.folder.mkdir(parents=True, exist_ok=True)
        while True:
            path = self.folder / f"{uuid4().hex}.jpg"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:  # else a sweep removed it between creating and locking
                return path, descriptor
            os.close(descriptor)

    def sweep(self) -> int:
        """Remove the drafts of dead writers. Returns how many. Raises `StoreDown`."""
        removed = 0
        with os_errors_as_store_down(), suppress(*ABSENT):
            for path in self.folder.iterdir():
                removed += remove_orphan(path)
        return removed
