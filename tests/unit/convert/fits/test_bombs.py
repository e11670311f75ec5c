"""Frames made to exhaust memory or time: each takes no more than what was asked for."""

from __future__ import annotations

import gzip
import json
import struct
import subprocess
import sys
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.fits.hdu.compressed import _compression

from mezcal.convert import ConversionContext
from mezcal.convert.fits.read.file.hdu_list import HDUS_MAX, HEADER_MAX
from mezcal.convert.fits.read.frame import CATALOGUE_MAX, open_frame
from mezcal.convert.fits.thumbnail import draw
from mezcal.errors import Failure, TooLarge, Undecodable
from mezcal.recipe import ThumbnailOptions

PRIMARY = fits.PrimaryHDU().header.tostring().encode()
EMPTY_LIST = struct.pack(">7h", 0, 7, -100, 7, 0, 0, 0)  # PLIO: a tile of zeros, of any size


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 2880)


@cache
def zeros(megabytes: int) -> bytes:
    """Returns a gzip stream of about a thousandth of what it inflates to."""
    stream = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(stream.compress(bytes(2**20)) for _ in range(megabytes)) + stream.flush()


def compressed(streams: list[bytes], shape: tuple[int, ...], tile: tuple[int, ...], **cards: object) -> bytes:
    """Returns a frame with these *streams* as its tiles, whatever the header says of them."""
    header = fits.Header({"XTENSION": "BINTABLE", "BITPIX": 8, "NAXIS": 2, "NAXIS1": 8, "NAXIS2": len(streams)})
    heap, rows = b"".join(streams), []
    for number, stream in enumerate(streams):
        rows.append(struct.pack(">2i", len(stream), sum(map(len, streams[:number]))))
    header.update(PCOUNT=len(heap), GCOUNT=1, TFIELDS=1, TTYPE1="COMPRESSED_DATA", TFORM1="1PB(1)")
    header.update(ZIMAGE=True, ZCMPTYPE="GZIP_1", ZBITPIX=16, ZNAXIS=len(shape))
    for axis, (size, tiles) in enumerate(zip(shape[::-1], tile[::-1], strict=True), 1):
        header.update({f"ZNAXIS{axis}": size, f"ZTILE{axis}": tiles})
    header.update(cards)
    return PRIMARY + header.tostring().encode() + padded(b"".join(rows) + heap)


