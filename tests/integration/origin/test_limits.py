"""Limits in bytes and seconds, and how a broken download is resumed."""

from __future__ import annotations

import os
import time

import pytest

from mezcal.errors import (
    MasterIncomplete,
    OriginTimeout,
    TooLarge,
)
from tests.integration.origin import MASTER, fetch


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


def test_an_origin_that_does_not_answer_in_time_is_retried_then_too_slow(origin, repository):
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
    assert time.monotonic() - begun < 10


def test_a_reader_gets_the_failure_not_an_end_of_file(origin, repository):
    origin.script("a.tif", cut_at=100_000)
    with repository(origin_retries=0).open("a.tif") as master:
        assert master.file.read(100_000) == MASTER[:100_000]
        with pytest.raises(MasterIncomplete):
            master.file.read(1)
        with pytest.raises(MasterIncomplete):
            master.complete()


def test_a_broken_download_is_resumed_where_it_broke_off(origin, repository):
    origin.script("a.tif", cut_at=100_000, cuts=1)
    assert fetch(repository()) == MASTER
    resumed = origin.seen()[1].headers
    assert resumed["range"] == "bytes=100000-"
    assert "if-range" in resumed


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
        with pytest.raises(MasterIncomplete, match="changed"):
            master.complete()


def test_a_master_shorter_than_announced_fails_after_the_retries(origin, repository):
    origin.script("a.tif", length=len(MASTER) + 10)
    with pytest.raises(MasterIncomplete):
        fetch(repository(origin_retries=1))
