"""What every store promises, asked of each: a folder in three layouts, a bucket of two kinds of server."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from mezcal.errors import StoreDown, Superseded
from mezcal.recipe import PYRAMID, Frame, Mezzanine, Recipe, Thumbnail, ThumbnailOptions, from_json
from mezcal.settings import Layout
from mezcal.store import LocalStore
from mezcal.store.inventory import InventoryItem
from tests.support.store_contract import (
    JPEG,
    LOCAL,
    RECIPE,
    STORES,
    content,
    made_now,
    nobody_else,
    opened,
    put,
    sidecar,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mezcal.store import DerivativeStore
    from tests.support.s3_server import S3Server

THUMBNAIL = Thumbnail((Frame(7, "a.fits.fz", "1"),), ThumbnailOptions())
LONGEST = "/".join(["ü" * 100] * 9)
NAMES = [
    *(
        "a",
        "a/b",
        "a/image.jpg",
        "a.lock",
        ".mezcal/x",
        "with space+plus%25",
        "q?x=1&y",
        "#hash;semi",
        "~tilde'quote\"",
    ),
    *(
        "große/Übersicht.tif",
        "图像/深い.tif",
        "e\u0301",
        "\u00e9",
        "\U0001f5bc",
        "\ufffe",
        "<xml>&amp;",
        "n" * 255,
        "n" * 256,
    ),
    *("long/" * 90 + "x", "図" * 80 + "/" + "図" * 80, LONGEST),
]


@pytest.fixture(params=STORES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(kind: str, tmp_path: Path, servers: Callable[[str], S3Server]) -> DerivativeStore:
    return opened(kind, tmp_path, servers)


def test_what_was_put_is_found_with_its_sidecar(store: DerivativeStore) -> None:
    with store.draft() as draft:
        draft.write_bytes(JPEG)
        returned = store.put(RECIPE, draft, sidecar(), nobody_else)
    found = store.find(RECIPE)
    assert found is not None
    assert (found.size, found.etag, found.modified) == (returned.size, returned.etag, returned.modified)
    assert content(store) == JPEG
    assert store.sidecar(RECIPE) == sidecar()
    assert not draft.exists()


def test_a_derivative_is_described_with_its_sidecar(store: DerivativeStore) -> None:
    put(store)
    described = store.describe(RECIPE)
    assert described is not None
    assert (described.stored, described.sidecar) == (store.find(RECIPE), store.sidecar(RECIPE))
    store.evict(RECIPE)
    assert store.describe(RECIPE) is None


def test_what_is_not_there_is_not_found(store: DerivativeStore) -> None:
    assert store.find(RECIPE) is None
    assert store.open(RECIPE) is None
    assert store.sidecar(RECIPE) is None
    assert not store.delete(RECIPE)
    assert not store.evict(RECIPE)
    assert not store.refresh(RECIPE, sidecar())
    assert list(store.entries()) == []


def test_every_name_has_an_image_of_its_own(store: DerivativeStore) -> None:
    recipes = [Mezzanine.parse(name) for name in NAMES] + [Mezzanine.parse("a", 2), THUMBNAIL]
    contents = {recipe: f"\xff {number}".encode() for number, recipe in enumerate(recipes)}
    for recipe in recipes:
        put(store, contents[recipe], recipe=recipe)
    assert {recipe: content(store, recipe) for recipe in recipes} == contents
    listed = list(store.entries())
    assert len({entry.name for entry in listed}) == len(recipes)
    assert {entry.size for entry in listed} <= {len(one) for one in contents.values()}
    sidecars = [entry.sidecar() for entry in listed]
    assert {from_json(one.recipe) for one in sidecars if one is not None} == set(recipes)
    assert all(known is not None and known.recipe == one.as_json() for one in recipes for known in [store.sidecar(one)])
    assert all(store.delete(recipe) for recipe in recipes)
    assert list(store.entries()) == []


def test_a_thumbnail_is_opened_by_its_key(store: DerivativeStore) -> None:
    put(store, recipe=THUMBNAIL)
    found = store.open_by_key(THUMBNAIL.key)
    assert found is not None
    with found.file:
        assert found.file.read() == JPEG


@pytest.mark.parametrize("name", ["png", "webp", "fits"])
def test_a_picture_of_a_frame_in_another_format_is_a_derivative_like_others(store: DerivativeStore, name: str) -> None:
    query = {"format": name, "x": "5", "y": "5", "size": "9px"}
    recipe = Thumbnail((Frame(7, "a.fits.fz", "1"),), ThumbnailOptions.parse(query))
    put(store, b"any bytes", recipe=recipe)
    assert content(store, recipe) == b"any bytes"
    assert store.open_by_key(recipe.key) is None, "it is no JPEG"
    opened = store.open_by_key(recipe.key, f"frame-picture.{name}")
    assert opened is not None
    opened.file.close()
    assert [entry.name.rpartition("/")[2] for entry in store.entries()] == [f"frame-picture.{name}"]
    (found,) = [known for entry in store.entries() if (known := entry.sidecar()) is not None]
    assert from_json(found.recipe) == recipe
    assert store.evict(recipe)
    assert content(store, recipe) == b"any bytes", "it comes back from the trash"
    assert store.delete(recipe)
    assert list(store.entries()) == []


def test_a_draft_that_is_not_put_is_gone_at_the_end(store: DerivativeStore) -> None:
    drafts = []

    def fail_midway() -> None:
        with store.draft() as draft:
            draft.write_bytes(b"half")
            drafts.append(draft)
            raise RuntimeError("decoder")

    with pytest.raises(RuntimeError, match="decoder"):
        fail_midway()
    assert not drafts[0].exists()
    assert store.find(RECIPE) is None


def test_an_empty_picture_is_never_published(store: DerivativeStore) -> None:
    with pytest.raises(StoreDown, match="empty"):
        put(store, b"")
    assert store.find(RECIPE) is None


def test_who_was_superseded_publishes_nothing(store: DerivativeStore) -> None:
    def superseded() -> None:
        raise Superseded("an event came")

    put(store, b"\xff\xd8 newer \xff\xd9")
    with pytest.raises(Superseded):
        put(store, b"\xff\xd8 older \xff\xd9", superseded)
    assert content(store) == b"\xff\xd8 newer \xff\xd9"


def test_of_two_writers_the_one_with_the_lease_wins(store: DerivativeStore, kind: str) -> None:
    """The first writer stops after it has confirmed its lease; meanwhile, the second takes over and publishes."""
    if kind in LOCAL:
        pytest.skip("a folder's publishing lock prevents this: see the next test")
    holder = ["first"]
    other = threading.Thread(target=put, args=(store, b"\xff\xd8 second \xff\xd9"))

    def first_is_overtaken() -> None:
        if holder == ["first"] and not other.ident:
            holder[0] = "second"
            other.start()
            other.join(20)
            return
        if holder != ["first"]:
            raise Superseded("the job was given to another worker")

    with pytest.raises(Superseded):
        put(store, b"\xff\xd8 first \xff\xd9", first_is_overtaken)
    conditional = kind == "s3"
    assert content(store) == (b"\xff\xd8 second \xff\xd9" if conditional else None)


def test_many_writers_at_once_leave_one_whole_image(store: DerivativeStore) -> None:
    contents = [f"\xff {number}".encode() * 1000 * (number + 1) for number in range(8)]
    threads = [threading.Thread(target=put, args=(store, one)) for one in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    found, sidecar = content(store), store.sidecar(RECIPE)
    assert found in contents
    assert sidecar is not None
    assert sidecar.size == len(found)
    assert [entry.size for entry in store.entries()] == [len(found)]


def test_a_writer_that_lost_its_lease_never_publishes_after_a_deletion(store: DerivativeStore, kind: str) -> None:
    """The writer has confirmed its lease when the job and the image are deleted."""
    fenced = threading.Event()
    deletion = threading.Thread(target=store.delete, args=(RECIPE,))

    def delete_meanwhile() -> None:
        if fenced.is_set():
            raise Superseded("forgotten")
        fenced.set()
        deletion.start()
        deletion.join(0.2 if kind in LOCAL else 20)  # a folder's deletion waits for the writer

    try:
        put(store, guard=delete_meanwhile)
    except Superseded:
        assert kind not in LOCAL
    deletion.join(20)
    assert store.find(RECIPE) is None
    assert list(store.entries()) == []


def test_deleting_one_spares_what_lies_below_it(store: DerivativeStore) -> None:
    below = Mezzanine.parse("dc/1/sub")
    put(store)
    put(store, recipe=below)
    assert store.delete(RECIPE)
    assert not store.delete(RECIPE)
    assert content(store, below) == JPEG


def test_two_versions_of_one_size_differ_in_their_entity_tags(store: DerivativeStore) -> None:
    one, two = put(store, b"\xff\xd8 one"), put(store, b"\xff\xd8 two")
    assert one.etag != two.etag
    found = store.find(RECIPE)
    assert found is not None
    assert found.etag == two.etag
    assert not found.etag.startswith("W/")


def test_refreshing_the_sidecar_does_not_change_the_image(store: DerivativeStore) -> None:
    put(store)
    before, known = store.find(RECIPE), store.sidecar(RECIPE)
    assert before is not None
    assert known is not None
    assert store.refresh(RECIPE, replace(known, fresh=known.fresh + 5))
    after, sidecar = store.find(RECIPE), store.sidecar(RECIPE)
    assert after is not None
    assert (after.etag, after.modified, after.size) == (before.etag, before.modified, before.size)
    assert sidecar == replace(known, fresh=known.fresh + 5)
    assert content(store) == JPEG


def test_what_was_stored_meanwhile_is_not_noted_as_fresh(store: DerivativeStore) -> None:
    put(store)
    old = store.sidecar(RECIPE)
    put(store, b"\xff\xd8 newer \xff\xd9")
    assert old is not None
    assert not store.refresh(RECIPE, replace(old, fresh=made_now()))
    assert store.sidecar(RECIPE) != old


def test_what_was_announced_before_an_eviction_can_still_be_had(store: DerivativeStore) -> None:
    announced = put(store)
    assert store.evict(RECIPE)
    assert store.find(RECIPE) is None
    assert not store.evict(RECIPE)
    store.sweep()
    store.expire()
    assert content(store) == JPEG
    found = store.find(RECIPE)
    assert found is not None
    assert found.etag == announced.etag
    assert store.sidecar(RECIPE) is not None


def test_what_was_evicted_goes_in_the_end(kind: str, tmp_path: Path, servers: Callable[[str], S3Server]) -> None:
    store = opened(kind, tmp_path, servers, pin_seconds=0)
    put(store)
    assert store.evict(RECIPE)
    store.sweep()
    store.expire()
    assert content(store) is None
    assert list(store.entries()) == []


def test_an_image_that_was_deleted_or_replaced_does_not_come_back_from_the_trash(store: DerivativeStore) -> None:
    put(store)
    store.evict(RECIPE)
    store.delete(RECIPE)
    assert store.open(RECIPE) is None
    put(store)
    store.evict(RECIPE)
    put(store, b"\xff\xd8 newer \xff\xd9")
    store.expire()
    assert content(store) == b"\xff\xd8 newer \xff\xd9"


def test_a_writer_killed_before_publishing_leaves_nothing(
    kind: str, tmp_path: Path, servers: Callable[[str], S3Server]
) -> None:
    store = opened(kind, tmp_path, servers)
    store.check()
    code = """
