"""A real HTTP server that stands for a cache downstream, with scripted answers."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class Told:
    """One request as it arrived; names of headers are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class HookServer:
    """*told* are the requests. *statuses* are given out first, then *status* with the body *answer*.

    *before* is called with each request before it is answered.
    """

    host: str = ""
    status: int = 204
    answer: bytes = b""
    statuses: list[int] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    before: Callable[[Told], None] = lambda _: None

    def targets(self, method: str) -> list[str]:
        """Returns the targets of the requests with *method*."""
        return [each.target for each in list(self.told) if each.method == method]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hook: HookServer

    def _take(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        told = Told(self.command, self.path, headers, body)
        self.hook.before(told)
        self.hook.told.append(told)
        status = self.hook.statuses.pop(0) if self.hook.statuses else self.hook.status
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(self.hook.answer)))
        self.end_headers()
        if status != 204:
            self.wfile.write(self.hook.answer)

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Returns the same for every method."""
        if not name.startswith("do_"):
            raise AttributeError(name)
        return self._take

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True


@contextmanager
def hook_server(port: int = 0) -> Iterator[HookServer]:
    """Run a hook on loopback."""
    hook = HookServer()
    server = _Server(("127.0.0.1", port), type("Handler", (_Handler,), {"hook": hook}))
    hook.host = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
