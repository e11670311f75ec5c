"""A real HTTP science archive: frames by id, basename and request, permissions, signed URLs that expire, faults.

with ArchiveServer() as archive:
    frame = archive.add(path, configuration_type="EXPOSE", public=False)
    ... ARCHIVE_API_URL=archive.url ...
    archive.expire_urls()            # URLs given out so far are refused from now on
    archive.script("/frames/1/", status=503)
    archive.ranges = True            # files are sent in parts, too
    archive.halfway.clear()          # whole files stop in the middle until it is set
    assert [thumbnail["size"] for thumbnail in archive.thumbnails] == ["small"]
    assert archive.count("/files/1") == 1
"""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from pathlib import Path

OWNER = "Token the-owner"
REGISTERED = ("basename", "extension", "frame_basename", "key", "size", "version_set", "site_id", "observation_day")


class ArchiveServer:
    """See the module. `url` is for ARCHIVE_API_URL; a frame that is not public is shown to `OWNER` and to its viewers.

    Viewers are values of Authorization: `frames[number]["viewers"]`.
    """

    def __init__(self) -> None:
        self.frames: dict[int, dict[str, Any]] = {}
        self.requests: list[tuple[str, str | None]] = []  # path with query, Authorization
        self.hold = threading.Event()  # files are sent while it is set
        self.hold.set()
        self.halfway = threading.Event()
        self.halfway.set()
        self.generation = 0
        self.ranges = False
        self.digests: dict[int, str] = {}  # the Repr-Digest of a frame's file
        self.sent: dict[int, int] = {}  # bytes of each file
        self.thumbnails: list[dict[str, Any]] = []  # as they were registered
        self.registered_at: list[tuple[float, dict[str, Any]]] = []
        self._faults: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Responses)
        self._server.daemon_threads = True
        self._server.archive = self  # type: ignore[attr-defined]
        self.root = f"http://127.0.0.1:{self._server.server_port}"
        self.url = self.root + "/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.hold.set()
        self.halfway.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add(self, file: Path, *, public: bool = True, **fields: Any) -> int:
        """Add a frame with *file* as its content. Returns its id."""
        number = 1000 + len(self.frames)
        record = {
            "id": number,
            "filename": f"frame{number}-{file.name}",
            "basename": f"frame{number}",
            "configuration_type": "EXPOSE",
            "request_id": None,
            "proposal_id": "PROPOSAL-1",
            "reduction_level": 91,
            "primary_optical_element": "V",
            "version_set": [{"md5": f"md5-{number}"}],
            **fields,
        }
        self.frames[number] = {"record": record, "file": file, "public": public, "viewers": set()}
        return number

    def may_see(self, number: int, who: str | None) -> bool:
        """Returns True if there is a frame with this id, and a client with the Authorization *who* may see it."""
        frame = self.frames.get(number)
        return frame is not None and (frame["public"] or who == OWNER or who in frame["viewers"])

    def expire_urls(self) -> None:
        """Refuse the URLs given out so far."""
        self.generation += 1

    def script(self, path: str, status: int = 200, delay: float = 0) -> None:
        """Answer *path* with *status*, after *delay* seconds."""
        self._faults[path] = status, delay

    def fault(self, path: str) -> tuple[int, float]:
        return self._faults.get(path, (200, 0))

    def note(self, target: str, authorization: str | None) -> None:
        with self._lock:
            self.requests.append((target, authorization))

    def note_sent(self, number: int, size: int) -> None:
        with self._lock:
            self.sent[number] = self.sent.get(number, 0) + size

    def count(self, beginning: str) -> int:
        """Returns the number of requests whose target begins so."""
        with self._lock:
            return sum(target.startswith(beginning) for target, _ in self.requests)

    def register(self, record: dict[str, Any]) -> tuple[int, bytes]:
        """Register a thumbnail as the science archive does. Returns the status, and the words of a refusal."""
        missing = [name for name in REGISTERED if name not in record]
        if missing:
            return 400, json.dumps({name: ["This field is required."] for name in missing}).encode()
        with self._lock:
            if any(known["basename"] == record["basename"] for known in self.thumbnails):
                return 400, b'{"basename":["thumbnail with this basename already exists."]}'
            self.thumbnails.append(record)
            self.registered_at.append((time.time(), record))
        return 201, b"{}"

    def shown(self, number: int) -> dict[str, Any]:
        signed = f"{self.root}/files/{number}?X-Signature=secret-{self.generation}"
        return {**self.frames[number]["record"], "url": signed}


class _Responses(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        archive: ArchiveServer = self.server.archive  # type: ignore[attr-defined]
        parts = urlsplit(self.path)
        who = self.headers.get("Authorization")
        archive.note(self.path, who)
        status, delay = archive.fault(parts.path)
        if delay:
            threading.Event().wait(delay)
        if status != 200:
            return self._send(status, b"{}")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path.startswith("/files/"):
            return self._file(archive, int(parts.path.split("/")[2]), query, who)
        if parts.path == "/frames/":
            return self._list(
                [archive.shown(number) for number in archive.frames if archive.may_see(number, who)], query
            )
        number = int(parts.path.strip("/").split("/")[1])
        return self._json(archive.shown(number)) if archive.may_see(number, who) else self._send(404, b"{}")

    def do_POST(self) -> None:
        archive: ArchiveServer = self.server.archive  # type: ignore[attr-defined]
        who = self.headers.get("Authorization")
        archive.note(f"POST {self.path}", who)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, _ = archive.fault(self.path)
        if status != 200:
            return self._send(status, b"{}")
        if who != OWNER:
            return self._send(401, b'{"detail":"Invalid token."}')
        return self._send(*archive.register(json.loads(body)))

    def _list(self, frames: list[dict[str, Any]], query: dict[str, str]) -> None:
        names = {"basename_exact": "basename", "request_id": "request_id", "reduction_level": "reduction_level"}
        conditions = [(names[name], value) for name, value in query.items()]
        found = [frame for frame in frames if all(str(frame[name]) == value for name, value in conditions)]
        self._json({"count": len(found), "results": found})

    def _file(self, archive: ArchiveServer, number: int, query: dict[str, str], who: str | None) -> None:
        if query.get("X-Signature") != f"secret-{archive.generation}" or who is not None:
            return self._send(403, b"expired")
        archive.hold.wait(20)
        body, wanted = archive.frames[number]["file"].read_bytes(), self.headers.get("Range")
        headers = {"ETag": f'"{number}-{len(body)}"', "Accept-Ranges": "bytes"} if archive.ranges else {}
        if number in archive.digests:
            headers["Repr-Digest"] = archive.digests[number]
        if not archive.ranges or wanted is None:
            archive.note_sent(number, len(body))
            return self._send(200, body, "application/octet-stream", headers, archive.halfway)
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        part = body[int(first) : int(last or len(body) - 1) + 1]
        archive.note_sent(number, len(part))
        headers["Content-Range"] = f"bytes {first}-{int(first) + len(part) - 1}/{len(body)}"
        return self._send(206, part, "application/octet-stream", headers)

    def _json(self, answer: dict[str, Any]) -> None:
        self._send(200, json.dumps(answer).encode())

    def _send(
        self,
        status: int,
        body: bytes,
        kind: str = "application/json",
        headers: dict[str, str] | None = None,
        halfway: threading.Event | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if halfway is not None:
            self.wfile.write(body[: len(body) // 2])
            halfway.wait(20)
            body = body[len(body) // 2 :]
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""
