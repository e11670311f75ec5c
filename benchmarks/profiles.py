"""ICC profiles for benchmarks, made from published numbers (ICC.1:2001-04: a matrix and a curve)."""

from __future__ import annotations

import struct

D50 = (0.9642, 1.0, 0.8249)
Matrix = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]

# XYZ of red, green and blue under D50
ADOBE_RGB: Matrix = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
ECI_RGB: Matrix = ((0.65020, 0.32025, 0.0), (0.17808, 0.60207, 0.06784), (0.13594, 0.07768, 0.75737))
PROPHOTO: Matrix = ((0.79767, 0.28804, 0.0), (0.13519, 0.71187, 0.0), (0.03135, 0.00009, 0.82491))


def gamma(exponent: float) -> bytes:
    """Returns the curve of a power, as a tag."""
    return b"curv" + bytes(4) + struct.pack(">IHxx", 1, round(exponent * 256))


def lightness() -> bytes:
    """Returns the curve of L* (CIE 15), as a tag: that of eciRGB v2."""
    levels = [100 * step / 1023 for step in range(1024)]
    values = [((level + 16) / 116) ** 3 if level > 8 else level / 903.3 for level in levels]
    return b"curv" + bytes(4) + struct.pack(">I1024H", 1024, *(round(value * 65535) for value in values))


def rgb(primaries: Matrix, curve: bytes) -> bytes:
    """Returns a profile for RGB."""
    names = [(name, _xyz(colour)) for name, colour in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)]
    return _profile(b"RGB ", [*names, *((name, curve) for name in (b"rTRC", b"gTRC", b"bTRC"))])


def grey(curve: bytes) -> bytes:
    """Returns a profile for grey."""
    return _profile(b"GRAY", [(b"kTRC", curve)])


def _xyz(values: tuple[float, float, float]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))


def _profile(space: bytes, tags: list[tuple[bytes, bytes]]) -> bytes:
    description = b"desc" + bytes(4) + struct.pack(">I10s", 10, b"benchmark\0") + bytes(78)
    tags = [(b"desc", description), (b"wtpt", _xyz(D50)), *tags]
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags:
        padded = content + bytes(-len(content) % 4)
        table += name + struct.pack(">II", at, len(content))
        body, at = body + padded, at + len(padded)
    head = struct.pack(">I4xI4s4s4s", at, 0x02400000, b"mntr", space, b"XYZ ").ljust(36, b"\0") + b"acsp"
    head = head.ljust(68, b"\0") + _xyz(D50)[8:]
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body
