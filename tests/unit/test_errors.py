"""Failures: what clients get, and that a stored failure is read back unchanged."""

from __future__ import annotations

import errno

import pytest

from mezcal.errors import Failure, OutOfMemory, ProfileMissing, Retention, Unavailable, is_out_of_memory, kinds

STATUSES = {
    "bad-recipe": 400, "unauthorized": 401, "forbidden": 403, "denied": 451, "master-missing": 404,
    "origin-unknown": 404,
    "master-denied": 502,
    "master-forbidden": 403, "origin-failed": 502, "origin-timeout": 504, "origin-redirect-refused": 502,
    "not-an-image": 415, "undecodable": 422, "too-large": 413, "timed-out": 504, "quarantined": 422, "unavailable": 503,
    "page-instead": 415, "master-empty": 415, "unusable-response": 502, "master-incomplete": 502,
    "still-working": 503, "busy": 503, "broker-down": 503, "store-down": 503, "superseded": 503, "failure": 500,
    "origin-paused": 503, "unforeseen": 500, "share-exceeded": 429,
    "frame-unfit": 400, "no-such-section": 400, "no-such-picture": 400,
    "frame-missing": 404, "archive-refused": 403, "archive-failed": 502, "archive-timeout": 504,
    "out-of-memory": 503, "ticket-expired": 403, "bad-event": 400,
    "master-outside": 404, "master-unreadable": 502, "profile-missing": 503,
    "master-archived": 502, "master-damaged": 502, "origin-key-refused": 502,
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


def test_what_is_only_for_now_is_never_remembered_for_long() -> None:
    assert {kind for kind in kinds(Unavailable) if kind.retention is not Retention.NONE} == {
        OutOfMemory,
        ProfileMissing,
    }
    assert {OutOfMemory.retention, ProfileMissing.retention} == {Retention.BRIEF}


@pytest.mark.parametrize("error", [
    MemoryError(),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    OSError(errno.EMFILE, "Too many open files"),
    RuntimeError("can't start new thread"),
    ValueError("vips_tracked: out of memory -- size == 34MB"),
    ValueError("heif: Invalid input: Unspecified: Memory allocation error (2.0)"),
    ValueError("lzma_code returned LZMA_MEM_ERROR"),
    ValueError("glib: Error creating thread: Resource temporarily unavailable"),
    ValueError("Unable to allocate 512. KiB for an array"),
    ValueError("insufficient memory"),
    ImportError("libx.so: failed to map segment from shared object"),
])  # fmt: skip
def test_want_of_memory_is_known_by_what_each_library_says(error: Exception) -> None:
    caused = ValueError("strip 3 is damaged")
    caused.__cause__ = error
    assert is_out_of_memory(error)
    assert is_out_of_memory(caused)


@pytest.mark.parametrize("text", [
    "", "broken data stream", "memory not allocated, tag not read", "Image allocation size overflow", "no data",
    "heif: Memory allocation error: Security limit exceeded: Number of tiles exceeds security limit. (6.1000)",
])  # fmt: skip
def test_other_complaints_are_the_masters(text: str) -> None:
    assert not is_out_of_memory(ValueError(text))
    assert not is_out_of_memory(OSError(errno.ENOSPC, text))
