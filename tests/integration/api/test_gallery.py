"""Previews of derivatives: small, and in the shape of the image."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from mezcal.convert.preview import preview


def jpeg(width: int, height: int, *, progressive: bool = False) -> io.BytesIO:
    file = io.BytesIO()
    Image.new("L", (width, height), 128).save(file, "JPEG", progressive=progressive)
    file.seek(0)
    return file


@pytest.mark.parametrize(
    ("size", "expected"),
    [((3000, 1000), (160, 53)), ((80, 40), (80, 40)), ((1, 5000), (1, 160)), ((161, 161), (160, 160))],
)
def test_a_preview_keeps_the_picture_s_shape_and_is_small(size: tuple[int, int], expected: tuple[int, int]) -> None:
    made = preview(jpeg(*size))
    assert made is not None
    with Image.open(io.BytesIO(made)) as small:
        assert small.size == expected


def test_a_picture_that_would_take_much_memory_gets_no_preview() -> None:
    assert preview(jpeg(4000, 4000, progressive=True)) is None
    assert preview(jpeg(2000, 2000, progressive=True)) is not None


def test_a_huge_one_is_shrunk_while_it_is_read() -> None:
    """200 megapixels, more than Pillow's limit: skipped rows are never in memory."""
    assert preview(jpeg(20_000, 10_000)) is not None


def test_what_is_no_jpeg_is_refused() -> None:
    with pytest.raises(OSError, match="identify"):
        preview(io.BytesIO(b"GIF89a nothing of the kind"))
