"""Events of repositories, on the whole machine: afterwards the images are as the producer intended."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
import socket
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from mezcal.jobs import JobState
from mezcal.recipe import Mezzanine
from mezcal.store import open_store
from tests import DATA
from tests.integration.conftest import SECRET, TOKEN
from tests.support.masters import grey_tiff
from tests.support.signed import event, signed
from tests.support.waiting import until

if TYPE_CHECKING:
    import requests

    from tests.support.installation import Installation
    from tests.support.origin_server import OriginServer

SAMPLES = DATA / "webhooks"
LOGIN = {"Authorization": "Basic ZmNyZXBvOnNlY3JldA=="}
BEARER = {"Authorization": "Bearer secret"}
OURS = {"Authorization": f"Bearer {TOKEN}"}
PAGE1, PAGE2, SCAN, ISLAND = (
    "dc/2026/1/page1.tif",
    "dc/2026/1/page2.tif",
    "dc/2026/page one(2).tif",
    "2026-11/page1.tif",
)


def post(
    installation: Installation, form: str, body: Any, headers: dict[str, str] | None = None, **more: str
) -> requests.Response:
    """One event; signed, unless *headers* say how it is opened."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = signed(data, SECRET) if headers is None else {"Content-Type": "application/json", **headers}
    return installation.request(f"/webhooks/{form}", "POST", data=data, headers=given | more)


def ended_batch(installation: Installation, answer: requests.Response, seconds: float = 30) -> dict[str, Any]:
    """Returns the batch of an accepted event when it is done."""
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == f"/jobs/{answer.json()['batch']}"

    def over() -> dict[str, Any] | None:
        batch: dict[str, Any] = installation.request(answer.headers["Location"]).json()
        assert sum(batch["counts"].values()) == batch["items"]
        return batch if batch["state"] == "done" else None

    found = until(over, seconds, "the end of the batch")
    assert found is not None
    return found


def unique(name: str) -> dict[str, Any]:
    """A sample with an id that was not sent before."""
    body: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text())
    for field in ("MessageId", "id"):
        if field in body and not str(body[field]).startswith("http"):
            body[field] = uuid4().hex
    return body


@pytest.mark.parametrize(
    ("form", "name", "headers", "paths"),
    [
        ("standard", "standard_webhooks_own", None, [PAGE1, PAGE2]),
        ("fedora", "fcrepo6_as2", LOGIN, [PAGE1]),
        ("fedora", "fcrepo_camel_http_forwarding", LOGIN, [PAGE1]),
        ("fedora", "islandora_alpaca_derivative", LOGIN, [ISLAND]),
        ("s3", "s3_event", BEARER, [SCAN]),
        ("s3", "minio_event", BEARER, [SCAN]),
        ("s3", "sns_envelope", LOGIN, [SCAN]),
        ("s3", "eventbridge_s3", BEARER, [SCAN]),
        ("cloudevents", "cloudevents_structured", OURS, [PAGE1]),
    ],
)
def test_each_producers_event_has_the_changed_master_served(
    installation: Installation,
    repository: OriginServer,
    form: str,
    name: str,
    headers: dict[str, str] | None,
    paths: list[str],
) -> None:
    before = {}
    for path in paths:
        script = repository.script(path, body=grey_tiff(40), etag="")
        installation.ask(path, "DELETE", headers=OURS)
        before[path] = installation.ask(path).content
        script.body = grey_tiff(220)
    batch = ended_batch(installation, post(installation, form, unique(name), headers))
    assert batch["counts"]["done"] == len(paths)
    for path in paths:
        assert installation.ask(path).content != before[path]


@pytest.mark.parametrize("name", ["s3_test_event", "iiif_discovery_collection", "iiif_discovery_page"])
def test_events_that_nothing_follows_from_are_acknowledged(installation: Installation, name: str) -> None:
    answer = post(
        installation, "s3" if name.startswith("s3") else "fedora", (SAMPLES / f"{name}.json").read_bytes(), BEARER
    )
    assert answer.status_code == 200
    assert answer.json()["items"] == 0
    assert answer.json()["note"]


