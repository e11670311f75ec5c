"""What the tiles of a compressed frame take when astropy decodes them, and a bound for those that are inflated.

Astropy inflates a stream as far as it goes, whatever the size of its tile.
"""

from __future__ import annotations

import struct
import zlib
from math import prod
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from mezcal.convert.fits.read.file.byte_ranges import bytes_at
from mezcal.convert.fits.read.tiles.tile_table import read_tile_table
from mezcal.errors import Undecodable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.convert.fits.read.planes import Pixels
    from mezcal.convert.fits.read.tiles.tile_table import TileTable

INFLATED = {"GZIP_1", "GZIP_2"}
GZIP_COLUMN = "GZIP_COMPRESSED_DATA"  # the tiles that another algorithm could not compress
INFLATED_ANYWAY = 16 * 2**20  # bytes: streams that cannot become more are not looked at
DEFLATE_RATIO = 1_032  # to one at most (zlib's technical details)
PIECE = 2**20
STREAM_RATIO, STREAM_SPARE = 2, 65_536  # a stream has at most so many bytes for each of its tile, and some more
STREAM_COPIES = 2  # of a stream, while astropy decodes it

QUANTIZED = 24  # bytes a pixel of a tile: integers, doubles, noise; measured up to 22.7
HCOMPRESS_MAGIC = b"\xdd\x99"
HCOMPRESS = 13  # it works on 64-bit integers


def check_streams(hdu: Any, file: BinaryIO) -> int:
    """Returns the bytes that decoding a tile of *hdu* takes.

    Raises `Undecodable` if a stream is longer than its tile can be, or inflates to more. Astropy inflates it again, so
    only those are tried that could become large.
    """
    table = read_tile_table(hdu, file)
    if table is None:
        raise Undecodable("the frame's table of tiles has a layout that is not known")
    tile, sample = prod(map(int, hdu.tile_shape)), max(4, abs(hdu.header["BITPIX"]) // 8)
    inflated = [GZIP_COLUMN, "COMPRESSED_DATA"] if hdu.compression_type in INFLATED else [GZIP_COLUMN]
    most = max(tile * sample, INFLATED_ANYWAY)
    longest = 0
    for name in table.names:
        streams = _streams(table, name, STREAM_RATIO * tile * sample + STREAM_SPARE)
        longest = max(longest, int(streams[:, 1].max(initial=0)))
        if name in inflated:
            for start, size in streams[streams[:, 1] * DEFLATE_RATIO > most].tolist():
                _check_inflated(_pieces(file, start, size), most)
        if hdu.compression_type == "HCOMPRESS_1" and name == "COMPRESSED_DATA":
            for start, _ in streams[streams[:, 1] > 0].tolist():
                _check_sides(bytes_at(file, start, len(HCOMPRESS_MAGIC) + 8), tile)
    pixel_bytes = _pixel_bytes(hdu.compression_type, sample, quantized="ZSCALE" in table.names)
    return tile * pixel_bytes + STREAM_COPIES * longest


def _pixel_bytes(compression: str, sample: int, *, quantized: bool) -> int:
    if quantized:
        return QUANTIZED + sample - 4
    return {"GZIP_2": 3 * sample + 1, "HCOMPRESS_1": HCOMPRESS}.get(compression, 2 * sample)


def _streams(table: TileTable, name: str, longest: int) -> Pixels:
    """Returns position and size of the streams in the column *name*, none if it has no streams."""
    column = table.rows[name]
    if column.ndim == 1:
        return np.empty((0, 2), np.int64)
    sizes, offsets = column.astype(np.int64).T * [[table.elements[name]], [1]]
    if min(sizes.min(initial=0), offsets.min(initial=0)) < 0 or (sizes > table.end - table.heap - offsets).any():
        raise Undecodable("the frame's table of tiles points outside of the file")
    if sizes.max(initial=0) > longest:
        raise Undecodable(f"a tile of the frame has {sizes.max():,} bytes, and can have at most {longest:,}")
    return np.stack([table.heap + offsets, sizes], 1)


def _check_sides(start: bytes | bytearray, tile: int) -> None:
    """Raise `Undecodable` if the *start* of an HCOMPRESS stream has sides that no *tile* of so many pixels can have.

    What astropy's decoder makes of negative ones differs from run to run.
    """
    sides = struct.unpack(">2i", start[len(HCOMPRESS_MAGIC) :])
    if not start.startswith(HCOMPRESS_MAGIC) or min(sides) < 1 or prod(sides) > tile:
        raise Undecodable(f"a tile of the frame has sides of {sides[0]:,} and {sides[1]:,} pixels, which do not fit")


def _pieces(file: BinaryIO, start: int, size: int) -> Iterator[bytes]:
    for position in range(start, start + size, PIECE):
        yield bytes(bytes_at(file, position, min(PIECE, start + size - position)))


def _check_inflated(pieces: Iterator[bytes], most: int) -> None:
    """Raise `Undecodable` if the gzip members in *pieces* inflate to more than *most* bytes. None of it is kept."""
    total, stream = 0, zlib.decompressobj(31)
    for piece in pieces:
        rest = piece
        while rest := rest.lstrip(b"\0") if stream.eof else rest:
            if stream.eof:
                stream = zlib.decompressobj(31)
            total += len(stream.decompress(rest, PIECE))
            if total > most:
                raise Undecodable(f"a tile of the frame inflates to more than its {most:,} bytes")
            rest = stream.unused_data if stream.eof else stream.unconsumed_tail
