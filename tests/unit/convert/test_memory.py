"""Every decoder asks before it takes: the peak of a conversion stays within what it has reserved."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mezcal.convert import ConversionContext, ConversionOptions, convert
from mezcal.errors import Failure
from tests.support import large_claims
from tests.support.large_claims import BYTES, FILES, MIB

FEW = 96 * MIB  # what a streaming conversion reserves, whatever its master
REFUSED = {
    "overlapping-directories.tif": ("undecodable", "0 pixels is declared"),
    "many-entries.tif": ("too-large", "have 204,000 tags, and 200,000 are allowed in all"),
    "lerc-bands.tif": ("undecodable", "claims 200 bytes a pixel"),
    "lerc-double.tif": ("undecodable", "claims 8 bytes a pixel"),
    "lerc-deflated.tif": ("undecodable", "has more than 1,056,768 bytes of LERC data"),
    "png-deep.tif": ("undecodable", "claims 8 bytes a pixel"),
    "jpegxr-float.tif": ("undecodable", "claims 12 bytes a pixel"),
    "jpegxl-frames.tif": ("undecodable", "does not declare its size"),
    "j2k-components.tif": ("undecodable", "claims 1000 bytes a pixel"),
    "j2k-tiles.tif": ("undecodable", "in pieces that take 669 MB"),
    "j2k-precincts.tif": ("undecodable", "in pieces that take [0-9,]+ MB"),
    "tiles.j2k": ("undecodable", "tile 0"),
    "tiles-of-three.j2k": ("undecodable", "tile 0"),
    "blocks.j2k": ("too-large", "decoded whole, in [0-9,]+ MB of memory, and 800 are allowed"),
    "precincts.j2k": ("too-large", "decoded whole"),
    "layers.j2k": ("too-large", "decoded whole"),
    "components.j2k": ("undecodable", "4000 components"),
    "metadata.jpg": ("too-large", "to open this JPEG takes [0-9,]+ MB of memory.* save it without them"),
    "resource.psd": ("too-large", "a section of [0-9,]+ bytes .* save it without metadata"),
    "tail.sgi": ("too-large", "to open this SGI takes [0-9,]+ MB"),
    "header.jp2": ("undecodable", "its header has 943,718,[0-9]+ bytes"),
}
ASKS = {  # at least these bytes
    "many-tiles.tif": 2 * 700**2 * 150,
    "padded-tiles.tif": 400 * MIB,
    "large-strip.tif": 100 * MIB,
    "wide.tif": 600 * MIB,
    "grid.avif": 270 * MIB,
    "texts.png": 180 * MIB,
    "frames.gif": 180 * MIB,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Returns a folder with all the masters."""
    folder = tmp_path_factory.mktemp("claims")
    for name, make in BYTES.items():
        (folder / name).write_bytes(make())
    for name, write in FILES.items():
        write(folder / name)
    return folder


def outcome(path: Path, out: Path) -> tuple[Failure | None, int]:
    """Convert *path*. Returns its failure, and the most that was reserved at a time."""
    asked = [0]
    failure = None
    with path.open("rb") as master:
        try:
            convert(master, out, ConversionContext(reserve_memory=asked.append))
        except Failure as error:
            failure = error
    return failure, max(asked)


@pytest.mark.parametrize("name", REFUSED)
def test_a_master_that_claims_too_much_is_refused_with_its_reason(name, folder, tmp_path):
    slug, reason = REFUSED[name]
    with pytest.raises(Failure, match=reason) as refused, (folder / name).open("rb") as master:
        convert(master, tmp_path / "out.jpg", ConversionContext())
    assert refused.value.slug == slug


class Enough(Exception):
    """Ends a conversion that has asked for what its master takes."""


@pytest.mark.parametrize("name", ASKS)
def test_what_a_master_takes_is_asked_for(name, folder, tmp_path):
    def reserve(needed: int) -> None:
        if needed >= ASKS[name]:
            raise Enough

    with (folder / name).open("rb") as master, pytest.raises(Enough):
        convert(master, tmp_path / "out.jpg", ConversionContext(reserve_memory=reserve))


@pytest.mark.parametrize("name", ["large-tags.tif", "old-jpeg-large-tags.tif"])
def test_large_tags_that_no_decoder_needs_are_not_read(name, folder, tmp_path):
    failure, asked = outcome(folder / name, tmp_path / "out.jpg")
    assert failure is None
    assert asked <= FEW


def test_metadata_in_large_tags_are_kept_all_the_same(tmp_path):
    """The decoder does not see them, but mezcal reads them."""
    strip = bytes(64 * 64)
    fields = large_claims.layout(64, 64, 1, [8]) | {273: (4, [8]), 279: (4, [len(strip)])}
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>".ljust(5_000)
    master = large_claims.tiff(
        strip + xmp + bytes(9 * MIB), fields, ((700, 1, len(xmp), 8 + len(strip)), (37724, 7, 9 * MIB, 8))
    )
    (tmp_path / "in.tif").write_bytes(master)
    with (tmp_path / "in.tif").open("rb") as file:
        convert(file, tmp_path / "out.jpg", ConversionContext(ConversionOptions(keep_metadata=True)))
    assert b"<x:xmpmeta" in (tmp_path / "out.jpg").read_bytes()


MEASURED = """
import json, sys
from pathlib import Path
from mezcal.convert import ConversionContext, convert
from mezcal.errors import Failure

def status(name):
    return int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0]) // 1024

found, out = {}, Path(sys.argv[1]) / "out.jpg"
for path in sorted(Path(sys.argv[1]).iterdir()):
    before, asked = status("VmRSS"), [0]
    Path("/proc/self/clear_refs").write_text("5")
    with path.open("rb") as master:
        try:
            convert(master, out, ConversionContext(reserve_memory=asked.append))
        except Failure:
            pass
    found[path.name] = (max(asked) >> 20, status("VmHWM") - before)
print(json.dumps(found))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measures in /proc")
def test_no_conversion_takes_more_than_it_has_asked_for(folder):
    command = [sys.executable, "-c", MEASURED, str(folder)]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert len(found) >= len(BYTES) + len(FILES)
    assert {name: figures for name, figures in found.items() if figures[1] > 1.1 * figures[0] + 32} == {}
