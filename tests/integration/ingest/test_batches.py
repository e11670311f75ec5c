"""Lists of masters over HTTP, and how far each has come."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from mezcal.jobs.bulk.batches import PREFIX
from tests.integration.conftest import TOKEN
from tests.integration.ingest.test_webhooks import OURS, ended_batch
from tests.support.masters import grey_tiff
from tests.support.waiting import until

if TYPE_CHECKING:
    import requests

    from tests.support.installation import Installation
    from tests.support.origin_server import OriginServer

LINES, JSON_LINES = "text/plain", "application/x-ndjson"


def post(installation: Installation, body: Any, kind: str = "application/json", query: str = "") -> requests.Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return installation.request(f"/jobs{query}", "POST", data=data, headers=OURS | {"Content-Type": kind})


@pytest.fixture
def masters(repository: OriginServer) -> list[str]:
    paths = [f"{uuid4().hex} é {number}.tif" for number in range(5)]
    for path in paths:
        repository.script(path, body=grey_tiff(120))
    return paths


@pytest.mark.parametrize("form", ["list", "objects", "lines", "json lines"])
def test_listed_masters_are_made(
    installation: Installation, repository: OriginServer, masters: list[str], form: str
) -> None:
    objects: list[Any] = [{"path": masters[0]}, *masters[1:4], {"url": repository.url + masters[4].replace(" ", "%20")}]
    match form:
        case "list":
            answer = post(installation, masters)
        case "objects":
            answer = post(installation, {"items": objects})
        case "lines":
            answer = post(installation, "\r\n".join(["", *masters, ""]).encode(), LINES + "; charset=utf-8")
        case _:
            answer = post(installation, "\n".join(map(json.dumps, objects)).encode(), JSON_LINES)
    assert ended_batch(installation, answer)["counts"]["done"] == 5
    assert all(installation.stored(path) for path in masters)


@pytest.mark.parametrize("form", ["list", "items", "lines", "json lines"])
def test_listed_masters_are_made_in_the_profiles_that_are_named(
    installation: Installation, repository: OriginServer, masters: list[str], form: str
) -> None:
    both, query = ["mezzanine", "pyramid"], "?profile=mezzanine&profile=pyramid"
    match form:
        case "list":
            answer = post(installation, [{"path": path, "profiles": both} for path in masters])
        case "items":
            answer = post(installation, {"items": masters, "profiles": both})
        case "lines":
            answer = post(installation, "\n".join(masters).encode(), LINES, query)
        case _:
            answer = post(installation, "\n".join(map(json.dumps, masters)).encode(), JSON_LINES, query)
    batch = ended_batch(installation, answer)
    assert (batch["items"], batch["counts"]["done"]) == (10, 10)
    assert [repository.count(path) for path in masters] == [1] * 5
    assert all(installation.stored(path) for path in masters)
    assert installation.request(f"/derivatives/pyramid/{masters[0]}.tif").headers["Cache-Status"] == "mezcal; hit"


@pytest.mark.parametrize(
    ("body", "query", "says"),
    [
        (["a.tif"], "?profile=large", "there is no profile 'large': it may be mezzanine, pyramid"),
        ({"items": ["a.tif"], "profiles": ["Pyramid"]}, "", "it may be mezzanine, pyramid"),
        ({"items": ["a.tif"], "profiles": "pyramid"}, "", "`profiles` must be a list of names"),
        ([{"path": "a.tif", "profiles": [1]}], "", "`profiles` must be a list of names"),
    ],
)
def test_a_profile_that_does_not_exist_is_refused(installation: Installation, body: Any, query: str, says: str) -> None:
    answer = post(installation, body, query=query)
    assert answer.status_code == 400
    assert says in answer.json()["detail"]


def test_a_page_can_be_listed(installation: Installation, masters: list[str]) -> None:
    assert ended_batch(installation, post(installation, [{"path": masters[0], "page": 1}]))["counts"]["done"] == 1
    assert ended_batch(installation, post(installation, [{"path": masters[0], "page": 0}]))["counts"]["ignored"] == 1


@pytest.mark.parametrize("page", [1.5, "one", True, [1]])
def test_an_invalid_page_is_reported_and_not_taken_for_the_whole_master(
    installation: Installation, masters: list[str], page: Any
) -> None:
    batch = ended_batch(installation, post(installation, [{"path": masters[0], "page": page}]))
    assert batch["counts"]["ignored"] == 1
    assert "a whole number from 1" in batch["notes"][0]["reason"]


def test_the_filters_of_events_are_not_applied_to_lists(installation: Installation, repository: OriginServer) -> None:
    path = f"elsewhere/{uuid4().hex}"
    repository.script(path, body=grey_tiff(120))
    assert ended_batch(installation, post(installation, [path]))["counts"]["done"] == 1


def test_what_is_cached_or_remembered_as_broken_costs_no_download(
    installation: Installation, repository: OriginServer, masters: list[str]
) -> None:
    repository.script(masters[0], body=b"no image")
    for path in masters:
        installation.ask(path)
    counts = ended_batch(installation, post(installation, masters))["counts"]
    assert (counts["done"], counts["failed"]) == (4, 1)
    assert [repository.count(path) for path in masters] == [1] * 5


def test_a_batch_tells_how_far_it_is(installation: Installation, repository: OriginServer, masters: list[str]) -> None:
    held = [repository.script(path, body=grey_tiff(120), hold_at=100) for path in masters]
    place = post(installation, masters).headers["Location"]
    busy = until(
        lambda: (b := installation.request(place).json())["counts"]["running"] == 1 and b, what="a running job"
    )
    assert busy["counts"]["queued"] == 4
    assert (busy["state"], busy["rate"], busy["estimate"]) == ("running", None, None)
    tag = until(lambda: installation.request(place).headers["ETag"])
    assert installation.request(place, headers={"If-None-Match": tag}).status_code == 304
    held[0].go.set()
    after = until(lambda: (b := installation.request(place).json())["counts"]["done"] and b, what="the first")
    assert after["estimate"] > 0
    installation.ask(masters[-1], "DELETE", headers=OURS)
    for script in held:
        script.go.set()
    over = until(lambda: (b := installation.request(place).json())["state"] == "done" and b, what="the end")
    assert over["counts"] | {"done": 4, "forgotten": 1} == over["counts"]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "application/json", 400),
        (b"[1]", "application/json", 400),
        (b"nonsense", "application/json", 400),
        (b'"a.tif"\nnonsense', JSON_LINES, 400),
        (b"\xff\xfe", LINES, 400),
        (b"a" * 20_000, LINES, 400),
        (b"a.tif\n" * 20_001, LINES, 413),
        (b"[" + b'"a.tif",' * 20_000 + b'"a.tif"]', "application/json", 413),
        (b" " * (5 << 20), "application/json", 413),
        (b"a=b", "application/x-www-form-urlencoded", 415),
    ],
)
def test_what_is_no_list_is_refused_whole(installation: Installation, body: bytes, kind: str, status: int) -> None:
    answer = post(installation, body, kind)
    assert answer.status_code == status, answer.text
    assert installation.job("a.tif") is None


def test_an_empty_list_is_over_at_once(installation: Installation) -> None:
    assert ended_batch(installation, post(installation, []))["items"] == 0
    assert ended_batch(installation, post(installation, b"\n\n", LINES))["items"] == 0


def test_a_client_that_breaks_off_has_listed_nothing(installation: Installation, masters: list[str]) -> None:
    place = urlsplit(installation.url)
    head = f"POST /jobs HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {TOKEN}\r\n"
    with socket.create_connection((place.hostname, place.port), 20) as client:
        client.sendall(f"{head}Content-Type: text/plain\r\nContent-Length: 99999\r\n\r\n{masters[0]}\n".encode())
        client.shutdown(socket.SHUT_WR)
        answer = client.recv(4096)  # nginx closes the connection, the API alone answers 400
    assert not answer or answer.startswith(b"HTTP/1.1 400 ")
    assert installation.job(masters[0]) is None


def test_lists_need_a_token(installation: Installation) -> None:
    assert installation.request("/jobs", "POST", json=["a.tif"]).status_code == 401


def test_an_unknown_batch_is_404(installation: Installation) -> None:
    assert installation.request(f"/jobs/{PREFIX}unknown").status_code == 404
