"""Stored cutouts as one tar or zip, written while it is sent."""

from __future__ import annotations

import json
import tarfile
import time
import zipfile
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mezcal.recipe import Thumbnail
    from mezcal.store import Opened, Store

    Pack = Callable[[Iterator["Member"]], Iterator[bytes]]

BLOCK = 512  # bytes, of tar
PIECE = 1 << 16
INDEX = "index.json"
TAR, ZIP = "application/x-tar", "application/zip"
DOS_EPOCH = 315_532_800  # 1980, before which a zip knows no time
READABLE = 0o644 << 16  # the mode of a file
ZIP64_BYTES = 2_000_000_000  # members above this size have lengths of 64 bits


class Member(NamedTuple):
    """One file of an archive: *size* bytes in *pieces*, last *modified* at that time, in seconds since 1970."""

    name: str
    size: int
    modified: float
    pieces: Iterator[bytes]


def members_of(recipes: list[tuple[int, Thumbnail]], answer: dict[str, Any], store: Store) -> Iterator[Member]:
    """Yield `index.json`, which is *answer*, and the stored derivatives of *recipes*, named by their numbers.

    One that was evicted a moment ago is left out. Each has to be read before the next one is taken.
    """
    index = json.dumps(answer, indent=1).encode()
    yield Member(INDEX, len(index), time.time(), iter([index]))
    for number, recipe in recipes:
        opened = store.open(recipe)
        if opened is not None:
            extension = recipe.file_name.rpartition(".")[2]
            name = f"{number:04}-{_plain(recipe.frames[0].name)}.{extension}"
            with closing(opened.file):
                yield Member(name, opened.stored.size, opened.stored.modified, _pieces(opened))


def tar_of(members: Iterator[Member]) -> Iterator[bytes]:
    """Yield a tar of *members*."""
    for member in members:
        header = tarfile.TarInfo(member.name)
        header.size, header.mtime = member.size, int(member.modified)
        yield header.tobuf(tarfile.GNU_FORMAT)
        yield from member.pieces
        yield b"\0" * (-member.size % BLOCK)
    yield b"\0" * 2 * BLOCK


class Outbox:
    """A file for `zipfile`, which cannot seek: what is written waits until it is taken."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def write(self, data: bytes) -> int:
        """Keep *data*. Returns its length."""
        self._waiting += data
        return len(data)

    def flush(self) -> None:
        """Do nothing: nothing is behind this file."""

    def take(self) -> bytes:
        """Return what was written since the last time."""
        taken = bytes(self._waiting)
        self._waiting.clear()
        return taken


def zip_of(members: Iterator[Member]) -> Iterator[bytes]:
    """Yield a zip of *members*, in the ZIP64 format if it is larger than 4 GB.

    They are deflated without being made smaller. Programs that read a zip while it arrives find the end of a member
    only if it is deflated; pictures would not get smaller, and to try takes 30 s of a core for a gigabyte.
    """
    outbox = Outbox()
    with zipfile.ZipFile(outbox, "w", zipfile.ZIP_DEFLATED, compresslevel=0) as archive:  # type: ignore[call-overload]  # it needs no more than these methods
        for member in members:
            with archive.open(member.name, "w", force_zip64=member.size > ZIP64_BYTES) as target:
                for piece in member.pieces:
                    target.write(piece)
                    yield outbox.take()
            entry = archive.infolist()[-1]  # it is written once more at the end of the zip, where programs look
            entry.date_time = time.gmtime(max(member.modified, DOS_EPOCH))[:6]
            entry.external_attr = READABLE
    yield outbox.take()


ARCHIVES: dict[str, tuple[str, Pack]] = {TAR: ("cutouts.tar", tar_of), ZIP: ("cutouts.zip", zip_of)}  # by media type


def _pieces(opened: Opened) -> Iterator[bytes]:
    while piece := opened.file.read(PIECE):
        yield piece


def _plain(name: str) -> str:
    """Return a frame's *name* without its extensions, and without what a path could mean."""
    letters = (char if char.isascii() and (char.isalnum() or char in "-_") else "_" for char in name.partition(".")[0])
    return "".join(letters)[:80] or "frame"
