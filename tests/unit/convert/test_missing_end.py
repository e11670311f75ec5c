"""JPEG files without their end marker: shown with a note if the picture is whole, refused if it is cut."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mezcal.convert import ConversionContext, convert
from mezcal.convert.jpeg.missing_end import NOTE
from mezcal.errors import Undecodable

ROWS, COLUMNS = np.mgrid[:90, :130]
PIXELS = np.stack([ROWS * 2, COLUMNS, (ROWS * COLUMNS) % 199], -1).astype("u1")
PIXELS = PIXELS + np.random.default_rng(2).integers(0, 40, PIXELS.shape, "u1")
KINDS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "subsampled": {"subsampling": "4:2:0"},
    "full colour": {"subsampling": "4:4:4"},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "grey": {"mode": "L"},
    "cmyk": {"mode": "CMYK"},
    "progressive grey": {"mode": "L", "progressive": True},
}


def jpeg(kind: str) -> bytes:
    options = dict(KINDS[kind])
    file = io.BytesIO()
    Image.fromarray(PIXELS).convert(options.pop("mode", "RGB")).save(file, "JPEG", quality=90, **options)
    return file.getvalue()


def shown(data: bytes, tmp_path: Any) -> tuple[np.ndarray, str | None]:
    picture = convert(io.BytesIO(data), tmp_path / "out.jpg", ConversionContext())
    with Image.open(tmp_path / "out.jpg") as image:
        return np.asarray(image), picture.note


@pytest.mark.parametrize("left", [b"", b"\xff"], ids=["none of it", "half of it"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_jpeg_that_lacks_its_end_marker_alone_is_shown_with_a_note(kind, left, tmp_path):
    data = jpeg(kind)
    whole, note = shown(data, tmp_path)
    assert note is None
    found, note = shown(data[:-2] + left, tmp_path)
    assert note == NOTE
    assert np.array_equal(found, whole)


@pytest.mark.parametrize("missing", [4, 8, 20, 100, 1000, 3000])
@pytest.mark.parametrize("kind", KINDS)
def test_a_jpeg_that_is_cut_is_refused(kind, missing, tmp_path):
    with pytest.raises(Undecodable, match="damaged or incomplete"):
        shown(jpeg(kind)[: -2 - missing], tmp_path)


@pytest.mark.parametrize("kind", ["progressive", "progressive grey"])
def test_a_progressive_jpeg_that_is_cut_between_two_scans_is_refused(kind, tmp_path):
    """Each row can be decoded then, but not in full quality."""
    data = jpeg(kind)
    scans = [match.start() for match in re.finditer(b"\xff[\xda\xc4]", data)][2:]
    assert len(scans) > 4
    for start in scans:
        with pytest.raises(Undecodable):
            shown(data[:start], tmp_path)


def test_an_end_marker_in_the_middle_is_no_missing_one(tmp_path):
    """The picture ends too early, and other data follow."""
    data = jpeg("baseline")
    with pytest.raises(Undecodable):
        shown(data[:-600] + b"\xff\xd9" + bytes(500), tmp_path)


@pytest.mark.parametrize("name", ["file", "stream"])
def test_a_file_is_read_like_a_stream(name, tmp_path):
    (tmp_path / "in.jpg").write_bytes(jpeg("baseline")[:-2])
    with (tmp_path / "in.jpg").open("rb") as file:
        master = file if name == "file" else io.BytesIO(file.read())
        assert convert(master, tmp_path / "out.jpg", ConversionContext()).note == NOTE
