"""Which compressed frames we decode ourselves: told by the header and the table of tiles, before any pixel is.

All others are left to astropy: other compressions, tiles kept another way (GZIP_COMPRESSED_DATA), scaled integers,
integers with BLANK, and whatever a header may say that is not in FITS 4.0, chapter 10.
"""

from __future__ import annotations

import re
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
from astropy.io import fits

from mezcal.convert.fits.read.byte_ranges import bytes_at
from mezcal.convert.fits.read.quantization import RANDOMS, Integers, Quantized
from mezcal.convert.fits.read.rice_tiles import UNRICE, Grid, Streams, Tiles

if TYPE_CHECKING:
    from mezcal.convert.fits.read.planes import Pixels

CARD = 80  # bytes
OURS = re.compile(
    rb"(ZNAME[1-9]|ZVAL[1-9]|(TFORM|TTYPE|TSCAL|TZERO)[0-9]+|TFIELDS|NAXIS[12]|THEAP|PCOUNT"
    rb"|ZBITPIX|ZQUANTIZ|ZDITHER0|ZBLANK|BLANK|BSCALE|BZERO) *="
)
FORM = re.compile(r"\s*([01]?)([LBIJKAEDCMPQ])(.*)")
WIDTHS = {"L": 1, "B": 1, "A": 1, "I": 2, "J": 4, "E": 4, "K": 8, "D": 8, "C": 8, "P": 8, "M": 16, "Q": 16}
READ = {"P": "2>i4", "Q": "2>i8", "D": ">f8"}  # kinds of columns that are looked into: places and doubles
CODES: dict[Any, np.dtype[Any]] = {1: np.dtype(np.uint8), 2: np.dtype(np.int16), 4: np.dtype(np.int32)}  # by BYTEPIX
CODING_BLOCKS = (16, 32)  # pixels that share the length of a code
FLOATS: dict[Any, np.dtype[Any]] = {-32: np.dtype(np.float32), -64: np.dtype(np.float64)}
INTEGERS: dict[Any, np.dtype[Any]] = {
    (8, 0): np.dtype(np.uint8),
    (16, 0): np.dtype(np.int16),
    (32, 0): np.dtype(np.int32),
    (16, 2**15): np.dtype(np.uint16),
    (32, 2**31): np.dtype(np.uint32),
}
DITHERS = {"NO_DITHER": 0, "SUBTRACTIVE_DITHER_1": 1, "SUBTRACTIVE_DITHER_2": 2}


class TileTable(NamedTuple):
    """The table of tiles, and where in the file what its rows point to begins and ends."""

    rows: Pixels
    heap: int
    end: int


def tiled(hdu: Any, file: BinaryIO, number: int) -> Tiles | None:
    """The *number*-th plane of *hdu*, from 0; None if astropy is to read it.

    Raises `ValueError` if a tile is said to lie outside of the file.
    """
    if UNRICE is None or not isinstance(hdu, fits.CompImageHDU) or hdu.compression_type not in {"RICE_1", "RICE_ONE"}:
        return None
    grid = _grid(hdu)
    info = hdu.fileinfo()
    header = _header(bytes(bytes_at(file, info["hdrLoc"], info["datLoc"] - info["hdrLoc"])))
    kind, coding_block = CODES.get(_setting(header, "BYTEPIX", 4)), _setting(header, "BLOCKSIZE", 32)
    if grid is None or kind is None or coding_block not in CODING_BLOCKS:
        return None
    tiles = grid.tiles * prod(hdu.shape[:-2])
    table = _table(header, file, info["datLoc"], tiles)
    scaling = None if table is None else _scaling(header, table.rows, kind)
    streams = None if table is None else _streams(table, file, prod(grid.tile) * kind.itemsize)
    if scaling is None or streams is None:
        return None
    return Tiles(replace(grid, first=number * grid.tiles), streams, scaling, coding_block, kind)


def _header(written: bytes) -> Any:
    """The table's own header, of which astropy shows the picture's: only the cards that are looked into here."""
    cards = (written[at : at + CARD] for at in range(0, len(written), CARD))
    return fits.Header.fromstring(b"".join(card for card in cards if OURS.match(card)))


