"""Masters over HTTP, from a real server: what arrives, what a reader sees meanwhile, what answers mean."""

from __future__ import annotations

import contextlib
import email.utils
import os
import re
import socket
import threading
import time
from pathlib import Path

import pytest

from mezcal.errors import (
    MasterDenied,
    MasterForbidden,
    MasterMissing,
    NotAnImage,
    OriginFailed,
    OriginTimeout,
    StoreDown,
    TooLarge,
)
from mezcal.origin import open_origin
from mezcal.settings import load
from tests.origin_server import OriginServer

MASTER = os.urandom(300_000)
BIG = os.urandom(6 * 2**20)


@pytest.fixture
def origin(tmp_path):
    folder = tmp_path / "masters"
    folder.mkdir()
    (folder / "a.tif").write_bytes(MASTER)
    (folder / "big.tif").write_bytes(BIG)
    with OriginServer(folder) as server:
        yield server


@pytest.fixture
def scratch(tmp_path):
    """The scratch folder; whatever a test does, nothing is left in it."""
    folder = tmp_path / "scratch"
    yield folder
    assert not folder.exists() or not list(folder.iterdir())
    assert not [name for name in open_files() if str(folder) in name]
    assert not [thread for thread in threading.enumerate() if thread.name == "origin-download"]


def open_files():
    """What this process holds open, files without a name too."""
    names = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            names.append(str(entry.readlink()))
    return names


@pytest.fixture
def repository(origin, scratch):
    def make(**settings):
        given = {"repo_base_url": origin.url, "tmp_dir": scratch, "_env_file": None}
        return open_origin(load(**given | settings))

    return make


def fetch(repository, path="a.tif"):
    with repository.open(path) as master:
        master.complete()
        return master.file.read()


# --- the good answer ----------------------------------------------------------------------------------------


def test_a_master_comes_whole_with_what_the_origin_says_about_it(origin, repository):
    with repository().open("a.tif") as master:
        assert master.file.read() == MASTER
        master.complete()
        assert master.source == origin.url + "a.tif"
        assert (master.size, master.content_type) == (len(MASTER), "image/tiff")
        assert master.etag.startswith('"')
        assert master.last_modified == email.utils.formatdate(1_700_000_000, usegmt=True)
    assert origin.count() == 1


def test_a_base_url_without_the_final_slash_is_the_same_origin(origin, repository):
    without = repository(repo_base_url=origin.url.rstrip("/"))
    assert without.base_url == origin.url
    assert fetch(without) == MASTER


@pytest.mark.parametrize("name", ["@127.0.0.1:9/x", "a b%20c?d#e.tif", "é/漢字.tif", "\\x", "46:fcr"])
def test_odd_names_reach_the_origin_as_they_are(origin, repository, name):
    origin.script(name, body=MASTER)
    assert fetch(repository(), name) == MASTER
    assert [request.path for request in origin.seen()] == [name]


def test_connections_are_kept_between_masters(origin, repository):
    origins = repository()
    for _ in range(3):
        assert fetch(origins) == MASTER
    assert origin.connections == 1


def test_no_content_coding_is_asked_for(origin, repository):
    fetch(repository())
    assert origin.seen()[0].headers["accept-encoding"] == "identity"


def test_a_compressed_answer_is_unpacked(origin, repository):
    origin.script("a.tif", coding="gzip")
    with repository().open("a.tif") as master:
        assert master.size is None
        assert master.file.read() == MASTER


def test_an_unknown_content_coding_is_refused(origin, repository):
    origin.script("a.tif", coding="br")
    with pytest.raises(OriginFailed, match="'br'"):
        fetch(repository())


def test_a_master_of_unknown_length_comes_whole(origin, repository):
    origin.script("a.tif", chunked=True)
    with repository().open("a.tif") as master:
        assert master.size is None
        assert master.file.seek(0, os.SEEK_END) == len(MASTER)
        master.file.seek(0)
        assert master.file.read() == MASTER


