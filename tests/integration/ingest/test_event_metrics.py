"""Metrics and log lines of events and lists: how each was answered, and what became of what it named."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from mezcal.jobs.bulk.batches import ENDS
from tests.integration.conftest import SECRET, TOKEN
from tests.integration.ingest.test_webhooks import BEARER, LOGIN, SAMPLES, ended_batch, post, unique
from tests.support.masters import grey_tiff
from tests.support.scrape import scraped, total
from tests.support.signed import event, signed
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests

    from tests.support.installation import Installation
    from tests.support.origin_server import OriginServer
    from tests.support.scrape import Samples

FORM = "multipart/form-data"
OURS = {"Authorization": f"Bearer {TOKEN}"}


def grown(before: Samples, after: Samples, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    """By how much each series of the counter *name* has grown; those that have not are left out."""
    keys = {tuple(has[label] for label in labels) for one, has, _ in after if one == name}
    rows = {key: dict(zip(labels, key, strict=True)) for key in keys}
    found = {key: total(after, name, **row) - total(before, name, **row) for key, row in rows.items()}
    return {key: more for key, more in found.items() if more}


def late(body: bytes) -> dict[str, str]:
    """Headers as they were right an hour ago."""
    return signed(body, SECRET, moment=int(time.time()) - 3600)


@pytest.mark.parametrize(
    ("send", "counted"),
    [
        (lambda up: post(up, "s3", (SAMPLES / "s3_test_event.json").read_bytes(), BEARER), ("s3", "ignored")),
        (lambda up: post(up, "fedora", {"type": []}, {"Authorization": "Basic eDp5"}), ("fedora", "refused")),
        (lambda up: post(up, "standard", b"{", LOGIN), ("standard", "malformed")),
        (lambda up: post(up, "cloudevents", b"a=b", {"Content-Type": FORM}), ("cloudevents", "malformed")),
        (lambda up: post(up, "standard", b" " * (3 << 20), LOGIN), ("standard", "too-large")),
        (lambda up: up.request("/jobs", "POST", json=["a.tif"]), ("list", "refused")),
        (lambda up: up.request("/jobs", "POST", json={}, headers=OURS), ("list", "malformed")),
        (lambda up: up.request("/jobs", headers=OURS), None),
        (lambda up: up.request("/webhooks/another", "POST", json={}), None),
    ],
)
def test_each_answer_to_an_event_is_counted_once_by_form_and_outcome(
    installation: Installation, send: Callable[[Installation], requests.Response], counted: tuple[str, str] | None
) -> None:
    """A body that is neither an event nor a list is not counted."""
    before = scraped(installation)
    send(installation)
    after = scraped(installation)
    assert grown(before, after, "mezcal_deliveries_total", "format", "outcome") == ({counted: 1} if counted else {})
    assert not grown(before, after, "mezcal_delivered_items_total", "format")


def test_what_became_of_each_item_is_counted_once(installation: Installation, repository: OriginServer) -> None:
    """One event of five masters, sent twice: made, listed twice, none of ours, no image; and one deletion."""
    good, broken, gone = (f"{uuid4().hex}.tif" for _ in range(3))
    repository.script(good, body=grey_tiff(120))
    repository.script(broken, body=b"no image")
    repository.script(gone, body=grey_tiff(120))
    before = scraped(installation)
    body, again = event("updated", good, good, broken, "elsewhere/a", "../up.tif"), unique("s3_event")
    headers = signed(body, SECRET)
    counts = ended_batch(installation, post(installation, "standard", body, headers))["counts"]
    assert post(installation, "standard", body, headers).status_code == 200
    assert ended_batch(installation, post(installation, "standard", event("deleted", gone)))["counts"]["deleted"] == 1
    assert post(installation, "s3", again, {"Authorization": "Bearer wrong"}).status_code == 401
    after = scraped(installation)
    assert grown(before, after, "mezcal_deliveries_total", "format", "outcome") == {
        ("standard", "accepted"): 2,
        ("standard", "duplicate"): 1,
        ("s3", "refused"): 1,
    }
    assert grown(before, after, "mezcal_delivered_items_total", "format") == {("standard",): 6}
    ended = {"done": 1, "repeated": 1, "failed": 1, "ignored": 2}
    assert {end: number for end, number in counts.items() if number} == ended
    assert {has["outcome"] for name, has, _ in after if name == "mezcal_batch_items_total"} == set(ENDS)
    wanted = {(end,): number for end, number in (ended | {"deleted": 1}).items()}
    until(
        lambda: grown(before, scraped(installation), "mezcal_batch_items_total", "outcome") == wanted,
        5,
        "all items' ends",
    )
    assert total(scraped(installation), "mezcal_waiting_chunks") == 0


def test_the_log_says_why_an_event_was_refused(installation: Installation) -> None:
    """A wrong clock and a wrong key are both 401; the operator must be able to see which it is."""
    body, name = json.dumps({"type": "master.updated"}).encode(), f"refused-{uuid4().hex}"
    post(installation, "standard", body, late(body), **{"X-Request-ID": name})
    lines = until(
        lambda: [line for line in installation.journal.read_text().splitlines() if name in line], what="its line"
    )
    assert lines is not None
    assert "failure=unauthorized" in lines[0]
    assert "is the clock right?" in lines[0]
