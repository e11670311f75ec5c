"""A good repository: the bytes and the headers that arrive."""

from __future__ import annotations

import email.utils
import os

import pytest

from mezcal.errors import (
    UnusableResponse,
)
from tests.integration.origin import MASTER, fetch
from tests.support.forked import in_forked_process


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
    with pytest.raises(UnusableResponse, match="'br'"):
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

    def fetch_again():
        assert fetch(origins) == MASTER

    in_forked_process(fetch_again)
    fetch_again()
    assert origin.connections == 2
