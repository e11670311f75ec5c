"""Walking a store in parts, and putting derivatives aside."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mezcal.recipe import Mezzanine
from mezcal.settings import Layout
from mezcal.store import LocalStore
from mezcal.store.local.walk import FolderWalk

if TYPE_CHECKING:
    from pathlib import Path

    from mezcal.store.inventory import InventoryItem

NAMES = st.lists(st.sampled_from(["a", "b", "ab", "b c"]), min_size=1, max_size=4).map("/".join)


def parts_of(root: Path, most: int) -> list[InventoryItem]:
    """Returns the items that walks of *most* folders each find."""
    found, cursor = [], ""
    while True:
        walk = FolderWalk(root, cursor)
        found += list(islice(walk, most))
        cursor = walk.cursor
        if not cursor:
            return found


@given(folders=st.sets(NAMES, max_size=12), most=st.integers(1, 5))
def test_the_parts_of_a_walk_make_the_whole_once(tmp_path_factory: object, folders: set[str], most: int) -> None:
    root = tmp_path_factory.mktemp("walk")  # type: ignore[attr-defined]
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / "image.jpg").write_bytes(b"x")
    assert sorted(seen.folder for seen in parts_of(root, most) if seen.size) == sorted(folders)


@pytest.mark.parametrize("most", [1, 700, 2900])
def test_a_folder_of_many_is_read_in_blocks_and_gone_on_with(tmp_path: Path, most: int) -> None:
    for number in range(3000):
        (tmp_path / f"{number:032x}").mkdir()
        (tmp_path / f"{number:032x}" / "image.jpg").write_bytes(b"x")
    walk = FolderWalk(tmp_path)
    found = list(islice(walk, most))
    assert walk.cursor.count("[") <= 3, "a position, not a list of the remaining folders"
    found += list(FolderWalk(tmp_path, walk.cursor))
    assert sorted(seen.folder for seen in found if seen.size) == [f"{number:032x}" for number in range(3000)]


def test_a_walk_goes_on_though_the_folder_it_was_in_is_gone(tmp_path: Path) -> None:
    for number in range(1500):
        (tmp_path / str(number)).mkdir()
    walk = FolderWalk(tmp_path)
    first = [seen.folder for seen in islice(walk, 1000)]
    for folder in first[900:]:
        (tmp_path / folder).rmdir()
    met = {*first, *(seen.folder for seen in FolderWalk(tmp_path, walk.cursor))}
    assert met >= {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("cursor", ["a/b/c", "[1]", "{}", '[[99999999999, "x"]]', "null"])
def test_an_invalid_cursor_starts_at_the_beginning_or_ends(tmp_path: Path, cursor: str) -> None:
    (tmp_path / "a").mkdir()
    assert {seen.folder for seen in FolderWalk(tmp_path, cursor)} <= {"", "a"}


def test_a_walk_goes_as_deep_as_paths_do(tmp_path: Path) -> None:
    (tmp_path / "/".join("a" * 300)).mkdir(parents=True)
    assert len(list(FolderWalk(tmp_path))) == 301


def test_of_our_own_folder_only_derivatives_are_met(tmp_path: Path) -> None:
    for name in ("scratch", "locks", "evicted/1", "by-key/ab/abc"):
        (tmp_path / ".mezcal" / name).mkdir(parents=True)
    names = [seen.folder for seen in FolderWalk(tmp_path)]
    assert names == ["", ".mezcal", ".mezcal/by-key", ".mezcal/by-key/ab", ".mezcal/by-key/ab/abc"]


def filled(root: Path, recipe: Mezzanine, seconds: float) -> LocalStore:
    store = LocalStore(root, Layout.BASIC, seconds)
    path = store.path(recipe)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xff\xd8 an image")
    path.with_name("image.json").write_bytes(b"{}")
    return store


def test_what_was_announced_before_an_eviction_can_still_be_had(tmp_path: Path) -> None:
    recipe = Mezzanine.parse("a/b.tif")
    store = filled(tmp_path, recipe, 60)
    announced = store.find(recipe)
    assert store.evict(recipe)
    assert store.find(recipe) is None
    assert store.sweep() == 0
    opened = store.open(recipe)
    assert opened is not None
    assert opened.stored == announced
    opened.file.close()
    assert store.path(recipe).with_name("image.json").exists()


def test_an_image_without_sidecar_comes_back_too(tmp_path: Path) -> None:
    recipe = Mezzanine.parse("a/b.tif")
    store = filled(tmp_path, recipe, 60)
    store.path(recipe).with_name("image.json").unlink()
    assert store.evict(recipe)
    opened = store.open(recipe)
    assert opened is not None
    opened.file.close()


def test_what_is_opened_by_its_key_comes_back_too(tmp_path: Path) -> None:
    recipe = Mezzanine.parse("a.lock")  # kept by key
    store = filled(tmp_path, recipe, 60)
    assert store.evict(recipe)
    opened = store.open_by_key(recipe.key)
    assert opened is not None
    opened.file.close()


def test_what_was_evicted_goes_in_the_end(tmp_path: Path) -> None:
    recipe = Mezzanine.parse("a/b.tif")
    store = filled(tmp_path, recipe, 0)
    assert store.evict(recipe)
    store.sweep()
    assert store.open(recipe) is None
    assert not store.evict(recipe)
    assert not list(store.root.rglob("*.jpg"))


def test_what_is_deleted_does_not_come_back(tmp_path: Path) -> None:
    recipe = Mezzanine.parse("a/b.tif")
    store = filled(tmp_path, recipe, 60)
    store.evict(recipe)
    store.delete(recipe)
    assert store.open(recipe) is None
