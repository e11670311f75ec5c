"""Which pages several threads may decode, tag by tag.

The fast decoder reads no tag of its own: it takes each page for plain samples of 8 or 16 bits. So a page is admitted
only if every tag in it is known here, and says nothing else. A page with any other tag, or with another value, is left
to libvips. A tag belongs to `DESCRIPTIVE` only if no decoder looks at it for the pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mezcal.convert.tiff.pages import BLACK_IS_ZERO, RGB, SEPARATED, YCBCR

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.convert.tiff.pages import Page

UNCOMPRESSED, JPEG, DEFLATES = 1, 7, (8, 32946)
SAMPLES = {BLACK_IS_ZERO: 1, RGB: 3, SEPARATED: 4}  # by photometric interpretation
JPEG_SAMPLES = {BLACK_IS_ZERO: 1, RGB: 3, YCBCR: 3}
WHOLE_NUMBERS = (3, 4, 16)  # the types SHORT, LONG and LONG8
SIZE_AND_PLACE = (256, 257, 273, 278, 279, 322, 323, 324, 325)  # `Page` reads and checks them

DESCRIPTIVE = frozenset(
    {
        254, 255, 263, 264, 265, 269, 270, 271, 272, 274, 280, 281, 282, 283, 285, 286, 287, 288, 289, 290, 291, 296,
        297, 300, 301, 305, 306, 315, 316, 318, 319, 321, 330, 333, 336, 337, 342,  # TIFF 6.0 and its supplements
        700, 33432, 33723, 34377, 34665, 34675, 34853, 37724, 40965,  # XMP, IPTC, Photoshop, EXIF, profile, GPS
        33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113,  # GeoTIFF, GDAL
        18246, 18249, 20624, 20625, 36867, 36868, 50341, 59932, 59933,  # ratings, times, padding of Windows and cameras
    }
)  # fmt: skip

Values = tuple[int, ...]


def _photometric(page: Page, values: Values) -> bool:
    samples = (JPEG_SAMPLES if page.compression == JPEG else SAMPLES).get(values[0])
    return samples is not None and samples == page.samples


def _depths(page: Page, values: Values) -> bool:
    return values in ((8,) * page.samples, (16,) * page.samples) and not (page.compression == JPEG and values[0] != 8)


CHECKS: dict[int, Callable[[Page, Values], bool]] = {
    258: _depths,
    259: lambda _page, values: values in ((UNCOMPRESSED,), (JPEG,), *((number,) for number in DEFLATES)),
    262: _photometric,
    266: lambda _page, values: values == (1,),  # FillOrder: 2 is bits from the lowest to the highest
    277: lambda _page, values: len(values) == 1,
    284: lambda page, values: values == (1,) or (values == (2,) and page.samples == 1),  # PlanarConfiguration
    317: lambda page, values: values == (1,) or (values == (2,) and page.compression in DEFLATES),  # Predictor
    332: lambda _page, values: values == (1,),  # InkSet: cyan, magenta, yellow, black
    334: lambda page, values: values == (page.samples,),  # NumberOfInks
    339: lambda _page, values: set(values) == {1},  # SampleFormat: unsigned
    530: lambda page, values: page.compression == JPEG and page.photometric == YCBCR and len(values) == 2,
    531: lambda page, values: page.compression == JPEG and page.photometric == YCBCR and len(values) == 1,
}
OF_JPEG = frozenset({347, 529, 532})  # its tables; coefficients and levels of YCbCr, which JPEG decoders ignore
NEEDED = {258, 259, 262, 277}


def is_simple(page: Page) -> bool:
    """Returns True if several threads can decode *page*."""
    entries = page.directory.entries
    return entries.keys() >= NEEDED and all(_is_known(page, tag) for tag in entries)


def _is_known(page: Page, tag: int) -> bool:
    """Returns True if *tag* is known and has a value that the fast decoder takes for granted."""
    if tag in DESCRIPTIVE:
        return True
    if tag in OF_JPEG:
        return page.compression == JPEG
    if page.directory.entries[tag].kind not in WHOLE_NUMBERS:
        return False
    if tag in SIZE_AND_PLACE:
        return True
    check = CHECKS.get(tag)
    values = page.directory.whole_values(tag) if check else ()
    return check is not None and bool(values) and check(page, values)
