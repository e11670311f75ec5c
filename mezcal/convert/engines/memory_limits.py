"""Masters that a decoder holds in memory whole, told from their headers before anything is decoded.

What streams takes the same memory whatever its size; what does not has a budget of bytes, so that a process
that converts stays below 1 GB. The figures are peaks of `convert` over those of a small picture, measured with
masters of 16 megapixels (libvips 8.18, Pillow, pillow-heif) and rounded up; 4 megapixels for deep AVIF. A GIF's
second frame, QOI and Pillow's rarer modes are reckoned, not measured.
"""

from __future__ import annotations

import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mezcal.convert.engines import jp2
from mezcal.errors import TooLarge, Undecodable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.convert.master_reader import MasterReader

HELD_BYTES = 800 * 2**20  # for one decoded master; Python, libvips and the encoder take about 90 MB themselves
BY_LIBVIPS = {"GIF": 10, "WebP": 10, "AVIF": 18, "deep AVIF": 30}  # bytes a pixel; a GIF has two frames at times
BY_PILLOW = {"1": 2, "L": 2, "I;16": 3, "RGB": 5, "RGBA": 5, "CMYK": 5, "LA": 5, "P": 6, "F": 5, "I": 12}
BY_PILLOW_ELSE = 12  # other modes are converted: two or three copies
BY_DECODER = {"HEIF": 10, "AVIF": 30, "WEBP": 10, "GIF": 10}  # by Pillow, what its decoders take included
JPEG_2000 = 4  # bytes a sample of a tile: OpenJPEG's integers; Pillow copies them, in one or two bytes each
JPEG_2000_CODED = 1.3  # bytes for each of the file, which is held while it is decoded

JPEG_PIXELS = 8 * 256  # a byte: a block has a bit at least, and 4 x 1 samples with one block stand for 256 pixels
DEFLATE_RATIO = 1_032  # to one, at best (zlib's technical details)
CODED = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG's frame headers
PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
ARITHMETIC = frozenset(range(0xC9, 0xD0))  # less than a bit a block
SCAN = 0xDA
BARE = frozenset(range(0xD0, 0xD8)) | {0x01}  # markers without content
SEGMENTS_MAX, JUNK_MAX = 10_000, 65_536  # segments; bytes before one
PNG_CHANNELS = {0: 1, 2: 3, 3: 4, 4: 2, 6: 4}  # by colour type; palettes are looked up


def check_libvips(name: str, master: MasterReader, width: int, height: int, *, deep: bool) -> None:
    """`TooLarge` if libvips would hold more than the budget of format *name*, `Undecodable` for an empty claim.

    *deep* are samples of more than eight bits.
    """
    each = BY_LIBVIPS.get(f"deep {name}" if deep else name, 0)
    with _place_kept(master):
        needed = _whole(name, master, width, height) + each * width * height
    _check(width, height, needed, name)
    master.will_hold(needed)


def check_pillow(name: str, master: MasterReader, size: tuple[int, int], mode: str) -> None:
    """The same for Pillow, whose *name* and *mode* these are."""
    pixels = size[0] * size[1]
    needed = BY_PILLOW.get(mode, BY_PILLOW_ELSE) * pixels
    with _place_kept(master):
        if name in BY_DECODER:
            needed = BY_DECODER[name] * pixels
        elif name == "JPEG":
            needed += _whole(name, master, *size)
    _check(*size, needed, name)
    master.will_hold(needed)


@contextmanager
def _place_kept(master: MasterReader) -> Iterator[None]:
    """The decoder that has opened *master* goes on reading where it was."""
    at = master.tell()
    try:
        yield
    finally:
        master.seek(at)


def _check(width: int, height: int, needed: int, name: str) -> None:
    if needed > HELD_BYTES:
        raise TooLarge(
            f"{width} x {height} pixels of this kind of {name} are decoded whole, in {needed // 2**20:,} MB "
            f"of memory, and {HELD_BYTES // 2**20} are allowed"
        )


def _whole(name: str, master: MasterReader, width: int, height: int) -> int:
    """Bytes that a JPEG or PNG has to be held in; 0 if it streams."""
    if name == "JPEG":
        return _jpeg(master, width * height)
    return _png(master) if name == "PNG" else 0


