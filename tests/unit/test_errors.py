"""Failures: what clients get, and that a stored failure is read back unchanged."""

from __future__ import annotations

import pytest

from mezcal.errors import Failure, Retention, Unavailable, kinds

STATUSES = {
    "bad-recipe": 400, "unauthorized": 401, "forbidden": 403, "master-missing": 404, "master-denied": 502,
    "master-forbidden": 403, "origin-failed": 502, "origin-timeout": 504, "origin-redirect-refused": 502,
    "not-an-image": 415, "undecodable": 422, "too-large": 413, "timed-out": 504, "quarantined": 422, "unavailable": 503,
    "page-instead": 415, "master-empty": 415, "unusable-response": 502, "master-incomplete": 502,
    "still-working": 503, "busy": 503, "broker-down": 503, "store-down": 503, "superseded": 503, "failure": 500,
    "origin-paused": 503, "unforeseen": 500, "share-exceeded": 429,
    "frame-unfit": 400, "frame-missing": 404, "archive-refused": 403, "archive-failed": 502, "archive-timeout": 504,
    "ticket-expired": 403, "bad-event": 400,
}  # fmt: skip


def test_every_failure_has_the_status_that_the_contract_gives_it() -> None:
    assert {kind.slug: kind.status for kind in kinds()} == STATUSES


@pytest.mark.parametrize("kind", kinds())
def test_a_recorded_failure_comes_back_as_it_was(kind: type[Failure]) -> None:
    again = Failure.from_record(kind("the reason").as_record())
    assert type(again) is kind
    assert again.detail == "the reason"


def test_a_record_of_another_version_is_still_a_failure() -> None:
    assert type(Failure.from_record({"class": "of-next-year", "detail": "x"})) is Failure
    assert Failure.from_record({}).status == 500


def test_what_is_only_for_now_is_never_remembered() -> None:
    assert all(kind.retention is Retention.NONE for kind in kinds(Unavailable))
