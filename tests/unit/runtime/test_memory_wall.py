"""The wall behind the rules: a process gets no more memory than it was granted, and that is not the master's fault."""

from __future__ import annotations

import io
import mmap
import resource
import subprocess
import sys
from functools import cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from astropy.io import fits
from PIL import Image

from mezcal.errors import OutOfMemory, Undecodable
from mezcal.runtime import memory_wall
from mezcal.runtime.memory_budget import MIB
from tests.support.forked import forked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(not memory_wall.STATM.exists(), reason="only Linux counts the data of a process")


def pillow(name: str, edge: int, **options: object) -> bytes:
    out = io.BytesIO()
    ramp = np.add.outer(np.arange(edge), np.arange(edge))
    pixels = np.stack([ramp % 256, ramp // 16 % 256, ramp // 64 % 256], -1).astype("u1")
    Image.fromarray(pixels).save(out, name, **options)
    return out.getvalue()


def interlaced_png(edge: int) -> bytes:
    import pyvips  # noqa: PLC0415 - only this writes interlaced ones

    return bytes(pyvips.Image.black(edge, edge, bands=3).pngsave_buffer(interlace=True, compression=1))


def tiff(edge: int) -> bytes:
    out = io.BytesIO()
    zeros = np.zeros((edge, edge, 3), "u1")
    tifffile.imwrite(out, zeros, photometric="rgb", compression="lzma", tile=(edge // 16 * 16, edge // 16 * 16))
    return out.getvalue()


def frame(edge: int) -> bytes:
    out = io.BytesIO()
    hdu = fits.CompImageHDU(np.zeros((edge, edge), "f4"), compression_type="GZIP_1", tile_shape=(edge, edge))
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(out)
    return out.getvalue()


MASTERS = {
    "webp": lambda edge: pillow("WEBP", edge, method=0),
    "jp2": lambda edge: pillow("JPEG2000", edge),
    "png": interlaced_png,
    "tif": tiff,
    "fits": frame,
}
EDGE = 4000


@pytest.fixture(scope="module")
def large_master(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes a large master of a kind, with a small one beside it, once."""

    @cache
    def make(kind: str) -> Path:
        folder = tmp_path_factory.mktemp("masters")
        for name, edge in {"small": 32, "large": EDGE}.items():
            (folder / f"{name}.{kind}").write_bytes(MASTERS[kind](edge))
        return folder / f"large.{kind}"

    return make


@pytest.mark.parametrize(("kind", "by"), [
    *product(MASTERS, ["nobody", "system"]),
    *product(sorted(MASTERS.keys() - {"jp2"}), ["wall"]),  # OpenJPEG fails without a reason
])  # fmt: skip
def test_a_master_that_gets_too_little_memory_is_not_called_damaged(
    kind: str, by: str, large_master: Callable[[str], Path]
) -> None:
    command = [sys.executable, "-m", "tests.unit.runtime.memory_wall_actor", str(large_master(kind)), by]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.stdout.strip() == ("made" if by == "nobody" else "out-of-memory"), ended.stderr


def soft() -> int:
    return resource.getrlimit(resource.RLIMIT_DATA)[0]


def limit_to(more: int) -> int:
    """Let this process have *more* bytes than it has now. Returns the limit in bytes."""
    own = memory_wall.data_bytes() + more
    resource.setrlimit(resource.RLIMIT_DATA, (own, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    return own


@forked
def test_the_limit_follows_the_grant_and_is_lifted() -> None:
    before, asked = soft(), []
    with memory_wall.memory_wall(asked.append) as reserve:
        first = soft()
        reserve(1000 * MIB)
        raised = soft()
        reserve(500 * MIB)
        lowered = soft()
    assert asked == [1000 * MIB, 500 * MIB]
    assert raised - lowered == pytest.approx(500 * MIB * memory_wall.UNUSED_RATIO, abs=10)
    assert first < lowered
    assert soft() == before


@forked
def test_no_limit_is_raised_above_the_one_that_was_set() -> None:
    own = limit_to(500 * MIB)
    with memory_wall.memory_wall(lambda _: None) as reserve:
        reserve(1000 * MIB)
        assert soft() == own
    assert soft() == own


@forked
def test_what_goes_beyond_the_wall_is_refused_by_the_kernel() -> None:
    with memory_wall.memory_wall(lambda _: None), pytest.raises(OSError, match="Cannot allocate"):
        mmap.mmap(-1, 2**30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def damaged() -> None:
    """Reserve 200 MB behind the wall and find damage."""
    with memory_wall.memory_wall(lambda _: None) as reserve:
        reserve(200 * MIB)
        raise Undecodable("broken data stream")


@forked
def test_a_damaged_master_is_called_damaged_where_the_system_has_what_was_granted() -> None:
    with pytest.raises(Undecodable, match="broken"):
        damaged()


@forked
def test_a_complaint_without_a_reason_counts_for_nothing_where_the_memory_is_missing() -> None:
    limit_to(100 * MIB)
    with pytest.raises(OutOfMemory, match="broken"):
        damaged()
