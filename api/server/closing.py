"""Ends connections that cannot be used again, in the thread of their request.

gunicorn waits in its main thread until the client closes such a connection, for up to 2 seconds each, and accepts no
other connection meanwhile. It receives a body that nobody reads for 5 seconds or longer.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

LINGER_SECONDS = 0.5  # for the rest of a body, and for the client to close
# Bytes that are received in that time. nginx has the whole body, and sends megabytes in milliseconds. If the connection
# is closed meanwhile, nginx may answer 502 instead of what the API says.
MOST = 16 << 20
PIECE = 1 << 16


def end_request(environ: WSGIEnvironment, must_close: bool) -> None:
    """Receive the rest of a request after its response. End the connection if it is long, or with *must_close*."""
    body: Any = environ["wsgi.input"]
    connection: socket.socket = environ["gunicorn.socket"]
    has_body = bool(environ.get("CONTENT_LENGTH")) or "HTTP_TRANSFER_ENCODING" in environ
    if has_body and not body.failed:
        _receive_rest(body, connection)
    if must_close or body.failed:
        with suppress(OSError):
            _linger(connection)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RD)  # gunicorn has nothing to wait for


def _receive_rest(body: Any, connection: socket.socket) -> None:
    """Receive the rest of *body*. It is marked as failed if that is long or late: gunicorn closes the connection then.

    A time-out of the socket would begin again with each byte.
    """

    def give_up() -> None:
        body.failed = True
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RD)

    timer = threading.Timer(LINGER_SECONDS, give_up)
    timer.daemon = True
    timer.start()
    received = 0
    with suppress(Exception):  # it broke off or is malformed: then it is marked already
        while received < MOST and (piece := body.read(PIECE)):
            received += len(piece)
    timer.cancel()
    body.failed |= received >= MOST


def _linger(connection: socket.socket) -> None:
    """Wait until the client closes *connection*, but not for long."""
    connection.shutdown(socket.SHUT_WR)
    deadline, received = time.monotonic() + LINGER_SECONDS, 0
    while received < MOST and (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        piece = connection.recv(PIECE)
        if not piece:
            break
        received += len(piece)
