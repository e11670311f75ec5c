"""Reads bytes of a frame's file by their position, through its reader: a file that is arriving is waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from mezcal.errors import Undecodable

if TYPE_CHECKING:
    from typing import Any


def bytes_up_to(file: BinaryIO, position: int, size: int) -> bytes:
    """Returns *size* bytes from *position* on, fewer only at the end of the file."""
    file.seek(position)
    data = bytearray()
    while len(data) < size and (piece := file.read(size - len(data))):
        data += piece
    return bytes(data)


def fill(buffer: Any, file: BinaryIO, position: int) -> None:
    """Fill *buffer* from byte *position* of *file* on. Raises `Undecodable` if the file ends before."""
    file.seek(position)
    view = memoryview(buffer).cast("B")
    while view and (count := file.readinto(view)):  # type: ignore[attr-defined]  # all readers here have it
        view = view[count:]
    if view:
        raise Undecodable(f"the frame is cut off: {len(view):,} bytes are missing at its end")


def bytes_at(file: BinaryIO, position: int, size: int) -> bytearray:
    """Returns *size* bytes from *position* on. Raises `Undecodable` if the file ends before."""
    data = bytearray(size)
    fill(data, file, position)
    return data


def announce(file: BinaryIO, start: int, stop: int) -> None:
    """Tell *file* that the bytes from *start* to before *stop* will be read, if it is one that arrives in parts."""
    tell = getattr(file, "announce", None)
    if tell is not None:
        tell(start, stop)
