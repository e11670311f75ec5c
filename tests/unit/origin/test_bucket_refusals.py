"""What the errors of an object store mean for a master."""

from __future__ import annotations

import pytest

from mezcal.errors import (
    ORIGIN_AWAY,
    MasterArchived,
    MasterDenied,
    MasterMissing,
    OriginFailed,
    OriginKeyRefused,
    UnusableResponse,
)
from mezcal.origin.bucket.refusals import failure_of
from mezcal.origin.retries import TransientFailure


def body(code: str, more: str = "") -> bytes:
    return f'<?xml version="1.0"?>\n<Error><Code>{code}</Code><Message>In words.</Message>{more}</Error>'.encode()


@pytest.mark.parametrize(("status", "code", "advice"), [
    (403, "InvalidAccessKeyId", "the access key id is unknown there: check REPO_USERNAME"),
    (403, "SignatureDoesNotMatch", "the secret is wrong: check REPO_USERNAME and REPO_PASSWORD"),
    (400, "ExpiredToken", "the temporary key has expired"),
    (403, "RequestTimeTooSkewed", "this machine's clock is wrong"),
    (404, "NoSuchBucket", "there is no such bucket: check REPO_BASE_URL"),
    (301, "PermanentRedirect", "the bucket is in another region: set REPO_REGION"),
])  # fmt: skip
def test_what_is_the_operators_fault_names_what_to_correct(status: int, code: str, advice: str) -> None:
    failure = failure_of(status, {}, body(code), 502)
    assert isinstance(failure, OriginKeyRefused)
    assert failure.detail.startswith(f"the bucket answered {status} {code}: {advice}")


def test_the_right_region_is_named() -> None:
    malformed = failure_of(400, {}, body("AuthorizationHeaderMalformed", "<Region>eu-central-1</Region>"), 502)
    redirect = failure_of(301, {"x-amz-bucket-region": "eu-central-1"}, b"", 502)
    assert str(malformed).endswith("set REPO_REGION=eu-central-1")
    assert str(redirect).endswith("set REPO_REGION=eu-central-1")


def test_no_region_that_is_none_is_repeated() -> None:
    failure = failure_of(301, {}, body("PermanentRedirect", "<Region>&lt;script&gt;</Region>"), 502)
    assert str(failure).endswith("set REPO_REGION")


@pytest.mark.parametrize(("status", "code", "kind"), [
    (404, "NoSuchKey", MasterMissing),
    (404, "", MasterMissing),
    (403, "AccessDenied", MasterDenied),
    (403, "", MasterDenied),
    (403, "InvalidObjectState", MasterArchived),
    (405, "MethodNotAllowed", UnusableResponse),
])  # fmt: skip
def test_what_concerns_one_master_is_a_failure_of_it(status: int, code: str, kind: type[Exception]) -> None:
    assert type(failure_of(status, {}, body(code) if code else b"", 502)) is kind


@pytest.mark.parametrize(("status", "code"), [(503, "SlowDown"), (500, "InternalError"), (429, "")])
def test_an_overloaded_store_is_asked_again(status: int, code: str) -> None:
    transient = failure_of(status, {"Retry-After": "3"}, body(code) if code else b"", 502)
    assert isinstance(transient, TransientFailure)
    assert isinstance(transient.failure, OriginFailed)
    assert transient.retry_after == 3


def test_a_refused_key_says_nothing_of_a_stored_image() -> None:
    assert OriginKeyRefused in ORIGIN_AWAY, "an image is not removed because its master could not be compared"
