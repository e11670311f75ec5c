"""A store that fails for a while: hits are tried again, and what is converted waits."""

from __future__ import annotations

import time
from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from mezcal.convert import ConversionOptions
from mezcal.derive import JobContext, derive
from mezcal.errors import StoreDown, Superseded
from mezcal.origin import open_origin
from mezcal.recipe import Mezzanine
from mezcal.sample import FOLDER
from mezcal.settings import Layout, load
from mezcal.store import LocalStore, outages
from mezcal.store.outages import persist, wait_for_store
from mezcal.store.s3 import S3Store
from tests.support.s3_server import running_s3
from tests.support.store_contract import JPEG, RECIPE, content, put

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.s3_server import S3Server

AGAVE = Mezzanine.parse("agave-p3.tif")


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An object store that refuses requests when it is told to."""
    with running_s3(tmp_path_factory.mktemp("busy")) as running:
        yield running


@pytest.fixture
def store(busy: S3Server, tmp_path: Path) -> Iterator[S3Store]:
    opened = S3Store(busy.settings(busy.bucket(), tmp_path))
    opened.check()
    yield opened
    busy.refuse(count=0)


def derive_when(store: S3Store, wait: Callable[[float], bool], check_lease: Callable[[], None] = lambda: None) -> None:
    """Make AGAVE's derivative in a job that waits by *wait*."""
    origin = open_origin(load(_env_file=None, repo_base_url=FOLDER.as_uri()))
    derive(AGAVE, origin, store, ConversionOptions(), JobContext(check_lease=check_lease, wait=wait))


# --- hits


def test_a_hit_is_asked_for_again_when_the_store_says_to_slow_down(store: S3Store, busy: S3Server) -> None:
    put(store)
    busy.refuse("HEAD GET", count=5)
    assert content(store) == JPEG


def test_a_store_that_refuses_every_third_request_loses_no_hit(store: S3Store, busy: S3Server) -> None:
    put(store)
    busy.refuse("HEAD GET", every=3)
    assert {content(store) for _ in range(30)} == {JPEG}


def test_the_pause_is_the_one_that_the_store_asks_for(store: S3Store, busy: S3Server) -> None:
    put(store)
    busy.refuse("HEAD", count=1, Retry_After="1")
    began = time.monotonic()
    assert store.find(RECIPE)
    assert time.monotonic() - began >= 1


def test_no_client_waits_for_a_long_pause_and_all_are_told_how_long_it_is(store: S3Store, busy: S3Server) -> None:
    put(store)
    busy.refuse("HEAD", count=2, Retry_After="40")
    with pytest.raises(StoreDown, match="overloaded") as refused:
        store.find(RECIPE)
    assert (refused.value.retry_after, refused.value.may_pass) == (40, True)
    with pytest.raises(StoreDown):
        store.find(RECIPE)
    assert store.find(RECIPE), "two requests were refused, and each was sent once"


def test_while_the_store_refuses_everything_each_request_is_sent_once(store: S3Store, busy: S3Server) -> None:
    """Otherwise the threads of an API process would all be taken by hits that wait."""
    put(store)
    busy.refuse("HEAD", count=6 + 3)
    for _ in range(4):
        with pytest.raises(StoreDown):
            store.find(RECIPE)
    assert store.find(RECIPE)


# --- what is converted


def test_a_picture_is_kept_and_put_again(store: S3Store, busy: S3Server) -> None:
    busy.refuse("PUT", Retry_After="9")
    pauses: list[float] = []

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        if len(pauses) == 3:
            busy.refuse(count=0)
        return True

    derive_when(store, wait)
    assert pauses == [9, 9, 9]
    assert store.find(AGAVE)


def test_a_picture_waits_for_a_store_that_is_away(tmp_path: Path) -> None:
    with running_s3(tmp_path) as server:
        store = S3Store(server.settings(server.bucket("pictures"), tmp_path))
        store.check()
        confirmed: list[bool] = []

        def check_lease() -> None:
            if not confirmed:
                server.stop()
            confirmed.append(True)

        def wait(_: float) -> bool:
            server.start()
            server.bucket("pictures")
            time.sleep(1)  # for which the client sends nothing after it could not reach the store
            return True

        derive_when(store, wait, check_lease)
        assert store.find(AGAVE)


def test_a_deletion_or_a_change_ends_the_wait(store: S3Store, busy: S3Server) -> None:
    """Whoever waits confirms the lease before each attempt."""
    busy.refuse("PUT", count=6)
    held = [True]

    def wait(_: float) -> bool:
        held[0] = False
        return True

    def check_lease() -> None:
        if not held[0]:
            raise Superseded("the job was forgotten")

    with pytest.raises(Superseded):
        derive_when(store, wait, check_lease)
    assert store.find(AGAVE) is None


def test_the_wait_is_bounded_by_the_job(store: S3Store, busy: S3Server, tmp_path: Path) -> None:
    busy.refuse("PUT")
    with pytest.raises(StoreDown, match="refuses"):
        derive_when(store, lambda _: False)
    assert not list(tmp_path.rglob("*.jpg"))


def test_the_wait_is_bounded_by_time_and_only_for_what_may_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(outages, "time", SimpleNamespace(monotonic=lambda: sum(waited)))

    def fail() -> None:
        raise StoreDown("away", may_pass=True)

    def refuse() -> None:
        raise StoreDown("no right")

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        return True

    with pytest.raises(StoreDown, match="away"):
        persist(fail, wait, patience=30)
    assert 30 - outages.PAUSE_MAX < sum(waited) <= 30
    assert 0 < waited[0] <= outages.PAUSE_FIRST
    assert max(waited) <= outages.PAUSE_MAX
    with pytest.raises(StoreDown, match="no right"):
        persist(refuse, lambda _: pytest.fail("this does not pass"))


def test_a_full_disk_does_not_end_a_job_before_it_could_evict(store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise StoreDown("the disk is full")

    monkeypatch.setattr(store, "check", full)
    wait_for_store(store, lambda _: pytest.fail("nobody waits for that"), 30)


@pytest.mark.parametrize("evicted", [False, True])
def test_on_a_full_disk_a_job_for_which_nobody_waits_reads_no_master_unless_images_are_evicted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, evicted: bool
) -> None:
    local = LocalStore(tmp_path, Layout.BASIC)
    monkeypatch.setattr(local, "free_bytes", lambda: 4096)
    monkeypatch.setattr(local, "make_free_space", lambda _: evicted)
    with nullcontext() if evicted else pytest.raises(StoreDown, match="the disk is full"):
        wait_for_store(local, lambda _: pytest.fail("nobody waits for that"), 30)


def test_a_job_for_which_nobody_waits_begins_when_the_store_is_back(store: S3Store, busy: S3Server) -> None:
    store._writable_until = 0
    busy.refuse("PUT", Retry_After="9")
    wait_for_store(store, lambda _: busy.refuse(count=0) is None, 30)
    busy.refuse("PUT", Retry_After="9")
    store._writable_until = 0
    with pytest.raises(StoreDown):
        wait_for_store(store, lambda _: False, 30)
