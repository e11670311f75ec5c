"""Thumbnail options and thumbnails as values: equal requests are equal, and keys never change."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mezcal.errors import BadRecipe
from mezcal.recipe import Frame, Mezzanine, Thumbnail, ThumbnailOptions, from_json
from mezcal.recipe.bands import STRETCHES
from mezcal.recipe.thumbnail import PIPELINE
from mezcal.recipe.thumbnail_options import COLORMAPS, LIMITS
from mezcal.settings import Layout
from mezcal.store.local.layout import StoreLayout

FRAME = Frame(17, "a-e91.fits.fz", "d41d8cd9")


def test_the_defaults_are_those_of_thumbnail_service() -> None:
    options = ThumbnailOptions.parse({}, default="lco")
    assert (options.width, options.height, options.label) == (200, 200, None)
    assert (options.color, options.median, options.quality) == (False, False, 80)
    assert ThumbnailOptions.parse({"median": "true"}, default="lco").percentile == 99.5


@pytest.mark.parametrize("word", ["true", "True", "1", "yes", "ON"])
def test_every_boolean_is_read_by_the_same_rule(word: str) -> None:
    assert ThumbnailOptions.parse({"color": word}) == ThumbnailOptions.parse({"color": "true"})
    assert ThumbnailOptions.parse({"invert": word}).invert


@pytest.mark.parametrize("word", ["false", "False", "0", "no", "", None])
def test_an_empty_or_missing_boolean_is_false(word: str | None) -> None:
    assert ThumbnailOptions.parse({"color": word}) == ThumbnailOptions.parse({})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"percentile": "90"}, {}),  # used with median only
        ({"look": "lco"}, {"look": "LCO", "percentile": "1"}),
        ({"label": "  x "}, {"label": "x"}),
        ({"limits": "zscale", "percentile": "90"}, {}),
        ({"hdu": "sci"}, {"hdu": "SCI"}),
        ({"image": "1", "unknown": "x"}, {}),
    ],
)
def test_equal_pictures_have_equal_options(one: dict[str, str], other: dict[str, str]) -> None:
    assert ThumbnailOptions.parse(one) == ThumbnailOptions.parse(other)


@pytest.mark.parametrize("name", ["stretch", "limits", "invert", "colormap", "orient"])
def test_the_lco_look_refuses_the_parameters_of_the_robust_look(name: str) -> None:
    with pytest.raises(BadRecipe, match=f"{name} belongs to look=robust"):
        ThumbnailOptions.parse({"look": "lco", name: "x"})


@pytest.mark.parametrize(
    ("given", "drawn"),
    [
        ({"width": "5000", "height": "99999"}, {"width": 4096, "height": 4096}),  # no frame is enlarged
        ({"quality": "0"}, {"quality": 1}),  # as Pillow takes them
        ({"quality": "101"}, {"quality": 100}),
        ({"percentile": "0"}, {"percentile": None}),  # used with median only
        ({"percentile": "101"}, {"percentile": None}),
        ({"median": "1", "percentile": "0"}, {"percentile": 0.0}),
        ({"color": "maybe"}, {"color": True}),
        ({"median": "maybe"}, {"median": True, "percentile": 99.5}),
        ({"label": " a\tb "}, {"label": " a\tb "}),
        ({"label": " \t"}, {"label": None}),
    ],
)
def test_the_lco_look_takes_what_thumbnail_service_takes(given: dict[str, str], drawn: dict[str, object]) -> None:
    options = ThumbnailOptions.parse(given, default="lco")
    assert {name: getattr(options, name) for name in drawn} == drawn
    assert ThumbnailOptions.parse(options.as_json(), max_edge=65_535) == options


@pytest.mark.parametrize(
    "given",
    [{"width": "0"}, {"width": "4097"}, {"quality": "0"}, {"quality": "101"}, {"color": "maybe"}, {"label": "a\nb"}],
)
def test_the_robust_look_refuses_what_it_would_have_to_guess(given: dict[str, str]) -> None:
    with pytest.raises(BadRecipe, match=next(iter(given))):
        ThumbnailOptions.parse(given)


def test_a_tab_in_a_label_is_a_space_in_the_robust_look() -> None:
    assert ThumbnailOptions.parse({"label": "a\tb\t"}).label == "a b"


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "look": st.sampled_from(["lco", "robust"]),
            "width": st.integers(1, 4096).map(str),
            "label": st.text(max_size=30),
            "color": st.sampled_from(["1", "no"]),
            "median": st.sampled_from(["1", "no"]),
            "percentile": st.floats(50.5, 100).map(str),
            "plane": st.integers(1, 9).map(str),
        },
    ),
    st.sampled_from(STRETCHES),
    st.sampled_from(LIMITS),
    st.sampled_from(COLORMAPS),
)
def test_a_message_gives_the_same_thumbnail_back(
    query: dict[str, str], stretch: str, limits: str, colours: str
) -> None:
    robust = {} if query.get("look") == "lco" else {"stretch": stretch, "limits": limits, "colormap": colours}
    try:
        options = ThumbnailOptions.parse(query | robust)
    except BadRecipe:
        return
    recipe = Thumbnail((FRAME,), options)
    again = from_json(recipe.as_json())
    assert again == recipe
    assert again.key == recipe.key


def test_the_key_is_the_same_in_every_process_and_release() -> None:
    """The literal is a promise: existing caches hold it."""
    recipe = Thumbnail((FRAME,), ThumbnailOptions.parse({"look": "lco", "label": "\N{GREEK SMALL LETTER ALPHA}"}))
    code = (
        "from mezcal.recipe import Frame, Thumbnail, ThumbnailOptions;"
        "frame = Frame(17, 'a-e91.fits.fz', 'd41d8cd9');"
        "print(Thumbnail((frame,), ThumbnailOptions.parse({'look': 'lco', 'label': '\u03b1'})).key)"
    )
    elsewhere = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert elsewhere.stdout.strip() == recipe.key == "41e1ddbc152ecf816088766f21a9a147"


def test_another_version_of_a_frame_or_of_the_pipeline_has_another_key() -> None:
    options = ThumbnailOptions.parse({})
    keys = {
        Thumbnail((FRAME,), options).key,
        Thumbnail((Frame(17, "a-e91.fits.fz", "other"),), options).key,
        Thumbnail((FRAME,), options, pipeline=PIPELINE + 1).key,
        Mezzanine.parse("17").key,
    }
    assert len(keys) == 4


@pytest.mark.parametrize(
    "message",
    [
        {"kind": "thumbnail"},
        {"kind": "thumbnail", "frames": [], "look": {}, "pipeline": 1},
        {"kind": "thumbnail", "frames": [[1, "a"]], "look": {}, "pipeline": 1},
        {"kind": "thumbnail", "frames": [[1, "a", "b"]], "look": {"width": -1}, "pipeline": 1},
        {"kind": "thumbnail", "frames": [[1, "a" * 300, "b"]], "look": {}, "pipeline": 1},
    ],
)
def test_a_message_is_checked_like_any_input(message: dict[str, object]) -> None:
    with pytest.raises(BadRecipe):
        from_json(message)


@pytest.mark.parametrize("layout", list(Layout))
def test_a_thumbnail_is_stored_under_its_key_in_every_layout(layout: Layout) -> None:
    recipe = Thumbnail((FRAME,), ThumbnailOptions.parse({}))
    assert str(StoreLayout(layout).folder(recipe)) == f".mezcal/by-key/{recipe.key[:2]}/{recipe.key}"
