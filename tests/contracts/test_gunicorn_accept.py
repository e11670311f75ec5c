"""gunicorn's worker of threads calls `accept` and `wait_for_data`, and raises what `accept` of the socket raises."""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.workers.gthread import TConn, ThreadWorker

from api.server import thread_worker
from api.server.thread_worker import ApiWorker


class FullListener:
    """A listener whose process may open no more files."""

    def __init__(self) -> None:
        self.calls = 0

    def accept(self) -> Any:
        self.calls += 1
        raise OSError(errno.EMFILE, "Too many open files")


def worker() -> ApiWorker:
    """Returns a worker that has not started."""
    made = object.__new__(ApiWorker)
    made.keepalived_conns, made.pending_conns, made.poller = deque(), deque(), SimpleNamespace()
    made.nr_conns, made.worker_connections, made._spare = 0, 10, None
    return made


def test_gunicorn_raises_when_no_file_can_be_opened() -> None:
    with pytest.raises(OSError, match="Too many open files"):
        ThreadWorker.accept(worker(), FullListener())


def test_the_longest_idle_connection_is_closed_first() -> None:
    made, (ours, clients) = worker(), socket.socketpair()
    made.poller.unregister = lambda _: None
    connection = TConn(SimpleNamespace(keepalive=75, is_ssl=False), ours, ("", 0), ("", 0))
    connection.set_timeout()
    made.keepalived_conns.append(connection)
    made.nr_conns = 1
    listener = FullListener()
    made.accept(listener)
    assert (made.nr_conns, len(made.keepalived_conns), listener.calls) == (0, 0, 1)
    assert clients.recv(1) == b""
    clients.close()


def test_a_client_that_cannot_be_accepted_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_worker, "PAUSE_SECONDS", 0)
    made, listener = worker(), FullListener()
    made.accept(listener)
    assert listener.calls == 2
    assert made._spare is not None
    os.close(made._spare)
    ours, client = socket.socketpair()
    client.sendall(b"GET / HTTP/1.1\r\n\r\n")
    thread_worker.refuse(ours)
    answer = client.recv(4096)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 1\r\n" in answer
    ours.close()
    client.close()


def test_a_connection_waits_for_its_first_byte_by_a_method_that_can_be_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(TConn, "wait_for_data", TConn.wait_for_data)  # for the next tests
    thread_worker.use_poll()
    ours, client = socket.socketpair()
    connection = TConn(SimpleNamespace(is_ssl=False), ours, ("", 0), ("", 0))
    assert not connection.wait_for_data(0.01)
    client.sendall(b"G")
    assert connection.wait_for_data(5)
    ours.close()
    client.close()
