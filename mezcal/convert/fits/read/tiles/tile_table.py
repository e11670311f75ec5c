"""Reads the header and the table of tiles of a compressed frame, and decides if its layout is supported here.

Astropy reads all others: other compressions, tiles that are stored another way (GZIP_COMPRESSED_DATA), scaled integers,
integers with BLANK, and headers that do not follow FITS 4.0, chapter 10.
"""

from __future__ import annotations

import re
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
from astropy.io import fits

from mezcal.convert.fits.read.file.byte_ranges import bytes_at
from mezcal.convert.fits.read.layout import Layout
from mezcal.convert.fits.read.tiles.quantization import RANDOMS, IntegerScaling, QuantizedScaling
from mezcal.convert.fits.read.tiles.rice_tiles import DECODE_RICE, RicePlane, TileGrid, TileStreams
from mezcal.errors import Undecodable

if TYPE_CHECKING:
    from mezcal.convert.fits.read.planes import Pixels

CARD = 80  # bytes
WIDTH_MAX = 128  # bytes of a row
TILE_MEMORY = 2 * WIDTH_MAX  # bytes that a row and what is calculated of it take
NEEDED_CARDS = re.compile(
    rb"(ZNAME[1-9]|ZVAL[1-9]|(TFORM|TTYPE|TSCAL|TZERO)[0-9]+|TFIELDS|NAXIS[12]|THEAP|PCOUNT"
    rb"|ZBITPIX|ZQUANTIZ|ZDITHER0|ZBLANK|BLANK|BSCALE|BZERO) *="
)
FORM = re.compile(r"\s*([01]?)([LBIJKAEDCMPQ])(.*)")
WIDTHS = {"L": 1, "B": 1, "A": 1, "I": 2, "J": 4, "E": 4, "K": 8, "D": 8, "C": 8, "P": 8, "M": 16, "Q": 16}
COLUMN_TYPES = {"P": "2>i4", "Q": "2>i8", "D": ">f8"}  # of the columns that are read: positions and doubles
CODE_TYPES: dict[Any, np.dtype[Any]] = {
    1: np.dtype(np.uint8),
    2: np.dtype(np.int16),
    4: np.dtype(np.int32),
}  # by BYTEPIX
BLOCK_SIZES = (16, 32)  # pixels that share the length of a code
FLOATS: dict[Any, np.dtype[Any]] = {-32: np.dtype(np.float32), -64: np.dtype(np.float64)}
INTEGERS: dict[Any, np.dtype[Any]] = {
    (8, 0): np.dtype(np.uint8),
    (16, 0): np.dtype(np.int16),
    (32, 0): np.dtype(np.int32),
    (16, 2**15): np.dtype(np.uint16),
    (32, 2**31): np.dtype(np.uint32),
}
RICE = {"RICE_1", "RICE_ONE"}
DITHERS = {"NO_DITHER": 0, "SUBTRACTIVE_DITHER_1": 1, "SUBTRACTIVE_DITHER_2": 2}


class TileTable(NamedTuple):
    """The table of tiles, and where the heap with the compressed bytes begins and ends in the file."""

    header: Any  # the needed cards
    rows: Pixels
    elements: dict[str, int]  # bytes of what the columns count: streams are bytes, but for PLIO
    heap: int
    end: int

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its columns."""
        return self.rows.dtype.names or ()


def read_rice(hdu: Any, file: BinaryIO, number: int) -> RicePlane | None:
    """Returns the *number*-th plane of *hdu*, from 0. None if its layout is not supported.

    Raises `Undecodable` if the table points outside of the file.
    """
    if (
        DECODE_RICE is None
        or not isinstance(hdu, fits.CompImageHDU)
        or hdu.compression_type not in {"RICE_1", "RICE_ONE"}
    ):
        return None
    grid, table = _grid(hdu), read_tile_table(hdu, file)
    if grid is None or table is None:
        return None
    header = table.header
    codes, block_size = CODE_TYPES.get(_setting(header, "BYTEPIX", 4)), _setting(header, "BLOCKSIZE", 32)
    if codes is None or block_size not in BLOCK_SIZES:
        return None
    scaling = _scaling(header, table.rows, codes)
    streams = _streams(table, file, prod(grid.tile) * codes.itemsize)
    if scaling is None or streams is None:
        return None
    return RicePlane(replace(grid, first=number * grid.tiles), streams, scaling, block_size, codes)


def read_tile_table(hdu: Any, file: BinaryIO) -> TileTable | None:
    """Returns the table of the compressed *hdu*. None if its layout is not known.

    Raises `Undecodable` if the file ends before it does.
    """
    info = hdu.fileinfo()
    header = _header(bytes(bytes_at(file, info["hdrLoc"], info["datLoc"] - info["hdrLoc"])))
    return _table(header, file, info["datLoc"], tile_count(hdu))


def tile_count(hdu: Any) -> int:
    """Returns the tiles of the compressed *hdu*, all planes of a cube together."""
    return prod(-(-size // max(1, int(tile))) for size, tile in zip(hdu.shape, hdu.tile_shape, strict=True))


def _header(raw: bytes) -> Any:
    """Returns the needed cards of the table's header. Astropy shows the picture's header instead of it."""
    cards = (raw[position : position + CARD] for position in range(0, len(raw), CARD))
    return fits.Header.fromstring(b"".join(card for card in cards if NEEDED_CARDS.match(card)))


def _grid(hdu: Any) -> TileGrid | None:
    """Returns the plane's tiles. None if a tile spans several planes of a cube, or if planes are interleaved."""
    layout = Layout.of(hdu)
    rows, columns = layout.plane_shape
    *deep, high, wide = map(int, hdu.tile_shape)
    if not layout.is_usual or len(hdu.tile_shape) != len(hdu.shape) or high < 1 or wide < 1 or set(deep) - {1}:
        return None
    return TileGrid((rows, columns), (min(high, rows), min(wide, columns)), first=0)


