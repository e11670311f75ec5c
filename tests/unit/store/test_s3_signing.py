"""Signatures: the same as those of AWS's own library."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from mezcal.store.s3.signing import EMPTY, Key, Request, quoted, signed_headers, signed_query, written

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = 1_795_320_000.0
KEYS = [Key("AKIAEXAMPLE", "wJalrXUtnFEMI/K7MDENG"), Key("ASIAEXAMPLE", "of some hours", "a/token+of==it")]
TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)


def theirs(key: Key) -> Credentials:
    return Credentials(key.id, key.secret, key.token)


def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = dt.datetime.fromtimestamp(NOW, dt.UTC).replace(tzinfo=None)
    monkeypatch.setattr(auth, "get_current_datetime", lambda **_: moment)


def as_theirs(request: Request) -> AWSRequest:
    query = f"?{written(request.query)}" if request.query else ""
    url = f"http://{request.host}{quoted(request.path)}{query}"
    theirs = AWSRequest(request.method, url, dict(request.headers))
    theirs.headers["X-Amz-Content-SHA256"] = request.payload
    return theirs


@pytest.mark.parametrize("key", KEYS)
@given(path=TEXT, query=st.dictionaries(TEXT, TEXT, max_size=3))
def test_headers_are_signed_as_aws_signs_them(key: Key, path: str, query: Mapping[str, str]) -> None:
    request = Request("PUT", "store:9000", f"/b/{path}", query, {"x-amz-meta-a": "b  c", "if-match": '"x"'}, EMPTY)
    with pytest.MonkeyPatch.context() as patch:
        frozen(patch)
        expected = as_theirs(request)
        auth.S3SigV4Auth(theirs(key), "s3", "eu-west-1").add_auth(expected)
    signed = signed_headers(request, key, "eu-west-1", NOW)
    assert signed["authorization"] == expected.headers["Authorization"]


@pytest.mark.parametrize("key", KEYS)
@given(path=TEXT)
def test_urls_are_signed_as_aws_signs_them(key: Key, path: str) -> None:
    request = Request("GET", "store:9000", f"/b/{path}", {}, {})
    with pytest.MonkeyPatch.context() as patch:
        frozen(patch)
        expected = AWSRequest("GET", f"http://{request.host}{quoted(request.path)}")
        auth.S3SigV4QueryAuth(theirs(key), "s3", "eu-west-1", expires=7200).add_auth(expected)
    query = signed_query(request, key, "eu-west-1", NOW, 7200)
    assert sorted(query.split("&")) == sorted(urlsplit(expected.url).query.split("&"))


def test_a_key_shows_its_secret_to_nobody() -> None:
    assert "wJalr" not in repr(KEYS[0])
    assert "of some hours" not in str(KEYS)
