"""One of the files that processes share: it has a whole frame, or this process copies a frame into it."""

from __future__ import annotations

import io
import json
import logging
import os
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Protocol

from mezcal.errors import Failure
from mezcal.origin.archive.frame_table import FrameRow, FrameState, FrameTable
from mezcal.origin.download import READ_BUFFER
from mezcal.origin.fixity import Digest
from mezcal.origin.growing_file import GrowingFile
from mezcal.origin.master import Master

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 2**20  # bytes that are copied at once

log = logging.getLogger(__name__)


class SpaceOfFrames(Protocol):
    """Where a slot's bytes count."""

    most_bytes: int

    def reserve(self, at: int, row: FrameRow, *, evicts: bool) -> bool:
        """Reserve space for *row*, which describes the file *at*. Returns False if there is none."""

    def give_back(self, at: int) -> None:
        """Free the file *at*, which this process has locked, and unlock it."""


class FrameSlot:
    """The shared *file* with the number *at*, whose *row* this process has locked. Call `close` in every case."""

    def __init__(self, space: SpaceOfFrames, table: FrameTable, file: int, at: int, row: FrameRow) -> None:
        self._space, self._table, self._file, self._at, self._row = space, table, file, at, row
        self._using = threading.Lock()  # one thread copies the frame, while the job may end
        self._open = True

    @property
    def is_whole(self) -> bool:
        """True if the file has the frame; False if the frame is to be downloaded."""
        return self._row.state == FrameState.WHOLE

    def master(self, public_url: str) -> Master:
        """Return the frame, which has arrived. *public_url* is shown as its source."""
        note = json.loads(os.pread(self._file, self._row.note, self._row.size))
        digest, opened_at = Digest.parse(note.pop("digest")), time.monotonic()
        return Master(
            file=self._reader(),
            source=public_url,
            size=self._row.size,
            shared=True,
            completed_at=lambda: opened_at,
            bytes_received=lambda: self._row.size,
            open_again=self._reader,
            verified_digest=lambda: digest,
            **note,
        )

    def _reader(self) -> io.BufferedReader:
        bytes_of_frame = ArrivedBytes(self._file, self._row.size)
        return io.BufferedReader(GrowingFile(bytes_of_frame, _fetch_nothing), READ_BUFFER)

    @contextmanager
    def keeping(self, master: Master, *, by_choice: bool, evicts: bool) -> Iterator[None]:
        """Copy *master* into the file as soon as it has arrived whole, or else when the block ends.

        A master that comes in parts, or is too large, is not kept: other processes stop waiting for it at once. It is
        downloaded whole *by_choice* if the job reads all of it. The oldest frames are evicted for it, if it *evicts*.
        """
        if master.in_parts or master.size is None or master.size > self._space.most_bytes:
            self.close()
            yield
            return
        if by_choice and master.sends_parts:
            self._row = self._row._replace(state=FrameState.BY_CHOICE)
            self._table.write(self._at, self._row)
        threading.Thread(target=self._keep, args=(master, evicts), name="keep-frame", daemon=True).start()
        try:
            yield
        finally:
            if master.completed_at() is not None:
                self._copy(master, evicts=evicts)
            self.close()

    def _keep(self, master: Master, evicts: bool) -> None:
        try:
            master.complete()
        except Failure:  # the job that reads it raises the failure
            self.close()
        else:
            self._copy(master, evicts=evicts)

    def _copy(self, master: Master, *, evicts: bool) -> None:
        """Copy *master*, which has arrived whole, unless that was done. Others find it from now on."""
        with self._using:
            if not self._open:
                return
            note = _note_of(master)
            row = self._row._replace(size=master.bytes_received(), note=len(note))
            if self._space.reserve(self._at, row, evicts=evicts) and self._written(master, note):
                self._row = row._replace(state=FrameState.WHOLE, arrived=time.monotonic_ns())
                self._table.write(self._at, self._row)
            self._close()

    def _written(self, master: Master, note: bytes) -> bool:
        """Write *master*, and the *note* behind it. Returns False if the disk is full."""
        assert master.open_again is not None, "every downloaded master has it"
        try:
            with closing(master.open_again()) as source:
                at = 0
                while block := source.read(BLOCK):
                    at += _write(self._file, block, at)
            _write(self._file, note, at)
        except OSError as error:
            log.info("a frame is not kept for further cutouts of it: %s", error.strerror)
            return False
        return True

    def close(self) -> None:
        """Leave the file to other processes."""
        with self._using:
            self._close()

    def _close(self) -> None:
        if not self._open:
            return
        self._open = False
        if self.is_whole:
            self._table.unlock(self._at)
        else:
            self._space.give_back(self._at)


class ArrivedBytes:
    """The first *size* bytes of *file*: a scratch file that has arrived, for `GrowingFile`."""

    def __init__(self, file: int, size: int) -> None:
        self._file, self._size = file, size
        self.size: int | None = size

    def available(self, at: int) -> int:
        """Return how many bytes there are from the offset *at* on."""
        return max(0, self._size - at)

    def read_into(self, at: int, buffer: memoryview) -> int:
        """Fill *buffer* with the bytes from the offset *at* on. Returns their number, 0 at the end."""
        count = min(self.available(at), len(buffer))
        return os.preadv(self._file, [buffer[:count]], at) if count else 0

    def wait_complete(self) -> int:
        """Return the number of bytes."""
        return self._size


def _fetch_nothing(_at: int) -> None:
    """Request nothing: all bytes are there."""


def _note_of(master: Master) -> bytes:
    """Return what is known of *master* beside its bytes, as JSON for `FrameSlot.master`."""
    digest = master.verified_digest()
    note = {
        "etag": master.etag,
        "last_modified": master.last_modified,
        "delimited": master.delimited,
        "content_type": master.content_type,
        "digest": str(digest or ""),
    }
    return json.dumps(note).encode()


def _write(file: int, data: bytes, at: int) -> int:
    """Write *data* at the offset *at*. Returns its size. Raises `OSError`."""
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, at)
        view, at = view[written:], at + written
    return len(data)
