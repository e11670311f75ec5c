"""A real HTTP server that receives notices, and checks their signatures as producers' events are checked."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from api.security.webhook_signatures import verify

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class NoticeReceiver:
    """*received* are the accepted notices, *ids* those of all requests. *statuses* are given out first, then 204."""

    def __init__(self) -> None:
        self.url = ""
        self.statuses: list[int] = []
        self.ids: list[str] = []
        self.received: list[dict[str, Any]] = []

    def answer(self, headers: dict[str, str], body: bytes) -> int:
        """Check the signature, and return the status of the answer."""
        verify(headers, body, [SecretStr(SECRET)], time.time())
        self.ids.append(headers["webhook-id"])
        status = self.statuses.pop(0) if self.statuses else 204
        if status == 204:
            self.received.append(json.loads(body)["data"])
        return status

    @property
    def states(self) -> list[tuple[str, str]]:
        """The names and states of the accepted notices."""
        return [(notice["name"], notice["state"]) for notice in self.received]


@contextmanager
def notice_receiver() -> Iterator[NoticeReceiver]:
    """Run a receiver on loopback."""
    receiver = NoticeReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = receiver.answer({name.lower(): value for name, value in self.headers.items()}, body)
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}/hook/a-secret-path"
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
