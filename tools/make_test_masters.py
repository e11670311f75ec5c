"""Makes four masters of tests/data/masters and their expected pictures: `python -m tools.make_test_masters`.

Each has the layout, the tags and the compression of a kind of file that scanners and image libraries write. What must
become of it is calculated here from the drawn pixels, without mezcal. For CMYK without a profile there are two answers:
the simple formula, and libvips' own profile.
"""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyvips
import tifffile
from PIL import Image, ImageCms

from tools.tiny_masters import scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[Any]

MASTERS = Path(__file__).parent.parent / "tests" / "data" / "masters"
GRID = 24  # pixels a side of the expected pictures
CHROMATICITIES = (64, 100, 33, 100, 30, 100, 60, 100, 15, 100, 6, 100)  # of sRGB, as rationals
WHITE_POINT = (3127, 10_000, 329, 1000)
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/></x:xmpmeta>'


@dataclass(frozen=True, slots=True)
class TestMaster:
    """A file, and the sRGB pictures that it may become."""

    name: str
    data: bytes
    pictures: list[Pixels]
    max_rmse: int

    def expectation(self) -> dict[str, Any]:
        """Returns the entry in expected.json."""
        height, width = self.pictures[0].shape[:2]
        return {
            "name": self.name,
            "from": "tools/make_test_masters.py",
            "licence": "Apache-2.0",
            "outcome": "ok",
            "sizes": [[width, height]],
            "grids": [_grid(picture) for picture in self.pictures],
            "shape": [GRID, GRID, 3],
            "max_rmse": self.max_rmse,
        }


def main() -> None:
    """Write the files, and replace their entries in expected.json."""
    made = {master.name: master for master in (rotated(), signed_bytes(), cmyk(), bilevel())}
    for master in made.values():
        (MASTERS / master.name).write_bytes(master.data)
    expected = json.loads((MASTERS / "expected.json").read_text(encoding="utf-8"))
    kept = [case for case in expected if case["name"] not in made]
    cases = sorted([*kept, *(master.expectation() for master in made.values())], key=lambda case: case["name"])
    (MASTERS / "expected.json").write_text(json.dumps(cases, indent=1) + "\n", encoding="utf-8")


def rotated() -> TestMaster:
    """RGBA on its side (orientation 6) in one strip, with profile, XMP, resolution and chromaticities."""
    rgb = _scaled(scene(), 64, 56)
    alpha = np.full((56, 64, 1), 255, "u1")
    alpha[:8, :8] = 0  # clear: the white background shows
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = _tiff(
        np.dstack([rgb, alpha]),
        {"photometric": "rgb", "extrasamples": ["unassalpha"], "iccprofile": profile, "resolution": (72, 72)},
        (274, "H", 1, 6), (297, "H", 2, (0, 1)), (318, "2I", 2, WHITE_POINT),
        (319, "2I", 6, CHROMATICITIES), (700, "B", len(XMP), XMP),
    )  # fmt: skip
    picture = np.where(alpha == 0, 255, rgb).astype("u1")
    return TestMaster("rgba8_rotated.tif", data, [np.rot90(picture, -1)], 14)


def signed_bytes() -> TestMaster:
    """Grey of 8 bits that calls itself signed. Every viewer shows the bits as unsigned."""
    grey = _scaled(scene(), 64, 64).mean(2).round().astype("u1")
    data = _tiff(grey.view("i1"), {"photometric": "minisblack", "resolution": (1, 1), "resolutionunit": 1})
    return TestMaster("gray8_signed.tif", data, [_rgb(grey)], 12)


def cmyk() -> TestMaster:
    """CMYK without a profile in one strip."""
    rgb = _scaled(scene(), 157, 151)
    black = 255 - rgb.max(2, keepdims=True)
    inks = np.dstack([255 - rgb - black, black]).astype("u1")
    data = _tiff(
        inks, {"photometric": "separated", "resolution": (1, 1), "resolutionunit": 1},
        (332, "H", 1, 1), (274, "H", 1, 1), (297, "H", 2, (0, 1)),
        (318, "2I", 2, WHITE_POINT), (319, "2I", 6, CHROMATICITIES),
    )  # fmt: skip
    simple = np.asarray(Image.fromarray(inks, "CMYK").convert("RGB"))
    image = pyvips.Image.new_from_array(inks).copy(interpretation="cmyk")
    by_profile = image.icc_transform("srgb", input_profile="cmyk", intent="perceptual").numpy()
    return TestMaster("cmyk8_no_profile.tif", data, [simple, by_profile], 13)


def bilevel() -> TestMaster:
    """A large scanned drawing: bilevel, white is 0, LZW in a single strip, 400 dots an inch."""
    width, height = 7795, 3122
    rows, columns = np.mgrid[:height, :width]
    rings = np.hypot(rows - 1500, (columns - 3000) * 0.7) % 400 < 60
    frame = (rows < 40) | (rows >= height - 40) | (columns < 40) | (columns >= width - 40)
    ink = rings | frame | ((rows > 2600) & (columns > 5200))
    options = {
        "photometric": "miniswhite", "compression": "lzw", "rowsperstrip": height, "resolution": (400, 400),
        "subfiletype": 0,
    }  # fmt: skip
    data = _tiff(ink, options, (274, "H", 1, 1))
    return TestMaster("bilevel_lzw_single_strip.tif", data, [_rgb(np.where(ink, 0, 255).astype("u1"))], 11)


def _tiff(pixels: Pixels, options: dict[str, Any], *tags: tuple[int, str, int, Any]) -> bytes:
    file = io.BytesIO()
    extra = [(*tag, True) for tag in tags]
    tifffile.imwrite(file, pixels, metadata=None, software=False, extratags=extra, byteorder="<", **options)
    return file.getvalue()


def _scaled(rgb: Pixels, width: int, height: int) -> Pixels:
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.LANCZOS))


def _rgb(grey: Pixels) -> Pixels:
    return np.repeat(grey[..., None], 3, axis=2)


def _grid(picture: Pixels) -> str:
    small = Image.fromarray(np.ascontiguousarray(picture)).resize((GRID, GRID), Image.Resampling.BOX)
    return base64.b64encode(np.asarray(small).tobytes()).decode()


if __name__ == "__main__":
    main()
