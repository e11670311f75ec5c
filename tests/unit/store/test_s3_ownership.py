"""Whose an object of a bucket is: other programs may keep objects there that are called as those of a profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mezcal.errors import StoreDown
from mezcal.recipe import PYRAMID, Mezzanine
from mezcal.store.s3 import S3Store
from tests.support.store_contract import JPEG, content, put

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.s3_server import S3Server

BOX = Mezzanine.parse("box")
PYRAMID_OF_BOX = BOX.in_profile(PYRAMID)
CALLED_SO = Mezzanine.parse("box/pyramid.tif")
OF_ANOTHER = b"II*\0of another program"


@pytest.fixture
def store(s3: S3Server, tmp_path: Path) -> S3Store:
    return S3Store(s3.settings(s3.bucket(), tmp_path, aws_prefix="pre/fix"))


@pytest.mark.parametrize("data", [OF_ANOTHER, b""])
def test_another_programs_object_is_neither_found_nor_listed_nor_removed(store: S3Store, data: bytes) -> None:
    store.bucket.put("box/pyramid.tif", data, {"Metadata": {"crs": "EPSG:4326"}})
    assert store.find(PYRAMID_OF_BOX) is None
    assert store.open(PYRAMID_OF_BOX) is None
    assert store.others(BOX) == []
    assert list(store.entries()) == []
    assert list(store.verify(mend=True)) == []
    assert not store.evict(PYRAMID_OF_BOX)
    assert not store.delete(PYRAMID_OF_BOX)
    assert store.bucket.read("box/pyramid.tif") == data


def test_another_programs_object_is_not_overwritten(store: S3Store) -> None:
    store.bucket.put("box/pyramid.tif", OF_ANOTHER)
    with pytest.raises(StoreDown, match=r"box/pyramid\.tif in the bucket is another program's object") as raised:
        put(store, b"II*\0", recipe=PYRAMID_OF_BOX)
    assert not raised.value.may_pass
    assert store.bucket.read("box/pyramid.tif") == OF_ANOTHER


def test_a_pyramid_of_ours_is_replaced_and_listed_with_its_record(store: S3Store) -> None:
    put(store, b"II*\0old", recipe=PYRAMID_OF_BOX)
    put(store, b"II*\0new", recipe=PYRAMID_OF_BOX)
    [entry] = store.entries()
    found = entry.sidecar()
    assert found is not None
    assert found.recipe == PYRAMID_OF_BOX.as_json()
    assert content(store, PYRAMID_OF_BOX) == b"II*\0new"


def test_deleting_a_master_that_is_called_like_a_pyramid_removes_its_old_object(store: S3Store) -> None:
    store.bucket.put("box/pyramid.tif/image.jpg", JPEG)
    assert store.delete(CALLED_SO)
    assert store.bucket.head("box/pyramid.tif/image.jpg") is None


def test_making_it_anew_removes_its_old_object(store: S3Store) -> None:
    store.bucket.put("box/pyramid.tif/image.jpg", JPEG)
    put(store, recipe=CALLED_SO)
    assert store.bucket.head("box/pyramid.tif/image.jpg") is None
    assert content(store, CALLED_SO) == JPEG
