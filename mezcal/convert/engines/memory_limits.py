"""How much memory a master takes that its decoder holds whole, found in its header before anything is decoded.

Masters that stream take the same memory at any size. The others have a limit, so that a process stays below
1 GB. The figures are peaks of `convert` less those for a small picture, measured with masters of 16 megapixels
(libvips 8.18, Pillow, pillow-heif; 4 megapixels for deep AVIF) and rounded up. Those of a GIF's second frame, of QOI
and of Pillow's rarer modes are calculated, not measured.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from mezcal.convert.engines import opening
from mezcal.errors import TooLarge, Undecodable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.convert.engines.decoded import Decoded
    from mezcal.convert.master_reader import MasterReader

DECODED_MAX = 800 * 2**20  # bytes for one decoded master; Python, libvips and the encoder take about 90 MB more
LIBVIPS_BYTES = {"GIF": 10, "WebP": 10, "AVIF": 18, "deep AVIF": 30}  # a pixel; some GIFs need two frames
PILLOW_BYTES = {"1": 2, "L": 2, "I;16": 3, "RGB": 5, "RGBA": 5, "CMYK": 5, "LA": 5, "P": 6, "F": 5, "I": 12}
PILLOW_BYTES_OTHER = 12  # other modes are converted: two or three copies
PILLOW_DECODER_BYTES = {"HEIF": 10, "AVIF": 30, "WEBP": 10, "GIF": 10}  # a pixel, with what the decoders take
TIFF_FILE_COPIES = 2  # of a file that has no descriptor, which Pillow reads whole

FORMAT_BYTES = {"uchar": 1, "char": 1, "ushort": 2, "short": 2, "double": 8}  # a sample; all others have 4
COLUMN_BYTES, SHOWN_BYTES, PROFILE_BYTES = 520, 1_500, 3_500  # for each column: a byte of samples, a band, a profile
SCALED_BYTES, SCALED_WIDE_BYTES = 3_700, 7_000  # for each column and band of a picture that is scaled
WIDE = 65_500  # columns
ROW_COPIES = 9  # of a whole picture that has few rows

JPEG_PIXELS = 8 * 256  # a byte at most: each block has a bit or more, and stands for 256 pixels or fewer
DEFLATE_RATIO = 1_032  # to one at most (zlib's technical details)
FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG's SOF markers
PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
ARITHMETIC = frozenset(range(0xC9, 0xD0))  # can take less than a bit a block
SCAN = 0xDA
WITHOUT_CONTENT = frozenset(range(0xD0, 0xD8)) | {0x01}  # markers
SEGMENTS_MAX, JUNK_MAX = 10_000, 65_536  # segments; bytes before a marker
PNG_CHANNELS = {0: 1, 2: 3, 3: 4, 4: 2, 6: 4}  # by colour type; palettes are looked up


def check_libvips(name: str, master: MasterReader, width: int, height: int, opened: int, *, deep: bool) -> None:
    """Reserve the memory that libvips will hold, and the *opened* bytes that it holds already.

    *deep* are samples of more than eight bits.
    Raises `TooLarge` if it is more than `DECODED_MAX`, `Undecodable` if the file cannot hold so many pixels.
    """
    pixel_bytes = LIBVIPS_BYTES.get(f"deep {name}" if deep else name, 0)
    with _position_kept(master):
        pixels = max(width * height, opening.largest_coded(master) if name == "AVIF" else 0)
        needed = _header_bytes(name, master, width, height) + pixel_bytes * pixels
    check_whole(width, height, needed, name)
    master.reserve(needed + opened)


def check_pillow(name: str, master: MasterReader, size: tuple[int, int], mode: str, opened: int = 0) -> None:
    """Reserve the memory that Pillow will hold, and the *opened* bytes that it holds already. Raises `TooLarge`.

    *name* and *mode* are Pillow's names.
    """
    pixels = size[0] * size[1]
    needed = PILLOW_BYTES.get(mode, PILLOW_BYTES_OTHER) * pixels
    with _position_kept(master):
        if name in ("AVIF", "HEIF"):
            pixels = max(pixels, opening.largest_coded(master))
        if name in PILLOW_DECODER_BYTES:
            needed = PILLOW_DECODER_BYTES[name] * pixels
        elif name == "JPEG":
            needed += _header_bytes(name, master, *size)
        elif name == "TIFF" and master.reopen_path is None:
            needed += TIFF_FILE_COPIES * master.seek(0, 2)
    check_whole(*size, needed, name)
    master.reserve(needed + opened)


def bytes_of_rows(decoded: Decoded, edge: int, shown: int = 0) -> int:
    """Returns the bytes that the rows take which are decoded, converted and encoded at a time.

    They grow with the width alone. *edge* is the longest side of the derivative: a picture that is scaled to it takes
    more rows at a time. *shown* are the bytes of a converted pixel, 0 for those of grey and RGB in 8 bits.
    """
    image = decoded.image
    pixel_bytes = image.bands * FORMAT_BYTES.get(image.format, 4)
    return bytes_of_columns((image.width, image.height), pixel_bytes, decoded.space, edge, shown)


def bytes_of_columns(size: tuple[int, int], pixel_bytes: int, space: str, edge: int, shown: int = 0) -> int:
    """Returns `bytes_of_rows` of a picture of *size*, with *pixel_bytes* bytes a pixel."""
    width, height = size
    shown = shown or (1 if space == "grey" else 3)
    column = COLUMN_BYTES * pixel_bytes + SHOWN_BYTES * shown + (PROFILE_BYTES if space == "cmyk" else 0)
    if max(size) > edge:
        column = max(column, (SCALED_WIDE_BYTES if width > WIDE else SCALED_BYTES) * shown)
    return int(width * min(column, ROW_COPIES * height * max(pixel_bytes, shown)))


@contextmanager
def _position_kept(master: MasterReader) -> Iterator[None]:
    """Restore the position afterwards: the decoder that has opened *master* continues from it."""
    position = master.tell()
    try:
        yield
    finally:
        master.seek(position)


def check_whole(width: int, height: int, needed: int, name: str) -> None:
    """Raise `TooLarge` if decoding a picture whole takes more than `DECODED_MAX`."""
    if needed > DECODED_MAX:
        raise TooLarge(
            f"{width} x {height} pixels of this kind of {name} are decoded whole, in {needed // 2**20:,} MB "
            f"of memory, and {DECODED_MAX // 2**20} are allowed"
        )


def _header_bytes(name: str, master: MasterReader, width: int, height: int) -> int:
    """Returns the bytes that a JPEG or PNG takes if it must be held whole; 0 if it streams."""
    if name == "JPEG":
        return _jpeg_bytes(master, width * height)
    return _png_bytes(master) if name == "PNG" else 0


def _png_bytes(master: MasterReader) -> int:
    master.seek(0)
    head = master.read(29)
    width, height = int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
    depth, colour, interlaced = head[24], head[25], head[28]
    samples = 1 if colour == 3 else PNG_CHANNELS.get(colour, 4)
    if height * (-(-width * samples * depth // 8) + 1) > master.seek(0, 2) * DEFLATE_RATIO:
        raise Undecodable(f"PNG: a file of {master.tell():,} bytes cannot hold {width} x {height} pixels")
    return width * height * (PNG_CHANNELS.get(colour, 4) * (2 if depth == 16 else 1) + 1) if interlaced else 0


def _jpeg_bytes(master: MasterReader, pixels: int) -> int:
    """Returns the bytes of all coefficients, two each, if more than one scan adds to them; else 0."""
    frame, progressive = b"", False
    for marker, content in _segments(master):
        if marker in FRAME_HEADERS:
            frame, progressive = content, marker in PROGRESSIVE
            if marker not in ARITHMETIC:
                _check_pixels(master, pixels)
        elif marker == SCAN and frame:
            if not (progressive or content[:1] < frame[5:6]):
                return 0
            return _coefficient_bytes(frame, pixels) + opening.jpeg_bytes_after(master, master.tell())
    raise Undecodable("JPEG: its header does not describe its scans")


def _check_pixels(master: MasterReader, pixels: int) -> None:
    position = master.tell()
    if pixels > master.seek(0, 2) * JPEG_PIXELS:
        raise Undecodable(f"JPEG: a file of {master.tell():,} bytes cannot hold {pixels:,} pixels")
    master.seek(position)


def _coefficient_bytes(frame: bytes, pixels: int) -> int:
    factors = [(packed >> 4, packed & 15) for packed in frame[7::3]] or [(1, 1)]
    most = max(across for across, _ in factors) * max(down for _, down in factors)
    samples = sum(across * down for across, down in factors) / max(most, 1)
    return round(pixels * (2 * samples + 1.5))  # 1.5: what the decoder smoothes


def _segments(master: MasterReader) -> Iterator[tuple[int, bytes]]:
    """Yields marker and content of a JPEG's segments up to the first scan. Skips junk, as libjpeg does."""
    master.seek(2)
    for _ in range(SEGMENTS_MAX):
        marker = _next_marker(master)
        if marker in WITHOUT_CONTENT:
            continue
        size = int.from_bytes(master.read(2))
        if marker is None or size < 2:
            return
        yield marker, master.read(size - 2)
        if marker == SCAN:
            return


def _next_marker(master: MasterReader) -> int | None:
    """Returns the next marker, None if there is none within `JUNK_MAX` bytes."""
    previous = b""
    for _ in range(JUNK_MAX):
        byte = master.read(1)
        if previous == b"\xff" and byte not in (b"", b"\0", b"\xff"):
            return byte[0]
        previous = byte
    return None
