"""Which page of a TIFF is shown, and what a broken link to a further page changes."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
import tifffile

from mezcal.convert import ConversionContext, convert
from mezcal.convert.tiff.header import BadTiff
from mezcal.convert.tiff.pages import choose_page, read_pages
from mezcal.errors import BadRecipe, Undecodable

PAGE = {"subfiletype": 2}
REDUCED = {"subfiletype": 1}
MASK = {"subfiletype": 4}
NUMBERED = {"extratags": [(297, "H", 2, (0, 3), True)]}
PLAIN: dict[str, Any] = {}


def master(*pages: tuple[int, int, dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for width, height, tags in pages:
            dtype = "?" if tags == MASK else "u1"
            writer.write(np.full((height, width), 99, dtype), metadata=None, photometric="minisblack", **tags)
    return file.getvalue()


@pytest.mark.parametrize(
    ("pages", "wanted"),
    [
        ([(60, 80, PAGE), (60, 80, PAGE), (62, 82, PAGE)], 1),
        ([(60, 80, NUMBERED), (61, 80, NUMBERED)], 1),
        ([(60, 80, PLAIN), (62, 82, PLAIN), (59, 80, PLAIN)], 1),
        ([(60, 80, PLAIN), (120, 80, PLAIN)], 1),
        ([(20, 30, PAGE), (200, 300, PAGE)], 1),
        ([(20, 30, NUMBERED), (200, 300, NUMBERED)], 1),
        ([(20, 30, {"extratags": [(255, "H", 1, 3, True)]}), (200, 300, PLAIN)], 1),
        ([(20, 30, PLAIN), (200, 300, PLAIN)], 2),
        ([(20, 30, PLAIN), (200, 300, PLAIN), (201, 301, PLAIN)], 2),
        ([(100, 150, PLAIN), (200, 300, PLAIN)], 2),
        ([(180, 290, REDUCED), (200, 300, PLAIN)], 2),
        ([(20, 30, {"subfiletype": 3}), (200, 300, PAGE)], 2),
        ([(200, 300, MASK), (200, 300, PLAIN)], 2),
        ([(200, 300, PLAIN), (100, 150, PLAIN), (50, 75, PLAIN)], 1),
        ([(20, 30, REDUCED), (40, 60, REDUCED)], 2),
    ],
)
def test_the_main_picture_is_the_first_that_is_no_smaller_copy(pages, wanted):
    found = read_pages(io.BytesIO(master(*pages)))
    assert choose_page(found, None).directory.index + 1 == wanted


def links(data: bytes) -> list[int]:
    """Returns where the links to the next directories are: that of the header, then one for each page."""
    at, found = 4, [4]
    while at := struct.unpack_from("<I", data, at)[0]:
        at += 2 + 12 * struct.unpack_from("<H", data, at)[0]
        found.append(at)
    return found


def linked_to(data: bytes, link: int, offset: int) -> bytes:
    at = links(data)[link]
    return data[:at] + struct.pack("<I", offset) + data[at + 4 :]


BROKEN = {
    "behind the file's end": lambda data: linked_to(data, 1, len(data) + 1000),
    "at the file's end": lambda data: linked_to(data, 1, len(data)),
    "to a directory that is cut": lambda data: linked_to(data + b"\x09\0\0\1", 1, len(data)),
    "to no directory": lambda data: linked_to(data + bytes(100), 1, len(data)),
}


@pytest.mark.parametrize("compression", [None, "lzw", "zstd"])
@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_link_to_a_next_page_leaves_page_1(kind, compression, tmp_path):
    data = BROKEN[kind](master((60, 80, {"compression": compression})))
    for page in (None, 1):
        picture = convert(io.BytesIO(data), tmp_path / "out.jpg", ConversionContext(page=page))
        assert (picture.width, picture.height) == (60, 80)
        assert picture.note is not None
        assert picture.note.startswith("pages after 1 cannot be reached")
    with pytest.raises(Undecodable, match="page 2 cannot be reached"):
        convert(io.BytesIO(data), tmp_path / "out.jpg", ConversionContext(page=2))


def test_a_broken_link_behind_the_second_page_leaves_two(tmp_path):
    data = master((60, 80, PLAIN), (50, 70, PLAIN))
    data = linked_to(data, 2, len(data) + 5)
    picture = convert(io.BytesIO(data), tmp_path / "out.jpg", ConversionContext(page=2))
    assert (picture.width, picture.height) == (50, 70)
    assert picture.note is not None
    assert picture.note.startswith("pages after 2 ")


def test_a_smaller_copy_alone_does_not_stand_for_the_picture_behind_a_broken_link():
    data = master((60, 80, REDUCED))
    with pytest.raises(BadTiff, match="beyond the file's end"):
        read_pages(io.BytesIO(linked_to(data, 1, len(data) + 1000)))


def test_links_in_a_circle_end_the_pages(tmp_path):
    data = linked_to(master((60, 80, PLAIN)), 1, struct.unpack_from("<I", master((60, 80, PLAIN)), 4)[0])
    assert convert(io.BytesIO(data), tmp_path / "out.jpg", ConversionContext()).note is None
    with pytest.raises(BadRecipe):
        convert(io.BytesIO(data), tmp_path / "out.jpg", ConversionContext(page=2))