def _grid(hdu: Any) -> Grid | None:
    *_, rows, columns = hdu.shape
    *deep, high, wide = map(int, hdu.tile_shape)
    if len(hdu.tile_shape) != len(hdu.shape) or high < 1 or wide < 1 or set(deep) - {1}:
        return None
    return Grid((rows, columns), (min(high, rows), min(wide, columns)), first=0)


def _setting(header: Any, name: str, default: int) -> Any:
    """A setting of the compression: these are pairs of keywords in any order."""
    for number in range(1, 10):
        if str(header.get(f"ZNAME{number}", "")).upper() == name:
            return header.get(f"ZVAL{number}")
    return default


def _table(header: Any, file: BinaryIO, start: int, tiles: int) -> TileTable | None:
    """The table of tiles; None if it has not a row for each, or columns of another make."""
    columns = [_column(header, number) for number in range(1, header["TFIELDS"] + 1)]
    there = [column for column in columns if column is not None and column[2]]
    width = sum(column[2] for column in there)
    if None in columns or width != header["NAXIS1"] or header["NAXIS2"] != tiles:
        return None
    names, forms, widths = zip(*there, strict=True)
    offsets = [sum(widths[:number]) for number in range(len(widths))]
    kind = np.dtype({"names": names, "formats": forms, "offsets": offsets, "itemsize": width})
    heap = start + int(header.get("THEAP", width * tiles))
    if heap < start + width * tiles:
        return None
    rows = np.frombuffer(bytes_at(file, start, width * tiles), kind)
    return TileTable(rows, heap, start + width * tiles + header["PCOUNT"])


def _column(header: Any, number: int) -> tuple[str, str, int] | None:
    """Name, form and bytes of a column; None if it is scaled, or of a form that such a table has not."""
    form = FORM.fullmatch(str(header[f"TFORM{number}"]))
    if form is None or f"TSCAL{number}" in header or f"TZERO{number}" in header:
        return None
    width = 0 if form[1] == "0" else WIDTHS[form[2]]
    bytes_of = form[2] not in "PQ" or form[3].startswith("B")
    name = str(header[f"TTYPE{number}"]).upper()
    if name == "COMPRESSED_DATA" and not bytes_of:
        return None
    return name, READ.get(form[2], f"V{width}"), width


def _scaling(header: Any, rows: Pixels, kind: np.dtype[Any]) -> Integers | Quantized | None:
    """What the codes mean; None if it is not one of the ordinary ways."""
    bitpix, names = header["ZBITPIX"], set(rows.dtype.names or ())
    if header.get("BSCALE", 1) != 1 or "BLANK" in header or "ZBLANK" in names:
        return None
    if bitpix > 0:
        meaning = INTEGERS.get((bitpix, header.get("BZERO", 0)))
        return None if meaning is None or "ZBLANK" in header or "ZSCALE" in names else Integers(meaning)
    dither, seed = DITHERS.get(header.get("ZQUANTIZ", "NO_DITHER")), header.get("ZDITHER0", 0)
    doubles = {name for name in names & {"ZSCALE", "ZZERO"} if rows.dtype[name] == READ["D"]}
    blank = header.get("ZBLANK")
    odd_blank = blank is not None and (type(blank) is not int or kind.itemsize != 4)
    if bitpix not in FLOATS or header.get("BZERO", 0) or dither is None or len(doubles) != 2 or odd_blank:
        return None
    if dither and (type(seed) is not int or not 1 <= seed <= RANDOMS):
        return None
    scales, zeros = (rows[name].astype(np.float64) for name in ("ZSCALE", "ZZERO"))
    return Quantized(FLOATS[bitpix], scales, zeros, seed - 1 if dither else None, dither == 2, blank)


def _streams(table: TileTable, file: BinaryIO, tile_bytes: int) -> Streams | None:
    """Where each tile's bytes are; None if some are not there, or not one behind the other."""
    if "COMPRESSED_DATA" not in (table.rows.dtype.names or ()):
        return None
    room = table.end - table.heap
    sizes, places = table.rows["COMPRESSED_DATA"].astype(np.int64).T
    if not len(sizes) or not sizes.all():
        return None
    if min(sizes.min(), places.min()) < 0 or (sizes > room - places).any():
        raise ValueError("a tile is said to lie outside of the file")
    if (places[1:] != (places + sizes)[:-1]).any() or sizes.max() > 2 * tile_bytes + 64:
        return None
    return Streams(file, table.heap + np.append(places, places[-1] + sizes[-1]))
