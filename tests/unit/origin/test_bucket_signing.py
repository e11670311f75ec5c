"""Which key signs a request to a bucket, and where it is sent."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from mezcal.http import HttpRequest
from mezcal.origin.bucket.access import BucketAccess
from mezcal.origin.bucket.signing import RequestSigner
from mezcal.settings import WrongSetting, load

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = {"repo_username": "AKIAOFTHEBUCKET", "repo_password": "secret"}
OF_THE_STORE = {"aws_access_key_id": "AKIAOFTHESTORE", "aws_secret_access_key": "another", "aws_session_token": "token"}


def access(base: str = "s3://masters/a prefix", **given: Any) -> BucketAccess:
    return BucketAccess(load(_env_file=None, **{"repo_base_url": base} | KEY | given))


def signed(**given: Any) -> dict[str, str]:
    """Returns the headers of a signed request."""
    origin = access(**given)
    return dict(origin.prepare(HttpRequest(origin.addresses.url_of("a.tif"))).own_headers)


@pytest.fixture(autouse=True)
def no_key_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for variable in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(variable, "/nonexistent")


@pytest.mark.parametrize(
    ("given", "internal"),
    [
        ({}, "https://masters.s3.us-east-1.amazonaws.com/a%20prefix/"),
        ({"repo_region": "eu-central-1"}, "https://masters.s3.eu-central-1.amazonaws.com/a%20prefix/"),
        ({"aws_default_region": "cn-north-1"}, "https://masters.s3.cn-north-1.amazonaws.com.cn/a%20prefix/"),
        ({"s3_addressing": "path"}, "https://s3.us-east-1.amazonaws.com/masters/a%20prefix/"),
        ({"base": "s3://with.a.dot/"}, "https://s3.us-east-1.amazonaws.com/with.a.dot/"),
        ({"repo_internal_url": "http://ceph:7480"}, "http://ceph:7480/masters/a%20prefix/"),
        (
            {"repo_internal_url": "http://ceph:7480/", "s3_addressing": "virtual"},
            "http://masters.ceph:7480/a%20prefix/",
        ),
        ({"repo_internal_url": "https://proxy/s3/", "repo_region": "garage"}, "https://proxy/s3/masters/a%20prefix/"),
    ],
)
def test_the_address_follows_from_region_server_and_form(given: dict[str, Any], internal: str) -> None:
    assert access(**given).addresses.internal == internal


def test_a_region_that_aws_has_not_needs_an_address() -> None:
    with pytest.raises(WrongSetting, match="AWS has no region 'garage'") as caught:
        access(repo_region="garage")
    assert "REPO_INTERNAL_URL" in caught.value.hint


def test_the_key_of_the_bucket_comes_before_that_of_the_store() -> None:
    headers = signed(**OF_THE_STORE)
    assert "Credential=AKIAOFTHEBUCKET/" in headers["Authorization"]
    assert "X-Amz-Security-Token" not in headers, "that belongs to the other key"
    headers = signed(repo_username=None, repo_password=None, **OF_THE_STORE)
    assert "Credential=AKIAOFTHESTORE/" in headers["Authorization"]
    assert headers["X-Amz-Security-Token"] == "token"


@pytest.mark.parametrize("missing", KEY)
def test_half_a_key_is_refused(missing: str) -> None:
    with pytest.raises(WrongSetting, match=f"{missing.upper()} is not set"):
        access(**{missing: None})


def test_a_region_of_the_masters_is_not_that_of_the_cache() -> None:
    headers = signed(repo_region="eu-west-1", aws_default_region="us-west-2")
    assert "/eu-west-1/s3/aws4_request" in headers["Authorization"]


@contextmanager
def role() -> Iterator[str]:
    """The URL at which a container gets the keys of its role: each one expires in a minute."""
    keys = iter(range(1, 1000))

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            ends = datetime.now(UTC) + timedelta(minutes=1)
            key = {"AccessKeyId": f"ASIA{next(keys)}", "SecretAccessKey": "s", "Token": "t"}
            body = json.dumps(key | {"Expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ")}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Keys)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/role"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_key_of_a_role_is_renewed_before_it_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    with role() as url:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        signer = RequestSigner(load(_env_file=None, repo_base_url="s3://masters/"))
        sent = [signer.sign("GET", "https://masters.example/a.tif", {}) for _ in range(2)]
    first, second = (headers["Authorization"].partition("Credential=")[2].partition("/")[0] for headers in sent)
    assert first.startswith("ASIA")
    assert second.startswith("ASIA")
    assert first != second
    assert sent[1]["X-Amz-Security-Token"] == "t"


def test_a_signature_is_sent_to_the_address_of_the_bucket_alone() -> None:
    origin = access()
    request = origin.prepare(HttpRequest(origin.addresses.url_of("a.tif")))
    assert request.may_redirect is None, "a redirect is an answer, and not followed"
    assert "Authorization" not in request.headers, "what is in own_headers never goes to another server"
    assert request.url.startswith("https://masters.s3.us-east-1.amazonaws.com/")
