"""Bytes of a frame's file by their place: through its reader, for what is still arriving has to be waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from typing import Any


def fill(buffer: Any, file: BinaryIO, place: int) -> None:
    """Fill *buffer* from byte *place* of *file* on; `ValueError` where the file ends before."""
    file.seek(place)
    view = memoryview(buffer).cast("B")
    while view and (count := file.readinto(view)):  # type: ignore[attr-defined]  # every reader here has it
        view = view[count:]
    if view:
        raise ValueError(f"the frame is cut off: {len(view):,} bytes are missing at its end")


def bytes_at(file: BinaryIO, place: int, size: int) -> bytearray:
    """*size* bytes from *place* on; `ValueError` where the file ends before."""
    held = bytearray(size)
    fill(held, file, place)
    return held
