"""The seam into botocore's signer of URLs: with the same moment of signing it and ours give the same URL."""

from __future__ import annotations

import time
from calendar import timegm
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.config import Config
from botocore.session import Session
from hypothesis import given
from hypothesis import strategies as st

from mezcal.store.s3.client.presigned_urls import presigned

if TYPE_CHECKING:
    from typing import Any

KEYS = [("AKIAEXAMPLE", "wJalrXUtnFEMI/K7MDENG", None), ("ASIAEXAMPLE", "of some hours", "a/token+of==it")]
NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)
OPERATIONS = {"GET": "get_object", "HEAD": "head_object"}


def client_of(key: tuple[str, str, str | None]) -> tuple[Session, Any]:
    session = Session()
    session.set_credentials(*key)
    config = Config(signature_version="s3v4", s3={"addressing_style": "path"})
    return session, session.create_client("s3", "eu-west-1", endpoint_url="http://store:9000", config=config)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("method", OPERATIONS)
def test_a_url_signed_as_of_a_moment_is_botocores_own_of_that_moment(
    key: tuple[str, str, str | None], method: str
) -> None:
    session, client = client_of(key)

    @given(name=NAMES)
    def same(name: str) -> None:
        theirs = client.generate_presigned_url(OPERATIONS[method], {"Bucket": "b", "Key": f"a/{name}"}, ExpiresIn=7200)
        signed_at = timegm(time.strptime(parse_qs(urlsplit(theirs).query)["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ"))
        assert presigned(theirs, method, session.get_credentials(), signed_at, 7200) == theirs

    same()


def test_a_url_of_another_moment_has_that_moment() -> None:
    session, client = client_of(KEYS[0])
    url = client.generate_presigned_url("get_object", {"Bucket": "b", "Key": "a"})
    query = parse_qs(urlsplit(presigned(url, "GET", session.get_credentials(), 86_400, 60)).query)
    assert (query["X-Amz-Date"], query["X-Amz-Expires"]) == (["19700102T000000Z"], ["60"])
