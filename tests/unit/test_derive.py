"""The whole work of a job, and that each failure is reported with its true cause."""

from __future__ import annotations

import hashlib
import io
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from mezcal.convert import ConversionOptions
from mezcal.derive import JobContext, derive, version
from mezcal.errors import BrokerDown, MasterDamaged, OriginFailed, StoreDown, Undecodable
from mezcal.origin import Master, open_origin
from mezcal.recipe import Frame, Mezzanine, Thumbnail, ThumbnailOptions
from mezcal.sample import FOLDER
from mezcal.settings import Layout, load
from mezcal.store.local.store import LocalStore
from tests import DATA
from tests.unit.store.test_local_store import files_no_larger_than

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECIPE = Mezzanine.parse("agave-p3.tif")
FRAMES = DATA / "fits"
THUMBNAIL = Thumbnail((Frame(17, "a-e91.fits", "v"),), ThumbnailOptions.parse({}))
AGAVE = (FOLDER / "agave-p3.tif").read_bytes()


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path, Layout.BASIC)


@dataclass
class FakeOrigin:
    """An origin whose master is *content*; if there is an *ending*, the master's download ends with it."""

    content: bytes
    ending: Exception | None = None
    opened: int = 0
    base_url: str = "http://origin.example/"

    @contextmanager
    def open(self, path: str) -> Iterator[Master]:
        self.opened += 1
        yield Master(io.BytesIO(self.content), self.base_url + path, size=len(self.content), wait_complete=self.end)

    def end(self) -> None:
        if self.ending is not None:
            raise self.ending

    def path_of(self, url: str) -> str | None:
        return url

    def list_paths(self, most: int) -> list[str]:
        return []


def left_behind(store: LocalStore) -> list[Path]:
    return [path for path in store.root.rglob("*") if path.is_file() and path.parent.name != "locks"]


def test_a_master_becomes_a_stored_jpeg_with_its_provenance(store: LocalStore) -> None:
    origin = open_origin(load(_env_file=None, repo_base_url=FOLDER.as_uri()))
    stored = derive(RECIPE, origin, store, ConversionOptions())
    with Image.open(stored.path) as image:
        assert (image.format, image.size) == ("JPEG", (1200, 800))
    sidecar = store.sidecar(RECIPE)
    assert sidecar is not None
    assert sidecar.sha256 == hashlib.sha256(stored.path.read_bytes()).hexdigest()
    assert (sidecar.width, sidecar.height, sidecar.size) == (1200, 800, stored.size)
    assert sidecar.source.endswith("/agave-p3.tif")
    assert sidecar.master_size == len(AGAVE)
    assert sidecar.recipe_version == version(ConversionOptions())


def test_a_stored_derivative_is_made_again_only_on_request(store: LocalStore) -> None:
    origin = FakeOrigin(AGAVE)
    first = derive(RECIPE, origin, store, ConversionOptions())
    assert derive(RECIPE, origin, store, ConversionOptions()) == first
    assert origin.opened == 1
    derive(RECIPE, origin, store, ConversionOptions(), JobContext(remake=True))
    assert origin.opened == 2


def test_an_interrupted_download_is_not_reported_as_a_damaged_master(store: LocalStore) -> None:
    cut = FakeOrigin(AGAVE[:50_000], OriginFailed("the connection broke"))
    with pytest.raises(OriginFailed, match="the connection broke"):
        derive(RECIPE, cut, store, ConversionOptions())
    assert left_behind(store) == []


def test_a_damaged_master_is_refused_with_the_decoders_reason(store: LocalStore) -> None:
    with pytest.raises(Undecodable, match="TIFF: "):
        derive(RECIPE, FakeOrigin(AGAVE[:50_000]), store, ConversionOptions())
    assert left_behind(store) == []


def test_a_master_that_did_not_arrive_whole_is_not_published(store: LocalStore) -> None:
    """The decoder may need less than the whole file."""
    with pytest.raises(OriginFailed):
        derive(RECIPE, FakeOrigin(AGAVE, OriginFailed("it changed")), store, ConversionOptions())
    assert left_behind(store) == []


def test_a_full_disk_is_not_reported_as_a_damaged_master(store: LocalStore) -> None:
    with files_no_larger_than(20_000), pytest.raises(StoreDown) as full:
        derive(RECIPE, FakeOrigin(AGAVE), store, ConversionOptions())
    assert full.value.after_reading
    assert left_behind(store) == []


