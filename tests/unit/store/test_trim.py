"""Keeping a store within its bounds: what goes, what stays, and that it may be done in any number of turns."""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING

import pytest

from mezcal.recipe import PYRAMID, Mezzanine
from mezcal.settings import Layout
from mezcal.store import LocalStore
from mezcal.store.housekeeping.survey import Survey
from mezcal.store.housekeeping.trim import Bounds, Trim, TrimState
from mezcal.store.inventory import InventoryItem
from tests.support import store_contract as contract

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400
EDGE = bytes(1000)


def kept(root: Path, pin_seconds: float = 0, layout: Layout = Layout.BASIC) -> LocalStore:
    return LocalStore(root, layout, pin_seconds)


def image(store: LocalStore, path: str, used_ago: float, size: int = 1000) -> Path:
    """Make a sparse image of *size* bytes that was used *used_ago* seconds ago. Returns its path."""
    place = store.path(Mezzanine.parse(path))
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("wb") as file:
        file.truncate(size)
    os.utime(place, (time.time() - used_ago, time.time() - 1000 * DAY))
    return place


def left(store: LocalStore) -> set[str]:
    return {found.folder for found in store.inventory.walk() if found.size}


def turns(store: LocalStore, bounds: Bounds, seconds: float = 60, pin: float = 0) -> int:
    """Trim until all is done; how many turns that took."""
    for number in range(1, 1000):
        if Trim(store.inventory, bounds, pin).run(seconds).done:
            return number
    raise AssertionError("trimming comes to no end")


@pytest.mark.parametrize("layout", list(Layout))
def test_what_was_used_least_lately_goes_until_the_bound_is_kept(tmp_path: Path, layout: Layout) -> None:
    store = kept(tmp_path, layout=layout)
    places = [image(store, f"box {number % 3}/{number}", used_ago=(number + 1) * DAY) for number in range(20)]
    turns(store, Bounds(max_bytes=10_000))
    assert [place.exists() for place in places] == [True] * 9 + [False] * 11  # 95% of the bound


def test_within_the_bounds_nothing_goes(tmp_path: Path) -> None:
    store = kept(tmp_path)
    image(store, "a", used_ago=900 * DAY)
    turns(store, Bounds(max_bytes=1000, min_free_bytes=1, max_age=1000 * DAY))
    assert left(store) == {"a"}


def test_images_unused_for_longer_than_the_bound_are_evicted(tmp_path: Path) -> None:
    store = kept(tmp_path)
    for name, days in [("lately", 5), ("at the bound", 30.5), ("long ago", 33)]:
        image(store, name, used_ago=days * DAY)
    turns(store, Bounds(max_age=30 * DAY))
    assert left(store) == {"lately", "at the bound"}, "use is known to a day"


def test_room_on_the_disk_is_made_by_as_much_as_is_missing(tmp_path: Path) -> None:
    store = kept(tmp_path)
    for number in range(10):
        image(store, str(number), used_ago=(number + 1) * DAY, size=1 << 30)
    missing = store.free_bytes() + (5 << 29)
    Trim(store.inventory, Bounds(min_free_bytes=missing), pin_seconds=600).run(60)
    assert left(store) == {"0", "1", "2", "3", "4", "5", "6"}, "2.5 GiB are missing, and the trash counts as free"


def test_evicted_bytes_in_the_trash_are_not_evicted_twice(tmp_path: Path) -> None:
    store = kept(tmp_path, pin_seconds=600)
    for number in range(10):
        image(store, str(number), used_ago=(number + 1) * DAY, size=1 << 30)
    bounds = Bounds(min_free_bytes=store.free_bytes() + (1 << 29))
    for _ in range(3):
        Trim(store.inventory, bounds, pin_seconds=600).run(60)
    assert len(left(store)) == 9


def test_images_younger_than_a_minute_stay_for_any_bound(tmp_path: Path) -> None:
    store = kept(tmp_path)
    fresh, read = store.path(Mezzanine.parse("fresh")), image(store, "read", used_ago=30)
    fresh.parent.mkdir()
    fresh.write_bytes(EDGE)
    image(store, "old", used_ago=3600)
    turns(store, Bounds(max_bytes=1))
    assert left(store) == {"fresh", "read"}
    assert read.exists()


def test_what_is_used_after_it_was_counted_stays(tmp_path: Path) -> None:
    store = kept(tmp_path)
    image(store, "a", used_ago=9 * DAY)
    found = next(found for found in store.inventory.walk() if found.size)
    opened = store.open(Mezzanine.parse("a"))
    assert opened is not None
    opened.file.close()
    assert store.inventory.evict(found, before=time.time() - DAY) == 0
    assert left(store) == {"a"}


