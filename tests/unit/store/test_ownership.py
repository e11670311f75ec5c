"""Whose a file of a cache folder is: other programs may keep files there that are called as those of a profile."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from mezcal.errors import StoreDown
from mezcal.recipe import PYRAMID, Mezzanine, Profile
from mezcal.settings import Layout
from mezcal.store import LocalStore
from mezcal.store.housekeeping.hand_back import HandBack
from mezcal.store.housekeeping.verify import Defect
from mezcal.store.inventory import InventoryItem
from mezcal.store.local.verify import LocalVerifier
from tests.support.store_contract import JPEG, content, put

if TYPE_CHECKING:
    from pathlib import Path

PICTURE = b"II*\0pyramid"
OF_ANOTHER = b"II*\0of another program"
BOX = Mezzanine.parse("box")
PYRAMID_OF_BOX = BOX.in_profile(PYRAMID)
CALLED_SO = Mezzanine.parse("box/pyramid.tif")
RECORDS = [None, b"{}", b'{"crs": "EPSG:4326"}', b"[1]", b"7", b"\xff"]


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "cache", Layout.BASIC)


@pytest.fixture(params=RECORDS)
def foreign(request: pytest.FixtureRequest, store: LocalStore) -> list[Path]:
    """Write another program's `box/pyramid.tif`, perhaps with a `pyramid.json`. Returns the paths."""
    return keep(store.root / "box/pyramid.tif", OF_ANOTHER, request.param)


def keep(image: Path, data: bytes, record: bytes | None = None) -> list[Path]:
    image.parent.mkdir(parents=True, exist_ok=True)
    image.write_bytes(data)
    if record is None:
        return [image]
    image.with_suffix(".json").write_bytes(record)
    return [image, image.with_suffix(".json")]


def test_another_programs_file_is_neither_listed_nor_removed(store: LocalStore, foreign: list[Path]) -> None:
    item = InventoryItem("box", "pyramid.tif")
    assert store.others(BOX) == []
    assert list(store.entries()) == []
    assert store.describe(PYRAMID_OF_BOX) is None
    assert not store.delete(PYRAMID_OF_BOX)
    assert not store.evict(PYRAMID_OF_BOX)
    assert not store.inventory.remove(item, before=float("inf"))
    assert list(store.verify(mend=True)) == []
    assert HandBack(store).run().own_images == 0
    assert [path.exists() for path in foreign] == [True] * len(foreign)


def test_an_empty_file_of_another_program_is_not_removed(store: LocalStore) -> None:
    [image, _] = keep(store.root / "box/pyramid.tif", b"", b"{}")
    store.inventory.remove_empty_image(InventoryItem("box", "pyramid.tif"))
    assert image.exists()


def test_a_file_without_a_record_is_not_served(store: LocalStore) -> None:
    keep(store.root / "box/pyramid.tif", OF_ANOTHER)
    assert store.find(PYRAMID_OF_BOX) is None
    assert store.open(PYRAMID_OF_BOX) is None


def test_another_programs_file_is_not_overwritten(store: LocalStore, foreign: list[Path]) -> None:
    before = [path.read_bytes() for path in foreign]
    with pytest.raises(StoreDown, match=r"box/pyramid\.tif in the cache folder is another program's file") as raised:
        put(store, PICTURE, recipe=PYRAMID_OF_BOX)
    assert not raised.value.may_pass
    assert [path.read_bytes() for path in foreign] == before
    put(store)  # all others are stored


def test_a_pyramid_does_not_come_back_over_another_programs_record(store: LocalStore) -> None:
    put(store, PICTURE, recipe=PYRAMID_OF_BOX)
    assert store.evict(PYRAMID_OF_BOX)
    keep(store.root / "box/pyramid.json", b"{}")
    assert content(store, PYRAMID_OF_BOX) is None
    assert (store.root / "box/pyramid.json").read_bytes() == b"{}"


@pytest.mark.parametrize("then", ["put", "delete"])
def test_what_a_profile_made_in_another_format_gives_way(store: LocalStore, then: str) -> None:
    """The format of a profile was changed in PROFILES_FILE: both formats have one place for their records."""
    before, after = (BOX.in_profile(Profile("small", extension)) for extension in ("webp", "jpg"))
    put(store, PICTURE, recipe=before)
    if then == "put":
        put(store, JPEG, recipe=after)
        assert content(store, after) == JPEG
        assert store.describe(after) is not None
    else:
        assert store.delete(after)
    assert store.find(before) is None
    left = {path.name for path in store.root.glob("box/*")}
    assert left == ({"small.jpg", "small.json"} if then == "put" else set())


# --- the master `box/pyramid.tif` of an old cache


@pytest.fixture
def old(store: LocalStore) -> Path:
    """Write the image of the master `box/pyramid.tif` where umd-lib/mezcal stored it. Returns its path."""
    return keep(store.root / "box/pyramid.tif/image.jpg", JPEG)[0]


