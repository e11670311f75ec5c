"""Real IIIF servers over mezcal's pyramids: IIIF's own tests, and a viewer. `make e2e` installs what they need."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import pytest
from PIL import Image

from tests import ROOT
from tests.e2e.test_viewer import READY, image_server, seen
from tests.support.iipimage import needs_iipimage, running_front
from tests.support.installation import SAMPLES, running_installation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.iipimage import ImageFront
    from tests.support.installation import Installation

VALIDATOR = ROOT / ".venv" / "tools" / "bin" / "iiif-validate.py"
# The colours of the image that the validator asks for: ten squares of 100 pixels a side, row by row.
COLOURS = """
import sys
from iiif_validator.validator import ValidationInfo
print(*(value for y in range(10) for x in range(10) for value in ValidationInfo().colorInfo[x][y]))
"""
ENLARGE = """
import sys, pyvips
image = pyvips.Image.new_from_file(sys.argv[1], access="sequential")
scale = (float(sys.argv[2]) * 1e6 / image.width / image.height) ** 0.5
options = {"tile": True, "tile_width": 256, "tile_height": 256, "compression": "jpeg", "Q": 90, "bigtiff": True}
image.resize(scale, kernel="cubic").tiffsave(sys.argv[3], **options)
"""
MEGAPIXELS = float(os.environ.get("MEGAPIXELS", "100"))  # of the large master: 1000 takes minutes
SHOTS = os.environ.get("SHOTS")  # a folder for screenshots: of the first view, and of the master's own pixels

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not READY, reason="needs node, Chromium and `npm ci` in tests/e2e/viewer: run `make e2e`"),
]


@pytest.fixture(scope="module")
def mezcal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    masters, folder = tmp_path_factory.mktemp("masters"), tmp_path_factory.mktemp("mezcal")
    given = {"WAIT_SECONDS": "300", "MAX_IMAGE_PIXELS": "-1"}
    with running_installation(folder, masters.as_uri(), "--nginx", "always", **given) as up:
        (up.folder / "masters").symlink_to(masters)
        yield up


@pytest.fixture(scope="module")
def front(mezcal: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageFront]:
    with running_front(mezcal, tmp_path_factory.mktemp("front")) as running:
        yield running


def validated(address: str, source: str, version: str) -> list[str]:
    """Returns the names of the tests that IIIF's validator ran for level 2, with what each said."""
    python = VALIDATOR.with_name("python")
    words = ["-s", urlsplit(address).netloc, "-p", f"iiif/{version[0]}", "-i", source]
    command = [str(python), str(VALIDATOR), *words, f"--version={version}", "--level=2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    lines = done.stdout + done.stderr
    return re.findall(r"^\[\d+\] test (.+)$", lines, re.MULTILINE)


@pytest.mark.skipif(not VALIDATOR.exists(), reason="needs IIIF's validator: run `make e2e`")
@pytest.mark.parametrize("kind", ["jpeg", "pyramid"])
@pytest.mark.parametrize(("version", "tests"), [("2.0", 30), ("3.0", 33)])
def test_iiif_processor_passes_the_validator(mezcal: Installation, version: str, tests: int, kind: str) -> None:
    command = [str(VALIDATOR.with_name("python")), "-c", COLOURS]
    values = bytes(map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-300:]))
    squares = Image.frombytes("RGB", (10, 10), values).resize((1000, 1000), Image.Resampling.NEAREST)
    squares.save(mezcal.folder / "masters" / "squares.tif")
    with image_server(mezcal, kind) as url:
        results = validated(url, "squares.tif", version)
    assert len(results) == tests
    assert [result for result in results if not result.endswith("PASS")] == []


@pytest.fixture(scope="module")
def large(mezcal: Installation) -> str:
    """A master of MEGAPIXELS: the valley, enlarged. It is made by another process, whose memory is free afterwards."""
    name = f"valley-{MEGAPIXELS:g}.tif"
    made = mezcal.folder / "masters" / name
    command = [sys.executable, "-c", ENLARGE, str(SAMPLES / "maps" / "valley.tif"), str(MEGAPIXELS), str(made)]
    subprocess.run(command, check=True)
    return name


@needs_iipimage
@pytest.mark.iipimage
@pytest.mark.parametrize("state", ["cold", "warm"])
def test_a_reader_sees_every_tile_of_a_large_master_through_iipimage(front: ImageFront, large: str, state: str) -> None:
    view = seen(f"{front.url}/iiif/{quote(large, safe='')}/info.json", screenshot(f"iipimage-{state}"), 600)
    print(f"{large}, IIPImage, {state}: first view after {view['first']:.1f} s, {view}")
    assert view["opened"]
    assert view["failed"] == []
    assert int(str(view["tiles"])) > 10
    assert int(str(view["colours"])) > 50


@pytest.mark.skipif("JPEG" not in os.environ, reason="a comparison that takes minutes: set JPEG=1")
def test_the_first_view_of_the_jpeg_for_comparison(mezcal: Installation, large: str) -> None:
    assert mezcal.request(f"/images/{large}").status_code == 200
    with image_server(mezcal, "jpeg") as url:
        view = seen(f"{url}/iiif/3/{quote(large, safe='')}/info.json", screenshot("jpeg"), 600)
    print(f"{large}, iiif-processor with the JPEG, warm: first view after {view['first']:.1f} s, {view}")
    assert view["opened"]


def screenshot(name: str) -> Path | None:
    return Path(SHOTS) / name if SHOTS else None
