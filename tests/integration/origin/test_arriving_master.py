"""Reading a master while it arrives, and closing it before it has arrived."""

from __future__ import annotations

import os
import resource
import signal
import threading
import time

import pytest

from mezcal.errors import (
    StoreDown,
)
from tests.integration.origin import BIG, MASTER, downloads, fetch
from tests.support.forked import exit_code, fork, in_forked_process
from tests.support.waiting import until


def test_what_has_arrived_can_be_read_before_the_rest_comes(origin, repository):
    held = origin.script("a.tif", hold_at=100_000)
    with repository().open("a.tif") as master:
        assert master.file.read(100_000) == MASTER[:100_000]
        assert master.file.seek(0, os.SEEK_END) == len(MASTER)
        master.file.seek(50_000)
        assert master.file.read(10) == MASTER[50_000:50_010]
        held.go.set()
        master.file.seek(99_990)
        assert master.file.read(20) == MASTER[99_990:100_010]
        master.complete()


def test_a_read_past_what_has_arrived_waits_for_it(origin, repository):
    held = origin.script("a.tif", hold_at=100_000)
    with repository().open("a.tif") as master:
        master.file.seek(200_000)
        threading.Timer(0.05, held.go.set).start()
        assert master.file.read(5) == MASTER[200_000:200_005]
        assert held.go.is_set()


def test_a_tail_is_fetched_by_another_request(origin, repository):
    held = origin.script("big.tif", hold_at=100_000)
    with repository().open("big.tif") as master:
        master.file.seek(-10, os.SEEK_END)
        assert master.file.read(20) == BIG[-10:]
        assert not held.go.is_set()
        request = origin.seen("big.tif")[1].headers
        assert request["range"] == f"bytes={5 * 2**20}-{6 * 2**20 - 1}"
        assert request["if-range"] == master.etag
        held.go.set()
        master.file.seek(0)
        assert master.file.read() == BIG
        master.complete()
    assert origin.count() == 2


@pytest.mark.parametrize("without", [{"ranges": False}, {"etag": ""}, {"etag": 'W/"weak"'}, {"chunked": True}])
def test_a_tail_is_waited_for_where_parts_may_not_match(origin, repository, without):
    origin.script("big.tif", rate=40_000_000, **without)
    with repository().open("big.tif") as master:
        master.file.seek(-10, os.SEEK_END)
        assert master.file.read() == BIG[-10:]
    assert origin.count() == 1


def test_a_tail_of_another_version_is_never_mixed_in(origin, repository):
    script = origin.script("big.tif", hold_at=100_000)
    with repository().open("big.tif") as master:
        master.file.read(100_000)
        script.body = os.urandom(len(BIG))
        release = threading.Thread(target=lambda: (origin.wait_for_requests("big.tif", 2), script.go.set()))
        release.start()
        master.file.seek(-10, os.SEEK_END)
        assert master.file.read() == BIG[-10:]
        release.join()


def test_a_reader_that_jumps_about_does_not_flood_the_origin(origin, repository):
    held = origin.script("big.tif", body=bytes(40 * 2**20), hold_at=1000, etag='"same"')
    with repository().open("big.tif") as master:
        for place in range(4, 20):
            master.file.seek(place * 2**20)
            master.file.read(1)
        threading.Timer(0.05, held.go.set).start()
        master.file.seek(30 * 2**20)
        assert master.file.read(1) == b"\0"
        assert held.go.is_set()
    assert origin.count() == 1 + 16


def test_closing_early_ends_the_download_at_once(origin, repository):
    origin.script("a.tif", hold_at=100_000)
    begun = time.monotonic()
    with repository().open("a.tif") as master:
        master.file.read(1000)
    assert time.monotonic() - begun < 10, "the origin would wait for a minute"
    assert master.file.closed


def test_closing_an_endless_master_closes_the_connection(origin, repository):
    origin.script("endless", endless=True)
    with repository().open("endless") as master:
        assert master.file.read(1000) == bytes(1000)
    assert origin.hung_up.wait(10)


def test_an_exception_of_the_reader_ends_the_download_too(origin, repository):
    origin.script("a.tif", hold_at=100_000)
    with pytest.raises(ZeroDivisionError), repository().open("a.tif"):
        raise ZeroDivisionError


def test_without_a_tmp_dir_the_scratch_folder_is_in_the_cache(origin, repository, tmp_path):
    cache = tmp_path / "cache"
    held = origin.script("a.tif", hold_at=1000)
    with repository(tmp_dir=None, storage_dir=cache).open("a.tif") as master:
        master.file.read(1000)
        assert (cache / ".mezcal" / "scratch").is_dir()
        assert not list((cache / ".mezcal" / "scratch").iterdir())
        held.go.set()


def test_a_scratch_folder_that_cannot_be_made_is_the_store_s_failure(repository, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreDown):
        fetch(repository(tmp_dir=tmp_path / "file"))


def test_a_full_disk_is_the_store_s_failure(origin, repository):
    """A file size limit stands in for the full disk: the write fails in the same place."""

    def fetch_with_small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        with pytest.raises(StoreDown):
            fetch(repository())

    in_forked_process(fetch_with_small_files)


def test_a_killed_process_leaves_nothing_in_the_scratch_folder(origin, repository, scratch):
    origin.script("a.tif", hold_at=100_000)
    ready, tell = os.pipe()

    def read_slowly():
        with repository().open("a.tif") as master:
            os.write(tell, master.file.read(100))
            master.complete()

    child = fork(read_slowly)
    assert os.read(ready, 100) == MASTER[:100]
    os.kill(child, signal.SIGKILL)
    assert exit_code(child) == -signal.SIGKILL
    assert scratch.is_dir()
    assert not list(scratch.iterdir())
    os.close(ready)
    os.close(tell)


def test_closing_while_a_download_is_resumed_does_not_wait_for_the_origin(origin, repository):
    script = origin.script("a.tif", cut_at=100_000, cuts=1)
    begun = time.monotonic()
    with repository().open("a.tif") as master:
        script.delay = 30
        master.file.read(100_000)
        origin.wait_for_requests("a.tif", 2)
    assert time.monotonic() - begun < 20
    origin.leaving.set()
    until(lambda: not downloads(), what="the end of the download")
