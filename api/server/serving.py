"""gunicorn's threaded worker with one thing before it: its event loop answers hits itself, and needs no thread.

Threads wait for misses; the loop neither waits nor computes. So whatever happens among the misses, a hit is one
`open`, one `sendfile`. gunicorn reads whatever is no plain hit from its first byte on, as if nobody had looked.
"""

from __future__ import annotations

import time
from contextlib import suppress
from email.utils import formatdate
from functools import lru_cache, partial
from selectors import EVENT_READ, EVENT_WRITE
from socket import SHUT_WR
from typing import TYPE_CHECKING, Any

from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker

from api.context import EXTENSION
from api.responses.images import ImageHeaders
from api.server.counters import Tally, refused
from api.server.hits import HEAD_MAX, Hits
from api.server.refusals import refusal, status_of
from api.server.wire import HEAD_SECONDS, PARTING_SECONDS, TAKING_SECONDS, Answer, Connection, Waiting, Wire
from mezcal.store import LocalStore

if TYPE_CHECKING:
    import socket
    from concurrent.futures import Future

    from api.context import ApiContext

END = b"\r\n\r\n"
UNWANTED_SECONDS = 0.5  # for which a thread reads what is left of a request's body


class HitsFirst(ThreadWorker):  # type: ignore[misc]
    """See the module. Without a local store, or with READ_TOKENS, all is for threads; with TLS it is gunicorn's."""

    hits: Hits | None = None
    tally: Tally

    def load_wsgi(self) -> None:
        """Load the application, and look up hits where it would."""
        super().load_wsgi()
        self.keepalived_conns = Waiting()
        desk: ApiContext | None = getattr(self.wsgi, "extensions", {}).get(EXTENSION)
        self.tally = Tally(desk.settings if desk else None)
        if desk is None:  # wrapped in something that wants to see every request
            return
        if isinstance(desk.store, LocalStore) and not desk.settings.read_tokens:
            self.hits = Hits(desk.store, ImageHeaders.of(desk.settings), desk.freshness)

    def run(self) -> None:
        """Serve until told to stop, and tell of the last hits."""
        try:
            super().run()
        finally:
            self.tally.end()

    def accept(self, listener: socket.socket) -> None:
        """Take a connection; it gets a thread when it has asked for what needs one."""
        if self.cfg.is_ssl:
            super().accept(listener)
            return
        try:
            accepted, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        client = Wire(accepted.family, accepted.type, accepted.proto, accepted.detach())
        self.nr_conns += 1
        conn = Connection(self.cfg, client, address, listener.getsockname())
        self._wait(conn, HEAD_SECONDS)
        self.poller.register(client, EVENT_READ, partial(self.on_client_socket_readable, conn))
        self.on_client_socket_readable(conn, client)  # most send their request with the connection

    def on_client_socket_readable(self, conn: Any, client: socket.socket) -> None:
        """Answer what the client has sent if it is a hit, else give it to a thread."""
        if not isinstance(conn, Connection):
            super().on_client_socket_readable(conn, client)
            return
        piece = _received(client)
        if piece is None:
            return
        if not piece:
            self._drop(conn)
            return
        conn.read = conn.read + piece if conn.read else piece.lstrip(b"\r\n")  # RFC 9112, 2.2: empty lines
        if END not in conn.read:
            self._unfinished(conn)
            return
        found = self.hits.find(conn.read) if self.hits and self.alive else None
        if found is None:
            conn.data_ready = True
            super().on_client_socket_readable(conn, client)
            return
        fields, opened = found
        request_id = self.tally.hit(conn.read, fields, opened)
        conn.read = b""
        head = b"%s%sX-Request-ID: %s\r\n\r\n" % (_begun(int(time.time())), fields, request_id)
        conn.answer = Answer.of_hit(head, opened)
        self._advance(conn, client)

    def _unfinished(self, conn: Connection) -> None:
        """A head that comes in pieces takes no thread before it is whole, and neither long nor much to be so."""
        if len(conn.read) >= HEAD_MAX:
            status = 431 if b"\r\n" in conn.read else 414
            refused(status)
            conn.answer = Answer(refusal(status))
            conn.then = partial(self._part, conn)
            self._advance(conn, conn.sock)
        elif conn.patience != HEAD_SECONDS:
            self._wait(conn, HEAD_SECONDS)

    def handle(self, conn: Any) -> Any:
        """Let gunicorn serve a request, in a thread; what was read of it goes before what is read next."""
        if isinstance(conn, Connection) and conn.read:
            conn.init()
            conn.parser.unreader.unread(conn.read)
            conn.read = b""
        return super().handle(conn)

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Have the application answer, unless HTTP/1.1's one Host is missing (RFC 9112, 3.2)."""
        if req.version >= (1, 1) and sum(name == "HOST" for name, _ in req.headers) != 1:
            refused(400)
            conn.sock.sendall(refusal(400))
            return False
        return super().handle_request(req, conn)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        """Refuse what gunicorn cannot read, as the application would: gunicorn's own pages may be kept by caches."""
        status = status_of(exc)
        refused(status)
        if status == 500:
            self.log.error("a request failed outside of the application: %s", getattr(req, "uri", "-"), exc_info=exc)
        else:
            self.log.warning("refused a request from %s: %s", addr[0] if addr else "a socket", exc)
        with suppress(OSError):
            client.sendall(refusal(status))

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        """Send what the thread has left to send; then wait for the next request, or part."""
        if not isinstance(conn, Connection):
            super().finish_request(conn, fs)
            return
        stays = not fs.cancelled() and fs.exception() is None and fs.result()
        conn.patience = self.cfg.keepalive
        then = partial(super().finish_request, conn, fs) if stays else partial(self._part, conn)
        if conn.sock.left is None or conn.sock.fileno() < 0:
            then()
            return
        conn.answer, conn.sock.left, conn.then = conn.sock.left, None, then
        conn.sock.setblocking(False)
        conn.sending = True
        self._wait(conn, TAKING_SECONDS)
        self.poller.register(conn.sock, EVENT_WRITE, partial(self._advance, conn))

    def _keepalive_after(self, conn: Any, keepalive: Any) -> bool:
        """Whether the connection can go on: not if a body that nobody wanted is still to come."""
        return bool(keepalive and conn.parser.finish_body(deadline=time.monotonic() + UNWANTED_SECONDS))

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """One turn; there is always room for one more connection, while any waits for its client."""
        super().wait_for_and_dispatch_events(timeout)
        self.tally.hand_on_if_due()
        while self.alive and self.nr_conns >= self.worker_connections:
            idle = self.keepalived_conns.expendable()
            if idle is None:
                break
            self._drop(idle)

    def _advance(self, conn: Connection, client: socket.socket) -> None:
        """Send on; when nothing is left, do what is next."""
        assert conn.answer is not None
        try:
            done = conn.answer.send(client)
        except OSError:  # the client has left
            self._drop(conn)
            return
        if done:
            conn.answer.close()
            conn.answer = None
        if done and conn.then is not None:
            self._next(conn)
            return
        self._wait(conn, self.cfg.keepalive if done else TAKING_SECONDS)
        if done == conn.sending:  # what is to be waited for has changed
            conn.sending = not done
            event, then = (EVENT_READ, self.on_client_socket_readable) if done else (EVENT_WRITE, self._advance)
            self.poller.modify(client, event, partial(then, conn))

    def _next(self, conn: Connection) -> None:
        self.poller.unregister(conn.sock)
        self.keepalived_conns.remove(conn)
        conn.sending = False
        conn.patience = self.cfg.keepalive
        then, conn.then = conn.then, None
        then()

    def _part(self, conn: Connection) -> None:
        """Close, our side first: what the client still sends shall not cost it the answer (RFC 9112, 9.6).

        gunicorn waits for that, here in the loop.
        """
        try:
            conn.sock.shutdown(SHUT_WR)
        except OSError:
            self.nr_conns -= 1
            conn.close()
            return
        conn.sock.setblocking(False)
        self._wait(conn, PARTING_SECONDS)
        self.poller.register(conn.sock, EVENT_READ, partial(self._listen_on, conn))

    def _listen_on(self, conn: Connection, client: socket.socket) -> None:
        if _received(client) == b"":
            self._drop(conn)

    def _wait(self, conn: Connection, patience: float) -> None:
        """Give *conn* so many seconds from now."""
        conn.patience = patience
        conn.set_timeout()
        if not self.alive:
            conn.timeout = min(conn.timeout, time.monotonic() + STOP_KEEPALIVE_LINGER)
        self.keepalived_conns.append(conn)

    def _drop(self, conn: Connection) -> None:
        self.poller.unregister(conn.sock)
        self.keepalived_conns.remove(conn)
        self.nr_conns -= 1
        conn.close()


def _received(client: socket.socket) -> bytes | None:
    """What has come; nothing if the client has left, None if there is nothing yet."""
    try:
        return client.recv(HEAD_MAX)
    except BlockingIOError:
        return None
    except OSError:
        return b""


@lru_cache(1)
def _begun(second: int) -> bytes:
    return f"HTTP/1.1 200 OK\r\nDate: {formatdate(second, usegmt=True)}\r\nConnection: keep-alive\r\n".encode()
