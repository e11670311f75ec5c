"""Small masters that tests draw, and changes to the tags of others."""

from __future__ import annotations

import io
import struct

import numpy as np
import tifffile


def grey_tiff(shade: int, edge: int = 64) -> bytes:
    """Returns an uncompressed TIFF of *edge* x *edge* pixels in one *shade* of grey, 0 to 255."""
    out = io.BytesIO()
    tifffile.imwrite(out, np.full((edge, edge), shade, dtype=np.uint8), photometric="minisblack", rowsperstrip=8)
    return out.getvalue()


TagValue = tuple[int, tuple[float, ...]]  # the type's number and the values
# a rational (5) is two values
CODES = {1: "B", 2: "B", 3: "H", 4: "I", 5: "I", 6: "b", 7: "B", 8: "h", 9: "i", 11: "f", 12: "d"}


def with_tags(data: bytes, changes: dict[int, TagValue | None], next_page: int | None = None) -> bytes:
    """Returns the little-endian TIFF *data* with some tags of its first page changed, added or (None) removed.

    *next_page* is the offset of the next page that the directory names, None for that of *data*.
    """
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    after = start + 2 + 12 * count
    entries = {}
    for at in range(start + 2, after, 12):
        entries[struct.unpack_from("<H", data, at)[0]] = data[at : at + 12]
    body = data + bytes(len(data) % 2)
    for tag, value in changes.items():
        entries.pop(tag, None)
        if value is not None:
            kind, values = value
            raw = struct.pack(f"<{len(values)}{CODES[kind]}", *values)
            inline = raw.ljust(4, b"\0") if len(raw) <= 4 else struct.pack("<I", len(body))
            body += b"" if len(raw) <= 4 else raw + bytes(len(raw) % 2)
            entries[tag] = struct.pack("<HHI", tag, kind, len(values) // (2 if kind == 5 else 1)) + inline
    link = data[after : after + 4] if next_page is None else struct.pack("<I", next_page)
    directory = struct.pack("<H", len(entries)) + b"".join(entries[tag] for tag in sorted(entries)) + link
    return body[:4] + struct.pack("<I", len(body)) + body[8:] + directory