def test_the_parent_s_connections_are_not_used_after_a_fork(origin, repository):
    origins = repository()
    fetch(origins)
    child = os.fork()
    if child == 0:
        os._exit(0 if fetch(origins) == MASTER else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert fetch(origins) == MASTER
    assert origin.connections == 2


# --- while it is arriving -----------------------------------------------------------------------------------


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


def test_a_tail_is_fetched_by_a_request_of_its_own(origin, repository):
    held = origin.script("big.tif", hold_at=100_000)
    with repository().open("big.tif") as master:
        master.file.seek(-10, os.SEEK_END)
        assert master.file.read(20) == BIG[-10:]
        assert not held.go.is_set()
        asked = origin.seen("big.tif")[1].headers
        assert asked["range"] == f"bytes={5 * 2**20}-{6 * 2**20 - 1}"
        assert asked["if-range"] == master.etag
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
        reader = threading.Timer(0, script.go.set)
        origin_asked = threading.Thread(target=lambda: (origin.wait_for_requests("big.tif", 2), reader.start()))
        origin_asked.start()
        master.file.seek(-10, os.SEEK_END)
        assert master.file.read() == BIG[-10:]
        origin_asked.join()


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


def test_leaving_early_ends_the_download_at_once(origin, repository):
    origin.script("a.tif", hold_at=100_000)
    begun = time.monotonic()
    with repository().open("a.tif") as master:
        master.file.read(1000)
    assert time.monotonic() - begun < 1
    assert master.file.closed


def test_leaving_a_master_without_end_closes_the_connection(origin, repository):
    origin.script("endless", endless=True)
    with repository().open("endless") as master:
        assert master.file.read(1000) == bytes(1000)
    assert origin.hung_up.wait(10)


def test_an_exception_of_the_reader_ends_the_download_too(origin, repository):
    origin.script("a.tif", hold_at=100_000)
    with pytest.raises(ZeroDivisionError), repository().open("a.tif"):
        raise ZeroDivisionError


# --- what the origin may answer instead ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (404, MasterMissing),
        (410, MasterMissing),
        (401, MasterDenied),
        (403, MasterDenied),
        (400, OriginFailed),
        (418, OriginFailed),
        (202, OriginFailed),
        (204, NotAnImage),
        (206, OriginFailed),
        (304, OriginFailed),
    ],
)
def test_an_answer_that_will_not_change_is_asked_for_once(origin, repository, status, failure):
    origin.script("a.tif", fails=-1, status=status)
    with pytest.raises(failure) as told:
        fetch(repository())
    assert type(told.value) is failure
    assert str(status) in told.value.detail or status == 204
    assert origin.count() == 1


def test_a_missing_master_is_missing(origin, repository):
    with pytest.raises(MasterMissing):
        fetch(repository(), "none.tif")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_may_be_told_as_403(origin, repository, status):
    origin.script("a.tif", fails=-1, status=status)
    with pytest.raises(MasterForbidden):
        fetch(repository(origin_denied_status=403))


@pytest.mark.parametrize("trouble", [{"status": 500}, {"status": 503}, {"status": 429}])
def test_an_answer_that_may_change_is_asked_for_again(origin, repository, trouble):
    origin.script("a.tif", fails=2, **trouble)
    assert fetch(repository()) == MASTER
    assert origin.count() == 3


def test_a_reset_connection_is_tried_again(origin, repository):
    origin.script("a.tif", silent=2)
    assert fetch(repository()) == MASTER
    assert origin.count() == 3


@pytest.mark.parametrize("trouble", [{"fails": -1, "status": 502}, {"silent": 9}])
def test_an_origin_that_stays_away_fails_after_the_retries(origin, repository, trouble):
    origin.script("a.tif", **trouble)
    with pytest.raises(OriginFailed):
        fetch(repository(origin_retries=1))
    assert origin.count() == 2


def test_an_origin_that_is_not_there_fails(repository):
    with socket.create_server(("127.0.0.1", 0)) as bound:
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/"
    with pytest.raises(OriginFailed, match="cannot be reached"):
        fetch(repository(repo_base_url=url, origin_retries=1))


def test_retry_after_is_kept_to(origin, repository):
    origin.script("a.tif", fails=1, retry_after="1")
    begun = time.monotonic()
    assert fetch(repository()) == MASTER
    assert time.monotonic() - begun >= 1


@pytest.mark.parametrize("after", ["3600", "Fri, 31 Dec 2100 23:59:59 GMT"])
def test_an_origin_that_wants_to_be_left_alone_for_long_fails_at_once(origin, repository, after):
    origin.script("a.tif", fails=1, retry_after=after)
    with pytest.raises(OriginFailed):
        fetch(repository())
    assert origin.count() == 1


@pytest.mark.parametrize(
    "kind",
    ["text/html; charset=utf-8", "text/plain", "application/json", "application/ld+json", "application/xml",
     "application/pdf", "video/mp4", "Audio/MPEG"],
)  # fmt: skip
def test_a_type_that_cannot_be_an_image_is_refused_before_its_body(origin, repository, kind):
    origin.script("a.tif", content_type=kind, hold_at=0)
    with pytest.raises(NotAnImage, match=re.escape(kind.split(";")[0].lower())):
        fetch(repository())


