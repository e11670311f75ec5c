"""Hits over HTTP: nginx serves them, the API all other requests, and clients see one server."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from http.client import HTTPConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from mezcal.recipe import Mezzanine
from mezcal.store import open_store
from tests.integration.conftest import TOKEN
from tests.support.proc import may_open

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from tests.support.installation import Installation

WARM = "maps/valley.tif"


def connection(installation: Installation) -> HTTPConnection:
    installation.ask(WARM)
    place = urlsplit(installation.url)
    return HTTPConnection(str(place.hostname), place.port, timeout=30)


def exchange(installation: Installation, *pieces: bytes) -> bytes:
    """Send *pieces* one after the other. Returns all bytes until the server closes the connection."""
    line = connection(installation)
    line.connect()
    line.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with line.sock as raw:
        for piece in pieces:
            raw.sendall(piece)
        response = b""
        while received := raw.recv(1 << 20):
            response += received
    return response


def request(path: str = WARM, *fields: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} /images/{path} HTTP/1.1", "Host: localhost", *fields, "", ""]).encode()


LAST = request(WARM, "Connection: close")


def test_hits_misses_and_errors_share_one_connection(installation: Installation, master: str) -> None:
    line = connection(installation)
    for target, status in [(WARM, 200), (master, 200), (WARM, 200), ("../x", 400), (WARM, 200), (master, 200)]:
        line.request("GET", f"/images/{target}")
        answer = line.getresponse()
        answer.read()
        assert answer.status == status
    line.request("DELETE", f"/images/{master}", headers={"Authorization": f"Bearer {TOKEN}"})
    assert line.getresponse().status == 204
    line.close()


def test_a_plain_hit_and_one_with_conditions_say_the_same(installation: Installation) -> None:
    plain, conditional = installation.ask(WARM), installation.ask(WARM, headers={"If-None-Match": '"another"'})
    ignored = {"Date", "Server", "Connection", "X-Request-ID"}
    assert {k: v for k, v in plain.headers.items() if k not in ignored} == {
        k: v for k, v in conditional.headers.items() if k not in ignored
    }
    assert plain.content == conditional.content


def test_a_request_may_come_in_pieces(installation: Installation) -> None:
    whole = exchange(installation, LAST)
    pieces = exchange(installation, *(LAST[at : at + 1] for at in range(len(LAST))))
    assert pieces.partition(b"\r\n\r\n")[2] == whole.partition(b"\r\n\r\n")[2] != b""


def test_requests_sent_at_once_are_answered_in_their_order(installation: Installation) -> None:
    response = exchange(installation, request(WARM, method="HEAD") + request("../x") + request() + LAST)
    assert re.findall(rb"HTTP/1\.1 (\d+) ", response) == [b"200", b"400", b"200", b"200"]


@pytest.mark.parametrize("field", ["Content-Length: 5", "Transfer-Encoding: chunked"])
def test_what_is_no_plain_request_is_never_taken_for_one(installation: Installation, field: str) -> None:
    body = b"5\r\nabcde\r\n0\r\n\r\n" if "chunked" in field else b"abcde"
    response = exchange(installation, request(WARM, field) + body + LAST)
    assert response.count(b"HTTP/1.1 200 OK") == 2
    assert b"HTTP/1.1 4" not in response


def test_a_malformed_chunked_body_is_the_senders_fault(installation: Installation) -> None:
    fields = f"Host: [::1]\r\nAuthorization: Bearer {TOKEN}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    for target in ("/jobs", "/webhooks/s3"):
        response = exchange(installation, f"POST {target} HTTP/1.1\r\n{fields}".encode() + b'["a.tif"]\r\n\r\n')
        assert response.startswith(b"HTTP/1.1 400 "), response
    assert "Traceback" not in installation.journal.read_text()
    assert installation.ask(WARM).status_code == 200


def test_a_client_that_reads_nothing_delays_no_other(installation: Installation) -> None:
    slow = connection(installation)
    slow.connect()
    slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.sock.sendall(request() * 50)
    for _ in range(20):
        assert installation.ask(WARM).status_code == 200
    slow.close()


def test_clients_that_say_nothing_take_no_thread(installation: Installation, master: str) -> None:
    """More of them than there are threads: one connection each is all they cost."""
    place = urlsplit(installation.url)
    idle = [socket.create_connection((str(place.hostname), place.port)) for _ in range(150)]
    for client in idle:
        client.sendall(b"GET /images/never HTTP/1.1\r\nHost: ")
    assert installation.ask(master).status_code == 200
    assert installation.ask(WARM).status_code == 200
    for client in idle:
        client.close()


def test_a_named_pipe_in_an_images_place_is_no_image(installation: Installation, master: str) -> None:
    place = open_store(installation.settings).path(Mezzanine.parse(master))
    place.parent.mkdir(parents=True)
    os.mkfifo(place)
    assert installation.ask(master).status_code == 200
    assert place.is_file()


NEVER_READ = [
    ("", "If-Modified-Since: Thu, 01 Jan 1998 00:00:00 GMT"),
    ("", "Range: bytes=0-"),
    ("?any=1", "Accept: */*"),
    ("", "Accept: */*"),
]


@pytest.fixture
def big(installation: Installation) -> tuple[str, bytes]:
    """An image that fits no socket's buffer."""
    name, content = f"{uuid4().hex}.tif", os.urandom(1 << 20) * 8
    place = open_store(installation.settings).path(Mezzanine.parse(name))
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    return name, content


