"""Recipes: which paths are valid, and that a recipe's key never changes."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mezcal.errors import BadRecipe
from mezcal.recipe import PATH_MAX, PYRAMID, Mezzanine, from_json


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "dc/2021/2/ab/cd/image.tif",
        "with space",
        "100%",
        "what?",
        "naïve/東京.tif",
        "a..b",
        "...tif",
        "a..b.tif",
        "..a",
        "v1;2.tif",
        "a;",
        "a.;b",
        "a%3Bb",
        "a%2Fb",
        "a%252Fb",
        "100%25",
        "a+b, c.tif",
        ".hidden",
        "a\\b",
    ],
)
def test_a_plain_relative_path_is_kept_unchanged(path: str) -> None:
    assert Mezzanine.parse(path).path == path


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "empty"),
        ("/etc/passwd", "segment ''"),
        ("a//b", "segment ''"),
        ("a/", "names a folder: name a file in it"),
        ("../x", r"segment '\.\.'"),
        ("a/../../x", r"segment '\.\.'"),
        ("a/./b", r"segment '\.'"),
        ("a/...", r"segment '\.\.\.'"),
        ("a/ /b", "segment ' '"),
        ("..;/x", r"segment '\.\.'"),
        ("a/..;v=1/x", r"segment '\.\.'"),
        ("a/;x/b", "segment ''"),
        ("a/.;", r"segment '\.'"),
        ("a\\..\\b", r"segment '\.\.'"),
        ("a\\\\b", "segment ''"),
        ("\\a", "segment ''"),
        ("a/..%5cb", r"segment '\.\.'"),
        ("%2e%2e/x", r"segment '\.\.'"),
        ("a/%252e%252e/x", r"segment '\.\.'"),
        ("a%2F..%2Fb", r"segment '\.\.'"),
        ("a%2F%2Fb", "segment ''"),
        ("a/..%3Bx", r"segment '\.\.'"),
        ("a/..%00x", r"segment '\.\.'"),
        ("a%" + "25" * 6 + "41", "too often"),
        ("a\0b", "control character"),
        ("a\r\nSet-Cookie: x", "control character"),
        ("a\x7f", "control character"),
        ("a\ufffd", "not UTF-8"),
        ("x" * (PATH_MAX + 1), "longer than"),
        ("é" * PATH_MAX, "longer than"),
    ],
)
def test_any_other_path_is_refused_with_the_reason(path: str, reason: str) -> None:
    with pytest.raises(BadRecipe, match=reason):
        Mezzanine.parse(path)


@given(st.text(max_size=200))
@example("a\ud800")
def test_a_path_is_either_refused_or_plain(path: str) -> None:
    try:
        recipe = Mezzanine.parse(path)
    except BadRecipe:
        return
    assert recipe.path == path
    assert all(part not in {"", ".", ".."} for part in path.split("/"))
    assert "\0" not in path


@pytest.mark.parametrize("page", ["0", "-1", "1.5", "x", "", "65536", "9" * 500, "²", "1 "])
def test_a_page_is_a_whole_number_from_one(page: str) -> None:
    with pytest.raises(BadRecipe, match="page is"):
        Mezzanine.parse("a", page)


def test_every_page_has_another_key() -> None:
    assert Mezzanine.parse("a", "2").key != Mezzanine.parse("a").key
    assert Mezzanine.parse("a", "2") == Mezzanine.parse("a", "02")


def test_the_key_is_the_same_in_every_process_and_release() -> None:
    """The literal is a promise: existing caches and URLs of jobs hold it."""
    code = "from mezcal.recipe import Mezzanine; print(Mezzanine.parse('dc/ä.tif').key)"
    elsewhere = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert elsewhere.stdout.strip() == Mezzanine.parse("dc/ä.tif").key == "43dbdf91ee04fbf35e8a39128537c563"


@given(st.text(min_size=1, max_size=50).filter(lambda text: "/" not in text), st.none() | st.integers(1, 65535))
def test_a_message_gives_the_same_recipe_back(path: str, page: int | None) -> None:
    try:
        recipe = Mezzanine.parse(path, page)
    except BadRecipe:
        return
    assert from_json(recipe.as_json()) == recipe


@pytest.mark.parametrize(
    "message", [{}, {"kind": "mezzanine"}, {"kind": "x", "path": "a"}, {"kind": "mezzanine", "path": "../a"}]
)
def test_a_message_is_checked_like_any_input(message: dict[str, object]) -> None:
    with pytest.raises(BadRecipe):
        from_json(message)


def test_a_profile_is_part_of_the_key_and_a_mezzanine_has_the_key_of_old() -> None:
    mezzanine = Mezzanine.parse("dc/1.tif")
    assert mezzanine.as_json() == {"kind": "mezzanine", "path": "dc/1.tif", "page": None}
    pyramid = mezzanine.in_profile(PYRAMID)
    assert pyramid.key != mezzanine.key
    assert from_json(pyramid.as_json()) == pyramid
    assert (pyramid.main(), pyramid.is_main, mezzanine.is_main) == (mezzanine, False, True)
    assert (mezzanine.file_name, pyramid.file_name) == ("image.jpg", "pyramid.tif")


@pytest.mark.parametrize(("name", "extension"), [("..", "tif"), ("a/b", "tif"), ("a", "exe"), ("", "tif")])
def test_a_message_with_a_profile_that_names_no_file_is_refused(name: str, extension: str) -> None:
    with pytest.raises(BadRecipe):
        from_json({"kind": "mezzanine", "path": "a", "page": None, "profile": name, "extension": extension})
