"""Hashes a file of a folder while it is converted, and compares it with the digest in the file beside it."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mezcal.errors import OriginFailed
from mezcal.origin.fixity import RunningDigest
from mezcal.origin.fixity.check import compare

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.origin.fixity import Digest

BLOCK = 2**20  # bytes that are read at a time: the conversion reads the same ones, so the disk reads them once


class FileHash:
    """The digest of one open file, computed on a thread of its own. *expected* is what it must be."""

    def __init__(self, descriptor: int, expected: Digest) -> None:
        self._descriptor, self._expected = descriptor, expected
        self._running = RunningDigest(expected.algorithm)
        self._cancelled = False
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="folder-digest", daemon=True)
        self.verified: Digest | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Hash the file during the block, which has to keep it open."""
        self._thread.start()
        try:
            yield
        finally:
            self._cancelled = True
            self._thread.join()

    def finish(self) -> None:
        """Wait until the whole file is hashed. Raises `MasterDamaged`, or `OriginFailed` if it cannot be read."""
        self._thread.join()
        if self._error is not None:
            raise OriginFailed(f"the file cannot be read: {self._error.strerror}") from self._error
        compare(self._expected, [self._running.result()])
        self.verified = self._expected

    def _run(self) -> None:
        at = 0
        try:
            while not self._cancelled and (block := os.pread(self._descriptor, BLOCK, at)):
                self._running.update(block)
                at += len(block)
        except OSError as error:
            self._error = error