def client(installation: Installation, *, buffer: int = 0) -> socket.socket:
    place, line = urlsplit(installation.url), socket.socket()
    if buffer:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    line.settimeout(30)
    line.connect((str(place.hostname), place.port))
    return line


def test_clients_that_take_nothing_take_no_thread(
    installation: Installation, master: str, big: tuple[str, bytes]
) -> None:
    with ExitStack() as clients:
        for number in range(200):
            line = clients.enter_context(client(installation, buffer=4096))
            query, field = NEVER_READ[number % len(NEVER_READ)]
            line.sendall(request(big[0] + query, field))
        assert installation.ask(master).status_code == 200
        assert installation.ask(WARM).status_code == 200


@pytest.mark.parametrize(("query", "field"), NEVER_READ)
def test_a_slow_client_gets_every_byte_and_may_ask_again(
    installation: Installation, big: tuple[str, bytes], query: str, field: str
) -> None:
    name, content = big
    with client(installation, buffer=4096) as line, line.makefile("rb") as response:
        for _ in range(2):
            line.sendall(request(name + query, field))
            head = b"".join(iter(response.readline, b"\r\n"))
            assert head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 206"))
            assert response.read(len(content)) == content


def test_a_slow_client_that_asks_once_gets_every_byte(installation: Installation, big: tuple[str, bytes]) -> None:
    name, content = big
    with client(installation, buffer=4096) as line, line.makefile("rb") as response:
        line.sendall(request(name, "Range: bytes=1000000-", "Connection: close"))
        assert response.read().partition(b"\r\n\r\n")[2] == content[1_000_000:]


def test_a_client_that_stays_connected_delays_no_other(installation: Installation) -> None:
    installation.ask(WARM)
    began = time.monotonic()
    with ExitStack() as clients:
        for _ in range(60):
            line = clients.enter_context(client(installation))
            line.sendall(request("../x", "Connection: close"))
            assert line.recv(12) == b"HTTP/1.1 400"
        assert installation.ask(WARM).status_code == 200
    assert time.monotonic() - began < 60, "a server that waits for them takes two minutes"