def test_a_disk_without_space_for_a_folder_is_trimmed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trash may need a new folder, which cannot be made if the disk is full."""
    store = kept(tmp_path, pin_seconds=60)
    image(store, "a", used_ago=9 * DAY)
    make = os.mkdir

    def full(path: str, *given: int) -> None:
        if "evicted" in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        make(path, *given)

    monkeypatch.setattr(os, "mkdir", full)
    turns(store, Bounds(max_bytes=1))
    assert left(store) == set()


def test_what_came_back_is_not_the_next_to_go(tmp_path: Path) -> None:
    store = kept(tmp_path, pin_seconds=60)
    place = image(store, "a", used_ago=3600)
    assert store.evict(Mezzanine.parse("a"))
    assert not place.exists()
    opened = store.open(Mezzanine.parse("a"))
    assert opened is not None
    opened.file.close()
    found = next(found for found in store.inventory.walk() if found.size)
    assert found.last_used > time.time() - 60
    assert found.modified == pytest.approx(time.time() - 1000 * DAY, abs=60), "its entity tag is made of that"


def test_an_empty_image_is_removed_unless_a_whole_one_was_published_meanwhile(tmp_path: Path) -> None:
    store = kept(tmp_path)
    empty, whole = image(store, "empty", DAY, size=0), image(store, "whole", DAY)
    for folder in ("empty", "whole", "none"):
        store.inventory.remove_empty_image(InventoryItem(folder))
    assert (empty.exists(), whole.exists()) == (False, True)


def test_trim_waits_for_a_publication_and_checks_again(tmp_path: Path) -> None:
    """Trim waits for the publishing lock, then checks the image again."""
    store = kept(tmp_path)
    place = image(store, "a", used_ago=9 * DAY)
    found = next(found for found in store.inventory.walk() if found.size)
    place.write_bytes(b"\xff\xd8 newer")
    assert store.inventory.evict(found, before=time.time() - 60) == 0
    assert place.read_bytes() == b"\xff\xd8 newer"


def test_turns_of_no_time_do_what_one_long_turn_does(tmp_path: Path) -> None:
    store = kept(tmp_path)
    for number in range(500):
        image(store, f"{number % 7}/{number}", used_ago=(number + 1) * 3600)
    assert turns(store, Bounds(max_bytes=250_000), seconds=0) > 10
    assert len(left(store)) == 237
    assert "0/0" in left(store)
    assert "2/499" not in left(store)


def test_folders_that_are_left_empty_go_and_those_just_made_stay(tmp_path: Path) -> None:
    store = kept(tmp_path)
    image(store, "a/b/c", used_ago=9 * DAY)
    (tmp_path / "long/empty").mkdir(parents=True)
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "just made").mkdir()
    os.utime(tmp_path / "long/empty", (0, 0))
    turns(store, Bounds(max_age=DAY))
    assert {path.name for path in tmp_path.iterdir()} == {".mezcal", "just made", "lost+found"}


def test_two_never_trim_at_once(tmp_path: Path) -> None:
    store = kept(tmp_path)
    image(store, "a", used_ago=9 * DAY)
    with store.inventory.exclusive(wait=True):
        assert Trim(store.inventory, Bounds(max_bytes=1)).run(60).counted == 0
    assert left(store) == {"a"}


def test_a_large_store_says_what_the_last_survey_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mezcal.store.usage.COUNT_SECONDS", -1)
    assert kept(tmp_path).usage() is None
    store = kept(tmp_path)
    image(store, "a", used_ago=9 * DAY)
    turns(store, Bounds())
    use = store.usage()
    assert use is not None
    assert (use.derivatives, use.bytes) == (1, 1000)


def test_a_saved_state_is_read_back_and_a_broken_one_starts_again(tmp_path: Path) -> None:
    store = kept(tmp_path)
    image(store, "a", used_ago=9 * DAY)
    turns(store, Bounds(max_bytes=1))
    state = TrimState.from_bytes(store.inventory.load_state())
    assert state == TrimState.from_bytes(state.as_bytes())
    assert (state.evicted_files, state.evicted_bytes) == (1, 1000)
    assert TrimState.from_bytes(b"{") == TrimState.from_bytes(b'{"survey": 3}') == TrimState()


def test_a_survey_is_small_for_any_times() -> None:
    survey = Survey(began=1_800_000_000)
    for number in range(100_000):
        survey.count(InventoryItem("x", size=10, last_used=survey.began - number * 977.0, sidecar_modified=1))
    assert len(survey.bytes_by_use) < 4000
    assert survey.bytes == 1_000_000


def test_profiles_are_trimmed_one_by_one_by_their_own_use(tmp_path: Path) -> None:
    """The pyramid that nobody reads goes, the mezzanine beside it stays."""
    store = kept(tmp_path)
    used, sidecar = image(store, "a", used_ago=0), tmp_path / "a" / "pyramid.json"
    pyramid = used.with_name("pyramid.tif")
    pyramid.write_bytes(b"II*\0" + bytes(1000))
    record = contract.sidecar(recipe=Mezzanine.parse("a", profile=PYRAMID)).as_bytes()
    sidecar.write_bytes(record)
    os.utime(pyramid, (time.time() - 50 * DAY, time.time() - 50 * DAY))
    trimmed = Trim(store.inventory, Bounds(max_age=10 * DAY)).run(60, now=True)
    assert (trimmed.evicted, trimmed.bytes) == (1, 1004 + len(record))
    assert (used.exists(), pyramid.exists(), sidecar.exists()) == (True, False, False)


def test_a_file_of_another_program_with_the_name_of_a_profile_stays(tmp_path: Path) -> None:
    store = kept(tmp_path)
    foreign = image(store, "a", used_ago=0).with_name("pyramid.tif")
    foreign.write_bytes(b"II*\0 of somebody else")
    foreign.with_suffix(".json").write_text('{"crs": "EPSG:4326"}')
    os.utime(foreign, (time.time() - 50 * DAY, time.time() - 50 * DAY))
    Trim(store.inventory, Bounds(max_age=10 * DAY)).run(60, now=True)
    assert foreign.exists()
