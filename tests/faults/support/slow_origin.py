"""An origin in a separate process that can be killed and frozen: serves a folder slowly and logs each download.

    python -m tests.faults.support.slow_origin FOLDER PORT LOG BYTES_PER_SECOND

A line of the log is the moment a download began, and its path. While there is a file of the same name that ends in
.sign-in, each answer is a page.
"""

from __future__ import annotations

import hashlib
import re
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from mezcal.runtime.parent_death import follow_parent

BLOCK = 64 * 1024


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128
    folder: Path
    log: Path
    rate: float

    def handle_error(self, *_: object) -> None:
        """Clients are killed here."""


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Listener

    def do_GET(self) -> None:
        path = unquote(self.path.lstrip("/"))
        if self.server.log.with_suffix(".sign-in").exists():
            return self._sign_in()
        file = self.server.folder / path
        if not file.is_file():
            return self.send_error(404)
        if self.command == "GET":
            with self.server.log.open("a") as log:
                log.write(f"{time.time():.3f} {path}\n")
        body = file.read_bytes()
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start, end = (int(asked[1]), int(asked[2] or len(body) - 1) + 1) if asked else (0, len(body))
        self.send_response(206 if asked else 200)
        self.send_header("Content-Type", "image/tiff")
        self.send_header("Content-Length", str(end - start))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{hashlib.md5(body).hexdigest()}"')
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(body)}")
        self.end_headers()
        if self.command == "HEAD":
            return None
        return self._trickle(memoryview(body)[start:end])

    def do_HEAD(self) -> None:
        self.do_GET()

    def _sign_in(self) -> None:
        page = b"<!DOCTYPE html><html><title>Sign in</title><form>Who are you?</form></html>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(page)

    def _trickle(self, body: memoryview) -> None:
        began = time.monotonic()
        for at in range(0, len(body), BLOCK):
            self.wfile.write(body[at : at + BLOCK])
            time.sleep(max(0.0, began + (at + BLOCK) / self.server.rate - time.monotonic()))

    def log_message(self, *_: object) -> None:
        """Log nothing: the log of downloads is enough."""


def main() -> None:
    follow_parent()
    folder, port, log, rate = sys.argv[1:]
    listener = Listener(("127.0.0.1", int(port)), Answers)
    listener.folder, listener.log, listener.rate = Path(folder), Path(log), float(rate)
    listener.serve_forever()


if __name__ == "__main__":
    main()
