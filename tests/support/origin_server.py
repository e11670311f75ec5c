"""A real HTTP origin that serves a folder, with scripted faults for single paths.

    with OriginServer(folder) as origin:
        origin.script("a.tif", fails=2)           # 503 twice, then the file
        ... OriginRepository(load(repo_base_url=origin.url)) ...
        assert origin.count("a.tif") == 3

A path without a script is served as by a good repository: length, type, strong ETag, Last-Modified, single ranges,
304. `Script` lists the faults. `hold_at` stops a body at an exact byte until the test sets `go`, so that no test needs
to sleep.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote

from tests.support.origin_responses import Listener

if TYPE_CHECKING:
    from pathlib import Path

BASE = "/rest/"


@dataclass
class Script:
    """How requests for one path are answered: the first *fails* of them with *status*, the others in full."""

    status: int = 503  # of a failing request
    fails: int = 0  # how many requests get it; -1 is all
    retry_after: str | None = None  # of those responses
    silent: int = 0  # how many requests, before all others, get no response: the connection is reset
    delay: float = 0  # seconds before the response
    rate: float = 0  # bytes per second of the body; 0 is as fast as it goes
    hold_at: int | None = None  # the body stops at this byte until `go` is set
    go: threading.Event = field(default_factory=threading.Event)
    cut_at: int | None = None  # the connection is closed at this byte of the master ..
    cuts: int = -1  # .. in so many responses; -1 is all
    body: bytes | None = None  # instead of the folder's file; set it again and the master has changed
    endless: bool = False  # zeros until the client leaves, without a length
    chunked: bool = False  # no Content-Length
    length: int | None = None  # a wrong Content-Length
    coding: str | None = None  # "gzip" compresses; any other name is only declared
    content_type: str | None = None  # "" leaves the header out
    etag: str | None = None  # "" leaves the header out
    ranges: bool = True
    redirect: str | None = None  # the Location of a 302
    authorization: str | None = None  # the header a request must have; else 401
    headers: dict[str, str] = field(default_factory=dict)  # added to every response
    computed: dict[str, str] = field(default_factory=dict)  # added to responses to requests with Want-Digest


@dataclass(frozen=True)
class Seen:
    """One request as it arrived; *path* is decoded and relative to the base, *target* is what was sent."""

    method: str
    path: str
    target: str
    headers: dict[str, str]  # names in lower case


class OriginServer:
    """See the module. Listens on a free port of *host*; `url` is the base for REPO_BASE_URL."""

    def __init__(self, folder: Path | None = None, host: str = "127.0.0.1") -> None:
        self.folder = folder
        self.requests: list[Seen] = []
        self.leaving = threading.Event()
        self.hung_up = threading.Event()  # set when a client had gone before its body was sent
        self._scripts: dict[str, Script] = {}
        self._changed = threading.Condition()
        self._server = Listener(host)
        self._server.origin = self
        self.port = self._server.server_port
        self.url = f"http://[{host}]:{self.port}{BASE}" if ":" in host else f"http://{host}:{self.port}{BASE}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.leaving.set()
        for script in self._scripts.values():
            script.go.set()
        self._server.shutdown()
        self._server.drop_clients()
        self._server.server_close()
        self._thread.join()

    @property
    def connections(self) -> int:
        """How many connections were opened."""
        return self._server.connections

    def script(self, path: str, **behaviour: Any) -> Script:
        """Answer *path* as the fields of `Script` say from now on."""
        self._scripts[path] = Script(**behaviour)
        return self._scripts[path]

    def script_of(self, path: str) -> Script:
        return self._scripts.setdefault(path, Script())

    def seen(self, path: str | None = None) -> list[Seen]:
        """Returns the requests for *path*, or all, in the order of their arrival."""
        with self._changed:
            return [request for request in self.requests if path in {None, request.path}]

    def count(self, path: str | None = None) -> int:
        return len(self.seen(path))

    def path_of(self, target: str) -> str:
        return unquote(target.removeprefix(BASE)) if target.startswith(BASE) else target

    def note(self, method: str, path: str, target: str, headers: dict[str, str]) -> None:
        with self._changed:
            self.requests.append(Seen(method, path, target, headers))
            self._changed.notify_all()

    def wait_for_requests(self, path: str, number: int, timeout: float = 30) -> None:
        """Wait until *path* was requested *number* times."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: self._count(path) >= number, timeout)
            assert arrived, f"{path} was not requested {number} times"

    def _count(self, path: str) -> int:
        return sum(request.path == path for request in self.requests)
