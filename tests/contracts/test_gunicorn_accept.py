"""gunicorn's worker of threads calls `accept` and `wait_for_data`, and raises what `accept` of the socket raises."""

from __future__ import annotations

import errno
import io
import os
import socket
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from gunicorn.workers.gthread import TConn, ThreadWorker

from api.server import thread_worker
from api.server.thread_worker import ApiWorker, ThreadPool
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator


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


@pytest.fixture
def idle() -> Iterator[tuple[TConn, socket.socket]]:
    """A connection that waits for its next request, and the client's side of it."""
    ours, client = socket.socketpair()
    connection = TConn(SimpleNamespace(keepalive=75, is_ssl=False), ours, ("", 0), ("", 0))
    connection.set_timeout()
    yield connection, client
    ours.close()
    client.close()


@pytest.mark.parametrize(("connections", "calls"), [(10, 1), (1, 0)], ids=["no descriptor", "as many as may be"])
def test_the_longest_idle_connection_is_closed_at_the_end_of_the_round(
    idle: tuple[TConn, socket.socket], connections: int, calls: int
) -> None:
    made, listener, (connection, client) = worker(), FullListener(), idle
    made.poller.unregister = lambda _: None
    made.keepalived_conns.append(connection)
    made.nr_conns, made.worker_connections = 1, connections
    made.accept(listener)
    assert (made.nr_conns, listener.calls) == (1, calls), "its next request may be among the events of this round"
    made.murder_keepalived()
    assert (made.nr_conns, len(made.keepalived_conns)) == (0, 0)
    assert client.recv(1) == b""


def test_a_worker_accepts_while_a_connection_is_idle(idle: tuple[TConn, socket.socket]) -> None:
    made, (connection, _) = worker(), idle
    made.alive, made.sockets, made._accepting = True, [], True
    made.set_accept_enabled(False)
    assert not made._accepting
    made.poller.register = lambda *_: None
    connection.parser = SimpleNamespace(unreader=SimpleNamespace(buf=io.BytesIO()))
    finished: Future[bool] = Future()
    finished.set_result(True)
    made.finish_request(connection, finished)
    assert (made._accepting, list(made.keepalived_conns)) == (True, [connection])
    made.set_accept_enabled(False)
    assert made._accepting
    made.alive = False
    made.set_accept_enabled(False)
    assert not made._accepting


def test_a_request_waits_for_a_thread_if_no_other_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with ThreadPoolExecutor(4) as plain, ThreadPool(4) as ours:
        until(lambda: ours._idle_semaphore._value == 1, what="the first thread")
        monkeypatch.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError):
            plain.submit(int)
        assert [task.result(5) for task in [ours.submit(int) for _ in range(20)]] == [0] * 20
        with pytest.raises(RuntimeError):
            ThreadPool(4)
        monkeypatch.undo()


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
