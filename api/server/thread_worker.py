"""gunicorn's worker of threads, which goes on when no file can be opened: each connection and each file takes one.

gunicorn's own ends then, in the middle of all its answers.
"""

from __future__ import annotations

import os
import select
import socket
import time
from contextlib import suppress
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from api.server.protocol_errors import write_problem
from mezcal.errors import SHORTAGES

REQUEST_SECONDS = 0.05  # for the request of a client that is refused: without it, the answer might not arrive
PAUSE_SECONDS = 0.05
DETAIL = "mezcal cannot open more files now, as LimitNOFILE or ulimit -n allows: try again in a moment"


class ApiWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Accepts connections while files may be opened, and answers 503 to those that come when none may."""

    def init_process(self) -> None:
        """Open the spare file, which is closed for as long as it takes to refuse a client."""
        self._spare: int | None = None
        self._take_spare()
        super().init_process()

    def accept(self, listener: Any) -> None:
        """Accept a connection. If there is no descriptor for it, an idle one is closed, or it is refused."""
        try:
            super().accept(listener)
        except OSError as error:
            if error.errno not in SHORTAGES:
                raise
            if self._has_idle():
                self._close_idle()  # the next round accepts the client
            else:
                self._refuse(listener)

    def _has_idle(self) -> bool:
        return bool(self.keepalived_conns or self.pending_conns)

    def _close_idle(self) -> None:
        """Close the connection that has been idle for the longest time: after a response, or without a request."""
        if self.keepalived_conns:
            self.keepalived_conns[0].timeout = 0
            self.murder_keepalived()
        elif self.pending_conns:
            self.pending_conns[0].timeout = 0
            self.murder_pending()

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
