"""Three frames as colours: Lupton's curve as astropy draws it, and weights and limits for each colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.visualization import make_lupton_rgb
from PIL import Image

from mezcal.convert import ConversionContext
from mezcal.convert.fits.thumbnail import draw
from mezcal.errors import BadRecipe
from mezcal.recipe import Frame, Thumbnail, ThumbnailOptions, from_json
from tests.unit.convert.fits.cutout.frames import add_star, header, sky, write

if TYPE_CHECKING:
    from pathlib import Path

SKIES = (200, 150, 100)
PEAKS = {"white": (900, 900, 900), "red": (700, 100, 50), "blue": (40, 200, 5000)}
PLACES = {"white": (60, 60), "red": (100, 150), "blue": (200, 90)}
COLOUR = {"color": "true", "width": "300", "height": "300", "format": "png"}


def frames(folder: Path, **cards: float) -> tuple[list[Path], list[np.ndarray]]:
    """Returns three frames with a star of each colour, and their pixels, the first row at the top."""
    planes = [sky(level, 2, seed) for seed, level in enumerate(SKIES)]
    for name, (x, y) in PLACES.items():
        for plane, peak in zip(planes, PEAKS[name], strict=True):
            add_star(plane, x, y, peak)
    described = header(turn=0, **cards)
    paths = [write(folder / f"{number}.fits", plane, described) for number, plane in enumerate(planes)]
    return paths, [plane[::-1] for plane in planes]


def drawn(paths: list[Path], **query: str) -> np.ndarray:
    target = paths[0].parent / "out.png"
    files = [path.open("rb") for path in paths]
    options = ThumbnailOptions.parse({**COLOUR, **query})
    draw(files, target, options, ConversionContext(scratch=target.parent))
    for file in files:
        file.close()
    with Image.open(target) as image:
        return np.asarray(image).astype(int)


def star(picture: np.ndarray, name: str) -> list[int]:
    x, y = PLACES[name]
    return [int(level) for level in picture[299 - y, x]]


@pytest.mark.parametrize(("stretch", "q"), [(50, 8), (5, 2), (300, 30), (100, 0.01)])
@pytest.mark.parametrize("minimum", [(100.0, 100.0, 100.0), (190.0, 140.0, 95.0)])
def test_luptons_picture_is_that_of_astropy(
    tmp_path: Path, stretch: float, q: float, minimum: tuple[float, float, float]
) -> None:
    paths, planes = frames(tmp_path)
    limits = dict(zip(("red_vmin", "green_vmin", "blue_vmin"), map(str, minimum), strict=True))
    shown = drawn(paths, stretch=str(stretch), Q=str(q), **limits)
    wanted = make_lupton_rgb(*planes, minimum=list(minimum), stretch=stretch, Q=q).astype(int)
    assert np.abs(shown - wanted).max() <= 1  # astropy rounds down
    assert wanted.max() > 200


def test_one_minimum_is_of_all_colours(tmp_path: Path) -> None:
    paths, planes = frames(tmp_path)
    wanted = make_lupton_rgb(*planes, minimum=90, stretch=40, Q=8).astype(int)
    assert np.abs(drawn(paths, vmin="90", stretch="40") - wanted).max() <= 1


def test_limits_of_each_colour_are_pixel_values_of_its_own_frame(tmp_path: Path) -> None:
    """Also if the frames have other exposures, by which composites are brought to one unit."""
    paths, planes = frames(tmp_path)
    for number, path in enumerate(paths):
        write(path, planes[number][::-1], header(turn=0, EXPTIME=10.0 * (number + 1), BUNIT="adu"))
    limits = {"red_vmin": "150", "red_vmax": "1300", "green_vmin": "140", "green_vmax": "1200"}
    limits |= {"blue_vmin": "90", "blue_vmax": "6000"}
    shown = drawn(paths, **limits)
    lows, highs = ([float(limits[f"{band}_{name}"]) for band in ("red", "green", "blue")] for name in ("vmin", "vmax"))
    scaled = [(plane - low) / (high - low) for plane, low, high in zip(planes, lows, highs, strict=True)]
    wanted = np.rint(255 * np.clip(np.stack(scaled, -1), 0, 1))
    assert np.abs(shown - wanted)[wanted.max(axis=-1) < 255].max() <= 1


def test_weights_change_the_colours_of_stars_and_not_that_of_the_sky(tmp_path: Path) -> None:
    paths, _ = frames(tmp_path)
    plain, weighted = drawn(paths, stretch="asinh"), drawn(paths, stretch="asinh", red_weight="0.25", blue_weight="2")
    red, green, blue = star(plain, "white")
    assert max(red, green, blue) - min(red, green, blue) < 20
    red, green, blue = star(weighted, "white")
    assert red < green - 60 < blue
    for picture in (plain, weighted):
        dark = np.median(picture.reshape(-1, 3), axis=0)
        assert np.ptp(dark) <= 3
    assert star(drawn(paths, red_weight="0"), "red")[0] < 80


@pytest.mark.parametrize("stretch", ["1e-99", "1e-30", "1e38"])
@pytest.mark.parametrize("count", [1, 3])
def test_a_stretch_of_any_length_gives_a_picture(tmp_path: Path, count: int, stretch: str) -> None:
    paths = frames(tmp_path)[0][:count]
    colour = {"color": "true"} if count == 3 else {}
    for q in ("0.01", "100"):
        assert drawn(paths, stretch=stretch, Q=q, **colour).size


def test_q_softens_the_curve_between_the_same_limits(tmp_path: Path) -> None:
    paths, _ = frames(tmp_path)
    limits = {"vmin": "100", "vmax": "1500"}
    plain, soft, hard = (drawn(paths, **limits, **query) for query in ({}, {"Q": "1"}, {"Q": "30"}))
    assert star(plain, "white") < star(soft, "white") < star(hard, "white")
    grey = [np.asarray(drawn(paths[:1], **limits, color="false", **query)) for query in ({}, {"Q": "1"}, {"Q": "30"})]
    assert grey[0][239, 60, 0] < grey[1][239, 60, 0] < grey[2][239, 60, 0]


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (
            {"color": "false", "red_weight": "2"},
            "red_weight is of composites: name three frames by red, green and blue",
        ),
        ({"red_weight": "-1"}, "red_weight is '-1': it may be a number from 0 to 1,000"),
        ({"green_weight": "x"}, "green_weight is 'x'"),
        ({f"{band}_weight": "0" for band in ("red", "green", "blue")}, "one has to be above 0"),
        ({"blue_vmin": "5", "blue_vmax": "5"}, "blue_vmax has to be above blue_vmin"),
        ({"blue_vmax": "5", "vmin": "9"}, "blue is black at 9 and white at 5"),
        ({"Q": "0"}, "Q is '0': it may be a number from 0.01 to 100"),
        ({"Q": "8", "stretch": "log"}, "Q is of stretch=asinh"),
        ({"stretch": "-5"}, "stretch is '-5': it may be a number above 0, linear, asinh, sqrt or log"),
        ({"stretch": "5", "vmax": "9"}, "vmax and stretch=5 both say what is white"),
        ({"look": "lco", "red_vmin": "9"}, "red_vmin belongs to look=robust"),
    ],
)
def test_what_is_not_valid_is_refused_with_what_would_be(query: dict[str, str], text: str) -> None:
    with pytest.raises(BadRecipe, match=text):
        ThumbnailOptions.parse({**COLOUR, **query})


def test_a_message_gives_the_same_colours_back() -> None:
    frame = Frame(17, "a-e91.fits.fz", "d41d8cd9")
    query = {"red_weight": "0.5", "green_vmin": "-3", "blue_vmax": "1e4", "Q": "5"}
    for given in (query, {"stretch": "5"}, {"stretch": "asinh", "Q": "8"}):
        recipe = Thumbnail((frame,) * 3, ThumbnailOptions.parse({**COLOUR, **given}))
        assert from_json(recipe.as_json()) == recipe
        assert from_json(recipe.as_json()).key == recipe.key
    assert ThumbnailOptions.parse({**COLOUR, "red_weight": "1"}) == ThumbnailOptions.parse(COLOUR)