def test_deleting_a_master_that_is_called_like_a_pyramid_removes_its_old_image(store: LocalStore, old: Path) -> None:
    """Else it would be served again if that profile were removed."""
    assert store.delete(CALLED_SO)
    assert not old.exists()
    assert not old.parent.exists()
    assert not store.delete(CALLED_SO)


def test_making_it_anew_removes_its_old_image(store: LocalStore, old: Path) -> None:
    put(store, recipe=CALLED_SO)
    assert not old.exists()
    assert content(store, CALLED_SO) == JPEG


@pytest.mark.parametrize("path", ["a/image.jpg", "a.lock", "a/pyramid.json/b"])
def test_every_path_that_is_kept_by_key_is_deleted_from_its_old_place(store: LocalStore, path: str) -> None:
    [old] = keep(store.root / path / "image.jpg", JPEG)
    assert store.delete(Mezzanine.parse(path))
    assert not old.exists()


@pytest.mark.parametrize("path", ["n" * 256, "/".join("d" * 101), ".mezcal/x"])
def test_a_path_that_can_be_no_folder_has_no_old_place(store: LocalStore, path: str) -> None:
    assert not store.delete(Mezzanine.parse(path))


def test_the_pyramid_takes_the_place_of_the_old_image(store: LocalStore, old: Path) -> None:
    put(store, PICTURE, recipe=PYRAMID_OF_BOX)
    assert old.parent.read_bytes() == PICTURE
    assert content(store, PYRAMID_OF_BOX) == PICTURE


def test_a_pyramid_whose_place_is_a_folder_of_others_is_kept_by_key(store: LocalStore, old: Path) -> None:
    note = old.with_name("readme.txt")
    note.write_text("kept")
    put(store, PICTURE, recipe=PYRAMID_OF_BOX)
    found = store.find(PYRAMID_OF_BOX)
    assert found is not None
    assert ".mezcal" in found.path.parts
    assert content(store, PYRAMID_OF_BOX) == PICTURE
    assert store.describe(PYRAMID_OF_BOX) is not None
    assert store.others(BOX) == [PYRAMID_OF_BOX]
    assert store.evict(PYRAMID_OF_BOX)
    assert content(store, PYRAMID_OF_BOX) == PICTURE
    assert store.delete(PYRAMID_OF_BOX)
    assert (content(store, PYRAMID_OF_BOX), note.exists(), old.exists()) == (None, True, True)


def test_a_pyramid_kept_by_key_goes_when_its_place_is_free(store: LocalStore) -> None:
    folder = store.root / "box/pyramid.tif/x"
    folder.mkdir(parents=True)
    put(store, PICTURE, recipe=PYRAMID_OF_BOX)
    folder.rmdir()
    folder.parent.rmdir()
    put(store, b"II*\0newer", recipe=PYRAMID_OF_BOX)
    assert content(store, PYRAMID_OF_BOX) == b"II*\0newer"
    assert len(list(store.entries())) == 1


# --- what is left of a profile's derivative


def test_a_record_without_its_pyramid_is_found_and_removed_with_its_folder(store: LocalStore) -> None:
    put(store, PICTURE, recipe=PYRAMID_OF_BOX)
    (store.root / "box/pyramid.tif").unlink()
    [found] = store.verify(mend=True)
    assert (found.folder, found.defect, found.mended) == ("box/pyramid.tif", Defect.LONE_SIDECAR, True)
    assert not (store.root / "box").exists()


def test_a_record_without_its_pyramid_is_handed_back(store: LocalStore) -> None:
    put(store, PICTURE, recipe=PYRAMID_OF_BOX)
    (store.root / "box/pyramid.tif").unlink()
    HandBack(store).run()
    assert not (store.root / "box").exists()


def test_a_lone_record_of_pictures_in_three_formats_is_found_once(store: LocalStore) -> None:
    keep(store.root / ".mezcal/by-key/ab/abc/frame-picture.json", b"{}")
    assert [found.defect for found in store.verify()] == [Defect.LONE_SIDECAR]


def test_an_evicted_profile_is_known_as_long_as_it_can_come_back(store: LocalStore) -> None:
    put(store)
    put(store, PICTURE, recipe=PYRAMID_OF_BOX)
    assert store.evict(PYRAMID_OF_BOX)
    assert store.others(BOX) == [PYRAMID_OF_BOX]
    for other in store.others(BOX):
        store.delete(other)
    assert content(store, PYRAMID_OF_BOX) is None


def test_a_defective_pyramid_is_read_once(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, PICTURE, recipe=PYRAMID_OF_BOX)
    (store.root / "box/pyramid.tif").write_bytes(PICTURE[::-1])
    opens: list[str] = []

    def counted(path: str, flags: int) -> int:
        opens.append(path)
        return os.open(path, flags)

    monkeypatch.setattr("mezcal.store.local.verify.open_image", counted)
    [found] = LocalVerifier(store).verify()
    assert (found.defect, len(opens)) == (Defect.CHANGED, 1)
