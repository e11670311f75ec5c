"""Where derivatives lie: umd-lib/mezcal's folders, and no two recipes in one."""

from __future__ import annotations

from itertools import combinations
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mezcal.errors import BadRecipe
from mezcal.recipe import Mezzanine
from mezcal.settings import Layout
from mezcal.store.local.layout import IMAGE, SIDECAR, StoreLayout

NAMES = st.sampled_from(["a", "b", IMAGE, SIDECAR, "a.lock", ".mezcal", "scratch", "by-key", "x" * 256, "é" * 128])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (Layout.BASIC, "dc/1/image.tif"),
        (Layout.MD5_ENCODED, "cfa7980b434940f2a263d0f4bc057bdd"),
        (Layout.MD5_ENCODED_PAIRTREE, "cf/a7/98/cfa7980b434940f2a263d0f4bc057bdd"),
    ],
)
def test_the_three_layouts_are_those_of_umd_lib_mezcal(layout: Layout, expected: str) -> None:
    assert str(StoreLayout(layout).folder(Mezzanine.parse("dc/1/image.tif"))) == expected


def test_a_path_of_a_thousand_folders_is_stored_by_its_key() -> None:
    deep = StoreLayout(Layout.BASIC).folder(Mezzanine.parse("/".join(["a"] * 1000)))
    assert deep.parts[:2] == (".mezcal", "by-key")


@given(path=st.text(max_size=100) | PATHS, layout=st.sampled_from(Layout), page=st.none() | st.integers(1, 9))
def test_every_path_is_refused_or_lies_inside_the_store(path: str, layout: Layout, page: int | None) -> None:
    try:
        recipe = Mezzanine.parse(path, page)
    except BadRecipe:
        return
    place = StoreLayout(layout).folder(recipe)
    assert not place.is_absolute()
    assert ".." not in place.parts
    assert all(len(part.encode()) <= 255 for part in place.parts)


@given(paths=st.lists(PATHS, min_size=2, max_size=6, unique=True), layout=st.sampled_from(Layout))
def test_no_file_of_one_recipe_is_a_folder_or_file_of_another(paths: list[str], layout: Layout) -> None:
    for one, other in combinations([StoreLayout(layout).folder(Mezzanine.parse(path)) for path in paths], 2):
        assert one != other
        for near, far in ((one, other), (other, one)):
            files = {near / IMAGE, near / SIDECAR, PurePosixPath(f"{near}.lock")}
            assert not files & {far, *far.parents}


@pytest.mark.parametrize(("path", "expected"), [("a/image.png", "a/image.png"), ("a/pyramid.tif", None)])
def test_only_names_of_files_beside_a_mezzanine_are_kept_by_key(path: str, expected: str | None) -> None:
    folder = str(StoreLayout(Layout.BASIC).folder(Mezzanine.parse(path)))
    assert folder == expected or (expected is None and folder.startswith(".mezcal/by-key/"))
