"""The logs of a running installation: a line per request and per job, whose ids meet, and no secret in any of them."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import pytest

from tests.support.installation import SAMPLES, running_installation
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.installation import Installation
    from tests.support.origin_server import OriginServer

VALLEY = (SAMPLES / "maps" / "valley.tif").read_bytes()
MARK = "s3cr3t-mark"  # in every secret of the installation's settings and requests
SECRETS = {
    "API_TOKENS": f"{MARK}-api-1,{MARK}-api/2+",
    "METRICS_TOKEN": f"{MARK}-metrics",
    "URL_SECRET": f"{MARK}-url",
    "ARCHIVE_TOKEN": f"Token {MARK}-archive",
    "REPO_USERNAME": "reader",
    "REPO_PASSWORD": f'{MARK}"pass\\word',
    "AUTH_TYPE": "BASIC",
    "JWT_SECRET": f"{MARK}-jwt",
}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(scope="module")
def installation(repository: OriginServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation that logs as much as possible."""
    with running_installation(
        tmp_path_factory.mktemp("logs"),
        repository.url,
        LOG_FORMAT="json",
        LOG_LEVEL="DEBUG",
        WAIT_SECOND=MARK,
        **SECRETS,
    ) as up:
        yield up


def lines(installation: Installation, **wanted: Any) -> list[dict[str, Any]]:
    """Returns the lines that have these fields; every line is one JSON object."""
    found = [json.loads(line) for line in installation.journal.read_text().splitlines()]
    return [line for line in found if wanted.items() <= line.items()]


def one(installation: Installation, **wanted: Any) -> dict[str, Any]:
    """Wait for the line that has these fields, and return it."""
    return until(lambda: lines(installation, **wanted), what=f"a line with {wanted}")[0]


def test_a_request_and_its_job_have_the_ids_of_the_client(installation: Installation, master: str) -> None:
    headers = {"X-Request-ID": "catalogue-17", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    answer = installation.ask(master, headers=headers)
    assert answer.headers["X-Request-ID"] == "catalogue-17"
    request = one(installation, event="request", request_id="catalogue-17")
    job = one(installation, event="job", request_id="catalogue-17")
    assert request["trace_id"] == job["trace_id"] == TRACE
    assert request["key"] == job["key"]
    assert (request["method"], request["path"], request["status"]) == ("GET", f"/images/{master}", 200)
    assert (request["outcome"], request["bytes"]) == ("miss", len(answer.content))
    assert (job["path"], job["lane"], job["attempt"], job["outcome"]) == (master, "interactive", 1, "made")
    assert (job["master_bytes"], job["bytes"], job["pixels"]) == (len(VALLEY), len(answer.content), 1_400_000)
    assert set(job["phases"]) == {"download", "convert", "store"}
    assert request["ms"] >= job["phases"]["convert"] > 0


def test_a_hit_has_its_line_too(installation: Installation, master: str) -> None:
    installation.ask(master)
    hit = installation.ask(master, headers={"x-request-id": "hit-1", "Traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})
    assert hit.headers["X-Request-ID"] == "hit-1"
    line = one(installation, event="request", request_id="hit-1")
    assert (line["outcome"], line["server"], line["status"]) == ("hit", "nginx", 200)
    assert (line["path"], line["bytes"], line["trace_id"]) == (f"/images/{master}", len(hit.content), TRACE)
    assert line["key"] == one(installation, event="job", path=master)["key"]


def test_who_brings_no_id_is_given_one(installation: Installation, master: str) -> None:
    given = [installation.ask(master).headers["X-Request-ID"] for _ in range(3)]
    given += [installation.ask(master, headers={"X-Request-ID": "not plain"}).headers["X-Request-ID"]]
    given += [installation.request("/healthz").headers["X-Request-ID"]]
    assert len(set(given)) == 5
    assert all(one.isalnum() and len(one) == 32 for one in given)


@pytest.mark.parametrize("part", ["api", "worker"])
def test_a_misspelled_setting_is_reported_once_by_each_part(installation: Installation, part: str) -> None:
    slip = "WAIT_SECOND is not a setting of mezcal; did you mean WAIT_SECONDS?"
    assert one(installation, part=part, event=slip)["level"] == "WARNING"
    assert len(lines(installation, part=part, event=slip)) == 1


def test_a_failure_is_logged_with_its_class(installation: Installation) -> None:
    missing = f"{uuid4().hex}.tif"
    answer = installation.ask(missing)
    line = one(installation, event="request", path=f"/images/{missing}")
    assert (line["status"], line["outcome"], line["failure"]) == (404, "error", "master-missing")
    assert one(installation, event="job", path=missing)["failure"] == "master-missing"
    assert answer.headers["X-Request-ID"] == line["request_id"]


def test_no_path_makes_a_line_of_its_own(installation: Installation) -> None:
    forged = 'x\r\n{"event": "forged"}\x1b[2J\u202e'
    installation.ask(quote(forged))
    one(installation, event="request", path=f"/images/{forged}")
    assert not lines(installation, event="forged")


def test_no_secret_is_ever_logged(installation: Installation, repository: OriginServer, master: str) -> None:
    """Everything that a running installation says, at its most talkative, when everything goes wrong."""
    for header in (
        {"Authorization": f"Bearer {MARK}-wrong-1"},
        {"Authorization": f"Bearer {MARK}-api-1"},
        {"Authorization": f"Basic {MARK}-basic-2", "Cookie": f"session={MARK}-cookie"},
        {"Proxy-Authorization": f"Bearer {MARK}-proxy-3", "X-Api-Key": f"{MARK}-key"},
    ):
        installation.ask(master, "DELETE", headers=header)
        installation.ask(master, headers=header)
        installation.request("/jobs/none/retry", "POST", headers=header)
    installation.request(f"/images/{master}?X-Amz-Signature={MARK}-4&X-Amz-Credential={MARK}-5&token={MARK}-6")
    installation.request(f"/files/{'0' * 32}.jpg?expires=1&signature={MARK}-7")
    installation.request(f"/?url={quote(f'http://user:{MARK}-8@elsewhere/')}")
    broken = f"{uuid4().hex}.tif"
    repository.script(broken, status=500)
    installation.ask(broken)
    refused(
        installation,
        f"GET /images/x HTTP/1.1\r\nHost: [::1]\r\nAuthorization: Bearer {MARK}-9\r\nbroken header\r\n\r\n",
    )
    one(installation, event="job", path=broken)
    installation.stop()
    everything = installation.journal.read_text() + (installation.folder / "out.log").read_text()
    assert MARK not in everything, [line for line in everything.splitlines() if MARK in line]
    assert len(everything.splitlines()) > 30


def refused(installation: Installation, request: str) -> None:
    """Send bytes that are not a request."""
    place = urlsplit(installation.url)
    with socket.create_connection((str(place.hostname), place.port or 80), timeout=10) as line:
        line.sendall(request.encode())
        line.recv(100)