def test_a_store_that_fails_before_a_master_is_read_says_so(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise StoreDown("mounted read-only")

    monkeypatch.setattr(store, "draft", refuse)
    origin = FakeOrigin(AGAVE)
    with pytest.raises(StoreDown) as failed:
        derive(RECIPE, origin, store, ConversionOptions())
    assert (failed.value.after_reading, origin.opened) == (False, 0)


def test_every_option_that_changes_pixels_changes_the_version() -> None:
    assert version(ConversionOptions()) == version(ConversionOptions())
    others = [
        replace(ConversionOptions(), quality=80),
        replace(ConversionOptions(), color="keep"),
        replace(ConversionOptions(), max_edge=100),
    ]
    assert len({version(options) for options in [ConversionOptions(), *others]}) == 4


def test_stored_mezzanines_stay_up_to_date() -> None:
    """Their version is that of the time when there were only JPEGs."""
    options = ConversionOptions(quality=80, subsampling="4:2:0", max_edge=3000, max_pixels=None)
    assert (version(ConversionOptions()), version(options)) == ("8c25520b310d", "57f9fe8fbdfe")


def test_options_of_another_format_do_not_change_the_version() -> None:
    jpeg, pyramid = ConversionOptions(), ConversionOptions(format="pyramid")
    webp, lossless = ConversionOptions(format="webp"), ConversionOptions(format="pyramid", compression="zstd")
    assert len({version(options) for options in (jpeg, pyramid, webp, lossless)}) == 4
    assert version(replace(jpeg, tile=512, lossless=True)) == version(jpeg)
    assert version(replace(pyramid, progressive=True, lossless=True, max_pixels=1)) == version(pyramid)
    assert version(replace(pyramid, quality=80)) != version(pyramid) != version(replace(pyramid, tile=512))
    assert version(replace(lossless, quality=80, subsampling="4:2:0")) == version(lossless)
    assert version(replace(lossless, depth=16)) != version(lossless) != version(replace(lossless, alpha="keep"))
    assert version(replace(webp, subsampling="4:2:0")) == version(webp) != version(replace(webp, quality=80))


def test_a_job_that_stops_does_not_wait_for_its_download(store: LocalStore) -> None:
    """For example if there is no memory for it: the process is needed for other jobs."""

    class StoppedError(Exception):
        pass

    def no_memory(_needed: int) -> None:
        raise StoppedError

    frame = (FRAMES / "small50x60.fits").read_bytes()
    origin = FakeOrigin(frame, OriginFailed("it was waited for"))
    with pytest.raises(StoppedError):
        derive(THUMBNAIL, origin, store, ConversionOptions(), JobContext(reserve_memory=no_memory))
    with pytest.raises(OriginFailed):
        derive(THUMBNAIL, origin, store, ConversionOptions())


@dataclass
class DamagingOrigin(FakeOrigin):
    """An origin whose first *damaged* downloads differ from what it declares."""

    damaged: int = 0

    def end(self) -> None:
        if self.opened <= self.damaged:
            raise MasterDamaged("its sha-256 is 00, but the repository declares 01")


def test_a_master_that_was_damaged_on_its_way_is_read_once_more(store: LocalStore) -> None:
    origin, job = DamagingOrigin(AGAVE, damaged=1), JobContext()
    assert derive(RECIPE, origin, store, ConversionOptions(), job) == store.find(RECIPE)
    assert (origin.opened, job.progress.differing) == (2, 1)


@pytest.mark.parametrize("content", [AGAVE, b"II*\0 no decoder takes this"])
def test_a_damaged_master_is_refused_as_such_and_leaves_nothing(store: LocalStore, content: bytes) -> None:
    origin, job = DamagingOrigin(content, damaged=9), JobContext()
    with pytest.raises(MasterDamaged):
        derive(RECIPE, origin, store, ConversionOptions(), job)
    assert (origin.opened, job.progress.differing) == (2, 2)
    assert left_behind(store) == []


@dataclass
class RacedOrigin(FakeOrigin):
    """An origin whose master another worker has read and stored in *race* before it has arrived here."""

    race: LocalStore | None = None

    def end(self) -> None:
        assert self.race is not None
        derive(RECIPE, FakeOrigin(self.content), self.race, ConversionOptions())


@pytest.mark.parametrize("remake", [False, True])
def test_the_same_picture_is_published_once_although_two_queues_have_its_job(store: LocalStore, remake: bool) -> None:
    origin = RacedOrigin(AGAVE, race=store)
    published: list[None] = []
    job = JobContext(remake=remake, check_lease=lambda: published.append(None))
    stored = derive(RECIPE, origin, store, ConversionOptions(), job)
    assert len(published) == int(remake), "only a remake replaces it"
    assert stored.etag == store.find(RECIPE).etag  # type: ignore[union-attr]
    assert len(left_behind(store)) == 2, "the image and its sidecar"


def test_a_picture_that_was_stored_while_the_lease_could_not_be_confirmed_is_not_stored_again(
    store: LocalStore,
) -> None:
    """A worker that is cut off with the old primary of Redis may publish before the new primary confirms this lease."""
    checked: list[None] = []

    def await_lease() -> None:
        derive(RECIPE, FakeOrigin(AGAVE), store, ConversionOptions())

    job = JobContext(check_lease=lambda: checked.append(None), await_lease=await_lease)
    stored = derive(RECIPE, FakeOrigin(AGAVE), store, ConversionOptions(), job)
    assert checked == [], "it is published by the other worker alone"
    assert stored.etag == store.find(RECIPE).etag  # type: ignore[union-attr]


def test_no_lock_of_the_store_is_held_while_the_lease_cannot_be_confirmed(store: LocalStore) -> None:
    own = store.path(RECIPE).relative_to(store.root)
    answers = iter([BrokerDown("the queue cannot be reached"), None])
    waited: list[bool] = []

    def check_lease() -> None:
        if (answer := next(answers)) is not None:
            raise answer

    def await_lease() -> None:
        with store.publishing(PurePosixPath(own), patience=0):  # raises `StoreDown` if it is locked
            waited.append(store.find(RECIPE) is None)

    job = JobContext(check_lease=check_lease, await_lease=await_lease)
    derive(RECIPE, FakeOrigin(AGAVE), store, ConversionOptions(), job)
    assert waited == [True, True]
    assert store.find(RECIPE) is not None
