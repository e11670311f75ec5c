"""What the origin may send instead of a master, and what each response means."""

from __future__ import annotations

import gzip
import re
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from mezcal.errors import (
    MasterDenied,
    MasterEmpty,
    MasterForbidden,
    MasterIncomplete,
    MasterMissing,
    NotAnImage,
    OriginFailed,
    PageInstead,
    Retention,
    UnusableResponse,
)
from tests.integration.origin import MASTER, fetch

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (404, MasterMissing),
        (410, MasterMissing),
        (401, MasterDenied),
        (403, MasterDenied),
        *((status, UnusableResponse) for status in (400, 405, 406, 408, 414, 416, 418)),
        (202, UnusableResponse),
        (204, MasterEmpty),
        (206, UnusableResponse),
        (304, UnusableResponse),
    ],
)
def test_a_final_status_is_not_retried(origin, repository, status, failure):
    origin.script("a.tif", fails=-1, status=status)
    with pytest.raises(failure) as failed:
        fetch(repository())
    assert type(failed.value) is failure
    assert str(status) in failed.value.detail or status == 204
    assert origin.count() == 1


def test_a_missing_master_is_missing(origin, repository):
    with pytest.raises(MasterMissing):
        fetch(repository(), "none.tif")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_may_be_passed_on_as_403(origin, repository, status):
    origin.script("a.tif", fails=-1, status=status)
    with pytest.raises(MasterForbidden):
        fetch(repository(origin_denied_status=403))


@pytest.mark.parametrize("trouble", [{"status": 500}, {"status": 503}, {"status": 429}])
def test_a_status_that_may_change_is_retried(origin, repository, trouble):
    origin.script("a.tif", fails=2, **trouble)
    assert fetch(repository()) == MASTER
    assert origin.count() == 3


def test_a_reset_connection_is_retried(origin, repository):
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


def test_retry_after_is_obeyed(origin, repository):
    origin.script("a.tif", fails=1, retry_after="1")
    begun = time.monotonic()
    assert fetch(repository()) == MASTER
    assert time.monotonic() - begun >= 1


@pytest.mark.parametrize("after", ["3600", "Fri, 31 Dec 2100 23:59:59 GMT"])
def test_an_origin_that_asks_for_a_long_pause_fails_at_once(origin, repository, after):
    origin.script("a.tif", fails=1, retry_after=after)
    with pytest.raises(OriginFailed):
        fetch(repository())
    assert origin.count() == 1


@pytest.mark.parametrize(
    "kind",
    ["text/html; charset=utf-8", "text/plain", "application/json", "application/problem+json", "application/ld+json",
     "application/xml", "application/pdf", "video/mp4", "Audio/MPEG"],
)  # fmt: skip
def test_a_type_that_cannot_be_an_image_is_refused_before_its_body(origin, repository, kind):
    origin.script("a.tif", content_type=kind, hold_at=0)
    with pytest.raises(NotAnImage, match=re.escape(kind.split(";")[0].lower())):
        fetch(repository())


@pytest.mark.parametrize("kind", ["text/html", "Application/JSON", "application/xhtml+xml; charset=utf-8"])
def test_a_page_in_place_of_the_master_is_not_remembered_for_long(origin, repository, kind):
    origin.script("a.tif", content_type=kind, body=b"<html>sign in</html>")
    with pytest.raises(PageInstead) as failed:
        fetch(repository())
    assert failed.value.retention is Retention.MISSING


def test_a_compressed_body_without_its_end_is_retried_and_then_incomplete(repository):
    body = gzip.compress(MASTER)[:-20]
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with answering(answer, answer) as url, pytest.raises(MasterIncomplete):
        fetch(repository(repo_base_url=url, origin_retries=1))


def test_two_chunked_bodies_are_not_joined(repository):
    """The first breaks off. The second is complete, shorter, and perhaps of another master."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    cut = head + b"%x\r\n%b\r\n" % (len(MASTER), MASTER)
    shorter = head + b"10\r\n%b\r\n0\r\n\r\n" % MASTER[:16]
    with answering(cut, shorter) as url, pytest.raises(MasterIncomplete, match="changed"):
        fetch(repository(repo_base_url=url, origin_retries=1))


def test_an_interim_response_is_not_the_masters_fault(repository):
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    with answering(hints, hints) as url, pytest.raises(OriginFailed) as failed:
        fetch(repository(repo_base_url=url, origin_retries=1))
    assert failed.value.retention is not Retention.LASTING


@pytest.mark.parametrize("kind", ["", "image/tiff", "application/octet-stream", "application/fits", "x-odd/thing"])
def test_other_types_are_judged_by_their_content(origin, repository, kind):
    origin.script("a.tif", content_type=kind)
    assert fetch(repository()) == MASTER


@pytest.mark.parametrize("chunked", [False, True])
def test_an_empty_master_is_not_an_image(origin, repository, chunked):
    origin.script("a.tif", body=b"", chunked=chunked)
    with pytest.raises(NotAnImage):
        fetch(repository())


@pytest.mark.parametrize(
    "answer", [b"nonsense\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n"]
)
def test_what_is_not_http_is_retried_and_then_unusable(repository, answer):
    with answering(answer, answer) as url, pytest.raises(UnusableResponse, match="not HTTP"):
        fetch(repository(repo_base_url=url, origin_retries=1))


@contextmanager
def answering(*answers: bytes) -> Iterator[str]:
    """Yield the URL of a server that sends one of *answers* to each connection, then closes it."""

    def answer() -> None:
        for sent in answers:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(sent)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        thread.join()


def test_a_redirect_without_a_usable_location_is_unusable(origin, repository):
    origin.script("a.tif", redirect="ftp://elsewhere/x")
    with pytest.raises(UnusableResponse, match="not an HTTP URL"):
        fetch(repository())
    assert origin.count() == 1


@pytest.mark.parametrize("cut", [{"cut_at": 1000}, {"length": len(MASTER) + 10}])
def test_a_body_that_is_always_cut_is_incomplete(origin, repository, cut):
    origin.script("a.tif", **cut)
    with pytest.raises(MasterIncomplete):
        fetch(repository(origin_retries=1))
    assert origin.count() == 2


def test_the_end_of_a_body_without_a_length_is_not_known(repository):
    with (
        answering(b"HTTP/1.0 200 OK\r\n\r\n" + MASTER) as url,
        repository(repo_base_url=url).open("a.tif") as master,
    ):
        master.complete()
        assert not master.delimited