GET = b"GET /images/maps/valley.tif HTTP/1.1\r\n"
JOBS = b"GET /jobs HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    ("broken", "status"),
    [
        (GET + b"\r\n", 400),
        (GET + b"Accept: */*\r\n\r\n", 400),
        (GET + b"Host: localhost\r\nHost: b\r\n\r\n", 400),
        (GET + b"Host: localhost\r\n folded: b\r\n\r\n", 400),
        (GET + b"Host: localhost\r\nX y: b\r\n\r\n", 400),
        (GET + b"Host: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (GET + b"Host: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (GET + b"Host: localhost\r\nTransfer-Encoding: strange\r\n\r\n", 501),
        (b"GET /images/" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 414),
        (b"GET /images/" + b"a" * 20_000, 414),
        (JOBS + b"Connection: close\r\nX: " + b"a" * 9_000 + b"\r\n\r\n", 431),
        (GET + b"Host: localhost\r\nX: " + b"a" * 20_000, 431),
    ],
)
def test_what_cannot_be_read_is_refused_and_kept_by_no_cache(
    installation: Installation, broken: bytes, status: int
) -> None:
    """Nginx refuses it, or gunicorn what nginx passes on. One answer is sent, then the connection is closed."""
    answer = exchange(installation, broken)
    fields = answer.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert fields[0].startswith(f"HTTP/1.1 {status} ".encode())
    assert b"Cache-Control: no-store" in fields
    assert b"Connection: close" in fields
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("field", ["X_y: b", "X-Accel-Redirect: /.stored/x", "X-Sendfile: /etc/passwd"])
def test_header_fields_of_a_client_name_no_file(installation: Installation, field: str) -> None:
    image = exchange(installation, LAST).partition(b"\r\n\r\n")[2]
    assert exchange(installation, request(WARM, field, "Connection: close")).partition(b"\r\n\r\n")[2] == image


def test_a_big_image_leaves_the_others_their_turn(installation: Installation) -> None:
    """More of them than there are processes; who takes all of it as fast as it comes is not done first."""
    place = open_store(installation.settings).path(Mezzanine.parse("huge.tif"))
    place.parent.mkdir(parents=True)
    with place.open("wb") as file:
        file.truncate(1 << 30)
    with ThreadPoolExecutor(4) as fast, ExitStack() as lines:
        taking = []
        for _ in range(4):
            line = lines.enter_context(client(installation))
            line.sendall(request("huge.tif", "Connection: keep-alive"))
            taking.append(fast.submit(partial(take, line, 1 << 30)))
        for _ in range(20):
            assert installation.ask(WARM).status_code == 200
        assert not all(one.done() for one in taking)
        for one in taking:
            one.result()


def take(line: socket.socket, count: int) -> None:
    """Read *count* bytes, as fast as may be."""
    buffer = bytearray(1 << 20)
    while count > 0:
        received = line.recv_into(buffer)
        assert received
        count -= received


def test_half_a_head_has_ten_seconds_and_each_byte_no_more(dripping: Future[float]) -> None:
    assert 8 < dripping.result() < 20


@pytest.fixture(scope="module", autouse=True)
def dripping(installation: Installation) -> Iterator[Future[float]]:
    """Measure, while other tests run, how long the server reads from a client that sends half a head, byte by byte."""
    installation.ask(WARM)
    over = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        yield executor.submit(drip, installation, over)
        over.set()


def drip(installation: Installation, over: threading.Event) -> float:
    with client(installation) as line, client(installation) as kept, kept.makefile("rb") as response:
        kept.sendall(request(method="HEAD"))
        assert b"".join(iter(response.readline, b"\r\n")).startswith(b"HTTP/1.1 200")
        line.settimeout(1)
        began = time.monotonic()
        with suppress(ConnectionError):
            while byte_taken(line) and not over.is_set():
                pass
        took = time.monotonic() - began
        kept.sendall(request(method="HEAD"))
        assert response.readline().startswith(b"HTTP/1.1 200")
    return took


def byte_taken(line: socket.socket) -> bool:
    """Send one; whether the server still listens a second later."""
    line.sendall(b"G")
    try:
        return bool(line.recv(1))
    except TimeoutError:
        return True


def test_more_half_heads_than_connections_do_not_lock_clients_out(installation: Installation, master: str) -> None:
    if not may_open(4096):
        pytest.skip("2,100 connections take more open files than the system allows")
    assert any(answered_beside_half_heads(installation, master) for _ in range(4)), "a busy machine has four attempts"


def answered_beside_half_heads(installation: Installation, master: str) -> bool:
    """Returns True if requests are answered before the first of 2,100 half heads is given up."""
    with ExitStack() as clients:
        for _ in range(2100):
            clients.enter_context(client(installation)).sendall(b"G")
        began = time.monotonic()
        assert installation.ask(WARM).status_code == 200
        assert installation.ask(master).status_code == 200
        return time.monotonic() - began < 8