@pytest.mark.parametrize("kind", ["", "image/tiff", "application/octet-stream", "application/fits", "x-odd/thing"])
def test_other_types_are_judged_by_their_content(origin, repository, kind):
    origin.script("a.tif", content_type=kind)
    assert fetch(repository()) == MASTER


@pytest.mark.parametrize("chunked", [False, True])
def test_an_empty_master_is_not_an_image(origin, repository, chunked):
    origin.script("a.tif", body=b"", chunked=chunked)
    with pytest.raises(NotAnImage):
        fetch(repository())


# --- limits -------------------------------------------------------------------------------------------------


def test_a_master_that_announces_too_many_bytes_is_refused_before_its_body(origin, repository):
    origin.script("a.tif", hold_at=0)
    with pytest.raises(TooLarge):
        fetch(repository(origin_max_bytes=len(MASTER) - 1))


@pytest.mark.parametrize("trouble", [{"endless": True}, {"chunked": True}, {"coding": "gzip"}])
def test_a_master_that_announces_nothing_is_counted(origin, repository, trouble):
    origin.script("a.tif", **trouble)
    with pytest.raises(TooLarge):
        fetch(repository(origin_max_bytes=len(MASTER) - 1))


def test_a_master_of_exactly_the_limit_is_taken(repository):
    assert fetch(repository(origin_max_bytes=len(MASTER))) == MASTER


def test_an_origin_that_does_not_answer_in_time_is_tried_again_then_too_slow(origin, repository):
    origin.script("a.tif", delay=30)
    with pytest.raises(OriginTimeout):
        fetch(repository(origin_read_timeout=0.2, origin_retries=1))
    assert origin.count() == 2


def test_an_origin_that_stops_in_mid_body_is_too_slow(origin, repository):
    origin.script("a.tif", hold_at=100_000)
    with pytest.raises(OriginTimeout):
        fetch(repository(origin_read_timeout=0.2, origin_retries=0))


def test_an_origin_that_drips_is_too_slow_altogether(origin, repository):
    origin.script("a.tif", rate=2000)
    begun = time.monotonic()
    with pytest.raises(OriginTimeout, match=r"within 0\.5 s"):
        fetch(repository(origin_total_timeout=0.5))
    assert time.monotonic() - begun < 2


def test_a_reader_is_told_of_the_failure_not_of_an_end(origin, repository):
    origin.script("a.tif", cut_at=100_000)
    with repository(origin_retries=0).open("a.tif") as master:
        assert master.file.read(100_000) == MASTER[:100_000]
        with pytest.raises(OriginFailed):
            master.file.read(1)
        with pytest.raises(OriginFailed):
            master.complete()


# --- going on after a break ---------------------------------------------------------------------------------


def test_a_broken_download_goes_on_where_it_was(origin, repository):
    origin.script("a.tif", cut_at=100_000, cuts=1)
    assert fetch(repository()) == MASTER
    again = origin.seen()[1].headers
    assert again["range"] == "bytes=100000-"
    assert "if-range" in again


@pytest.mark.parametrize("without", [{"ranges": False}, {"etag": ""}, {"etag": 'W/"weak"'}, {"chunked": True}])
def test_without_ranges_a_broken_download_starts_again(origin, repository, without):
    origin.script("a.tif", cut_at=100_000, cuts=1, **without)
    assert fetch(repository()) == MASTER
    assert [request.headers.get("range") for request in origin.seen()] == [None, None]


@pytest.mark.parametrize("without", [{}, {"ranges": False}, {"etag": ""}])
def test_two_versions_of_a_master_are_never_mixed(origin, repository, without):
    script = origin.script("a.tif", cut_at=100_000, cuts=1, hold_at=90_000, **without)
    with repository().open("a.tif") as master:
        master.file.read(90_000)
        script.body, script.hold_at = os.urandom(len(MASTER)), None
        script.go.set()
        with pytest.raises(OriginFailed, match="changed"):
            master.complete()


def test_a_master_shorter_than_announced_fails_after_the_retries(origin, repository):
    origin.script("a.tif", length=len(MASTER) + 10)
    with pytest.raises(OriginFailed):
        fetch(repository(origin_retries=1))


# --- the scratch folder -------------------------------------------------------------------------------------


def test_without_a_tmp_dir_the_scratch_folder_is_beside_the_cache(origin, repository, tmp_path):
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
    child = os.fork()
    if child == 0:
        os._exit(_with_small_files(repository))
    assert os.waitpid(child, 0)[1] == 0


def _with_small_files(repository):
    import resource  # noqa: PLC0415
    import signal  # noqa: PLC0415

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        fetch(repository())
    except StoreDown:
        return 0
    return 1
