"""The fast decoder of TIFF takes a page only if it knows each tag: random tags change nothing about the picture."""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mezcal.convert import ConversionContext, convert
from mezcal.convert.tiff import parallel_layouts, simple_pages
from mezcal.convert.tiff.pages import choose_page, read_pages
from mezcal.errors import Failure
from tests.support.masters import CODES, TagValue, with_tags

if TYPE_CHECKING:
    from pathlib import Path

WIDTH, HEIGHT = 52, 40
LAYOUTS: dict[str, dict[str, Any]] = {
    "strips": {"rowsperstrip": 8},
    "tiles": {"tile": (32, 16)},
    "deflate": {"compression": "zlib", "predictor": True, "rowsperstrip": 16},
    "deflated tiles": {"compression": "zlib", "tile": (16, 32)},
    "jpeg": {"compression": "jpeg", "rowsperstrip": 16},
    "jpeg tiles": {"compression": "jpeg", "tile": (16, 32)},
}
KINDS = {
    (name, bands, dtype)
    for name in LAYOUTS
    for bands, dtype in ((1, "u1"), (1, "u2"), (3, "u1"), (3, "u2"), (4, "u1"))
    if not name.startswith("jpeg") or (dtype == "u1" and bands < 4)
}
OF_PIXELS = {
    254: (0, 1, 2, 4), 258: (1, 2, 4, 8, 12, 16, 32), 262: (*range(7), 8, 9, 32803),
    266: (1, 2), 277: (1, 2, 3, 4, 5), 284: (1, 2), 317: (1, 2, 3), 320: (0, 65535), 330: (0, 8), 332: (1, 2),
    334: (3, 4), 338: (0, 1, 2), 339: (1, 2, 3, 4, 5), 340: (0, 20), 341: (90, 200), 347: (0, 255), 512: (1, 14),
    513: (8,), 530: (1, 2), 531: (1, 2), 532: (0, 16, 235), 32995: (0, 1), 32997: (1, 2), 32998: (1, 2),
}  # fmt: skip


@functools.cache
def master(name: str, bands: int, dtype: str) -> bytes:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    pixels = np.stack([(rows * (band + 2) + columns * 3) % 200 for band in range(bands)], -1).astype(dtype)
    pixels = pixels * 257 if dtype == "u2" else pixels
    file = io.BytesIO()
    photometric = {1: "minisblack", 3: "rgb", 4: "separated"}[bands]
    shown = pixels[..., 0] if bands == 1 else pixels
    tifffile.imwrite(file, shown, photometric=photometric, metadata=None, software=False, **LAYOUTS[name])
    return file.getvalue()


def outcome(data: bytes, folder: Path) -> tuple[Any, bool]:
    """Returns the picture, or None if it is refused, and whether the fast decoder was used."""
    used = []
    open_strips = parallel_layouts.open_strips

    def observed(*given: Any) -> Any:
        used.append(open_strips(*given))
        return used[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel_layouts, "open_strips", observed)
        try:
            convert(io.BytesIO(data), folder / "out.jpg", ConversionContext(scratch=folder))
        except Failure:
            return None, False
    with Image.open(folder / "out.jpg") as image:
        return np.asarray(image), any(used)


def without_fast_decoder(data: bytes, folder: Path) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel_layouts, "is_simple", lambda _page: False)
        return outcome(data, folder)[0]


