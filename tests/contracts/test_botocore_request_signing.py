"""The seam into botocore's signer of requests: our requests for an object are those of botocore's own client."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.session import Session
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mezcal.origin.bucket.access import BucketAccess
from mezcal.settings import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from botocore.awsrequest import AWSPreparedRequest

KEY_ID, SECRET, TOKEN = "AKIAEXAMPLE", "wJalrXUtnFEMI/K7MDENG", "a/token+of==it"
SEGMENTS = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/\\"), min_size=1, max_size=20)
PATHS = st.lists(SEGMENTS.filter(lambda name: name not in {".", ".."}), min_size=1, max_size=3).map("/".join)
OF_A_SIGNATURE = {"authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"}
UNSIGNED = {"user-agent", "amz-sdk-invocation-id", "amz-sdk-request"}  # what botocore says of itself
NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_: NOON)


def sent_by_botocore(endpoint: str | None, style: str, token: str | None) -> Callable[..., AWSPreparedRequest]:
    """Returns a function that lets botocore's client ask for an object, and returns the request. Nothing is sent."""
    session, sent = Session(), []
    session.set_credentials(KEY_ID, SECRET, token)
    config = Config(
        signature_version="s3v4", s3={"addressing_style": style}, response_checksum_validation="when_required"
    )
    client = session.create_client("s3", "eu-west-1", endpoint_url=endpoint, config=config)

    def keep(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        sent.append(request)
        return AWSResponse(request.url, 200, {}, Body())

    client.meta.events.register("before-send.s3.*", keep)

    def ask(operation: str, **parameters: Any) -> AWSPreparedRequest:
        getattr(client, operation)(**parameters)
        return sent.pop()

    return ask


class Body:
    """An empty one."""

    def stream(self, *_: Any, **__: Any) -> list[bytes]:
        return []

    def read(self, *_: Any) -> bytes:
        return b""


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize(("endpoint", "style"), [("http://store:9000", "path"), (None, "virtual")])
@pytest.mark.parametrize("operation", ["get_object", "head_object"])
def test_a_request_is_that_of_botocores_client(
    endpoint: str | None, style: str, token: str | None, operation: str
) -> None:
    botocore = sent_by_botocore(endpoint, style, token)
    key = {"aws_access_key_id": KEY_ID, "aws_secret_access_key": SECRET, "aws_session_token": token}
    place = {"repo_base_url": "s3://masters/a%20prefix", "repo_internal_url": endpoint, "repo_region": "eu-west-1"}
    access = BucketAccess(load(_env_file=None, **place, **key))

    @settings(suppress_health_check=list(HealthCheck), max_examples=50)
    @given(path=PATHS)
    def same(path: str) -> None:
        theirs = botocore(operation, Bucket="masters", Key=f"a prefix/{path}", IfNoneMatch='"5d41"')
        headers = {name: text(value) for name, value in theirs.headers.items() if name.lower() not in UNSIGNED}
        plain = {name: value for name, value in headers.items() if name.lower() not in OF_A_SIGNATURE}
        url = access.addresses.url_of(path)
        ours = access.signer.sign(theirs.method, url, plain)
        assert url == theirs.url
        assert ours == headers

    same()


def text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
