"""A request's body may be slow, but not for ever: it holds a thread."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from werkzeug.serving import make_server

from api import create_app
from api.security import body_limits
from mezcal.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMIT = 0.5  # seconds, in place of BODY_SECONDS
HEAD = "POST /webhooks/standard HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer t\r\n"


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """Where the application answers, with a time limit of `LIMIT`."""
    monkeypatch.setattr(body_limits, "BODY_SECONDS", LIMIT)
    given = {"repo_base_url": "http://repository.example/", "redis_url": "redis://127.0.0.1:1", "webhook_tokens": "t"}
    app = create_app(load(_env_file=None, storage_dir=tmp_path, **given))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield "127.0.0.1", server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def dripping(client: socket.socket, piece: bytes) -> Iterator[None]:
    """Send *piece* again and again, much oftener than the limit, until the block ends."""
    over = threading.Event()

    def drip() -> None:
        while not over.wait(LIMIT / 20):
            client.sendall(piece)

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize(
    ("field", "piece"), [("Content-Length: 100000", b"x"), ("Transfer-Encoding: chunked", b"1\r\nx\r\n")]
)
def test_a_body_that_drips_is_refused_when_its_time_is_over(address: tuple[str, int], field: str, piece: bytes) -> None:
    began = time.monotonic()
    with socket.create_connection(address, timeout=20) as client:
        client.sendall(f"{HEAD}{field}\r\n\r\n".encode())
        with dripping(client, piece):
            answer = client.recv(4096)
    assert answer.split(b" ")[1] == b"408", answer
    assert b"no-store" in answer
    assert LIMIT * 0.9 <= time.monotonic() - began < 20 * LIMIT


def test_a_client_that_is_silent_in_its_body_is_refused_too(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=20) as client:
        client.sendall(f"{HEAD}Content-Length: 10\r\n\r\nhalf".encode())
        assert client.recv(4096).split(b" ")[1] == b"408"


def test_a_body_that_breaks_off_in_time_is_the_senders_fault(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=20) as client:
        client.sendall(f"{HEAD}Content-Length: 10\r\n\r\nhalf".encode())
        client.shutdown(socket.SHUT_WR)
        assert client.recv(4096).split(b" ")[1] == b"400"


def test_a_complete_body_is_read_at_any_time_limit(address: tuple[str, int]) -> None:
    """The body has no event, so it is refused for its content, not for its time."""
    with socket.create_connection(address, timeout=20) as client:
        client.sendall(f"{HEAD}Content-Length: 2\r\nContent-Type: application/json\r\n\r\n{{}}".encode())
        assert client.recv(4096).split(b" ")[1] not in {b"408", b"500"}