def tag_values() -> st.SearchStrategy[dict[int, TagValue]]:
    known = st.sampled_from(sorted(OF_PIXELS)).flatmap(
        lambda tag: st.tuples(
            st.just(tag),
            st.tuples(
                st.sampled_from((3, 3, 3, 4)),
                st.lists(st.sampled_from(OF_PIXELS[tag]), min_size=1, max_size=4).map(tuple),
            ),
        )
    )
    small = st.lists(st.integers(0, 127), min_size=2, max_size=6).map(
        lambda values: tuple(values[: len(values) // 2 * 2])
    )
    other = st.tuples(st.integers(1, 65535), st.tuples(st.sampled_from(sorted(CODES)), small))
    kept = {256, 257, 273, 278, 279, 322, 323, 324, 325}  # size and place: test_mutated damages those
    return st.lists(known | other, min_size=1, max_size=3).map(
        lambda pairs: {tag: value for tag, value in pairs if tag not in kept}
    )


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(sorted(KINDS)), tags=tag_values())
def test_with_random_tags_both_decoders_make_the_same_picture(kind, tags, tmp_path):
    data = with_tags(master(*kind), tags)
    found, fast = outcome(data, tmp_path)
    if fast:
        wanted = without_fast_decoder(data, tmp_path)
        assert wanted is not None
        assert np.array_equal(found, wanted)


def admits(data: bytes) -> bool:
    return simple_pages.is_simple(choose_page(read_pages(io.BytesIO(data)), None))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_ordinary_pages_are_admitted(kind):
    descriptions = {270: (2, (65, 0)), 274: (3, (1,)), 305: (2, (66, 0)), 34665: (4, (8,)), 42113: (2, (48, 0))}
    assert admits(with_tags(master(*kind), {266: (3, (1,)), **descriptions}))


@pytest.mark.parametrize("number", range(32768, 65536, 4097))
def test_a_tag_that_nobody_knows_is_left_to_libvips(number):
    assert not admits(with_tags(master("strips", 3, "u1"), {number: (3, (1,))}))


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        (266, (3, (2,))),
        (266, (2, (1, 0))),
        (284, (3, (2,))),
        (317, (3, (2,))),
        (338, (3, (0,))),
        (339, (3, (1, 1, 2))),
        (258, (3, (8, 8, 16))),
        (258, (3, (8,))),
        (262, (3, (0,))),
        (32997, (4, (1,))),
    ],
)
def test_another_value_of_a_known_tag_is_left_to_libvips(tag, value):
    assert not admits(with_tags(master("strips", 3, "u1"), {tag: value}))


@pytest.mark.parametrize(
    "tags", [{529: (5, (1, 5, 3, 5, 1, 5))}, {532: (5, (16, 1, 235, 1, 128, 1, 240, 1, 128, 1, 240, 1))}]
)
def test_levels_of_ycbcr_are_the_same_to_both_decoders_of_jpeg(tags, tmp_path):
    data = with_tags(master("jpeg", 3, "u1"), tags)
    found, fast = outcome(data, tmp_path)
    assert fast
    assert np.array_equal(found, without_fast_decoder(data, tmp_path))


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("name", ["strips", "tiles", "deflate", "deflated tiles"])
def test_bits_from_the_lowest_to_the_highest_are_turned_round(name, dtype, tmp_path):
    """FillOrder 2: the bits of every coded byte are reversed."""
    data = master(name, 3, dtype)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        places = list(zip(file.pages[0].dataoffsets, file.pages[0].databytecounts, strict=True))
    reversed_bits = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
    turned = bytearray(data)
    for offset, size in places:
        turned[offset : offset + size] = data[offset : offset + size].translate(reversed_bits)
    found, fast = outcome(with_tags(bytes(turned), {266: (3, (2,))}), tmp_path)
    assert not fast
    assert np.array_equal(found, outcome(data, tmp_path)[0])


def test_of_a_tag_that_stands_twice_the_first_counts(tmp_path):
    data = bytearray(master("strips", 3, "u1"))
    start = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[start : start + 2], "little")
    entries = [bytes(data[at : at + 12]) for at in range(start + 2, start + 2 + 12 * count, 12)]
    width = next(entry for entry in entries if entry[:2] == b"\x00\x01")
    second = width[:8] + (WIDTH // 2).to_bytes(4, "little")
    entries.insert(entries.index(width) + 1, second)
    twice = bytes(data) + (count + 1).to_bytes(2, "little") + b"".join(entries) + bytes(4)
    twice = twice[:4] + len(data).to_bytes(4, "little") + twice[8:]
    found, _ = outcome(twice, tmp_path)
    assert found.shape == (HEIGHT, WIDTH, 3)
