"""An ICC profile of our own for a screen with wide colours: Display P3's primaries and sRGB's tone curve."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tools.draw_samples.canvas import Pixels

NAME = "mezcal wide RGB"
LICENCE = "Copyright the mezcal authors, Apache-2.0"
D50 = (0.9642, 1.0, 0.8249)  # what every profile's colours are relative to (ICC.1:2001-04)
D65 = (0.3127, 0.3290)
PRIMARIES = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))  # x, y of SMPTE RP 431-2
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
CURVE_STEPS = 1024


def wide_rgb() -> bytes:
    """The profile: version 2, matrix and tone curve, about 2.6 KB, the same bytes every time."""
    colorants = _adaptation() @ _to_xyz()
    curve = struct.pack(">4s4xI", b"curv", CURVE_STEPS) + _tone().astype(">u2").tobytes()
    tags = {
        b"desc": _description(NAME),
        b"cprt": b"text" + bytes(4) + LICENCE.encode() + b"\0",
        b"wtpt": _xyz(D50),
        b"rXYZ": _xyz(colorants[:, 0]),
        b"gXYZ": _xyz(colorants[:, 1]),
        b"bXYZ": _xyz(colorants[:, 2]),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    return _assemble(tags)


def _to_xyz() -> Pixels:
    """The matrix from linear RGB to XYZ under D65: white is the sum of the three primaries."""
    columns = np.array([_xyz_of(*primary) for primary in PRIMARIES]).T
    return np.asarray(columns * np.linalg.solve(columns, _xyz_of(*D65)))


def _xyz_of(x: float, y: float) -> Pixels:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _adaptation() -> Pixels:
    """The matrix that turns colours under D65 into those under D50, by Bradford's cone responses."""
    ratio = (BRADFORD @ np.array(D50)) / (BRADFORD @ _xyz_of(*D65))
    return np.asarray(np.linalg.inv(BRADFORD) @ np.diag(ratio) @ BRADFORD)


def _tone() -> Pixels:
    """IEC 61966-2-1's curve in 16 bits."""
    value = np.linspace(0, 1, CURVE_STEPS)
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return np.asarray(np.round(linear * 65535))


def _xyz(values: Pixels | tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(float(value) * 65536) for value in values))


def _description(text: str) -> bytes:
    """textDescriptionType: ASCII, then empty Unicode and Macintosh versions."""
    ascii_text = text.encode() + b"\0"
    return b"desc" + bytes(4) + struct.pack(">I", len(ascii_text)) + ascii_text + bytes(8 + 3 + 67)


def _assemble(tags: dict[bytes, bytes]) -> bytes:
    """Header, tag table, then each different tag once, on four-byte boundaries."""
    places: dict[bytes, int] = {}
    body, start = b"", 128 + 4 + 12 * len(tags)
    for data in tags.values():
        if data not in places:
            places[data] = start + len(body)
            body += data + bytes(-len(data) % 4)
    table = b"".join(struct.pack(">4sII", tag, places[data], len(data)) for tag, data in tags.items())
    return _header(start + len(body)) + struct.pack(">I", len(tags)) + table + body


def _header(size: int) -> bytes:
    made = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    classes = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    illuminant = struct.pack(">3i", *(round(value * 65536) for value in D50))
    return (classes + made + b"acsp" + bytes(28) + illuminant).ljust(128, b"\0")
