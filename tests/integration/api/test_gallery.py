"""Previews of derivatives: small, and in the shape of the image."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from PIL import Image, ImageChops, ImageStat

from mezcal.convert.preview import preview
from tests.support import pyramids

if TYPE_CHECKING:
    from pathlib import Path


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


@pytest.mark.parametrize("options", [{}, {"compression": "deflate"}, {"compression": "zstd"}])
def test_a_pyramid_is_shown_by_a_small_level(tmp_path: Path, options: dict[str, str]) -> None:
    path = pyramids.made(pyramids.master(pyramids.photo(1500, 900)), tmp_path, format="pyramid", **options)
    small = preview(io.BytesIO(path.read_bytes()))
    assert small is not None
    with Image.open(io.BytesIO(small)) as shown, Image.open(path) as whole:
        assert shown.size == (160, 96)
        whole.thumbnail((160, 96), Image.Resampling.BOX)
        difference = ImageChops.difference(shown.convert("RGB"), whole.convert("RGB"))
        assert max(ImageStat.Stat(difference).mean) < 12  # the photo has noise, and JPEG halves its colours


@pytest.mark.parametrize("name", ["WEBP", "PNG"])
def test_other_formats_have_previews_unless_they_would_take_much_memory(name: str) -> None:
    for size, has in (((1000, 500), True), ((4000, 2500), False)):
        file = io.BytesIO()
        Image.new("RGB", size, "navy").save(file, name)
        file.seek(0)
        assert (preview(file) is not None) is has


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(OSError, match="identify"):
        preview(io.BytesIO(b"GIF89a nothing of the kind"))