def test_a_created_master_is_made_and_an_earlier_404_forgotten(
    installation: Installation, repository: OriginServer, master: str
) -> None:
    script = repository.script_of(master)
    script.status, script.fails = 404, -1
    assert installation.ask(master).status_code == 404
    script.fails = 0
    assert installation.ask(master).status_code == 404, "it is remembered"
    assert ended_batch(installation, post(installation, "standard", event("created", master)))["counts"]["done"] == 1
    assert installation.stored(master)
    assert installation.ask(master).status_code == 200


def test_a_created_master_that_is_cached_already_costs_no_download(
    installation: Installation, repository: OriginServer, master: str
) -> None:
    installation.ask(master)
    assert ended_batch(installation, post(installation, "standard", event("created", master)))["counts"]["done"] == 1
    assert repository.count(master) == 1


def test_a_deleted_master_is_purged_with_all_its_pages(installation: Installation, repository: OriginServer) -> None:
    path = f"{uuid4().hex}.tif"
    pages = (DATA / "masters/pages_thumb_full.tif").read_bytes()
    script = repository.script(path, body=pages)
    assert [installation.ask(path, params=page).status_code for page in ({}, {"page": 1}, {"page": 2})] == [200] * 3
    script.status, script.fails = 404, -1
    assert ended_batch(installation, post(installation, "standard", event("deleted", path)))["counts"]["deleted"] == 1
    assert [installation.ask(path, params=page).status_code for page in ({}, {"page": 1}, {"page": 2})] == [404] * 3


def test_a_changed_master_is_made_again_with_its_cached_pages(
    installation: Installation, repository: OriginServer
) -> None:
    path = f"{uuid4().hex}.tif"
    script = repository.script(path, body=grey_tiff(40), etag="")
    old = installation.ask(path, params={"page": 1}).content
    assert installation.ask(path, params={"page": 9}).status_code >= 400, "a page that is not there is remembered so"
    script.body = grey_tiff(220)
    assert ended_batch(installation, post(installation, "standard", event("updated", path)))["counts"]["done"] == 1
    until(lambda: installation.ask(path, params={"page": 1}).content != old, what="the new page")
    assert installation.table.read(Mezzanine.parse(path, 9).key) is None


def test_a_master_of_another_repository_is_reported_and_changes_nothing(
    installation: Installation, repository: OriginServer, master: str
) -> None:
    items = [
        {"url": f"http://evil.example/rest/{master}"},
        {"url": "http://169.254.169.254/latest/x.tif"},
        {"path": "../x.tif"},
        {"path": "dc/report.pdf"},
        {"path": "elsewhere/1.png"},
        {"path": master},
    ]
    batch = ended_batch(installation, post(installation, "standard", {"type": "master.updated", "data": items}))
    assert batch["counts"] | {"done": 1, "ignored": 5} == batch["counts"]
    assert [note["what"] for note in batch["notes"]] == ["ignored"] * 5
    assert "evil.example" in batch["notes"][0]["item"]
    assert all(note["reason"] for note in batch["notes"])


def test_a_failure_is_listed_with_its_batch(installation: Installation, repository: OriginServer, master: str) -> None:
    repository.script(master, body=b"no image at all")
    batch = ended_batch(installation, post(installation, "standard", event("updated", master)))
    assert batch["counts"]["failed"] == 1
    assert batch["failures"][0]["failure"]["class"] == "not-an-image"
    assert batch["failures"][0]["image"].endswith(master)


# --- who may


def test_an_event_that_comes_again_is_acknowledged_and_does_nothing(
    installation: Installation, repository: OriginServer, master: str
) -> None:
    body = event("updated", master)
    headers = signed(body, SECRET)
    first = post(installation, "standard", body, headers)
    ended_batch(installation, first)
    again = [post(installation, "standard", body, headers) for _ in range(3)]
    assert [(answer.status_code, answer.json()["batch"]) for answer in again] == [(200, first.json()["batch"])] * 3
    assert repository.count(master) == 1


