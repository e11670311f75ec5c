"""The client of an object store: which requests are sent and retried, and what is imported only if it is needed."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar

import pytest

from mezcal.recipe import Mezzanine
from mezcal.store.s3 import S3Store
from tests.support.forked import in_forked_process
from tests.support.store_contract import JPEG, RECIPE, content, put

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.s3_server import S3Server


class OneImage(BaseHTTPRequestHandler):
    """An object store with one image; the first *broken* bodies end in the middle."""

    protocol_version = "HTTP/1.1"
    requests: ClassVar[list[str]] = []
    broken = 0

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_GET(self) -> None:
        broken = self.requests.count("GET") < self.broken
        self._answer(JPEG[:4] if broken else JPEG)
        self.close_connection = broken

    def _answer(self, body: bytes) -> None:
        self.requests.append(self.command)
        self.send_response(200)
        self.send_header("Content-Length", str(len(JPEG)))
        self.send_header("ETag", '"x"')
        self.send_header("Last-Modified", "Sun, 22 Nov 2026 03:00:00 GMT")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def one_image(broken: int = 0) -> Iterator[tuple[str, list[str]]]:
    """The URL of such a store, and the methods of the requests that it has answered."""
    requests: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Store", (OneImage,), {"broken": broken, "requests": requests}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_derivative_and_its_sidecar_cost_one_request(s3: S3Server, tmp_path: Path) -> None:
    with one_image() as (url, requests):
        described = S3Store(s3.settings("a-bucket", tmp_path, storage_url=url)).describe(RECIPE)
        assert described is not None
        assert described.stored.size == len(JPEG)
        assert requests == ["HEAD"]


@pytest.mark.parametrize("broken", [1, 2])
def test_a_body_that_breaks_off_is_fetched_again(s3: S3Server, tmp_path: Path, broken: int) -> None:
    with one_image(broken) as (url, requests):
        assert content(S3Store(s3.settings("a-bucket", tmp_path, storage_url=url))) == JPEG
        assert requests.count("GET") == broken + 1


def test_a_process_that_was_forked_has_its_own_connections(s3: S3Server, tmp_path: Path) -> None:
    store = S3Store(s3.settings(s3.bucket(), tmp_path))
    put(store)
    parent = store.bucket._client._client("lookups")

    def find() -> None:
        assert store.find(RECIPE) is not None
        assert store.bucket._client._client("lookups") is not parent

    in_forked_process(find)
    assert store.find(Mezzanine.parse("dc/2")) is None


def test_an_installation_with_a_folder_loads_no_botocore(tmp_path: Path) -> None:
    code = """
import sys
import api.responses.images, mezcal.commands.cache_report
from mezcal.settings import load
from mezcal.store import open_store
open_store(load(_env_file=None)).usage()
sys.exit("botocore" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0
