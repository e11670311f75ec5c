"""The HTTP client against real servers: redirects, credentials, limits of size and time, and its connection pool."""

from __future__ import annotations

import gc
import os
import socket
import threading
import time
import warnings
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from mezcal.http import (
    BodyTooLarge,
    Deadline,
    DeadlineExceeded,
    HttpClient,
    HttpRequest,
    InvalidUrl,
    RedirectRefused,
    RequestFailed,
    RequestTimedOut,
    TooManyRedirects,
)
from mezcal.settings import WrongSetting
from tests.support.forked import in_forked_process
from tests.support.origin_server import OriginServer
from tests.support.tls_front import certificates, tls_front

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BODY = os.urandom(100_000)


@pytest.fixture
def server() -> Iterator[OriginServer]:
    with OriginServer() as running:
        running.script("a", body=BODY)
        yield running


@pytest.fixture
def other() -> Iterator[OriginServer]:
    with OriginServer() as running:
        running.script("a", body=BODY)
        yield running


def client(connect_timeout: float = 5, read_timeout: float = 5, **options: Any) -> HttpClient:
    return HttpClient(connect_timeout, read_timeout, **options)


def get(url: str, by: HttpClient | None = None, *, seconds: float = 10, limit: int = 10**7, **given: Any) -> bytes:
    """Returns the body at *url*."""
    with closing((by or client()).send(HttpRequest(url, **given), Deadline.after(seconds))) as response:
        return response.read(limit)


def always(_url: str, _target: str) -> bool:
    return True


def never(_url: str, _target: str) -> bool:
    return False


def test_a_body_is_returned_whole(server: OriginServer) -> None:
    assert get(server.url + "a") == BODY


def test_a_redirect_to_a_host_that_the_policy_refuses_is_not_followed(
    server: OriginServer, other: OriginServer
) -> None:
    server.script("old", redirect=other.url + "a")
    with pytest.raises(RedirectRefused, match=f"http://127.0.0.1:{other.port}, which is not allowed") as refused:
        get(server.url + "old", may_redirect=never)
    assert refused.value.target == other.url + "a"
    assert other.connections == 0


def test_without_a_policy_a_redirect_is_a_response_like_any_other(server: OriginServer, other: OriginServer) -> None:
    server.script("old", redirect=other.url + "a")
    with closing(client().send(HttpRequest(server.url + "old"), Deadline.after(5))) as response:
        assert response.status == 302
    assert other.connections == 0


def test_a_credential_stays_with_the_first_server(server: OriginServer, other: OriginServer) -> None:
    """If redirects lead back to the first server, it gets the credential again; the server in between never does."""
    server.script("old", redirect=other.url + "back")
    other.script("back", redirect=server.url + "a")
    assert get(server.url + "old", authorization=lambda: "Bearer t", may_redirect=always) == BODY
    assert [request.headers.get("authorization") for request in server.seen()] == ["Bearer t", "Bearer t"]
    assert [request.headers.get("authorization") for request in other.seen()] == [None]


@pytest.mark.parametrize("target", ["http://user@127.0.0.1:{port}/", "http://user:secret@127.0.0.1:{port}/"])
def test_a_redirect_with_a_user_name_is_refused_by_any_policy(
    server: OriginServer, other: OriginServer, target: str
) -> None:
    server.script("old", redirect=target.format(port=other.port))
    with pytest.raises(RedirectRefused) as refused:
        get(server.url + "old", may_redirect=always)
    assert "secret" not in str(refused.value)
    assert other.connections == 0


def test_redirects_in_a_loop_end(server: OriginServer) -> None:
    server.script("loop", redirect="loop")
    with pytest.raises(TooManyRedirects, match="5 times"):
        get(server.url + "loop", may_redirect=always)
    assert server.count() == 6


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://", "", "http://user@127.0.0.1/"])
def test_only_http_urls_without_a_user_name_are_requested(url: str) -> None:
    with pytest.raises(InvalidUrl):
        get(url)


def test_a_redirect_to_a_file_is_not_followed(server: OriginServer) -> None:
    server.script("old", redirect="file:///etc/passwd")
    with pytest.raises(InvalidUrl):
        get(server.url + "old", may_redirect=always)


def test_a_body_that_drips_ends_at_the_deadline(server: OriginServer) -> None:
    server.script("slow", body=BODY, rate=2000)
    begun = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=r"longer than 0\.5 s"):
        get(server.url + "slow", seconds=0.5)
    assert time.monotonic() - begun < 25, "the whole of it takes fifty seconds"


def test_a_deadline_that_has_passed_sends_nothing(server: OriginServer) -> None:
    with pytest.raises(DeadlineExceeded):
        get(server.url + "a", seconds=0)
    assert server.count() == 0