def _setting(header: Any, name: str, default: int) -> Any:
    """Returns a setting of the compression. Settings are pairs of keywords in any order."""
    for number in range(1, 10):
        if str(header.get(f"ZNAME{number}", "")).upper() == name:
            return header.get(f"ZVAL{number}")
    return default


def _table(header: Any, file: BinaryIO, start: int, tiles: int) -> TileTable | None:
    """Returns the table of tiles. None if its rows are not one for each tile, or if a column is not supported."""
    columns = [_column(header, number) for number in range(1, header["TFIELDS"] + 1)]
    stored = [column for column in columns if column is not None and column[2]]
    width = sum(column[2] for column in stored)
    if None in columns or width != header["NAXIS1"] or width > WIDTH_MAX or header["NAXIS2"] != tiles:
        return None
    names, forms, widths, elements = zip(*stored, strict=True)
    offsets = [sum(widths[:number]) for number in range(len(widths))]
    row_type = np.dtype({"names": names, "formats": forms, "offsets": offsets, "itemsize": width})
    heap = start + int(header.get("THEAP", width * tiles))
    if heap < start + width * tiles:
        return None
    rows = np.frombuffer(bytes_at(file, start, width * tiles), row_type)
    return TileTable(
        header, rows, dict(zip(names, elements, strict=True)), heap, start + width * tiles + header["PCOUNT"]
    )


def _column(header: Any, number: int) -> tuple[str, str, int, int] | None:
    """Returns name, type and bytes of a column, and those of an element that it points to.

    None if it is scaled, or of a form that such tables do not have.
    """
    form = FORM.fullmatch(str(header[f"TFORM{number}"]))
    if form is None or f"TSCAL{number}" in header or f"TZERO{number}" in header:
        return None
    width = 0 if form[1] == "0" else WIDTHS[form[2]]
    element = WIDTHS.get(form[3][:1], 0) if form[2] in "PQ" else 1
    name = str(header[f"TTYPE{number}"]).upper()
    return (name, COLUMN_TYPES.get(form[2], f"V{width}"), width, element) if element else None


def _scaling(header: Any, rows: Pixels, codes: np.dtype[Any]) -> IntegerScaling | QuantizedScaling | None:
    """Returns how codes become pixels. None if the way is not supported."""
    bitpix, names = header["ZBITPIX"], set(rows.dtype.names or ())
    if header.get("BSCALE", 1) != 1 or "BLANK" in header or "ZBLANK" in names:
        return None
    if bitpix > 0:
        dtype = INTEGERS.get((bitpix, header.get("BZERO", 0)))
        return None if dtype is None or "ZBLANK" in header or "ZSCALE" in names else IntegerScaling(dtype)
    dither, seed = DITHERS.get(header.get("ZQUANTIZ", "NO_DITHER")), header.get("ZDITHER0", 0)
    doubles = {name for name in names & {"ZSCALE", "ZZERO"} if rows.dtype[name] == COLUMN_TYPES["D"]}
    blank = header.get("ZBLANK")
    unusual_blank = blank is not None and (type(blank) is not int or codes.itemsize != 4)
    if bitpix not in FLOATS or header.get("BZERO", 0) or dither is None or len(doubles) != 2 or unusual_blank:
        return None
    if dither and (type(seed) is not int or not 1 <= seed <= RANDOMS):
        return None
    scales, zeros = (rows[name].astype(np.float64) for name in ("ZSCALE", "ZZERO"))
    return QuantizedScaling(FLOATS[bitpix], scales, zeros, seed - 1 if dither else None, dither == 2, blank)


def _streams(table: TileTable, file: BinaryIO, tile_bytes: int) -> TileStreams | None:
    """Returns where each tile's bytes are. None if some are missing, or if there are gaps between them."""
    if table.elements.get("COMPRESSED_DATA") != 1:
        return None
    heap_size = table.end - table.heap
    sizes, offsets = table.rows["COMPRESSED_DATA"].astype(np.int64).T
    if not len(sizes) or not sizes.all():
        return None
    if min(sizes.min(), offsets.min()) < 0 or (sizes > heap_size - offsets).any():
        raise Undecodable("the frame's table of tiles points outside of the file")
    if (offsets[1:] != (offsets + sizes)[:-1]).any() or sizes.max() > 2 * tile_bytes + 64:
        return None
    return TileStreams(file, table.heap + np.append(offsets, offsets[-1] + sizes[-1]))
