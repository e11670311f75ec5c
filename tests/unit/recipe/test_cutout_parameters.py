"""The position and the size of a cutout as clients write them, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mezcal.errors import BadRecipe
from mezcal.recipe import Frame, Thumbnail, ThumbnailOptions, from_json
from mezcal.recipe.cutout import Cutout, check_names, read_note, without_ignored, write_note

FRAME = Frame(17, "a-e91.fits.fz", "d41d8cd9")
SKY = {"ra": "150", "dec": "2", "size": "30"}


def cutout(**query: str) -> Cutout:
    options = ThumbnailOptions.parse(query)
    assert options.cutout is not None
    return options.cutout


@pytest.mark.parametrize(
    ("text", "degrees"),
    [
        ("188.7", 188.7),
        ("12:34:56.7", 188.73625),
        ("12h34m56.7s", 188.73625),
        ("12H 34M 56.7S", 188.73625),
        (" 12 34 56.7 ", 188.73625),
        ("188d44m10.5s", 188.73625),
        ("12:34.5", 188.625),
        ("00:00:00", 0),
        ("360", 0),
        ("1e1", 10),
        ("359.99999999", 0),
    ],
)
def test_right_ascensions_may_be_degrees_or_hours(text: str, degrees: float) -> None:
    assert cutout(**SKY | {"ra": text}).centre[0] == pytest.approx(degrees, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "degrees"),
    [("-2.5", -2.5), ("+12d34m", 12.5666667), ("-00:30:00", -0.5), (" 12:34", 12.5666667), ("-0.0", 0), ("-90", -90)],
)
def test_declinations_may_be_degrees_or_sexagesimal(text: str, degrees: float) -> None:
    assert cutout(**SKY | {"dec": text}).centre[1] == pytest.approx(degrees, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "size", "in_pixels"),
    [
        ("30", (30, 30), False),
        ("30x20", (30, 20), False),
        ("30x20arcsec", (30, 20), False),
        ("2arcmin", (120, 120), False),
        (".1deg", (360, 360), False),
        ("1x0.5deg", (3600, 1800), False),
        ("256px", (256, 256), True),
        ("256X128PX", (256, 128), True),
    ],
)
def test_sizes_have_one_unit(text: str, size: tuple[float, float], in_pixels: bool) -> None:
    found = cutout(**SKY | {"size": text})
    assert (found.size, found.in_pixels) == (size, in_pixels)


NONSENSE = ["nan", "inf", "-inf", "1e999", "huge", "1,5", "0x10", "1_0", "\u0661", "1;2", "9" * 100, "--1", "+"]


@pytest.mark.parametrize("name", ["ra", "dec", "size", "x", "y", "vmin", "vmax"])
@pytest.mark.parametrize("text", NONSENSE)
def test_what_is_no_number_is_refused_with_the_parameters_name(name: str, text: str) -> None:
    query = {"x": "1", "y": "1", "size": "5px"} if name in {"x", "y"} else SKY
    with pytest.raises(BadRecipe, match=f"{name} is"):
        ThumbnailOptions.parse({**query, name: text})


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"ra": "-1"}, "ra is '-1': it may be degrees from 0 to 360"),
        ({"ra": "360.1"}, "ra is"),
        ({"ra": "25:00:00"}, "ra is"),
        ({"ra": "12:60:00"}, "ra is"),
        ({"ra": "12:30.5:10"}, "ra is"),
        ({"dec": "90.5"}, "dec is"),
        ({"dec": "12h30m"}, "dec is"),
        ({"size": "0"}, "size is '0': it may be sides from 0.001"),
        ({"size": "-30"}, "size is"),
        ({"size": "0px"}, "sides from 1 to 65,535 pixels"),
        ({"size": "1.5px"}, "whole pixels"),
        ({"size": "99999px"}, "sides from 1"),
        ({"size": "181deg"}, "sides from"),
        ({"size": "10x20x30"}, "size is"),
        ({"size": "10parsec"}, "size is"),
        ({"ra": ""}, "dec is given without ra"),
        ({"dec": ""}, "ra is given without dec"),
        ({"size": ""}, "size is missing"),
        ({"ra": "", "dec": ""}, "size is given without a centre"),
        ({"x": "1", "y": "1"}, "given twice"),
        ({"x": "1"}, "x is given without y"),
        ({"vmin": "5", "vmax": "5"}, "above vmin"),
        *(({"zoom": zoom}, "it may be a number from 1 to 32") for zoom in ("33", "0.5", "-1", "x")),
        ({"look": "lco"}, "ra belongs to look=robust"),
    ],
)
def test_what_is_not_valid_is_refused_with_what_would_be(query: dict[str, str], text: str) -> None:
    with pytest.raises(BadRecipe, match=text):
        ThumbnailOptions.parse({**SKY, **query})


def test_a_size_around_pixels_needs_a_unit() -> None:
    with pytest.raises(BadRecipe, match="256px"):
        ThumbnailOptions.parse({"x": "5", "y": "5", "size": "256"})


def test_pixels_name_no_place_in_a_composite() -> None:
    with pytest.raises(BadRecipe, match="by ra and dec"):
        ThumbnailOptions.parse({"x": "5", "y": "5", "size": "256px", "color": "true"})


@pytest.mark.parametrize("query", [SKY, {"vmin": "3"}, {"x": "1", "y": "1", "size": "9px"}])
def test_a_cutout_is_drawn_in_the_robust_look_whatever_the_default_is(query: dict[str, str]) -> None:
    assert ThumbnailOptions.parse(query, default="lco").look == "robust"


def test_a_cutout_is_as_large_as_its_pixels_unless_a_size_is_given() -> None:
    assert ThumbnailOptions.parse(SKY, max_edge=3000).width == 3000
    assert ThumbnailOptions.parse(SKY | {"width": "90"}, max_edge=3000).width == 90


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"ra": "10:00:00"}, {"ra": "150.0"}),
        ({"size": "0.5arcmin"}, {"size": "30"}),
        ({"size": "30x30"}, {"size": "30.0000"}),
        ({"dec": "2.00000001"}, {"dec": "+02:00:00"}),
    ],
)
def test_equal_cutouts_have_equal_keys(one: dict[str, str], other: dict[str, str]) -> None:
    keys = {Thumbnail((FRAME,), ThumbnailOptions.parse(SKY | query)).key for query in (one, other)}
    assert len(keys) == 1


def test_options_that_are_not_given_are_not_in_the_recipe() -> None:
    new = {"ra", "dec", "x", "y", "size", "vmin", "vmax", "cutout"}
    assert not new & set(ThumbnailOptions.parse({}).as_json())
    assert not new & set(ThumbnailOptions.parse({}, default="lco").as_json())


@given(
    st.floats(0, 360),
    st.floats(-90, 90),
    st.floats(0.01, 100_000),
    st.floats(0.01, 100_000),
    st.sampled_from(["arcsec", "arcmin", ""]),
    st.floats(-1e6, 1e6),
)
def test_a_message_gives_the_same_cutout_back(
    ra: float, dec: float, width: float, height: float, unit: str, vmin: float
) -> None:
    given = {"ra": f"{ra:.12f}", "dec": f"{dec:.12f}", "size": f"{width:.5f}x{height:.5f}{unit}", "vmin": str(vmin)}
    try:
        options = ThumbnailOptions.parse(given)
    except BadRecipe:
        return
    recipe = Thumbnail((FRAME,), options)
    again = from_json(recipe.as_json())
    assert again == recipe
    assert again.key == recipe.key


@given(st.dictionaries(st.sampled_from(["ra", "dec", "x", "y", "size", "vmin", "vmax"]), st.text(max_size=70)))
def test_any_text_is_a_cutout_or_refused(query: dict[str, str]) -> None:
    try:
        options = ThumbnailOptions.parse(query)
    except BadRecipe:
        return
    assert ThumbnailOptions.parse(options.as_json(), max_edge=65_535) == options


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        *(("siz", "size"), ("sizes", "size"), ("szie", "size"), ("sise", "size"), ("RA", "ra"), ("Dec", "dec")),
        *(("ra_deg", "ra"), ("radius", "size"), ("fov", "size"), ("vmn", "vmin"), ("vmaxx", "vmax"), ("X", "x")),
    ],
)
def test_a_misspelled_name_is_refused_with_the_right_one(name: str, meant: str) -> None:
    with pytest.raises(BadRecipe, match=f"did you mean {meant}"):
        check_names(["width", name])


@pytest.mark.parametrize("name", ["_", "t", "token", "widht", "read", "date", "page", "rate", "utm_source", "include"])
def test_names_that_thumbnail_service_ignored_are_still_ignored(name: str) -> None:
    check_names([name, "width", "label", "image", "ra"])


def test_a_radius_is_told_that_size_is_the_whole_side() -> None:
    with pytest.raises(BadRecipe, match=r"did you mean size\? It is the whole side, twice the radius"):
        check_names(["radius"])


@pytest.mark.parametrize("query", [{"format": "json"}, {"format": "JSON"}, {"x": "1607"}, {"y": "1607"}])
def test_what_clients_of_thumbnail_service_add_is_ignored(query: dict[str, str]) -> None:
    assert without_ignored({**query, "width": "90"}) == {"width": "90"}


@pytest.mark.parametrize("query", [{"x": "1", "y": "1"}, {"x": "1", "size": "9px"}, {"ra": "1"}, {"format": "fits"}])
def test_what_asks_for_a_cutout_is_not_ignored(query: dict[str, str]) -> None:
    assert without_ignored(query) == query


@pytest.mark.parametrize("off", ["false", "0", "no", "off", False])
@pytest.mark.parametrize("name", ["color", "median", "invert", "compass", "scalebar", "grid"])
def test_a_switch_that_is_off_is_absent(name: str, off: object) -> None:
    fits = {**SKY, "format": "fits"}
    assert ThumbnailOptions.parse({**fits, name: off}) == ThumbnailOptions.parse(fits)
    assert ThumbnailOptions.parse({name: off}, default="lco") == ThumbnailOptions.parse({}, default="lco")
    with pytest.raises(BadRecipe, match=f"{name} is of pictures"):
        ThumbnailOptions.parse({**fits, name: "true"})


def test_what_a_cutout_shows_is_read_back_from_its_note() -> None:
    shown = {"section": "[1:10,-3:6]", "x": 5.5, "y": 1.0, "covered": 0.7}
    assert read_note(write_note("wcs", dict(shown))) == ("wcs", {**shown, "partial": True})
    assert read_note(write_note("catalog", None)) == ("catalog", None)
    assert write_note(None, None) is None
    assert read_note(None) == (None, None)
