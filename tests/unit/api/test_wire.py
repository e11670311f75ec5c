"""A body on its way to a thread: it may be slow, but not for ever."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from api.server import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONG = 0.4  # seconds, in place of BODY_SECONDS


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[wire.Wire, socket.socket]]:
    """Our end, as a thread reads from it, and the client's."""
    monkeypatch.setattr(wire, "BODY_SECONDS", LONG)
    ours, theirs = socket.socketpair()
    with wire.Wire(ours.family, ours.type, ours.proto, ours.detach()) as end, theirs:
        end.setblocking(True)
        yield end, theirs


@pytest.fixture
def client() -> Iterator[Callable[[Callable[[threading.Event], None]], None]]:
    """Does something beside the test, until it is over."""
    over = threading.Event()
    threads: list[threading.Thread] = []

    def begin(work: Callable[[threading.Event], None]) -> None:
        threads.append(threading.Thread(target=work, args=(over,)))
        threads[-1].start()

    yield begin
    over.set()
    for thread in threads:
        thread.join()


def test_who_drips_is_left(ends: tuple[wire.Wire, socket.socket], client: Callable[..., None]) -> None:
    end, theirs = ends

    def drip(over: threading.Event) -> None:
        while not over.wait(LONG / 20):
            theirs.send(b"x")

    client(drip)
    began = time.monotonic()
    with pytest.raises(ConnectionResetError):
        list(iter(lambda: end.recv(8192), b""))
    assert LONG * 0.9 <= time.monotonic() - began < 10 * LONG


def test_who_is_silent_is_left(ends: tuple[wire.Wire, socket.socket]) -> None:
    with pytest.raises(ConnectionResetError):
        ends[0].recv(1)


def test_a_long_body_that_keeps_coming_is_read_to_its_end(
    ends: tuple[wire.Wire, socket.socket], client: Callable[..., None]
) -> None:
    end, theirs = ends
    piece, count = b"x" * wire.BODY_RATE, 20

    def send(over: threading.Event) -> None:
        for _ in range(count):
            over.wait(LONG / 10)
            theirs.sendall(piece)
        theirs.shutdown(socket.SHUT_WR)

    client(send)
    assert sum(map(len, iter(lambda: end.recv(8192), b""))) == count * len(piece)


def test_a_shorter_patience_is_kept_to_and_the_next_request_has_its_own(ends: tuple[wire.Wire, socket.socket]) -> None:
    end, theirs = ends
    end.settimeout(LONG / 8)
    began = time.monotonic()
    with pytest.raises(ConnectionResetError):
        end.recv(1)
    assert time.monotonic() - began < LONG
    assert end.gettimeout() == LONG / 8
    end.setblocking(True)
    theirs.send(b"y")
    assert end.recv(1) == b"y"


def test_the_loop_does_not_wait_at_all(ends: tuple[wire.Wire, socket.socket]) -> None:
    end, _ = ends
    end.setblocking(False)
    with pytest.raises(BlockingIOError):
        end.recv(1)
