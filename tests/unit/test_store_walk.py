"""Walking a store in parts, and putting derivatives aside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from mezcal.recipe import Mezzanine
from mezcal.settings import Layout
from mezcal.store import LocalStore
from mezcal.store.walk import next_part

if TYPE_CHECKING:
    from pathlib import Path

NAMES = st.lists(st.sampled_from(["a", "b", "ab", "b c"]), min_size=1, max_size=4).map("/".join)


@given(folders=st.sets(NAMES, max_size=12), most=st.integers(1, 5))
def test_the_parts_of_a_walk_make_the_whole_once(tmp_path_factory: object, folders: set[str], most: int) -> None:
    root = tmp_path_factory.mktemp("walk")  # type: ignore[attr-defined]
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / "image.jpg").write_bytes(b"x")
    found, after, ended = [], "", False
    while not ended:
        part, ended = next_part(root, after, most)
        found += [seen.folder for seen in part if seen.size]
        after = part[-1].folder if part else ""
    assert sorted(found) == sorted(folders)


def test_a_walk_goes_as_deep_as_paths_do(tmp_path: Path) -> None:
    (tmp_path / "/".join("a" * 300)).mkdir(parents=True)
    part, ended = next_part(tmp_path, "", 5000)
    assert (len(part), ended) == (300, True)


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


def test_what_was_evicted_goes_in_the_end(tmp_path: Path) -> None:
    recipe = Mezzanine.parse("a/b.tif")
    store = filled(tmp_path, recipe, 0)
    assert store.evict(recipe)
    store.sweep()
    assert store.open(recipe) is None
    assert not store.evict(recipe)
    assert not list(store.evicted.iterdir())


def test_what_is_deleted_does_not_come_back(tmp_path: Path) -> None:
    recipe = Mezzanine.parse("a/b.tif")
    store = filled(tmp_path, recipe, 60)
    store.evict(recipe)
    store.delete(recipe)
    assert store.open(recipe) is None
