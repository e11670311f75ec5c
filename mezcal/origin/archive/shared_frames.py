"""The whole files of frames, shared by all processes of a worker: one download for all that is made of a frame.

The first process that needs a frame downloads it, and copies it into a file that is free. Others that need the frame
wait for that, and those that come later find it: docs/decisions/one-download.md.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mezcal.origin.archive.frame_slot import FrameSlot
from mezcal.origin.archive.frame_table import FrameRow, FrameState, FrameTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mezcal.origin.growing_file import FreeSpaceCallback
    from mezcal.runtime.shared_files import SharedFiles

KEPT_SECONDS = 300.0  # from the arrival of a file
POLL_SECONDS = 0.02


class FrameArriving(Exception):
    """Another process downloads the frame."""


class WantedFrame(NamedTuple):
    """A frame that a job needs: the *name* of its file and version.

    A file will not do whose download began before *since* (nanoseconds of the monotonic clock). With *in_parts* the job
    can also read parts of the file. Unless it *evicts*, only space that is free is used for the file.
    """

    name: bytes
    since: int = 0
    in_parts: bool = False
    evicts: bool = True


class SharedFrames:
    """Frames in *files*, which each process has inherited."""

    def __init__(self, files: SharedFiles) -> None:
        self.most_bytes, self._files = files.most_bytes, files.files
        self._table = FrameTable(files.table, len(files.files))

    def take(self, wanted: WantedFrame, deadline: float) -> FrameSlot | None:
        """Return the file of the frame *wanted*: it has the frame, or this process is to download it.

        Waits while another process downloads it, until *deadline* of the monotonic clock. Returns None if the file
        cannot be shared: that takes too long, all files are in use, or the other process downloads all of a frame whose
        server sends parts, which will do here.
        """
        while True:
            try:
                with self._table.changing() as alone:
                    return self._claim(wanted) if alone else None
            except FrameArriving:
                if time.monotonic() >= deadline:
                    return None
                time.sleep(POLL_SECONDS)

    def has(self, wanted: WantedFrame) -> bool:
        """Return True if the frame *wanted* has arrived whole, and is kept."""
        return any(_suits(row, wanted) and row.state == FrameState.WHOLE for row in self._table.rows())

    def reserve(self, at: int, row: FrameRow, *, evicts: bool) -> bool:
        """Reserve space for *row*, which describes the file *at*. Returns False if there is none.

        The files that arrived first are evicted for it, unless they are being read.
        """
        with self._table.changing() as alone:
            rows = self._table.rows() if alone else []
            used = sum(other.bytes for number, other in enumerate(rows) if number != at)
            for number in self._by_arrival(rows) if evicts else ():
                if used + row.bytes <= self.most_bytes:
                    break
                used -= rows[number].bytes if self._clear_unused(number, rows[number]) else 0
            fits = alone and used + row.bytes <= self.most_bytes
            if fits:
                self._table.write(at, row)
            return fits

    def expire(self) -> None:
        """Free the space of the files that were kept for `KEPT_SECONDS`, and of those that no living process fills."""
        self._clear_before(time.monotonic_ns() - int(KEPT_SECONDS * 1e9))

    def drop(self) -> bool:
        """Free the space of all files that are not being read. Returns True if there was one."""
        return self._clear_before(time.monotonic_ns())

    def _clear_before(self, moment: int) -> bool:
        with self._table.changing() as alone:
            rows = self._table.rows() if alone else []
            ended = [at for at, row in enumerate(rows) if row.state != FrameState.FREE and row.arrived < moment]
            return sum(self._clear_unused(at, rows[at]) for at in ended) > 0

    def _claim(self, wanted: WantedFrame) -> FrameSlot | None:
        """Do what `take` does. Raises `FrameArriving` if it has to wait.

        Of two files of a frame, the newer one counts: a retry did not trust the other.
        """
        for at, row in sorted(enumerate(self._table.rows()), key=lambda each: -each[1].began):
            if not _suits(row, wanted):
                continue
            if self._table.holds(at):  # the job has the frame open: it would wait for itself
                return None
            if row.state == FrameState.WHOLE:
                if self._table.lock(at, shared=True):
                    return self._slot(at, row)
            elif not self._clear_unused(at, row):
                if wanted.in_parts and row.state == FrameState.BY_CHOICE:
                    return None
                raise FrameArriving
        return self._new(wanted)

    def _new(self, wanted: WantedFrame) -> FrameSlot | None:
        """Return a file that the frame *wanted* is to be copied into, None if there is none."""
        rows = self._table.rows()
        free = [at for at, row in enumerate(rows) if row.state == FrameState.FREE]
        for at in (*free, *(self._by_arrival(rows) if wanted.evicts else ())):
            if self._table.lock(at):
                self._clear(at)
                row = FrameRow(FrameState.ARRIVING, wanted.name, began=time.monotonic_ns())
                self._table.write(at, row)
                return self._slot(at, row)
        return None

    def _slot(self, at: int, row: FrameRow) -> FrameSlot:
        return FrameSlot(self, self._table, self._files[at], at, row)

    @staticmethod
    def _by_arrival(rows: Sequence[FrameRow]) -> list[int]:
        """Return the numbers of the files that have a whole frame, the oldest first."""
        whole = [at for at, row in enumerate(rows) if row.state == FrameState.WHOLE]
        return sorted(whole, key=lambda at: rows[at].arrived)

    def _clear_unused(self, at: int, row: FrameRow) -> bool:
        """Free the file *at* unless a process reads or fills it, or has done so since it had *row*.

        Returns True if it is free.
        """
        if not self._table.lock(at):
            return False
        if self._table.rows()[at] != row:  # it has arrived meanwhile
            self._table.unlock(at)
            return False
        self.give_back(at)
        return True

    def give_back(self, at: int) -> None:
        """Free the file *at*, which this process has locked, and unlock it."""
        self._clear(at)
        self._table.unlock(at)

    def _clear(self, at: int) -> None:
        self._table.write(at, FrameRow())
        with suppress(OSError):
            os.ftruncate(self._files[at], 0)


@dataclass(frozen=True, slots=True)
class FrameSharing:
    """The shared files as one job may use them. *versions* are those of its frames, by their ids.

    *since* and *evicts* are as in `WantedFrame`.
    """

    frames: SharedFrames | None = None
    versions: Mapping[str, str] | None = None
    since: int = 0
    evicts: bool = True

    def take(self, frame_id: str, deadline: float, *, in_parts: bool) -> FrameSlot | None:
        """Return the shared file of a frame, as `SharedFrames.take` does. Files without a version are not shared."""
        wanted = self._wanted(frame_id, in_parts=in_parts)
        return self.frames.take(wanted, deadline) if self.frames is not None and wanted is not None else None

    def has(self, frame_id: str) -> bool:
        """Return True if the whole file of a frame is there."""
        wanted = self._wanted(frame_id, in_parts=False)
        return self.frames is not None and wanted is not None and self.frames.has(wanted)

    def frees_first(self, free_space: FreeSpaceCallback) -> FreeSpaceCallback:
        """Return a function that frees the space of shared files, or else what *free_space* frees."""

        def free(needed: int) -> bool:
            return (self.frames is not None and self.frames.drop()) or free_space(needed)

        return free

    def _wanted(self, frame_id: str, *, in_parts: bool) -> WantedFrame | None:
        version = (self.versions or {}).get(frame_id)
        if not version:
            return None
        name = hashlib.sha256(f"{frame_id}\n{version}".encode()).digest()[:16]
        return WantedFrame(name, self.since, in_parts, self.evicts)


def _suits(row: FrameRow, wanted: WantedFrame) -> bool:
    return row.state != FrameState.FREE and row.name == wanted.name and row.began >= wanted.since