def test_events_that_come_twice_by_their_own_ids_are_known(installation: Installation, master: str) -> None:
    body = unique("cloudevents_structured") | {"data": {"path": master}}
    assert [post(installation, "cloudevents", body, BEARER).status_code for _ in range(2)] == [202, 200]
    activity = unique("fcrepo6_as2")
    assert [post(installation, "fedora", activity, LOGIN).status_code for _ in range(2)] == [202, 200]
    short = {"id": f"http://fcrepo.example/rest/{master}", "type": "Update"}  # has no id but the master's
    assert [post(installation, "fedora", short, LOGIN).status_code for _ in range(2)] == [202, 202]


def test_hub_signatures_open_and_a_replay_does_nothing(installation: Installation, master: str) -> None:
    body = event("updated", master)
    headers = {"X-Hub-Signature-256": "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()}
    assert [post(installation, "standard", body, headers).status_code for _ in range(2)] == [202, 200]
    for unsigned in ("72d3162e", "another"):
        headers["X-GitHub-Delivery"] = unsigned
        assert post(installation, "standard", body, headers).status_code == 200


def test_what_is_signed_wrongly_is_refused(installation: Installation, repository: OriginServer, master: str) -> None:
    body = event("deleted", master)
    right, now = signed(body, SECRET), int(time.time())
    installation.ask(master)
    wrong = [
        {},
        right | {"webhook-signature": "v1,AAAA"},
        right | {"webhook-id": "another"},
        right | {"webhook-timestamp": str(now + 1)},
        {name: value for name, value in right.items() if name != "webhook-id"},
        signed(body, SECRET, moment=now - 400),
        signed(body, SECRET, moment=now + 400),
        signed(body + b" ", SECRET),
        signed(body, "another key"),
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic d3Jvbmc6d3Jvbmc="},
        {"Authorization": "Basic ???"},
        {"X-Hub-Signature-256": "sha256=" + "0" * 64},
    ]
    for headers in wrong:
        answer = post(installation, "standard", body, headers)
        assert answer.status_code == 401, headers
        assert "Basic" in answer.headers["WWW-Authenticate"], "SNS sends its login when it is asked"
    assert installation.stored(master)
    assert post(installation, "standard", body, signed(body, "an older one")).status_code == 202


def test_a_webhooks_token_opens_nothing_else(installation: Installation, master: str) -> None:
    assert installation.ask(master, "DELETE", headers=BEARER).status_code == 401
    assert installation.request("/jobs", "POST", json=[master], headers=BEARER).status_code == 401


# --- hostile bodies


def exchange(installation: Installation, head: str, *pieces: bytes) -> bytes:
    """The answer to a request that no client library would send; empty if the connection is closed without one."""
    place = urlsplit(installation.url)
    with socket.create_connection((place.hostname, place.port), 20) as client:
        client.sendall(f"POST /webhooks/standard HTTP/1.1\r\nHost: {place.netloc}\r\n{head}\r\n\r\n".encode())
        try:
            for piece in pieces:
                client.sendall(piece)
            return client.recv(4096)
        except ConnectionError:
            return b""


AUTH = "Authorization: Bearer secret\r\nContent-Type: application/json"


def test_a_hundred_megabytes_are_refused_before_they_are_read(installation: Installation) -> None:
    """The answer comes while nothing of the body has been sent."""
    for auth in (AUTH, "webhook-signature: v1,AAAA"):
        began = time.monotonic()
        answer = exchange(installation, f"{auth}\r\nContent-Length: {100 << 20}")
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"no-store" in answer
        assert time.monotonic() - began < 20


def test_a_body_without_length_is_ended_where_it_is_too_long(installation: Installation) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    answer = exchange(installation, f"{AUTH}\r\nTransfer-Encoding: chunked", *[chunk] * 40, b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_body_in_chunks_is_understood(installation: Installation, master: str) -> None:
    body = event("updated", master)
    parts = [body[:10], body[10:]]
    chunks = [f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in parts]
    assert exchange(installation, f"{AUTH}\r\nTransfer-Encoding: chunked", *chunks, b"0\r\n\r\n").startswith(
        b"HTTP/1.1 202 "
    )


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (gzip.compress(b"{}", mtime=0), {"Content-Encoding": "gzip"}, 415),
        (b"{}", {"Content-Type": "application/json; charset=utf-16"}, 415),
        (b"payload=%7B%7D", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ("{}".encode("utf-16"), {}, 400),
        (b'{"type": "master.updated", "data": {"path": "\xe9"}}', {}, 400),
        (b"[" * 500_000, {}, 400),
        (b'{"a":' * 100_000, {}, 400),
        (b"", {}, 400),
        (b" " * (2 << 20) + b"{}", {}, 413),
    ],
)
def test_bodies_that_are_no_events_are_refused(
    installation: Installation, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = post(installation, "standard", body, BEARER, **headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "no-store" in answer.headers["Cache-Control"]


def test_paths_with_nul_bytes_and_surrogates_are_ignored(installation: Installation) -> None:
    body = b'{"type": "master.deleted", "data": ["dc/\\u0000.tif", "dc/\\ud800.tif", "dc/\\r\\nx: y.tif"]}'
    batch = ended_batch(installation, post(installation, "standard", body))
    assert batch["counts"]["ignored"] == 3


def test_headers_that_come_twice_open_nothing(installation: Installation) -> None:
    body = event("deleted", PAGE1)
    headers = [f"{name}: {value}" for name, value in signed(body, SECRET).items()]
    for name in ("webhook-id", "webhook-timestamp"):
        twice = "\r\n".join([*headers, f"{name}: other", f"Content-Length: {len(body)}"])
        assert exchange(installation, twice, body).startswith(b"HTTP/1.1 401 ")
    twice = "\r\n".join(["Authorization: Bearer wrong", "Authorization: Bearer secret", f"Content-Length: {len(body)}"])
    assert exchange(installation, twice, body).startswith((b"HTTP/1.1 401 ", b"HTTP/1.1 400 "))


def test_a_thousand_signatures_are_refused(installation: Installation) -> None:
    body = event("deleted", PAGE1)
    many = signed(body, SECRET) | {"webhook-signature": " ".join(["v1,AAAA"] * 1000)}
    assert post(installation, "standard", body, many).status_code == 401
    more = many | {"webhook-signature": " ".join(["v1," + "A" * 44] * 1000)}
    assert post(installation, "standard", body, more).status_code in {400, 401, 431}


def test_an_unknown_format_is_404(installation: Installation) -> None:
    assert post(installation, "carrier-pigeon", b"{}", BEARER).status_code == 404
    assert installation.request("/webhooks/standard").status_code == 405


# --- many at once


def test_ten_thousand_items_are_accepted_at_once(installation: Installation) -> None:
    """A second is allowed to a busy machine; benchmarks/events.py measures what it takes on a quiet one."""
    body = event("updated", *[f"elsewhere/{uuid4().hex}/page{number}.png" for number in range(10_000)])
    answer = post(installation, "standard", body)
    assert answer.elapsed.total_seconds() < 1
    assert ended_batch(installation, answer, 90)["counts"]["ignored"] == 10_000


def test_a_client_is_served_before_a_long_list(
    installation: Installation, repository: OriginServer, master: str
) -> None:
    """And a batch counts a master that is made for somebody else meanwhile, once."""
    paths = [f"{master}-{number}.tif" for number in range(60)]
    for path in paths:
        repository.script(path, body=grey_tiff(90))
    answer = post(installation, "standard", event("created", *paths, paths[0]))
    assert installation.ask(paths[-1]).status_code == 200
    batch = ended_batch(installation, answer)
    assert batch["counts"]["done"] + batch["counts"]["repeated"] == 61
    assert batch["rate"] > 0
    assert [repository.count(path) for path in paths[:-1]] == [1] * 59
    assert repository.count(paths[-1]) <= 2, "it may be read before the event, and is read again after it"
    assert all(installation.table.states([Mezzanine.parse(path).key])[0] in {JobState.DONE, None} for path in paths)
    assert open_store(installation.settings).find(Mezzanine.parse(paths[30]))
