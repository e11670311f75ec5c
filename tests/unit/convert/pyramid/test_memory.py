"""What pyramids and WebP take in memory: it is asked for before it is taken, and does not grow with the height."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from mezcal.convert import ConversionContext, ConversionOptions, convert
from mezcal.convert.pyramid.encoder import memory_needed
from mezcal.errors import TooLarge
from tests.support.pyramids import master, photo

MIB = 2**20
RGB, GREY = (3, np.dtype("u1")), (1, np.dtype("u1"))
CASES = {
    "plain": ((9_000, 1_200), {"format": "pyramid"}),
    "noise": ((9_000, 1_200), {"format": "pyramid", "compression": "zstd"}),
    "large tiles": ((9_000, 1_200), {"format": "pyramid", "tile": 1024, "compression": "deflate"}),
    "wide": ((100_000, 300), {"format": "pyramid"}),
    "webp": ((2_000, 2_000), {"format": "webp"}),
    "lossless webp": ((2_000, 2_000), {"format": "webp", "lossless": True}),
}
MEASURED = """
import json, sys
from pathlib import Path
from mezcal.convert import ConversionContext, ConversionOptions, convert

def status(name):
    return int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0]) // 1024

folder = Path(sys.argv[1])
def run(path, options, asked):
    with path.open("rb") as master:
        context = ConversionContext(ConversionOptions(**options), scratch=folder, reserve_memory=asked.append)
        convert(master, folder / "out", context)

cases, found = json.loads(sys.argv[2]), {}
for name, options in cases.items():
    run(folder / "small.tif", options, [])
    before, asked = status("VmRSS"), []
    Path("/proc/self/clear_refs").write_text("5")
    run(folder / f"{name}.tif", options, asked)
    found[name] = (max(asked) >> 20, status("VmHWM") - before)
print(json.dumps(found))
"""


def test_the_bands_of_all_levels_are_counted():
    """Two bands of the largest level, then halves of it."""
    assert memory_needed((32_000, 32_000), RGB, 256) == pytest.approx(3 * 32_000 * 256 * 3, rel=0.02)
    assert memory_needed((32_000, 32_000), GREY, 256) == pytest.approx(3 * 32_000 * 256, rel=0.02)


def test_a_very_wide_picture_has_one_band_of_its_largest_level_in_memory():
    assert memory_needed((100_000, 3_000), RGB, 256) == pytest.approx(2 * 100_000 * 256 * 3, rel=0.02)


def test_the_height_does_not_count():
    assert memory_needed((5_000, 200_000), RGB, 256) <= 1.1 * memory_needed((5_000, 5_000), RGB, 256)


def test_the_memory_is_asked_for_before_anything_is_written(tmp_path):
    def refuse(needed):
        if needed > 100 * MIB:
            raise TooLarge("no memory")

    options = ConversionOptions(format="pyramid", tile=1024, compression="deflate")
    context = ConversionContext(options, scratch=tmp_path, reserve_memory=refuse)
    with pytest.raises(TooLarge, match="no memory"):
        convert(master(photo(12_000, 40)), tmp_path / "out", context)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measures in /proc")
def test_no_conversion_takes_more_than_it_has_asked_for(tmp_path):
    for name, ((width, height), _) in CASES.items():
        patch = photo(500, 100)
        pixels = np.tile(patch, (-(-height // 100), -(-width // 500), 1))[:height, :width]
        tifffile.imwrite(tmp_path / f"{name}.tif", pixels, photometric="rgb", rowsperstrip=16, compression="zlib")
    tifffile.imwrite(tmp_path / "small.tif", photo(64, 64), photometric="rgb")
    options = json.dumps({name: options for name, (_, options) in CASES.items()})
    command = [sys.executable, "-c", MEASURED, str(tmp_path), options]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert {name: figures for name, figures in found.items() if figures[1] > 1.1 * figures[0]} == {}
    assert found["wide"][1] < 300
