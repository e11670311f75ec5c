"""The responses of `OriginServer`: HTTP written by hand, so that it can be wrong."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import re
import socket
import struct
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from tests.support.origin_server import OriginServer, Script

BLOCK = 64 * 1024


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    origin: OriginServer

    def __init__(self, host: str) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, 0), _Responses)
        self._clients: set[socket.socket] = set()
        self.connections = 0

    def process_request(self, request: Any, client_address: Any) -> None:
        self._clients.add(request)
        self.connections += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._clients.discard(request)
        super().shutdown_request(request)

    def drop_clients(self) -> None:
        for client in list(self._clients):
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def handle_error(self, *_: object) -> None:
        """Ignore it: in half of the tests the client closes the connection."""


class _Responses(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Listener

    def do_GET(self) -> None:
        path = self.server.origin.path_of(urlsplit(self.path).path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        script = self.server.origin.script_of(path)
        self.server.origin.note(self.command, path, self.path, headers)
        self.server.origin.leaving.wait(script.delay)
        try:
            self._answer(script, path)
        except OSError:
            self.server.origin.hung_up.set()
            self.close_connection = True

    do_HEAD = do_GET  # noqa: N815 - the name http.server looks for

    def _answer(self, script: Script, path: str) -> None:
        if script.silent:
            script.silent -= 1
            return self._reset()
        if script.authorization not in {None, self.headers.get("Authorization")}:
            return self._plain(401, script)
        if script.redirect is not None:
            return self._plain(302, script, Location=script.redirect)
        if script.fails:
            script.fails -= 1
            after = {"Retry-After": script.retry_after} if script.retry_after else {}
            return self._plain(script.status, script, **after)
        if script.endless:
            return self._endless(script)
        body = self._master(script, path)
        return self._plain(404, script) if body is None else self._whole(script, path, body)

    def _master(self, script: Script, path: str) -> bytes | None:
        if script.body is not None:
            return script.body
        folder = self.server.origin.folder
        file = folder / path if folder is not None else None
        return file.read_bytes() if file is not None and file.is_file() else None

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _plain(self, status: int, script: Script, **headers: str) -> None:
        text = b"" if status in {204, 304} else f"{status}\n".encode()
        headers = {"Content-Type": "text/plain", **headers, **script.headers}
        self._head(status, headers if status in {204, 304} else {**headers, "Content-Length": str(len(text))})
        if self.command == "GET":
            self.wfile.write(text)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _whole(self, script: Script, path: str, body: bytes) -> None:
        etag = f'"{hashlib.md5(body).hexdigest()}"' if script.etag is None else script.etag
        headers = {"Last-Modified": formatdate(1_700_000_000, usegmt=True), **script.headers}
        kind = mimetypes.guess_type(path)[0] if script.content_type is None else script.content_type
        headers |= {"Content-Type": kind or "application/octet-stream"} if kind != "" else {}
        headers |= {"ETag": etag} if etag else {}
        headers |= {"Accept-Ranges": "bytes"} if script.ranges else {}
        headers |= script.computed if "Want-Digest" in self.headers else {}
        if etag and self.headers.get("If-None-Match") == etag:
            return self._plain(304, script, ETag=etag)
        start, end = self._range(script, etag, len(body))
        if (start, end) != (0, len(body)):
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(body)}"
        return self._body(script, headers, body, start, end)

    def _range(self, script: Script, etag: str, size: int) -> tuple[int, int]:
        requested = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        unchanged = self.headers.get("If-Range") in {None, etag}
        if not (requested and script.ranges and unchanged and int(requested[1]) < size):
            return 0, size
        return int(requested[1]), min(int(requested[2]) + 1, size) if requested[2] else size

    def _body(self, script: Script, headers: dict[str, str], body: bytes, start: int, end: int) -> None:
        part = body[start:end]
        if script.coding:
            headers["Content-Encoding"] = script.coding
            part = gzip.compress(part) if script.coding == "gzip" else part
        headers |= (
            {"Transfer-Encoding": "chunked"}
            if script.chunked
            else {"Content-Length": str(len(part) if script.length is None else script.length)}
        )
        self._head(206 if "Content-Range" in headers else 200, headers)
        if self.command == "GET":
            self._send(script, memoryview(part), start)
        if script.length is not None:
            self.close_connection = True

    def _send(self, script: Script, part: memoryview, start: int) -> None:
        """Write *part*, whose first byte is the master's byte *start*, with the faults of the script."""
        cut = script.cut_at if script.cuts and script.cut_at is not None else None
        marks = sorted({mark - start for mark in (script.hold_at, cut) if mark is not None and mark >= start})
        begin, block = time.monotonic(), int(min(BLOCK, script.rate / 50 or BLOCK)) or 1
        sent = 0
        while sent < len(part) or script.chunked:
            if sent + start == script.hold_at:
                self.wfile.flush()
                script.go.wait(30)
            if sent + start == cut:
                script.cuts -= 1
                self.close_connection = True
                return
            until = min([sent + block, len(part), *(mark for mark in marks if mark > sent)])
            self._write(part[sent:until], chunked=script.chunked)
            if script.chunked and until == sent:
                return  # the empty chunk is the end
            sent = until
            if script.rate:
                self.server.origin.leaving.wait(begin + sent / script.rate - time.monotonic())

    def _write(self, piece: memoryview, *, chunked: bool) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)

    def _endless(self, script: Script) -> None:
        self._head(200, {"Content-Type": "image/tiff", "Transfer-Encoding": "chunked", **script.headers})
        while not self.server.origin.leaving.is_set():
            self._write(memoryview(bytes(BLOCK)), chunked=True)

    def log_message(self, *_: object) -> None:
        """Log nothing: `requests` is the log."""
