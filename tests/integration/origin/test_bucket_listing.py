"""A large bucket is listed page by page."""

from __future__ import annotations

import threading
import tracemalloc
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from mezcal.ingest.names import MasterNames
from mezcal.origin import Unreadable, open_origin
from mezcal.recipe import Mezzanine
from mezcal.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator

OBJECTS, PAGE = 100_000, 1000
MEMORY_MAX = 8 * 2**20  # bytes; the keys alone would take more than 10 MB
ENTRY = "<Contents><Key>{}</Key><LastModified>2026-11-29T12:00:00.000Z</LastModified><Size>500</Size></Contents>"


class LargeBucket(BaseHTTPRequestHandler):
    """An object store that lists `OBJECTS` keys, made up as they are asked for; a page from *broken* on is cut."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[dict[str, str]]] = []
    broken: ClassVar[int | None] = None

    def do_GET(self) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        self.asked.append(query)
        start = int(query.get("continuation-token", 0))
        stop = min(start + min(PAGE, int(query["max-keys"])), OBJECTS)
        keys = (quote(f"a prefix/box+{number // 500:03}/page {number:06}.tif") for number in range(start, stop))
        more = f"<NextContinuationToken>{stop}</NextContinuationToken>" if stop < OBJECTS else ""
        entries = "".join(map(ENTRY.format, keys))
        text = f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{entries}{more}'
        text += "<EncodingType>url</EncodingType></ListBucketResult>"
        body = (text[:-100] if self.broken is not None and start >= self.broken else text).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def large_bucket(broken: int | None = None) -> Iterator[tuple[MasterNames, list[dict[str, str]]]]:
    """The names of the masters in such a bucket, and the queries of its requests."""
    asked: list[dict[str, str]] = []
    handler = type("Bucket", (LargeBucket,), {"asked": asked, "broken": broken})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    place = {"repo_base_url": "s3://masters/a prefix", "repo_internal_url": url, "origin_retries": 1}
    origin = open_origin(load(_env_file=None, **place, repo_username="id", repo_password="secret"))
    try:
        yield MasterNames(origin), asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_hundred_thousand_masters_are_named_in_bounded_memory() -> None:
    with large_bucket() as (names, asked):
        tracemalloc.start()
        try:
            masters = names.masters(["s3://masters/a%20prefix/"])
            first = next(masters)
            requests = len(asked)
            count = 1 + sum(isinstance(master, Mezzanine) for master in masters)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert first == Mezzanine.parse("box+000/page 000000.tif")
        assert requests == 1, "the first are queued before the rest is listed"
        assert count == OBJECTS
        assert len(asked) == OBJECTS // PAGE
        assert peak < MEMORY_MAX


@pytest.mark.parametrize(("name", "matching"), [("box+001/", 500), ("box+00[13]/*0.tif", 100)])
def test_a_folder_or_a_pattern_names_those_that_match(name: str, matching: int) -> None:
    with large_bucket() as (names, asked):
        named = list(names.masters([name]))
        assert len([master for master in named if isinstance(master, Mezzanine)]) == matching
        assert asked[0]["prefix"] == "a prefix/" + ("box+001/" if name.endswith("/") else "")


def test_a_list_that_breaks_off_is_said_after_what_was_found() -> None:
    with large_bucket(broken=3000) as (names, asked):
        listing = list(names._listing.walk(""))
        assert len(listing) == 3001
        assert isinstance(listing[-1], Unreadable)
        assert "the bucket's list cannot be read" in listing[-1].why
        assert len(asked) == 5, "the page was requested twice"
