"""gunicorn's worker of threads, which goes on when no file can be opened or no thread can be started.

Each connection and each file takes a descriptor, each request a thread. gunicorn's own worker ends when it gets none,
in the middle of all its answers.
"""

from __future__ import annotations

import os
import select
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from api.server.protocol_errors import write_problem
from mezcal.errors import SHORTAGES

REQUEST_SECONDS = 0.05  # for the request of a client that is refused: without it, the answer might not arrive
PAUSE_SECONDS = 0.05
DETAIL = "mezcal cannot open more files now, as LimitNOFILE or ulimit -n allows: try again in a moment"


class ThreadPool(ThreadPoolExecutor):
    """Threads of which there are fewer while the system allows no more: a request waits for one of them then.

    The first is started at once, so that there is always one.
    """

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.submit(int)

    def _adjust_thread_count(self) -> None:
        try:
            super()._adjust_thread_count()
        except RuntimeError:  # "can't start new thread"; the request is in the queue of the threads already
            if not self._threads:
                raise


class ApiWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Accepts connections while files may be opened, and answers 503 to those that come when none may."""

    def init_process(self) -> None:
        """Open the spare file, which is closed for as long as it takes to refuse a client."""
        self._spare: int | None = None
        self._take_spare()
        super().init_process()

    def get_thread_pool(self) -> ThreadPool:
        """Returns the threads that answer requests."""
        return ThreadPool(self.cfg.threads)

    def set_accept_enabled(self, enabled: bool) -> None:
        """Accept connections, also if there are as many as may be, for as long as one of them is idle."""
        super().set_accept_enabled(enabled or (self.alive and self._idle() is not None))

    def finish_request(self, conn: Any, fs: Any) -> None:
        """Finish a request. If its connection is idle now, it may make room for a client that waits."""
        super().finish_request(conn, fs)
        if not self._accepting:
            self.set_accept_enabled(False)

    def accept(self, listener: Any) -> None:
        """Accept a connection. If there is no room or descriptor for it, an idle one is closed, or it is refused."""
        idle = self._idle()
        if self.nr_conns >= self.worker_connections:
            _expire(idle)
            return
        try:
            super().accept(listener)
        except OSError as error:
            if error.errno not in SHORTAGES:
                raise
            if idle is not None:
                _expire(idle)
            else:
                self._refuse(listener)

    def _idle(self) -> TConn | None:
        """Returns the connection that has been idle for the longest time: after a response, or without a request."""
        return next((idle[0] for idle in (self.keepalived_conns, self.pending_conns) if idle), None)

    def _refuse(self, listener: socket.socket) -> None:
        self._take_spare()
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None
        with suppress(OSError):  # another thread was faster
            client, _ = listener.accept()
            with client, suppress(OSError):
                refuse(client)
        self._take_spare()
        if self._spare is None:
            time.sleep(PAUSE_SECONDS)  # the client still waits: without a pause this would be called in a loop

    def _take_spare(self) -> None:
        if self._spare is None:
            with suppress(OSError):
                self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


def _expire(connection: TConn | None) -> None:
    """Have gunicorn close *connection* at the end of this round of events, unless its next request is among them.

    The client that waits is accepted in the next round.
    """
    if connection is not None:
        connection.timeout = 0


def refuse(client: socket.socket) -> None:
    """Answer 503 to the first request of *client*."""
    client.settimeout(REQUEST_SECONDS)
    with suppress(TimeoutError):
        client.recv(65_536)
    write_problem(client, 503, "Service Unavailable", DETAIL, "Retry-After: 1")
    client.shutdown(socket.SHUT_WR)


def use_poll() -> None:
    """Replace gunicorn's wait for the first byte of a connection, which needs a descriptor."""
    TConn.wait_for_data = _wait_for_data


def _wait_for_data(connection: TConn, timeout: float) -> bool:
    """Returns False if no data has come in *timeout* seconds."""
    if not connection.data_ready:
        poll = select.poll()
        poll.register(connection.sock, select.POLLIN)
        connection.data_ready = bool(poll.poll(timeout * 1000))
    return bool(connection.data_ready)
