"""The page about formats says what the code does, and shows it."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageChops, ImageStat

from mezcal.convert import convert
from mezcal.convert.formats import FORMATS, MODES, detect_format, mode_of
from mezcal.convert.tiff.pages import choose_page, read_pages
from tests import ROOT
from tools import formats_table
from tools.draw_formats import CONTEXT
from tools.tiny_masters import masters

DOCS = ROOT / "docs"
PICTURES = DOCS / "formats"
BYTES_MAX = 300_000


def test_the_page_about_formats_is_the_table_in_the_code():
    assert (DOCS / "formats.md").read_text(encoding="utf-8") == formats_table.markdown(), "run `make docs`"


def test_every_row_that_makes_a_picture_shows_one():
    shown = {row for row, names in formats_table.PICTURES.items() if names}
    assert shown == {each.name for each in (*FORMATS.values(), *MODES) if each.engines}


def test_all_pictures_exist_and_are_small_and_used():
    named = {name for names in formats_table.PICTURES.values() for name in names}
    named |= {name for _, _, names in formats_table.SAMPLES for name in names}
    assert {path.stem for path in PICTURES.iterdir()} == named == set(masters())
    assert sum(path.stat().st_size for path in PICTURES.iterdir()) < BYTES_MAX


@pytest.mark.parametrize("name", masters())
def test_a_picture_is_the_conversion_of_its_master(name, tmp_path):
    convert(io.BytesIO(masters()[name]), tmp_path / "out.jpg", CONTEXT)
    with Image.open(tmp_path / "out.jpg") as made, Image.open(PICTURES / f"{name}.jpg") as shown:
        assert made.size == shown.size
        assert max(ImageStat.Stat(ImageChops.difference(made, shown)).rms) < 3


@pytest.mark.parametrize("row", formats_table.PICTURES)
def test_the_pictures_of_a_row_are_of_masters_in_that_mode(row):
    for name in formats_table.PICTURES[row]:
        assert row_of(masters()[name]) == row


def row_of(master: bytes) -> str:
    kind = detect_format(master[:64])
    assert kind is not None
    return mode_of(choose_page(read_pages(io.BytesIO(master)), None)).name if kind.name == "TIFF" else kind.name
