"""Object stores that honour fewer conditions than AWS: found out at the start, said by `check`, and handled."""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ReadTimeoutError

from mezcal.checks import Severity
from mezcal.checks.store import server_findings, store_check
from mezcal.errors import StoreDown, Superseded
from mezcal.settings import load
from mezcal.store.origin_note import OriginNote
from mezcal.store.s3 import S3Store
from mezcal.store.s3.bucket import ObjectChanged
from mezcal.store.s3.inventory import LOCK
from tests.support.s3_server import running_s3
from tests.support.store_contract import RECIPE, content, put

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mezcal.store.s3.bucket import StoredObject
    from tests.support.s3_server import S3Server

NEWER = b"\xff\xd8 newer \xff\xd9"


@pytest.fixture(scope="module")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """It looks at the conditions of a PUT alone, compares tags with quotes, lists no uploads, has no CORS rule."""
    with running_s3(tmp_path_factory.mktemp("ceph"), "ceph", "lean", "closed") as running:
        yield running


@pytest.fixture
def store(ceph: S3Server, tmp_path: Path) -> S3Store:
    return S3Store(ceph.settings(ceph.bucket(), tmp_path, pin_seconds=0))


def found(store: S3Store) -> StoredObject:
    """Returns the object of RECIPE."""
    now = store.bucket.head(store.name(RECIPE))
    assert now is not None
    return now


def findings(store: S3Store) -> dict[str, tuple[Severity, str]]:
    return {finding.name: (finding.level, f"{finding.detail} -> {finding.hint}") for finding in server_findings(store)}


def test_an_image_is_replaced_where_only_tags_without_quotes_are_understood(store: S3Store) -> None:
    """Ceph compares the tag with its quotes, so that no condition of a correct request ever holds."""
    put(store)
    put(store, NEWER)
    assert content(store) == NEWER
    sidecar = store.sidecar(RECIPE)
    assert sidecar is not None
    assert store.refresh(RECIPE, sidecar)