def with_cards(cards: list[str]) -> bytes:
    start = fits.PrimaryHDU(np.zeros((20, 30), "i2")).header.tostring(endcard=False, padding=False)
    header = start + "".join(card.ljust(80) for card in cards) + "END".ljust(80)
    return header.ljust(-(-len(header) // 2880) * 2880).encode() + padded(bytes(1200))


def fallback() -> bytes:
    """Returns a frame whose only tile is in the column for what RICE cannot compress."""
    frame = compressed([zeros(110)], (100, 100), (100, 100), ZCMPTYPE="RICE_1", ZBITPIX=-32)
    return frame.replace(b"'COMPRESSED_DATA'     ", b"'GZIP_COMPRESSED_DATA'")


ROW = _compression.compress_rice_1_c(np.zeros(1_000_000, ">i4").tobytes(), 32, 4)
BOMBS = {
    "gzip-1": lambda: compressed([zeros(110)], (100, 100), (100, 100)),
    "gzip-2": lambda: compressed([zeros(110)], (100, 100), (100, 100), ZCMPTYPE="GZIP_2"),
    "gzip of many members": lambda: compressed([zeros(15) * 9], (100, 100), (100, 100)),
    "gzip beside rice": fallback,
    "comments": lambda: with_cards([f"COMMENT {number}" for number in range(200_000)]),
    "keywords": lambda: with_cards([f"K{number:07d}= {number:20d}" for number in range(200_000)]),
    "one long value": lambda: with_cards(["LONG    = 'a&'", *["CONTINUE  'a&'"] * 200_000]),
    "no end": lambda: b"SIMPLE  =                    T".ljust(2 * HEADER_MAX),
}


def noise(planes: int) -> bytes:
    """Returns a frame that gzip cannot compress, and does not try to, in one tile a plane."""
    stream = gzip.compress(np.random.default_rng(1).bytes(4 * 3500 * 3500), 0)
    shape = (planes, 3500, 3500)[planes == 1 :]
    return compressed([stream] * planes, shape, (1, 3500, 3500)[planes == 1 :], ZBITPIX=32)


LARGE = {
    "a tile of noise": lambda: noise(1),
    "planes of noise": lambda: noise(2),
    "long rows": lambda: compressed([ROW] * 60, (60, 10**6), (1, 10**6), ZCMPTYPE="RICE_1", ZBITPIX=32),
    "one tile": lambda: compressed(
        [EMPTY_LIST], (6000, 6000), (6000, 6000), ZCMPTYPE="PLIO_1", TFORM1="1PI(7)", NAXIS2=1
    ),
    "a tile through all planes": lambda: compressed(
        [EMPTY_LIST], (900, 200, 200), (900, 200, 200), ZCMPTYPE="PLIO_1", TFORM1="1PI(7)"
    ),
}


def in_elements(frame: bytes) -> bytes:
    """Returns *frame* with a PLIO stream counted in 16-bit numbers."""
    return frame.replace(struct.pack(">2i", len(EMPTY_LIST), 0), struct.pack(">2i", len(EMPTY_LIST) // 2, 0))


def refused(path: Path, look: str = "robust") -> Failure:
    with pytest.raises((TooLarge, Undecodable)) as caught, path.open("rb") as file:
        draw([file], path.with_suffix(".jpg"), ThumbnailOptions.parse({"look": look}), ConversionContext())
    return caught.value


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measures in /proc")
def test_every_bomb_stays_within_the_memory_that_was_asked_for(tmp_path: Path) -> None:
    for name, frame in (BOMBS | LARGE).items():
        (tmp_path / f"{name}.fits").write_bytes(in_elements(frame()))
    command = [sys.executable, "-m", "tests.unit.convert.fits.peak_actor", *map(str, tmp_path.glob("*.fits"))]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    measured = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(measured) == 2 * len(BOMBS | LARGE), ended.stderr
    assert [each for each in measured if each["took"] > 1.1 * each["asked"]] == []
    drawn = {each["frame"].removesuffix(".fits") for each in measured if each["outcome"] == "drawn"}
    assert drawn == set(LARGE), "these are honest, only large"


@pytest.mark.parametrize("kind", [kind for kind in BOMBS if kind.startswith("gzip")])
def test_a_tile_that_inflates_to_more_than_it_can_hold_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "frame.fits"
    path.write_bytes(BOMBS[kind]())
    assert "inflates to more than" in refused(path).detail


@pytest.mark.parametrize("sides", [(-5, 100), (0, 100), (30_000, 30_000), (2**31 - 1, 2**31 - 1)])
def test_hcompress_with_sides_that_its_tile_cannot_have_is_refused(tmp_path: Path, sides: tuple[int, int]) -> None:
    stream = b"\xdd\x99" + struct.pack(">3i", *sides, 1) + bytes(211)
    path = tmp_path / "frame.fits"
    path.write_bytes(compressed([stream], (100, 100), (100, 100), ZCMPTYPE="HCOMPRESS_1"))
    assert "do not fit" in refused(path).detail


def test_a_stream_longer_than_its_tile_can_be_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "frame.fits"
    path.write_bytes(compressed([bytes(200_000)], (100, 100), (100, 100), ZCMPTYPE="NOCOMPRESS"))
    assert "can have at most" in refused(path).detail


@pytest.mark.parametrize("kind", ["comments", "keywords", "one long value", "no end"])
def test_a_header_that_is_too_long_is_refused_before_it_is_parsed(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "frame.fits"
    path.write_bytes(BOMBS[kind]())
    assert "cards" in refused(path).detail


def test_a_header_of_forty_thousand_cards_is_read(tmp_path: Path) -> None:
    path = tmp_path / "frame.fits"
    path.write_bytes(with_cards(["HISTORY of a long reduction"] * 40_000))
    with path.open("rb") as file, open_frame(file, ThumbnailOptions.parse({}), ConversionContext()) as frame:
        assert frame.header_bytes > 40_000 * 80


def test_only_the_first_thousand_hdus_are_looked_at(tmp_path: Path) -> None:
    empty = fits.BinTableHDU(np.empty(0, [("x", "i2")])).header.tostring().encode()
    picture = fits.ImageHDU(np.zeros((20, 30), "i2"))
    data = picture.header.tostring().encode() + padded(bytes(1200))
    path = tmp_path / "frame.fits"
    path.write_bytes(PRIMARY + empty * (HDUS_MAX - 2) + data)
    assert draw_size(path) == (30, 20)
    path.write_bytes(PRIMARY + empty * (HDUS_MAX - 1) + data)
    assert "holds no picture" in refused(path).detail


def draw_size(path: Path) -> tuple[int, int]:
    with path.open("rb") as file:
        drawn = draw([file], path.with_suffix(".jpg"), ThumbnailOptions.parse({}), ConversionContext())
    return drawn.width, drawn.height


@pytest.mark.parametrize("rest", [b" " * 2880, b" " * 100, b"\0" * 2880, b"#" * 5000, b"XTENSION"])
def test_what_follows_the_last_hdu_does_not_matter(tmp_path: Path, rest: bytes) -> None:
    path = tmp_path / "frame.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.zeros((20, 30)))]).writeto(path)
    with path.open("ab") as file:
        file.write(rest)
    assert draw_size(path) == (30, 20)


def test_a_catalogue_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "frame.fits"
    rows = np.zeros(CATALOGUE_MAX // 24 + 1, [("x", "f8"), ("y", "f8"), ("flux", "f8")])
    picture, table = fits.ImageHDU(np.zeros((20, 30))), fits.BinTableHDU(rows, name="CAT")
    fits.HDUList([fits.PrimaryHDU(), picture, table]).writeto(path)
    with path.open("rb") as file, open_frame(file, ThumbnailOptions.parse({}), ConversionContext()) as frame:
        assert frame.catalogue() is None