def _png(master: MasterReader) -> int:
    master.seek(0)
    head = master.read(29)
    width, height = int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
    depth, colour, interlaced = head[24], head[25], head[28]
    samples = 1 if colour == 3 else PNG_CHANNELS.get(colour, 4)
    if height * (-(-width * samples * depth // 8) + 1) > master.seek(0, 2) * DEFLATE_RATIO:
        raise Undecodable(f"PNG: a file of {master.tell():,} bytes cannot hold {width} x {height} pixels")
    return width * height * (PNG_CHANNELS.get(colour, 4) * (2 if depth == 16 else 1) + 1) if interlaced else 0


def _jpeg(master: MasterReader, pixels: int) -> int:
    """Bytes of all coefficients, of two bytes each, if more than one scan adds to them."""
    frame, progressive = b"", False
    for marker, content in _segments(master):
        if marker in CODED:
            frame, progressive = content, marker in PROGRESSIVE
            if marker not in ARITHMETIC:
                _check_claim(master, pixels)
        elif marker == SCAN and frame:
            held = progressive or content[:1] < frame[5:6]
            return _coefficients(frame, pixels) if held else 0
    raise Undecodable("JPEG: what its scans are like cannot be found in its header")


def _check_claim(master: MasterReader, pixels: int) -> None:
    at = master.tell()
    if pixels > master.seek(0, 2) * JPEG_PIXELS:
        raise Undecodable(f"JPEG: a file of {master.tell():,} bytes cannot hold {pixels:,} pixels")
    master.seek(at)


def _coefficients(frame: bytes, pixels: int) -> int:
    factors = [(each >> 4, each & 15) for each in frame[7::3]] or [(1, 1)]
    most = max(across for across, _ in factors) * max(down for _, down in factors)
    samples = sum(across * down for across, down in factors) / max(most, 1)
    return round(pixels * (2 * samples + 1.5))  # and what the decoder smoothes


def _segments(master: MasterReader) -> Iterator[tuple[int, bytes]]:
    """Marker and content of a JPEG's segments up to the first scan's, found among junk as libjpeg finds them."""
    master.seek(2)
    for _ in range(SEGMENTS_MAX):
        marker = _marker(master)
        if marker in BARE:
            continue
        size = int.from_bytes(master.read(2))
        if marker is None or size < 2:
            return
        yield marker, master.read(size - 2)
        if marker == SCAN:
            return


def _marker(master: MasterReader) -> int | None:
    """The next marker; None if there is none within `JUNK_MAX` bytes."""
    before = b""
    for _ in range(JUNK_MAX):
        byte = master.read(1)
        if before == b"\xff" and byte not in (b"", b"\0", b"\xff"):
            return byte[0]
        before = byte
    return None


def halvings(master: MasterReader, size: tuple[int, int], mode: str, *, allowed: bool) -> int:
    """How often a JPEG 2000 must be halved on decoding to keep within the budget; `TooLarge` if it cannot be.

    Its coding has smaller sizes in it, which take a quarter of the memory each. *allowed* says if they will do.
    """
    with _place_kept(master):
        whole = BY_PILLOW.get(mode, BY_PILLOW_ELSE) * size[0] * size[1] + _jpeg_2000(master)
        most = jp2.halvings(master) if allowed and whole > HELD_BYTES else 0
        coded = round(master.seek(0, 2) * JPEG_2000_CODED)
    times = next((n for n in range(1, most + 1) if whole // 4**n + coded <= HELD_BYTES), 0)
    if not times:
        _check(*size, whole, "JPEG2000")
    return times if whole > HELD_BYTES else 0


def _jpeg_2000(master: MasterReader) -> int:
    """Bytes of one tile in OpenJPEG and on its way to Pillow, by what the codestream says of itself.

    ISO/IEC 15444-1, A.5.1.
    """
    at = jp2.codestream(master)
    if at is None:
        raise Undecodable("JPEG 2000: it has no codestream")
    master.seek(at)
    head = master.read(43)
    if len(head) < 43 or head[:4] != jp2.START:
        raise Undecodable("JPEG 2000: the header of its codestream is broken")
    right, bottom, left, top, across, down = struct.unpack(">6I", head[8:32])
    width, height = max(0, right - left), max(0, bottom - top)
    samples: int = min(width, across) * min(height, down) * int.from_bytes(head[40:42])
    return samples * (JPEG_2000 + (1 if head[42] & 0x7F < 8 else 2))
