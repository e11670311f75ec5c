"""The boxes of a JP2 or JPX file that say what its components mean (ISO/IEC 15444-1, annex I; 15444-2, annex M)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mezcal.convert.engines.decoded import CannotRead

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from numpy.typing import NDArray

    from mezcal.convert.master_reader import MasterReader

BOXES_MAX = 200
POSITION_MAX = 2**62  # what files can seek to
HEADER_MAX = 16 * 2**20  # bytes: a profile and a few numbers
START = b"\xff\x4f\xff\x51"  # of a codestream
ENUMERATED, RESTRICTED, ANY = 1, 2, 3  # methods of a colour specification
COLOUR, OPACITY, PREMULTIPLIED = 0, 1, 2  # types of a channel
SUPERBOX = b"res "  # the only one that is opened


class Channel(NamedTuple):
    """What a channel is: its type, and the colour that it has or belongs to, 0 for all."""

    number: int
    kind: int
    colour: int


class Palette(NamedTuple):
    """The columns of a palette, each with a value for each index, and their bits."""

    columns: tuple[NDArray[Any], ...]
    depths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Jp2Header:
    """The content of `jp2h`; all is empty for a codestream alone. *start* is where the codestream begins."""

    start: int
    enumerated: int | None = None
    parameters: tuple[int, ...] = ()  # of CIELab
    profile: bytes | None = None
    palette: Palette | None = None
    mapping: tuple[tuple[int, int, int], ...] = ()  # of each channel: component, 1 for the palette, its column
    channels: tuple[Channel, ...] = ()
    dpi: tuple[float, float] | None = None


def read(master: MasterReader) -> Jp2Header:
    """Returns the header of *master*. Raises `CannotRead` if there is no codestream or a box makes no sense."""
    master.seek(0)
    if master.read(4) == START:
        return Jp2Header(0)
    header = b""
    for kind, start, size in _file_boxes(master):
        if kind == b"jp2c":
            return _parsed(header, start)
        if kind == b"jp2h" and not header:
            if size > HEADER_MAX:
                raise CannotRead(f"its header has {size:,} bytes")
            master.seek(start)
            header = master.read(size)
    raise CannotRead("it has no codestream")


def _file_boxes(master: MasterReader) -> Iterator[tuple[bytes, int, int]]:
    """Yields kind, start and size of the content of each box in the file. Size 0 means up to the file's end."""
    position = 0
    for _ in range(BOXES_MAX):
        master.seek(position)
        head = master.read(16)
        size, kind = int.from_bytes(head[:4]), head[4:8]
        head_size = 16 if size == 1 else 8
        size = int.from_bytes(head[8:16]) if size == 1 else size
        if len(head) < 16 or (size and size < head_size):
            return
        yield kind, position + head_size, max(0, size - head_size)
        if size == 0 or position + size > POSITION_MAX:
            return
        position += size


def _boxes_in(data: bytes, *, nested: bool = False) -> Iterator[tuple[bytes, bytes]]:
    """Yields kind and content of each box in *data*, and of those within a superbox, which is not opened in another."""
    position = 0
    while position + 8 <= len(data):
        size = int.from_bytes(data[position : position + 4]) or len(data) - position
        if size < 8 or position + size > len(data):
            return
        kind, content = data[position + 4 : position + 8], data[position + 8 : position + size]
        if kind == SUPERBOX and not nested:
            yield from _boxes_in(content, nested=True)
        else:
            yield kind, content
        position += size


def _parsed(header: bytes, start: int) -> Jp2Header:
    found: dict[str, Any] = {}
    try:
        for kind, content in _boxes_in(header):
            if kind == b"colr" and found.keys().isdisjoint({"enumerated", "profile"}):
                found |= _colour(content)
            elif kind == b"pclr":
                found["palette"] = _palette(content)
            elif kind == b"cmap":
                found["mapping"] = tuple(struct.iter_unpack(">HBB", content))
            elif kind == b"cdef":
                found["channels"] = tuple(Channel(*values) for values in struct.iter_unpack(">3H", content[2:]))
            elif kind in (b"resc", b"resd"):
                found.setdefault("dpi", _dpi(content))
    except (struct.error, IndexError, ValueError) as error:
        raise CannotRead("a box of its header is broken") from error
    return Jp2Header(start, **found)


def _colour(content: bytes) -> dict[str, Any]:
    """Reads one colour specification. A reader takes the first that it knows."""
    if content[0] in (RESTRICTED, ANY):
        return {"profile": content[3:]}
    if content[0] == ENUMERATED:
        (number,) = struct.unpack(">I", content[3:7])
        rest = content[7 : 7 + 28]
        return {"enumerated": number, "parameters": struct.unpack(f">{len(rest) // 4}I", rest)}
    return {}


def _palette(content: bytes) -> Palette:
    entries, count = struct.unpack(">HB", content[:3])
    depths = tuple((bits & 0x7F) + 1 for bits in content[3 : 3 + count])
    if not 0 < entries <= 1024 or not depths or len(depths) < count or max(depths) > 16:
        raise CannotRead("its palette is broken")
    kinds = np.dtype([(f"{i}", ">u1" if depth <= 8 else ">u2") for i, depth in enumerate(depths)])
    table = np.frombuffer(content, kinds, entries, 3 + count)
    return Palette(tuple(table[name].astype("u2") for name in kinds.names or ()), depths)


def _dpi(content: bytes) -> tuple[float, float] | None:
    """Returns dots an inch, across and down: the box has dots a metre, as fractions with powers of ten."""
    down, down_by, across, across_by, down_power, across_power = struct.unpack(">4H2b", content[:10])
    if not (down_by and across_by and across and down):
        return None
    return across / across_by * 10.0**across_power * 0.0254, down / down_by * 10.0**down_power * 0.0254
