"""Handing a cache back to umd-lib/mezcal, and taking it over again."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from mezcal.errors import StoreDown
from mezcal.recipe import Mezzanine
from mezcal.settings import Layout
from mezcal.store import LocalStore
from mezcal.store.housekeeping.hand_back import HandBack, HandBackResult
from mezcal.store.housekeeping.verify import Defect
from mezcal.store.local.layout import OURS, SIDECAR
from mezcal.store.s3 import S3Store
from tests.support.store_contract import JPEG, put
from tests.support.umd_mezcal import UMD_JPEG, UmdBucket, UmdFolder, umd_name

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.s3_server import S3Server

OLD, OURS_ALONE, BOTH = ["old/1", "old/2", "flat"], ["maps/a/1", "maps/a/2", "new"], "old/deep/under"
PATHS = [*OLD, *OURS_ALONE, BOTH]


def recipe(path: str) -> Mezzanine:
    return Mezzanine.parse(path)


def image_of(store: LocalStore, path: str) -> bytes | None:
    opened = store.open(recipe(path))
    if opened is None:
        return None
    with opened.file as file:
        return file.read()


@pytest.fixture(params=list(Layout), ids=str)
def layout(request: pytest.FixtureRequest) -> Layout:
    return cast("Layout", request.param)


@pytest.fixture
def store(layout: Layout, tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "cache", layout)


@pytest.fixture
def umd(store: LocalStore, layout: Layout) -> UmdFolder:
    return UmdFolder(store.root, str(layout))


@pytest.fixture
def moved(store: LocalStore, umd: UmdFolder) -> LocalStore:
    """A cache of umd-lib/mezcal that mezcal has used, with a page, an evicted image and a survey."""
    for path in [*OLD, BOTH]:
        umd.get(path)
    for path in [*OURS_ALONE, BOTH]:
        put(store, recipe=recipe(path))
    put(store, recipe=Mezzanine("new", page=2))
    put(store, recipe=recipe("evicted"))
    store.evict(recipe("evicted"))
    store.inventory.save_state(b"{}")
    return store


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_without_handing_back_umd_fails_to_delete_what_mezcal_made(moved: LocalStore, umd: UmdFolder) -> None:
    assert umd.delete("new") == 500, "else nothing of this is needed"
    assert image_of(moved, "new") is None


def test_there_and_back_and_there_again_with_deletions_at_each_step(
    moved: LocalStore, umd: UmdFolder, layout: Layout
) -> None:
    assert [image_of(moved, path) for path in PATHS] == [UMD_JPEG] * 3 + [JPEG] * 4
    assert moved.delete(recipe("old/2"))
    assert moved.delete(recipe("maps/a/2"))

    HandBack(moved).run()
    assert not any(name.startswith(OURS) or name.endswith(SIDECAR) for name in files(moved.root))
    assert umd.get("new") == umd.get(BOTH) == JPEG
    assert umd.get("old/2") == umd.get("evicted") == UMD_JPEG, "it makes what is missing"
    assert [umd.delete(path) for path in ["new", "maps/a/1", "old/1", BOTH, "old/2"]] == [204] * 5
    umd.get("new")

    assert image_of(moved, "new") == image_of(moved, "flat") == image_of(moved, "evicted") == UMD_JPEG
    assert moved.sidecar(recipe("new")) is None
    assert image_of(moved, "old/1") is None
    assert put(moved, recipe=recipe("old/1"))
    assert moved.delete(recipe("new"))
    assert {item.defect for item in moved.verify()} <= {None, Defect.CUT, Defect.EMPTY_FOLDER}, "none is CHANGED"

    HandBack(moved).run()
    left = [path for path in PATHS if umd.place(path).exists()]
    assert {"flat", "old/1"} <= set(left)
    assert [umd.delete(path) for path in left] == [204] * len(left)
    assert {name for name in files(moved.root) if not name.endswith(".lock")} == {umd_name("evicted", str(layout))}


def test_a_dry_run_counts_the_same_and_removes_nothing(moved: LocalStore) -> None:
    before = files(moved.root)
    expected = HandBackResult(images=7, sidecars=4, own_images=1, own_folder=True)
    assert HandBack(moved, dry_run=True).run() == expected
    assert files(moved.root) == before
    assert HandBack(moved).run() == expected
    assert HandBack(moved).run() == HandBackResult(images=7), "again, it finds nothing to do"


def test_a_sidecar_that_lost_its_image_goes_with_its_folders(moved: LocalStore) -> None:
    moved.path(recipe("maps/a/1")).unlink()
    moved.path(recipe("maps/a/2")).unlink()
    HandBack(moved).run()
    assert not moved.path(recipe("maps/a/1")).parent.exists()
    assert not (moved.root / "maps").exists()


def test_a_damaged_sidecar_next_to_an_image_goes(moved: LocalStore, umd: UmdFolder) -> None:
    moved.path(recipe("new")).with_name(SIDECAR).write_bytes(b'{"recipe"')
    HandBack(moved).run()
    assert umd.delete("new") == 204


def test_a_file_that_is_not_mezcals_stays(moved: LocalStore) -> None:
    foreign = moved.root / "notes" / SIDECAR
    foreign.parent.mkdir()
    foreign.write_text('{"mine": true}')
    assert HandBack(moved).run().foreign == 1
    assert foreign.read_text() == '{"mine": true}'


def test_it_is_refused_while_an_image_is_written(moved: LocalStore) -> None:
    before = files(moved.root)
    with moved.draft(), pytest.raises(StoreDown, match="stop every mezcal"):
        HandBack(moved).run()
    assert files(moved.root) >= before


def test_an_interrupted_run_is_completed_by_the_next(moved: LocalStore, umd: UmdFolder) -> None:
    def interrupt(result: HandBackResult) -> None:
        if result.sidecars == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        HandBack(moved, interrupt).run()
    assert HandBack(moved).run().sidecars == 2
    assert [umd.delete(path) for path in PATHS] == [204] * len(PATHS)


def test_a_folder_with_nothing_of_mezcals_stays_as_it_is(store: LocalStore, umd: UmdFolder) -> None:
    for path in OLD:
        umd.get(path)
    before = files(store.root)
    assert HandBack(store).run() == HandBackResult(images=3)
    assert files(store.root) == before


# --- the S3 line


@pytest.mark.parametrize("layout", list(Layout), ids=str)
def test_a_bucket_needs_nothing_both_programs_read_and_delete_each_others_images(
    layout: Layout, s3: S3Server, tmp_path: Path
) -> None:
    bucket = s3.bucket()
    store = S3Store(s3.settings(bucket, tmp_path, aws_prefix="cache", storage_layout=layout))
    umd = UmdBucket(s3, bucket, "cache", str(layout))
    assert umd.get("old/ä 1") == UMD_JPEG
    opened = store.open(recipe("old/ä 1"))
    assert opened is not None
    with opened.file as file:
        assert file.read() == UMD_JPEG
    put(store, recipe=recipe("new/2"))
    assert umd.get("new/2") == JPEG
    assert umd.delete("new/2") == 204
    assert store.find(recipe("new/2")) is None
    assert store.delete(recipe("old/ä 1"))
    assert umd.get("old/ä 1") == UMD_JPEG, "it is made again"
