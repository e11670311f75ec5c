"""Hits as they go over the wire: one process' loop answers them, gunicorn's threads all the rest, on one connection."""

from __future__ import annotations

import os
import re
import socket
from http.client import HTTPConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from mezcal.recipe import Mezzanine
from mezcal.store import open_store
from tests.integration.conftest import TOKEN

if TYPE_CHECKING:
    from tests.house import House

WARM = "maps/valley.tif"


def connection(house: House) -> HTTPConnection:
    house.ask(WARM)
    place = urlsplit(house.url)
    return HTTPConnection(str(place.hostname), place.port, timeout=30)


def exchange(house: House, *pieces: bytes) -> bytes:
    """What comes back for *pieces*, each sent when the one before must have arrived, until the server hangs up."""
    line = connection(house)
    line.connect()
    line.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with line.sock as raw:
        for piece in pieces:
            raw.sendall(piece)
        told = b""
        while received := raw.recv(1 << 20):
            told += received
    return told


def request(path: str = WARM, *fields: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} /images/{path} HTTP/1.1", "Host: localhost", *fields, "", ""]).encode()


LAST = request(WARM, "Connection: close")


def test_hits_misses_and_errors_share_one_connection(house: House, master: str) -> None:
    line = connection(house)
    for target, status in [(WARM, 200), (master, 200), (WARM, 200), ("../x", 400), (WARM, 200), (master, 200)]:
        line.request("GET", f"/images/{target}")
        answer = line.getresponse()
        answer.read()
        assert answer.status == status
    line.request("DELETE", f"/images/{master}", headers={"Authorization": f"Bearer {TOKEN}"})
    assert line.getresponse().status == 204
    line.close()


def test_a_plain_hit_and_one_with_conditions_say_the_same(house: House) -> None:
    plain, conditional = house.ask(WARM), house.ask(WARM, headers={"If-None-Match": '"another"'})
    ignored = {"Date", "Server", "Connection"}
    assert {k: v for k, v in plain.headers.items() if k not in ignored} == {
        k: v for k, v in conditional.headers.items() if k not in ignored
    }
    assert plain.content == conditional.content


def test_a_request_may_come_in_pieces(house: House) -> None:
    whole = exchange(house, LAST)
    pieces = exchange(house, *(LAST[at : at + 1] for at in range(len(LAST))))
    assert pieces.partition(b"\r\n\r\n")[2] == whole.partition(b"\r\n\r\n")[2] != b""


def test_requests_sent_at_once_are_answered_in_their_order(house: House) -> None:
    told = exchange(house, request(WARM, method="HEAD") + request("../x") + request() + LAST)
    assert re.findall(rb"HTTP/1\.1 (\d+) ", told) == [b"200", b"400", b"200", b"200"]


@pytest.mark.parametrize("field", ["Content-Length: 5", "Transfer-Encoding: chunked"])
def test_what_is_no_plain_request_is_never_taken_for_one(house: House, field: str) -> None:
    body = b"5\r\nabcde\r\n0\r\n\r\n" if "chunked" in field else b"abcde"
    told = exchange(house, request(WARM, field) + body + LAST)
    assert told.count(b"HTTP/1.1 200 OK") == 2
    assert b"HTTP/1.1 4" not in told


@pytest.mark.parametrize(
    "broken",
    [
        b"GET /images/maps/valley.tif HTTP/1.1\r\n\r\n",
        b"GET /images/maps/valley.tif HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /images/maps/valley.tif HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n",
        b"GET /images/maps/valley.tif HTTP/1.1\r\nHost: a\r\nX y: b\r\n\r\n",
        b"GET /images/" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_what_is_no_http_is_judged_by_gunicorn_alone(house: House, broken: bytes) -> None:
    told = exchange(house, broken + LAST)
    assert told.startswith((b"HTTP/1.1 4", b"HTTP/1.1 200"))
    assert b"Server: gunicorn" in told or b"Connection: close" in told


def test_a_client_that_takes_nothing_holds_up_nobody(house: House) -> None:
    slow = connection(house)
    slow.connect()
    slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.sock.sendall(request() * 50)
    for _ in range(20):
        assert house.ask(WARM).status_code == 200
    slow.close()


def test_clients_that_say_nothing_take_no_thread(house: House, master: str) -> None:
    """More of them than there are threads: one connection each is all they cost."""
    place = urlsplit(house.url)
    idle = [socket.create_connection((str(place.hostname), place.port)) for _ in range(150)]
    for client in idle:
        client.sendall(b"GET /images/never HTTP/1.1\r\nHost: ")
    assert house.ask(master).status_code == 200
    assert house.ask(WARM).status_code == 200
    for client in idle:
        client.close()


def test_a_named_pipe_in_an_images_place_is_no_image(house: House, master: str) -> None:
    place = open_store(house.settings).path(Mezzanine.parse(master))
    place.parent.mkdir(parents=True)
    os.mkfifo(place)
    assert house.ask(master).status_code == 200
    assert place.is_file()
