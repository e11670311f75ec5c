"""Verifying a store: sound images and their times of last use are not changed; defects are found and mended."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import time
from typing import TYPE_CHECKING

import pytest

from mezcal.recipe import Mezzanine
from mezcal.settings import Layout
from mezcal.store import LocalStore, Sidecar
from mezcal.store.housekeeping.verify import Defect, choose_sample
from mezcal.store.inventory import InventoryItem
from mezcal.store.local import verify
from mezcal.store.local.verify import LocalVerifier

if TYPE_CHECKING:
    from pathlib import Path

JPEG = b"\xff\xd8 a picture \xff\xd9"
LONG_AGO = 1_600_000_000


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "cache", Layout.BASIC)


def put(store: LocalStore, name: str) -> Path:
    """Store a sound derivative with its sidecar, used long ago. Returns its path."""
    recipe = Mezzanine.parse(name)
    sidecar = Sidecar(
        recipe=recipe.as_json(), recipe_version="1", source="x", master_etag=None, master_last_modified=None,
        master_size=1, master_format="TIFF", size=len(JPEG), width=1, height=1,
        sha256=hashlib.sha256(JPEG).hexdigest(), made=1.0, fresh=1.0,
    )  # fmt: skip
    with store.draft() as draft:
        draft.write_bytes(JPEG)
        path = store.path(recipe)
        store.put(recipe, draft, sidecar, lambda: None)
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


def spoilt(store: LocalStore, defect: Defect) -> Path:  # noqa: C901 - a case for each defect
    """Store a derivative with this *defect*. Returns its path."""
    path = put(store, f"spoilt/{defect.name}")
    match defect:
        case Defect.EMPTY:
            path.write_bytes(b"")
        case Defect.CUT:
            path.write_bytes(JPEG[:-2])
        case Defect.CHANGED:
            path.write_bytes(JPEG.replace(b"picture", b"pistole"))
        case Defect.LONE_SIDECAR:
            path.unlink()
        case Defect.UNREADABLE_SIDECAR:
            path.with_name("image.json").write_text("{")
        case Defect.EMPTY_FOLDER:
            path.unlink()
            path.with_name("image.json").unlink()
        case Defect.DEAD_DRAFT:
            path = store.scratch / "left.jpg"
            path.write_bytes(b"half")
        case Defect.IRREGULAR:
            path.unlink()
            path.symlink_to("/etc/hostname")
    return path


def test_what_is_whole_is_left_as_it_was_and_its_use_too(store: LocalStore) -> None:
    path = put(store, "a/b")
    (item,) = LocalVerifier(store, mend=True).verify()
    assert (item.folder, item.defect, item.without_sidecar) == ("a/b", None, False)
    assert path.stat().st_atime == LONG_AGO
    assert path.stat().st_mtime == LONG_AGO


def test_an_image_without_sidecar_is_counted_but_is_not_a_defect(store: LocalStore) -> None:
    put(store, "a").with_name("image.json").unlink()
    (item,) = LocalVerifier(store, mend=True).verify()
    assert (item.defect, item.without_sidecar) == (None, True)
    assert store.find(Mezzanine.parse("a")) is not None


@pytest.mark.parametrize("defect", [defect for defect in Defect if defect is not Defect.UNREADABLE_IMAGE])
def test_each_fault_is_found_and_mended_where_that_can_be(store: LocalStore, defect: Defect) -> None:
    whole = put(store, "whole")
    path = spoilt(store, defect)
    defects = [item for item in LocalVerifier(store).verify() if item.defect]
    assert [item.defect for item in defects] == [defect]
    assert not defects[0].mended
    assert path.parent.exists()

    (mended,) = [item for item in LocalVerifier(store, mend=True).verify() if item.defect]
    left = [item.defect for item in LocalVerifier(store).verify() if item.defect]
    assert (mended.mended, left) == (True, [])
    assert not path.exists()
    assert whole.read_bytes() == JPEG


def test_an_image_that_cannot_be_read_is_left(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(store, "a")

    def failing_disk(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(verify, "_read", failing_disk)
    (item,) = LocalVerifier(store, mend=True).verify()
    assert (item.defect, item.mended) == (Defect.UNREADABLE_IMAGE, False)
    assert path.exists()


@pytest.mark.parametrize("kind", ["link", "link to nowhere", "pipe", "socket", "folder", "full folder"])
def test_only_a_regular_file_is_an_image(store: LocalStore, tmp_path: Path, kind: str) -> None:
    recipe = Mezzanine.parse("a")
    place_irregular(put(store, "a"), kind, tmp_path)
    assert store.find(recipe) is store.open(recipe) is None
    assert not store.note_use(recipe)
    assert not list(store.entries())
    (item,) = LocalVerifier(store).verify()
    assert (item.folder, item.defect) == ("a", Defect.IRREGULAR)
    (item,) = LocalVerifier(store, mend=True).verify()
    assert item.mended == ("folder" not in kind), "an operator has to see what is in it"
    if "folder" not in kind:
        put(store, "a")
        assert store.find(recipe) is not None


@pytest.mark.parametrize("kind", ["link", "link to nowhere", "pipe", "socket"])
def test_what_is_no_image_is_replaced_by_the_next_one(store: LocalStore, tmp_path: Path, kind: str) -> None:
    path = put(store, "a")
    place_irregular(path, kind, tmp_path)
    put(store, "a")
    assert path.read_bytes() == JPEG
    assert not path.is_symlink()
    assert [item.defect for item in LocalVerifier(store).verify()] == [None]


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_only_a_regular_file_is_a_sidecar(store: LocalStore, tmp_path: Path, kind: str) -> None:
    """Reading a pipe would wait for ever."""
    place_irregular(put(store, "a").with_name("image.json"), kind, tmp_path)
    assert store.sidecar(Mezzanine.parse("a")) is None
    assert [item.defect for item in LocalVerifier(store).verify()] == [Defect.UNREADABLE_SIDECAR]


def test_a_store_and_folders_in_it_may_be_links(store: LocalStore, tmp_path: Path) -> None:
    """Operators spread large caches over several disks."""
    path = put(store, "a/b")
    (tmp_path / "cache").rename(tmp_path / "disk")
    (tmp_path / "cache").symlink_to("disk")
    (tmp_path / "disk" / "a").rename(tmp_path / "other")
    (tmp_path / "disk" / "a").symlink_to(tmp_path / "other")
    opened = store.open(Mezzanine.parse("a/b"))
    assert opened is not None
    with opened.file:
        assert opened.file.read() == JPEG
    assert opened.stored.path == path


def place_irregular(path: Path, kind: str, elsewhere: Path) -> None:
    """Put something in the place of the file *path* that is no regular file."""
    path.unlink()
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(path))
        case "folder" | "full folder":
            path.mkdir()
            if kind == "full folder":
                (path / "something").touch()
        case _:
            target = elsewhere / "another.jpg"
            path.symlink_to(target)
            if kind == "link":
                target.write_bytes(JPEG)


def test_the_draft_of_a_living_writer_is_no_fault(store: LocalStore) -> None:
    with store.draft():
        assert list(LocalVerifier(store, mend=True).verify()) == []


def test_a_sample_has_the_requested_size_and_may_contain_any_image() -> None:
    found = [InventoryItem("", size=None), *(InventoryItem(str(number), size=1) for number in range(100))]
    assert len(choose_sample(found, 10)) == 10
    assert len(choose_sample(found, 1000)) == 100
    assert {one.folder for _ in range(50) for one in choose_sample(found, 50)} == {str(number) for number in range(100)}


def test_a_publication_during_verification_is_not_a_defect(store: LocalStore) -> None:
    """The image is published before its sidecar; verification checks again when both are there."""
    path = put(store, "a")
    path.with_name("image.json").write_text("{")
    verifier = LocalVerifier(store, mend=True)
    found = next(one for one in store.inventory.walk() if one.size)
    put(store, "a")
    assert verifier.verify_item(found) is not None
    assert store.sidecar(Mezzanine.parse("a")) is not None
    assert time.time() - path.stat().st_ctime < 60
