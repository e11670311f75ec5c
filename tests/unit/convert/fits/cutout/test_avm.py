"""AVM tags: by them alone, each star is where it is seen in the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image

from mezcal.convert import ConversionContext
from mezcal.convert.fits.thumbnail import draw
from mezcal.recipe import ThumbnailOptions
from tests.unit.convert.fits.cutout.frames import SIDE, SIP, add_star, header, sky, write

if TYPE_CHECKING:
    from pathlib import Path

AVM = "{http://www.communicatingastronomy.org/avm/1.0/}"
ITEM = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li"
PLACES = np.random.default_rng(5).permutation(np.mgrid[30:SIDE:60, 30:SIDE:60].reshape(2, -1).T)[:10] + 0.3
AT_150_2 = {"ra": "150", "dec": "2"}
FAINT = {"vmin": "100", "vmax": "2000"}
MORE_SIP = SIP | {"A_2_0": 4e-5, "B_0_2": 3e-5}


def starry(folder: Path, turn: float = 30, pixels: np.ndarray | None = None, **cards: Any) -> tuple[Path, np.ndarray]:
    """Returns a frame with ten stars, and their positions on the sky."""
    cards.setdefault("CTYPE1", "RA---TAN")
    described = header(turn=turn, **cards)
    pixels = sky(noise=1) if pixels is None else pixels
    for x, y in PLACES:
        add_star(pixels, x, y)
    return write(folder / "a.fits", pixels, described), np.array(WCS(described).all_pix2world(PLACES, 0))


def drawn(path: Path, count: int = 1, **query: str) -> Image.Image:
    target = path.parent / "out"
    files = [path.open("rb") for _ in range(count)]
    draw(files, target, ThumbnailOptions.parse({"quality": "95", **query}), ConversionContext(scratch=path.parent))
    for file in files:
        file.close()
    image = Image.open(target)
    image.load()
    return image


def tags(image: Image.Image) -> dict[str, Any]:
    """Returns the AVM tags of a picture, those with several values as lists of numbers."""
    packet = image.info.get("XML:com.adobe.xmp" if image.format == "PNG" else "xmp")
    if packet is None:
        return {}
    found: dict[str, Any] = {}
    for tag in ET.fromstring(packet).iter():
        if tag.tag.startswith(AVM):
            parts = [float(part.text or "nan") for part in tag.iter(ITEM)]
            found[tag.tag.removeprefix(AVM)] = parts or tag.text
    return found


def coordinates(found: dict[str, Any]) -> WCS:
    """Returns the coordinates that the tags describe."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [f"{axis}-{found['Spatial.CoordsystemProjection']}" for axis in ("RA--", "DEC-")]
    wcs.wcs.crval, wcs.wcs.crpix = found["Spatial.ReferenceValue"], found["Spatial.ReferencePixel"]
    wcs.wcs.cdelt, wcs.wcs.crota = found["Spatial.Scale"], [float(found["Spatial.Rotation"])] * 2
    return wcs


def distances(image: Image.Image, positions: np.ndarray) -> list[float]:
    """Returns how many pixels the stars are from where the tags say; of those that are well inside."""
    grey = np.asarray(image.convert("L")).astype(float)[::-1]  # row 0 is the lowest, as the tags count
    found = []
    for x, y in coordinates(tags(image)).all_world2pix(positions, 0):
        if 8 < x < image.width - 9 and 8 < y < image.height - 9:
            left, bottom = round(x) - 8, round(y) - 8
            window = grey[bottom : bottom + 17, left : left + 17]
            light = np.clip(window - window.max() / 3, 0, None)
            along, across = np.mgrid[:17, :17]
            centre = [left + (light * across).sum() / light.sum(), bottom + (light * along).sum() / light.sum()]
            found.append(float(np.hypot(centre[0] - x, centre[1] - y)))
    return found


@pytest.mark.parametrize(
    ("turn", "query"),
    [
        (0, {}),
        (30, {"width": "250", "format": "png"}),
        (100, {"orient": "exact", "width": "400", "height": "400"}),
        (190, {**AT_150_2, "size": "200px", "zoom": "3", "compass": "true"}),
        (290, {**AT_150_2, "size": "90x60", "orient": "exact", "format": "png"}),
        (-50, {"x": "3", "y": "290", "size": "200px", "format": "webp"}),
        (120, {**AT_150_2, "size": "80", "color": "true"}),
    ],
)
def test_stars_are_where_the_tags_say(tmp_path: Path, turn: float, query: dict[str, str]) -> None:
    path, positions = starry(tmp_path, turn)
    image = drawn(path, 3 if "color" in query else 1, **FAINT, **query)
    found = distances(image, positions)
    assert len(found) >= 2
    assert max(found) < 0.5
    assert tags(image)["Spatial.ReferenceDimension"] == list(image.size)


def test_a_mirrored_frame_is_drawn_and_described_the_right_way_round(tmp_path: Path) -> None:
    path, positions = starry(tmp_path, CD1_1=0.4 / 3600, CD1_2=0.0, CD2_1=0.0)
    assert max(distances(drawn(path, **FAINT), positions)) < 0.5


@pytest.mark.parametrize("cards", [{"CTYPE1": "RA---ZEA", "CTYPE2": "DEC--ZEA"}, MORE_SIP])
def test_other_projections_and_distortions_are_fitted_by_a_plane(tmp_path: Path, cards: dict[str, Any]) -> None:
    path, positions = starry(tmp_path, 10, **cards)
    image = drawn(path, **FAINT, width="300", height="300")
    error = float(tags(image)["Spatial.Notes"].split()[1])
    assert error < 3
    assert max(distances(image, positions)) < 0.5 + error


def test_the_tags_are_those_of_version_1_2(tmp_path: Path) -> None:
    found = tags(drawn(starry(tmp_path, 0)[0]))
    assert found["MetadataVersion"] == "1.2"
    assert (found["Spatial.CoordinateFrame"], found["Spatial.Equinox"]) == ("ICRS", "2000.0")
    assert (found["Spatial.CoordsystemProjection"], found["Spatial.Quality"]) == ("TAN", "Full")
    assert found["Spatial.Scale"] == pytest.approx([-0.4 * 1.5 / 3600, 0.4 * 1.5 / 3600])
    assert float(found["Spatial.Rotation"]) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(
    ("cards", "query"),
    [
        ({}, {"look": "lco"}),
        ({"WCSERR": 4}, {}),
        ({"CTYPE1": "LINEAR", "CTYPE2": "LINEAR"}, {}),
        ({"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN"}, {}),
        ({"CD1_1": 0.0, "CD1_2": 0.0}, {}),
        ({"OBSTYPE": "SPECTRUM", "CD1_1": 1e-4, "CD1_2": 0.0, "CD2_1": 0.0}, {}),
    ],
)
def test_a_picture_that_cannot_be_placed_has_no_tags(
    tmp_path: Path, cards: dict[str, Any], query: dict[str, str]
) -> None:
    described = fits.Header({**header(), **cards})
    assert tags(drawn(write(tmp_path / "a.fits", sky(), described), **query)) == {}


def test_an_all_sky_map_has_no_tags(tmp_path: Path) -> None:
    cards = fits.Header({"CTYPE1": "RA---CAR", "CTYPE2": "DEC--CAR", "CRVAL1": 0.0, "CRVAL2": 0.0})
    cards.update({"CRPIX1": 180.5, "CRPIX2": 90.5, "CDELT1": -1.0, "CDELT2": 1.0})
    assert tags(drawn(write(tmp_path / "a.fits", np.zeros((180, 360), "f4"), cards))) == {}