import sys, time, pathlib
from mezcal.store.local.scratch import Scratch
with Scratch(pathlib.Path(sys.argv[1])).draft() as draft:
    draft.write_bytes(b"half")
    print(draft, flush=True)
    time.sleep(60)
"""
    with store.draft() as mine:
        command = [sys.executable, "-c", code, str(mine.parent)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            left = mine.parent / writer.stdout.readline().strip().rpartition("/")[2]
            assert store.sweep() == 0
            writer.send_signal(signal.SIGKILL)
            writer.wait()
        assert store.sweep() == 1
        assert mine.exists()
    assert not left.exists()
    assert store.find(RECIPE) is None


def test_usage_counts_derivatives_and_their_bytes(store: DerivativeStore) -> None:
    for name in ("a", "a/b"):
        put(store, recipe=Mezzanine.parse(name))
    use = store.usage()
    assert use is not None
    assert (use.derivatives, use.bytes) == (2, 2 * len(JPEG))
    free = store.free_bytes()
    assert free is None or free > 0


def test_a_listing_is_read_no_further_than_it_is_asked_for(store: DerivativeStore) -> None:
    recipes: list[Recipe] = [Mezzanine.parse(f"many/{number}") for number in range(20)]
    for recipe in recipes:
        put(store, recipe=recipe)
    assert len(list(islice(store.entries(), 5))) == 5
    assert len(list(store.entries())) == 20


def test_the_pages_of_a_master_are_known(store: DerivativeStore) -> None:
    for page in (None, 2, 11):
        put(store, recipe=Mezzanine.parse("dc/1", page))
    assert {recipe.page for recipe in store.others(RECIPE)} == {2, 11}
    assert store.others(THUMBNAIL) == []
    assert store.others(Mezzanine.parse("dc/2")) == []


def test_profiles_of_a_picture_lie_side_by_side_and_are_known(store: DerivativeStore) -> None:
    """Each has its own sidecar, is listed and counted, and comes and goes alone."""
    pyramid, page = RECIPE.in_profile(PYRAMID), Mezzanine.parse(RECIPE.path, 2, PYRAMID)
    for recipe, size in ((RECIPE, JPEG), (pyramid, b"II*\0pyramid"), (page, b"II*\0page")):
        put(store, size, recipe=recipe)
    assert (content(store), content(store, pyramid)) == (JPEG, b"II*\0pyramid")
    assert set(store.others(RECIPE)) == {pyramid, page}
    assert set(store.others(pyramid)) == {RECIPE, page}
    assert sorted(entry.name.rpartition("/")[2] for entry in store.entries()) == [
        "image.jpg",
        "pyramid.tif",
        "pyramid.tif",
    ]
    recipes = [found.recipe for entry in store.entries() if (found := entry.sidecar())]
    assert {from_json(recipe) for recipe in recipes} == {RECIPE, pyramid, page}
    assert store.delete(RECIPE)
    assert (content(store), content(store, pyramid)) == (None, b"II*\0pyramid")


def test_an_evicted_pyramid_comes_back_without_its_mezzanine(store: DerivativeStore) -> None:
    pyramid = RECIPE.in_profile(PYRAMID)
    put(store)
    put(store, b"II*\0pyramid", recipe=pyramid)
    assert store.evict(pyramid)
    assert (store.find(pyramid), content(store)) == (None, JPEG)
    assert content(store, pyramid) == b"II*\0pyramid"


def test_a_master_called_as_a_file_of_a_profile_does_not_collide(store: DerivativeStore) -> None:
    """`dc/1/pyramid.tif` may be a master, and the pyramid of the master `dc/1`."""
    master, pyramid = Mezzanine.parse(f"{RECIPE.path}/pyramid.tif"), RECIPE.in_profile(PYRAMID)
    put(store, JPEG, recipe=master)
    put(store, b"II*\0pyramid", recipe=pyramid)
    put(store, b"II*\0of it", recipe=master.in_profile(PYRAMID))
    assert content(store, master) == JPEG
    assert content(store, pyramid) == b"II*\0pyramid"
    assert content(store, master.in_profile(PYRAMID)) == b"II*\0of it"


def test_all_profiles_are_verified(store: DerivativeStore) -> None:
    put(store)
    put(store, b"II*\0pyramid", recipe=RECIPE.in_profile(PYRAMID))
    found = {item.folder.rpartition("/")[2]: item.defect for item in store.verify()}
    assert len(found) == 2
    assert found["pyramid.tif"] is None


def test_an_evicted_image_never_comes_back_as_the_pyramid_of_another_master(tmp_path: Path) -> None:
    """umd-lib/mezcal kept the master `box/pyramid.tif` in a folder, where the pyramid of `box` is kept now."""
    store = LocalStore(tmp_path, Layout.BASIC)
    old = tmp_path / "box/pyramid.tif/image.jpg"
    old.parent.mkdir(parents=True)
    old.write_bytes(JPEG)
    assert store.inventory.evict(InventoryItem("box/pyramid.tif"), before=float("inf"))
    assert content(store, Mezzanine.parse("box").in_profile(PYRAMID)) is None