@pytest.mark.parametrize(("server", "writes", "deletes"), [("s3", "ok", "If-Match"), ("plain_s3", "warning", "before")])
def test_check_says_what_the_server_honours(
    server: str, writes: str, deletes: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    running: S3Server = request.getfixturevalue(server)
    said = findings(S3Store(running.settings(running.bucket(), tmp_path)))
    assert said["writes"][0] == writes
    assert deletes in said["deletes"][1]
    assert said["uploads"][0] is Severity.OK


def test_check_says_that_deletions_have_no_conditions_and_uploads_are_not_listed(store: S3Store) -> None:
    said = findings(store)
    assert said["writes"] == (Severity.OK, "conditional (If-None-Match, If-Match, tags without quotes) -> ")
    assert "just before it is removed" in said["deletes"][1]
    assert said["uploads"][0] is Severity.WARNING
    assert "lifecycle rule" in said["uploads"][1]
    assert list(store.trials()) == []


def test_what_comes_between_looking_and_taking_back_stays(store: S3Store) -> None:
    """The lease was lost, so another writer is at work: its image may appear at any moment."""
    put(store)
    older = found(store)
    put(store, NEWER)
    with pytest.raises(ObjectChanged):
        store.trash.take_back(older)
    assert content(store) == NEWER
    with pytest.raises(ObjectChanged):
        store.trash.remove(older)
    assert content(store) == NEWER


def test_what_was_taken_back_counts_as_missing_and_is_gone_in_the_end(store: S3Store) -> None:
    asked: list[bool] = []

    def lost_after_the_write() -> None:
        asked.append(True)
        if len(asked) == 2:
            raise Superseded("the job was given to another worker")

    with pytest.raises(Superseded):
        put(store, guard=lost_after_the_write)
    assert store.find(RECIPE) is None
    assert store.open(RECIPE) is None
    assert list(store.verify()) == []
    assert store.expire() == 1
    assert store.bucket.head(store.name(RECIPE)) is None
    put(store, NEWER)
    assert content(store) == NEWER


def test_what_was_published_again_after_it_was_evicted_is_not_removed(store: S3Store) -> None:
    put(store)
    assert store.evict(RECIPE)
    put(store, NEWER)
    assert store.expire() == 0
    assert content(store) == NEWER


def test_a_newer_image_never_keeps_the_metadata_of_an_older_one(store: S3Store) -> None:
    """A copy onto itself takes what is there by then, and gives it the metadata of what was seen before."""
    put(store)
    older = found(store)
    put(store, NEWER)
    with pytest.raises(ObjectChanged):
        store.trash.replace_metadata(older, dict(older.metadata), {})
    assert store.find(RECIPE) is None, "it is made again, with the metadata of its own"


def test_a_lock_that_another_process_has_taken_over_is_not_released(store: S3Store) -> None:
    inventory = store.inventory
    with ExitStack() as stalled:
        assert stalled.enter_context(inventory.exclusive(wait=False))
        with inventory.exclusive(wait=False) as second:
            assert not second
        store.bucket.put(LOCK, b"another process: the lock had become too old")
    with inventory.exclusive(wait=False) as third:
        assert not third, "the other process still holds it"
    store.bucket.put(LOCK, b"")
    with inventory.exclusive(wait=False) as fourth:
        assert fourth
    with inventory.exclusive(wait=False) as fifth:
        assert fifth, "it was released"


def test_a_lock_is_held_although_the_response_to_its_write_was_lost(
    store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, inventory = store.bucket._client, store.inventory
    send, lost = client._send, [True]

    def lossy(operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        response = send(operation, parameters)
        if parameters["Key"].endswith(LOCK) and operation == "put_object" and lost:
            lost.pop()
            raise ReadTimeoutError(endpoint_url="the store")
        return response

    store.capabilities()
    monkeypatch.setattr(client, "_send", lossy)
    with inventory.exclusive(wait=False) as held:
        assert held
        assert not lost
        with inventory.exclusive(wait=False) as second:
            assert not second
    with inventory.exclusive(wait=False) as again:
        assert again, "it was released"


def test_uploads_that_are_not_listed_are_reported_once(store: S3Store, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert [store.expire() for _ in range(3)] == [0, 0, 0]
    assert [record.getMessage() for record in caplog.records if "uploads" in record.getMessage()] == [
        "the object store lists no incomplete uploads: let a lifecycle rule of the bucket end them"
    ]


# --- what `check` says of a store that cannot be used


def said_of(store: S3Store) -> str:
    finding = store_check(store, OriginNote(load(_env_file=None), store)).run()
    assert finding.level is Severity.FAILED
    assert "STORAGE_DIR" not in finding.hint
    return f"{finding.detail} -> {finding.hint}"


def test_a_bucket_that_does_not_exist_is_said(ceph: S3Server, tmp_path: Path) -> None:
    assert said_of(S3Store(ceph.settings("no-such-bucket", tmp_path))).endswith("-> AWS_BUCKET does not exist there")


def test_a_store_that_is_not_there_is_said(ceph: S3Server, tmp_path: Path) -> None:
    store = S3Store(ceph.settings("a-bucket", tmp_path, storage_url="http://127.0.0.1:1"))
    assert "check STORAGE_URL" in said_of(store)


class WebServer(BaseHTTPRequestHandler):
    """Answers every request in the same way, as a web server that knows nothing of S3 does."""

    protocol_version = "HTTP/1.1"
    status = 200

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def do_GET(self) -> None:
        body = b"<html><h1>Welcome</h1></html>"
        self.send_response(self.status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.command != "HEAD" else b"")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def web_server(status: int) -> Iterator[str]:
    """Yields the URL of a web server that answers with *status*."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Web", (WebServer,), {"status": status}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("status", [200, 302, 400, 404, 405, 412])
def test_a_web_server_is_not_taken_for_an_object_store(ceph: S3Server, tmp_path: Path, status: int) -> None:
    with web_server(status) as url:
        store = S3Store(ceph.settings("a-bucket", tmp_path, storage_url=url))
        assert "STORAGE_URL" in said_of(store)
        with suppress(StoreDown):  # a 404 is what a store says of an image that is missing
            assert store.find(RECIPE) is None


def test_a_bucket_that_pages_of_other_hosts_cannot_read_is_a_warning_if_clients_fetch_from_it(
    ceph: S3Server, tmp_path: Path
) -> None:
    given = {"s3_serve": "redirect", "public_url": "https://images.example/iiif"}
    level, text = findings(S3Store(ceph.settings(ceph.bucket(), tmp_path, **given)))["cors"]
    assert level is Severity.WARNING
    assert "does not let scripts in pages of https://images.example read" in text
    assert "AllowedOrigins" in text


def test_a_bucket_that_pages_may_read_is_well(s3: S3Server, tmp_path: Path) -> None:
    settings = s3.settings(s3.bucket(), tmp_path, archive_api_url="http://archive.example/")
    assert findings(S3Store(settings))["cors"][0] is Severity.OK


def test_an_address_for_clients_that_cannot_be_asked_is_named(s3: S3Server, tmp_path: Path) -> None:
    settings = s3.settings(s3.bucket(), tmp_path, s3_serve="redirect", s3_public_url="http://127.0.0.1:1")
    level, text = findings(S3Store(settings))["cors"]
    assert level is Severity.WARNING
    assert "127.0.0.1:1 cannot be asked" in text
    assert "S3_PUBLIC_URL" in text


def test_nothing_is_said_of_pages_if_all_is_sent_through_the_api(store: S3Store) -> None:
    assert "cors" not in findings(store)


def test_a_rule_for_other_pages_is_no_warning(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody but the operator knows which pages read pictures."""
    words = (
        b"<Error><Message>CORSResponse: This CORS request is not allowed. This is usually because ..</Message></Error>"
    )
    answer = SimpleNamespace(status_code=403, headers={}, content=words)
    monkeypatch.setattr("mezcal.store.s3.client.cors._preflight", lambda *_: answer)
    level, text = findings(S3Store(s3.settings(s3.bucket(), tmp_path, s3_serve="redirect")))["cors"]
    assert (level, "allows some pages" in text) == (Severity.OK, True)
