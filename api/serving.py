"""gunicorn's threaded worker with one thing before it: its event loop answers hits itself, and needs no thread.

Threads wait for misses; the loop neither waits nor computes. So whatever happens among the misses, a hit is one
`open`, one `sendfile`. gunicorn reads whatever is no plain hit from its first byte on, as if nobody had looked.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from contextlib import suppress
from email.utils import formatdate
from functools import lru_cache, partial
from selectors import EVENT_READ, EVENT_WRITE
from typing import TYPE_CHECKING, Any

from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from api.context import EXTENSION
from api.hits import HEAD_MAX, Hits
from api.sending import Manner
from mezcal.store import LocalStore

if TYPE_CHECKING:
    import socket

    from api.context import Desk
    from mezcal.store import Opened

END = b"\r\n\r\n"


class Connection(TConn):  # type: ignore[misc]  # gunicorn ships no types
    """A client's connection: what was read of its next request, and what it still gets of its last answer."""

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any) -> None:
        super().__init__(cfg, sock, client, server)
        self.read = b""
        self.answer: Answer | None = None
        self.sending = False

    def close(self, graceful: bool = False) -> None:
        """Close the socket, and the file of an answer that nobody takes any more."""
        if self.answer is not None:
            self.answer.close()
        super().close(graceful)


class Answer:
    """A hit on its way to a client."""

    __slots__ = ("_at", "_head", "_opened", "_size")

    def __init__(self, head: bytes, opened: Opened | None) -> None:
        self._head = head
        self._opened = opened
        self._at = 0
        self._size = opened.stored.size if opened else 0

    def send(self, client: socket.socket) -> bool:
        """Send as much as *client* takes now; whether that was all."""
        with suppress(BlockingIOError):
            if self._head:
                self._head = self._head[client.send(self._head) :]
            while self._opened and self._at < self._size and not self._head:
                sent = os.sendfile(client.fileno(), self._opened.file.fileno(), self._at, self._size - self._at)
                if not sent:
                    raise ConnectionError("the file was cut while it was sent")
                self._at += sent
        return not self._head and self._at == self._size

    def close(self) -> None:
        """Let go of the file."""
        if self._opened:
            self._opened.file.close()


class Line:
    """Connections by when they time out, the first one first; leaving from the middle costs nothing."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[Connection, None] = OrderedDict()

    def append(self, conn: Connection) -> None:
        """Add *conn* at the end, or move it there."""
        self._waiting[conn] = None
        self._waiting.move_to_end(conn)

    def remove(self, conn: Connection) -> None:
        """Take *conn* out."""
        del self._waiting[conn]

    def popleft(self) -> Connection:
        """Take the first one out."""
        return self._waiting.popitem(last=False)[0]

    def __getitem__(self, _first: int) -> Connection:
        return next(iter(self._waiting))

    def __iter__(self) -> Any:
        return iter(self._waiting)

    def __len__(self) -> int:
        return len(self._waiting)


class HitsFirst(ThreadWorker):  # type: ignore[misc]
    """See the module. Without a local store, with READ_TOKENS or TLS, it is gunicorn's worker as it stands."""

    hits: Hits | None = None

    def load_wsgi(self) -> None:
        """Load the application, and look up hits where it would."""
        super().load_wsgi()
        self.keepalived_conns = Line()
        desk: Desk | None = getattr(self.wsgi, "extensions", {}).get(EXTENSION)
        if desk is None:  # wrapped in something that wants to see every request
            return
        if isinstance(desk.store, LocalStore) and not desk.settings.read_tokens and not self.cfg.is_ssl:
            self.hits = Hits(desk.store, Manner.of(desk.settings), desk.freshness)

    def accept(self, listener: socket.socket) -> None:
        """Take a connection; it gets a thread when it has asked for what needs one."""
        if self.hits is None:
            super().accept(listener)
            return
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        self.nr_conns += 1
        conn = Connection(self.cfg, client, address, listener.getsockname())
        self._keep(conn)
        self.poller.register(client, EVENT_READ, partial(self.on_client_socket_readable, conn))
        self.on_client_socket_readable(conn, client)  # most send their request with the connection

    def on_client_socket_readable(self, conn: Any, client: socket.socket) -> None:
        """Answer what the client has sent if it is a hit, else give it to a thread."""
        if self.hits is None:
            super().on_client_socket_readable(conn, client)
            return
        try:
            piece = client.recv(HEAD_MAX)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self._drop(conn)
            return
        conn.read = conn.read + piece if conn.read else piece
        if END not in conn.read and len(conn.read) < HEAD_MAX:
            return  # a head that comes in pieces takes no thread before it is whole
        found = self.hits.find(conn.read) if self.alive else None
        if found is None:
            conn.data_ready = True
            super().on_client_socket_readable(conn, client)
            return
        conn.read = b""
        fields, opened = found
        conn.answer = Answer(_begun(int(time.time())) + fields + b"\r\n", opened)
        self._advance(conn, client)

    def handle(self, conn: Any) -> Any:
        """Let gunicorn serve a request, in a thread; what was read of it goes before what is read next."""
        if isinstance(conn, Connection) and conn.read:
            conn.init()
            conn.parser.unreader.unread(conn.read)
            conn.read = b""
        return super().handle(conn)

    def _advance(self, conn: Connection, client: socket.socket) -> None:
        """Send on; when nothing is left, wait for the next request."""
        assert conn.answer is not None
        try:
            done = conn.answer.send(client)
        except OSError:  # the client has left
            self._drop(conn)
            return
        self._keep(conn)
        if done:
            conn.answer.close()
            conn.answer = None
        if done == conn.sending:  # what is to be waited for has changed
            conn.sending = not done
            event, then = (EVENT_READ, self.on_client_socket_readable) if done else (EVENT_WRITE, self._advance)
            self.poller.modify(client, event, partial(then, conn))

    def _keep(self, conn: Connection) -> None:
        """Give *conn* some time from now to send or take something, as gunicorn does."""
        conn.set_timeout()
        if not self.alive:
            conn.timeout = min(conn.timeout, time.monotonic() + STOP_KEEPALIVE_LINGER)
        self.keepalived_conns.append(conn)

    def _drop(self, conn: Connection) -> None:
        self.poller.unregister(conn.sock)
        self.keepalived_conns.remove(conn)
        self.nr_conns -= 1
        conn.close()


@lru_cache(1)
def _begun(second: int) -> bytes:
    return f"HTTP/1.1 200 OK\r\nDate: {formatdate(second, usegmt=True)}\r\nConnection: keep-alive\r\n".encode()
