"""Verifying a store: what is whole is left alone, and so is when it was used; what is wrong is found and mended."""

from __future__ import annotations

import hashlib
import os
import time
from typing import TYPE_CHECKING

import pytest

from mezcal.recipe import Mezzanine
from mezcal.settings import Layout
from mezcal.store import LocalStore, Sidecar
from mezcal.store.housekeeping.verify import Fault, Verify, chosen
from mezcal.store.local.walk import Found

if TYPE_CHECKING:
    from pathlib import Path

JPEG = b"\xff\xd8 a picture \xff\xd9"
LONG_AGO = 1_600_000_000


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "cache", Layout.BASIC)


def put(store: LocalStore, name: str) -> Path:
    """A whole derivative with its sidecar, used long ago."""
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


def spoilt(store: LocalStore, fault: Fault) -> Path:  # noqa: C901 - a case for each fault
    """What has just this *fault*."""
    path = put(store, f"spoilt/{fault.name}")
    match fault:
        case Fault.EMPTY:
            path.write_bytes(b"")
        case Fault.CUT:
            path.write_bytes(JPEG[:-2])
        case Fault.CHANGED:
            path.write_bytes(JPEG.replace(b"picture", b"pistole"))
        case Fault.ALONE:
            path.unlink()
        case Fault.UNREADABLE:
            path.with_name("image.json").write_text("{")
        case Fault.FOLDER:
            path.unlink()
            path.with_name("image.json").unlink()
        case Fault.SCRATCH:
            path = store.scratch / "left.jpg"
            path.write_bytes(b"half")
        case Fault.REFUSED:
            path.unlink()
            path.mkdir()
            (path / "something").touch()
    return path


def test_what_is_whole_is_left_as_it_was_and_its_use_too(store: LocalStore) -> None:
    path = put(store, "a/b")
    (judged,) = Verify(store, mend=True).all()
    assert (judged.folder, judged.fault, judged.bare) == ("a/b", None, False)
    assert path.stat().st_atime == LONG_AGO
    assert path.stat().st_mtime == LONG_AGO


def test_an_image_without_sidecar_is_no_fault_but_told(store: LocalStore) -> None:
    put(store, "a").with_name("image.json").unlink()
    (judged,) = Verify(store, mend=True).all()
    assert (judged.fault, judged.bare) == (None, True)
    assert store.find(Mezzanine.parse("a")) is not None


@pytest.mark.parametrize("fault", list(Fault))
def test_each_fault_is_found_and_mended_where_that_can_be(store: LocalStore, fault: Fault) -> None:
    whole = put(store, "whole")
    path = spoilt(store, fault)
    faults = [judged for judged in Verify(store).all() if judged.fault]
    assert [judged.fault for judged in faults] == [fault]
    assert not faults[0].mended
    assert path.parent.exists()

    (mended,) = [judged for judged in Verify(store, mend=True).all() if judged.fault]
    left = [judged.fault for judged in Verify(store).all() if judged.fault]
    assert (mended.mended, left) == ((False, [fault]) if fault is Fault.REFUSED else (True, []))
    assert path.exists() == (fault in {Fault.UNREADABLE, Fault.REFUSED})
    assert whole.read_bytes() == JPEG


def test_the_draft_of_a_living_writer_is_no_fault(store: LocalStore) -> None:
    with store.draft():
        assert list(Verify(store, mend=True).all()) == []


def test_a_sample_is_as_large_as_was_wished_and_any_image_may_be_in_it() -> None:
    found = [Found("", size=None), *(Found(str(number), size=1) for number in range(100))]
    assert len(chosen(found, 10)) == 10
    assert len(chosen(found, 1000)) == 100
    assert {one.folder for _ in range(50) for one in chosen(found, 50)} == {str(number) for number in range(100)}


def test_a_publication_in_mid_verification_is_not_taken_for_a_fault(store: LocalStore) -> None:
    """The image is there before its sidecar; whoever mends looks again when the publisher is done."""
    path = put(store, "a")
    path.with_name("image.json").write_text("{")
    verify = Verify(store, mend=True)
    found = next(one for one in store.shelf.walk() if one.size)
    put(store, "a")
    assert verify.judge(found) is not None
    assert store.sidecar(Mezzanine.parse("a")) is not None
    assert time.time() - path.stat().st_ctime < 60