@pytest.mark.parametrize("script", [{"delay": 30}, {"hold_at": 1000}])
def test_a_server_that_sends_nothing_is_given_up_after_the_read_timeout(
    server: OriginServer, script: dict[str, Any]
) -> None:
    server.script("slow", body=BODY, **script)
    with pytest.raises(RequestTimedOut):
        get(server.url + "slow", client(read_timeout=0.2))


def test_a_body_over_the_limit_is_not_read_to_its_end(server: OriginServer) -> None:
    server.script("endless", endless=True)
    with pytest.raises(BodyTooLarge, match="more than 1,000,000 bytes"):
        get(server.url + "endless", limit=1_000_000)
    assert server.hung_up.wait(10)


def test_a_body_of_exactly_the_limit_is_returned(server: OriginServer) -> None:
    assert get(server.url + "a", limit=len(BODY)) == BODY


def test_the_limit_counts_a_compressed_body_as_it_is_unpacked(server: OriginServer) -> None:
    server.script("bomb", body=bytes(50_000_000), coding="gzip")
    with pytest.raises(BodyTooLarge):
        get(server.url + "bomb", limit=1_000_000)


def test_a_body_that_is_cut_off_is_a_failure_not_an_end(server: OriginServer) -> None:
    server.script("cut", body=BODY, cut_at=50_000)
    with pytest.raises(RequestFailed, match="in the middle of the body"):
        get(server.url + "cut")


def test_a_read_in_another_thread_can_be_ended(server: OriginServer) -> None:
    server.script("held", body=BODY, hold_at=1000)
    response = client(read_timeout=30).send(HttpRequest(server.url + "held"), Deadline.after(30))
    failures: list[Exception] = []

    def read() -> None:
        try:
            response.read(10**7)
        except RequestFailed as failed:
            failures.append(failed)

    thread = threading.Thread(target=read)
    thread.start()
    response.shut_down()
    thread.join(10)
    response.close()
    assert [str(failure) for failure in failures] == ["closed the connection in the middle of the body"]


def test_a_server_that_is_not_there_or_hangs_up_cannot_be_reached(server: OriginServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        nowhere = f"http://127.0.0.1:{bound.getsockname()[1]}/"
    server.script("reset", silent=1)
    for url in (nowhere, server.url + "reset"):
        with pytest.raises(RequestFailed, match="cannot be reached"):
            get(url)


def answer_once(listening: socket.socket, answer: bytes) -> threading.Thread:
    def run() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(10_000)
            connection.sendall(answer)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "not HTTP"),
        (b"nonsense\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", "not HTTP"),
        (b"", "cannot be reached"),
    ],
)
def test_an_answer_that_is_not_http_is_a_failure(answer: bytes, reason: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # urllib3 leaves the socket of two lengths to the collector
        thread = answer_once(listening, answer)
        with pytest.raises(RequestFailed, match=reason):
            get(f"http://127.0.0.1:{listening.getsockname()[1]}/")
        thread.join(10)
        gc.collect()


def test_the_outcome_of_each_request_is_observed(server: OriginServer) -> None:
    outcomes: list[str] = []
    observed = client(read_timeout=0.2, observer=outcomes.append)
    server.script("old", redirect="a")
    server.script("reset", silent=9)
    server.script("slow", delay=30)
    get(server.url + "old", observed, may_redirect=always)
    for path, failure in (("reset", RequestFailed), ("slow", RequestTimedOut)):
        with pytest.raises(failure):
            get(server.url + path, observed)
    assert outcomes == ["302", "200", "unreachable", "timeout"]


def test_connections_are_kept_and_not_shared_with_a_forked_child(server: OriginServer) -> None:
    shared = client()

    def get_body() -> None:
        assert get(server.url + "a", shared) == BODY

    for _ in range(2):
        get_body()
    assert server.connections == 1
    in_forked_process(get_body)
    assert server.connections == 2
    get_body()
    assert server.connections == 2


def test_neither_cookies_nor_proxies_nor_netrc_are_used(
    server: OriginServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    server.script_of("a").headers["Set-Cookie"] = "a=b"
    shared = client()
    for _ in range(2):
        get(server.url + "a", shared)
    assert not {"authorization", "cookie"} & {name for request in server.seen() for name in request.headers}


@pytest.fixture
def tls(server: OriginServer, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The server behind TLS: its URL, and the file of the CA that signed its certificate."""
    made = certificates(tmp_path / "tls")
    with tls_front(made, server.port, ask_clients=False) as port:
        yield f"https://127.0.0.1:{port}/rest/a", made.ca


def test_a_private_ca_is_trusted_only_where_its_bundle_is_named(
    tls: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, ca = tls
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(RequestFailed, match="trusted TLS connection"):
        get(url)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca))
    assert get(url) == BODY


def test_a_ca_bundle_that_does_not_exist_is_a_wrong_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURL_CA_BUNDLE", "/nowhere.pem")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    with pytest.raises(WrongSetting, match="CURL_CA_BUNDLE names /nowhere"):
        client()
