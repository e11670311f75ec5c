"""Colours of a profile that is a matrix and three curves, converted to sRGB by tables.

Adobe RGB, eciRGB, ProPhoto RGB and most profiles of scanners and cameras are of this kind (ICC.1:2022, 8.3.3). A
channel's value adds its own part to the linear red, green and blue of the result, whatever the other two have. So a
table has the three parts of each value, packed in one integer, and two additions make all three sums. This takes less
time than the general transform, and is more exact for samples of 16 bits.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FIELD = 21  # bits of one sum in the packed integer: three are the 63 bits of a positive number
FIELD_MAX = 2**FIELD - 1
ONE = 2**16  # the sum of full light
CHUNK = 32_768  # pixels that are converted at a time, so that the sums stay in a core's cache
COLOUR_TABLES = tuple(b"%s%d" % (kind, number) for kind in (b"A2B", b"D2B") for number in range(4))
CURVES_MAX = 65_536  # values of a curve
PARAMETERS = (1, 3, 4, 5, 7)  # of the functions of a parametric curve
# XYZ of sRGB's red, green and blue under D50, as columns (IEC 61966-2-1, adapted as in ICC's sRGB profiles)
SRGB = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])


@dataclass(frozen=True, slots=True)
class MatrixTables:
    """*parts* has a table for each channel: by value, its packed parts of the three sums. *levels* is 8-bit by sum."""

    parts: tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
    levels: NDArray[Any]

    def convert(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Returns *rows*, height x width x at least three channels, as 8-bit sRGB. Further channels are dropped."""
        shown = np.empty((*rows.shape[:2], 3), "u1")
        step = max(1, CHUNK // rows.shape[1])
        for top in range(0, len(rows), step):
            self._convert_chunk(rows[top : top + step], shown[top : top + step])
        return shown

    def _convert_chunk(self, rows: NDArray[Any], shown: NDArray[Any]) -> None:
        sums = self.parts[0].take(rows[..., 0], mode="clip")
        sums += self.parts[1].take(rows[..., 1], mode="clip")
        sums += self.parts[2].take(rows[..., 2], mode="clip")
        for channel in range(3):
            field = sums >> (FIELD * channel)
            field &= FIELD_MAX
            shown[..., channel] = self.levels.take(field, mode="clip")


def matrix_tables(icc: bytes, values: int) -> MatrixTables | None:
    """Returns the tables of the RGB profile *icc* for channels of *values* values. None if it is of another kind."""
    try:
        tags = _tags(icc)
        if icc[20:24] != b"XYZ " or any(name in tags for name in COLOUR_TABLES):
            return None
        primaries = np.array([_xyz(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]).T
        steps = np.linspace(0, 1, values)
        light = [_curve(tags[name], steps) for name in (b"rTRC", b"gTRC", b"bTRC")]
    except (KeyError, ValueError, ZeroDivisionError, struct.error):
        return None
    return _tables(np.linalg.inv(SRGB) @ primaries, light)


def _tables(matrix: NDArray[Any], light: list[NDArray[Any]]) -> MatrixTables | None:
    """Returns the tables for curves that begin at 0 and rise to 1. *matrix* is from their light to that of sRGB."""
    if any(abs(curve[0]) > 1e-6 or abs(curve[-1] - 1) > 1e-3 or (np.diff(curve) < 0).any() for curve in light):
        return None
    added = 2 - int(ONE * np.minimum(matrix, 0).sum(axis=1).min())  # makes the least sum positive
    most = added + 2 + int(ONE * np.maximum(matrix, 0).sum(axis=1).max())
    if most > FIELD_MAX:
        return None
    parts = [_packed(matrix[:, channel], curve) for channel, curve in enumerate(light)]
    parts[0] += sum(added << (FIELD * channel) for channel in range(3))
    return MatrixTables((parts[0], parts[1], parts[2]), _levels((np.arange(most) - added) / ONE))


def _packed(factors: NDArray[Any], light: NDArray[Any]) -> NDArray[Any]:
    sums = [np.rint(ONE * factor * light).astype("i8") << (FIELD * channel) for channel, factor in enumerate(factors)]
    packed: NDArray[Any] = sums[0] + sums[1] + sums[2]
    return packed


def _levels(light: NDArray[Any]) -> NDArray[Any]:
    """Returns linear light as 8 bits with sRGB's curve (IEC 61966-2-1)."""
    light = np.clip(light, 0, 1)
    curve = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    levels: NDArray[Any] = np.rint(255 * curve).astype("u1")
    return levels


def _tags(icc: bytes) -> dict[bytes, bytes]:
    """Returns the tags of a profile by their signatures (ICC.1:2022, 7.3)."""
    (count,) = struct.unpack_from(">I", icc, 128)
    entries = [struct.unpack_from(">4sII", icc, 132 + 12 * index) for index in range(min(count, 256))]
    return {name: icc[offset : offset + size] for name, offset, size in entries}


def _xyz(tag: bytes) -> list[float]:
    if tag[:4] != b"XYZ ":
        raise ValueError("no XYZ")
    return [number / 65536 for number in struct.unpack_from(">3i", tag, 8)]


def _curve(tag: bytes, steps: NDArray[Any]) -> NDArray[Any]:
    """Returns the linear light of *steps* (ICC.1:2022, 10.6 and 10.18). Raises `ValueError` for another kind of tag."""
    if tag[:4] == b"para":
        return _parametric(tag, steps)
    if tag[:4] != b"curv":
        raise ValueError("no curve")
    (count,) = struct.unpack_from(">I", tag, 8)
    if count == 0:
        return steps
    if count > CURVES_MAX:
        raise ValueError("a curve of too many values")
    values = np.array(struct.unpack_from(f">{count}H", tag, 12), "f8")
    curve: NDArray[Any]
    if count == 1:
        curve = steps ** (values[0] / 256)
        return curve
    curve = np.interp(steps, np.linspace(0, 1, count), values / 65535)
    return curve


def _parametric(tag: bytes, steps: NDArray[Any]) -> NDArray[Any]:
    """Returns Y = (aX + b)^g + e from X = d on, and cX + f below, as functions 0 to 4 of the tag say."""
    (kind,) = struct.unpack_from(">H", tag, 8)
    if kind > 4:
        raise ValueError("an unknown function")
    numbers = struct.unpack_from(f">{PARAMETERS[kind]}i", tag, 12)
    g, a, b, c, d, e, f = ([number / 65536 for number in numbers] + [1, 0, 0, 0, 0, 0][len(numbers) - 1 :])[:7]
    if kind in (1, 2):
        d, e, f, c = -b / a, c, c, 0
    power = np.maximum(a * steps + b, 0) ** g + e
    curve: NDArray[Any] = np.where(steps >= d, power, c * steps + f)
    return curve
