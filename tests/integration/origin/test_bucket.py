"""A bucket as origin, on a real object store that checks signatures and rights."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from mezcal.checks import Severity
from mezcal.checks.origins import origin_checks
from mezcal.errors import (
    Failure,
    MasterArchived,
    MasterDenied,
    MasterForbidden,
    MasterMissing,
    OriginKeyRefused,
    OriginRedirectRefused,
    Retention,
)
from mezcal.origin import MasterStatus, Unreadable, open_origin
from mezcal.origin.bucket.origin import BucketOrigin
from mezcal.settings import load
from tests.support.origin_server import OriginServer
from tests.support.s3_server import running_s3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mezcal.checks import Finding
    from tests.support.s3_server import S3Server

    Open = Callable[..., BucketOrigin]

MASTER, LARGE = os.urandom(5000), os.urandom(9 * 2**20)
BUCKET, NEVER_MADE = "masters", "never-made"
STRANGE = "a b/x+y&z=ü!$'()*,:@~;%41.tif"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An object store with keys: of a reader, of one that may not list, and of one with no right at all."""
    with running_s3(tmp_path_factory.mktemp("s3")) as running:
        running.bucket(BUCKET)
        for name in ("a.tif", STRANGE):
            put(running, name)
        put(running, "large.tif", LARGE)
        put(running, "cold.tif", headers={"x-amz-storage-class": "GLACIER"})
        everything = {
            "Action": "s3:*",
            "Resource": [f"arn:aws:s3:::{name}{rest}" for name in (BUCKET, NEVER_MADE) for rest in ("", "/*")],
        }
        running.add_key("reader", everything)
        running.add_key("blind", {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::masters/*"})
        running.add_key("nobody", {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::other/*"})
        running.enforce_keys()
        yield running


@pytest.fixture
def opened(server: S3Server, tmp_path: Path) -> Open:
    def make(who: str = "reader", **given: Any) -> BucketOrigin:
        place = {"repo_base_url": f"s3://{BUCKET}/pre fix", "repo_internal_url": server.url, "tmp_dir": tmp_path}
        origin = open_origin(load(_env_file=None, **place | server.keys[who] | given))
        assert isinstance(origin, BucketOrigin)
        return origin

    return make


def put(server: S3Server, name: str, body: bytes = MASTER, **options: Any) -> None:
    answer = server.request("PUT", f"{BUCKET}/{quote(f'pre fix/{name}')}", data=body, **options)
    assert answer.status_code == 200, answer.text


def read(origin: BucketOrigin, path: str) -> bytes:
    with origin.open(path) as master:
        return master.file.read()


@pytest.mark.parametrize("path", ["a.tif", STRANGE])
def test_a_master_is_fetched_by_a_signed_request_and_named_by_its_s3_url(opened: Open, path: str) -> None:
    origin = opened()
    with origin.open(path) as master:
        assert master.file.read() == MASTER
        assert master.source.startswith("s3://masters/pre%20fix/")
        assert origin.path_of(master.source) == path
        assert (master.size, bool(master.etag), bool(master.last_modified)) == (5000, True, True)
        assert origin.revalidate(path, master.etag, master.last_modified) is MasterStatus.UNCHANGED
    changed_in_that_second = origin.revalidate(path, '"another"', master.last_modified)
    assert changed_in_that_second is MasterStatus.CHANGED
    assert origin.path_of(f"s3://masters/pre fix/{path.partition('%')[0]}") is not None, "spaces need no escape"
    assert origin.path_of(f"s3://MASTERS/pre%20fix/{path}") is None


def test_the_end_of_a_large_master_is_read_before_it_has_arrived(opened: Open, server: S3Server) -> None:
    with opened().open("large.tif") as master:
        master.file.seek(-1000, os.SEEK_END)
        assert master.file.read() == LARGE[-1000:]
        master.file.seek(0)
        assert master.file.read() == LARGE
    ranges = [request.headers["range"] for request in server.seen(f"/{BUCKET}/pre fix/large.tif")[1:]]
    assert ranges == [f"bytes={len(LARGE) - 2**20}-{len(LARGE) - 1}"] or not ranges, "the whole may have come first"


def test_a_bucket_is_told_no_public_address(opened: Open, server: S3Server) -> None:
    read(opened(), "a.tif")
    sent = server.seen(f"/{BUCKET}/pre fix/a.tif")[-1].headers
    assert not {"x-forwarded-host", "x-forwarded-proto", "x-amz-request-payer", "traceparent"} & set(sent)


def test_who_requests_pays_if_the_setting_says_so(opened: Open, server: S3Server) -> None:
    read(opened(repo_requester_pays=True), "a.tif")
    sent = server.seen(f"/{BUCKET}/pre fix/a.tif")[-1].headers
    assert sent["x-amz-request-payer"] == "requester"
    assert "x-amz-request-payer" in sent["authorization"], "it is signed, too"


def test_an_object_that_is_gone_is_missing(opened: Open) -> None:
    with pytest.raises(MasterMissing, match="404 NoSuchKey"):
        read(opened(), "none.tif")
    assert opened().revalidate("none.tif", '"1"', None) is MasterStatus.GONE


WRONG_KEYS = [
    ({"repo_password": "wrong"}, "403 SignatureDoesNotMatch: the secret is wrong"),
    ({"repo_username": "AKIAUNKNOWN"}, "403 InvalidAccessKeyId: the access key id is unknown there"),
]


@pytest.mark.parametrize(("given", "reason"), WRONG_KEYS)
def test_a_wrong_key_is_said_and_is_no_masters_fault(opened: Open, given: dict[str, str], reason: str) -> None:
    origin = opened(**given)
    for ask in (lambda: read(origin, "a.tif"), lambda: origin.revalidate("a.tif", '"1"', None)):
        with pytest.raises(OriginKeyRefused, match=reason) as caught:
            ask()
        assert caught.value.retention is Retention.NONE
        assert caught.value.blameless


def test_without_any_key_the_settings_are_named(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(OriginKeyRefused, match=r"set REPO_USERNAME .* and REPO_PASSWORD"):
        read(opened(repo_username=None, repo_password=None), "a.tif")


def test_the_key_of_the_store_is_used_if_the_bucket_has_none(opened: Open, server: S3Server) -> None:
    key = server.keys["reader"]
    shared = {"aws_access_key_id": key["repo_username"], "aws_secret_access_key": key["repo_password"]}
    assert read(opened(repo_username=None, repo_password=None, **shared), "a.tif") == MASTER


def test_a_missing_bucket_makes_no_master_missing(opened: Open) -> None:
    origin = opened(repo_base_url=f"s3://{NEVER_MADE}/")
    with pytest.raises(OriginKeyRefused, match="404 NoSuchBucket: there is no such bucket"):
        origin.revalidate("a.tif", '"1"', None)


@pytest.mark.parametrize(("status", "failure"), [(502, MasterDenied), (403, MasterForbidden)])
def test_a_master_that_the_key_may_not_read_is_denied_with_the_reason(
    opened: Open, status: int, failure: type[Failure]
) -> None:
    origin = opened("nobody", origin_denied_status=status)
    for ask in (lambda: read(origin, "a.tif"), lambda: origin.revalidate("a.tif", '"1"', None)):
        with pytest.raises(failure, match=r"403 AccessDenied: the key may not read this object .*s3:ListBucket"):
            ask()


def test_an_object_in_glacier_says_so(opened: Open) -> None:
    with pytest.raises(MasterArchived, match="403 InvalidObjectState: the object is in an archive"):
        read(opened(), "cold.tif")


# --- lists


def test_a_prefix_is_listed_without_hidden_names_and_without_other_files(opened: Open, server: S3Server) -> None:
    folder = uuid4().hex
    names = [f"{folder}/{name}" for name in ("1.tif", "b c/2.tif", "b c/d/3.JP2", ".hidden/4.tif", "notes.txt", "e/")]
    for name in names:
        put_signed(server, name)
    listing = opened().listing
    assert list(listing.walk(folder)) == sorted(names[:3])
    assert list(listing.walk(folder, 0)) == names[:1]
    assert list(listing.walk(folder, 1)) == names[:2]
    assert list(listing.walk("none")) == []
    assert STRANGE in list(listing.walk(""))


def put_signed(server: S3Server, name: str) -> None:
    with closing(server.client("s3", *server.keys["reader"].values())) as client:
        client.put_object(Bucket=BUCKET, Key=f"pre fix/{name}", Body=MASTER)


def test_a_list_that_fails_says_why(opened: Open) -> None:
    [failed] = opened("blind").listing.walk("")
    assert isinstance(failed, Unreadable)
    assert "the bucket cannot be listed: the bucket answered 403 AccessDenied" in failed.why


def test_the_home_page_asks_for_a_list_once_a_minute(opened: Open, server: S3Server) -> None:
    origin, before = opened(), len(server.seen(f"/{BUCKET}/"))
    assert origin.list_paths(1) == origin.list_paths(12)[:1]
    assert {"a.tif", "large.tif", STRANGE} <= set(origin.list_paths(12))
    assert len(server.seen(f"/{BUCKET}/")) == before + 1
    assert opened("blind").list_paths(12) == [], "the page is shown without a list"


# --- mezcal check


def test_check_tells_what_the_key_may_do(opened: Open, server: S3Server) -> None:
    def check(who: str, **given: Any) -> Finding:
        place = {"repo_base_url": f"s3://{BUCKET}/pre fix", "repo_internal_url": server.url}
        return origin_checks(load(_env_file=None, **place | server.keys[who] | given))[0].run()

    right = check("reader")
    assert (right.level, "can be listed" in right.detail) == (Severity.OK, True)
    blind = check("blind")
    assert (blind.level, "the key may not list the bucket" in blind.detail) == (Severity.WARNING, True)
    assert "s3:ListBucket" in blind.hint
    empty = check("reader", repo_base_url=f"s3://{BUCKET}/pre")
    assert (empty.level, "has no object" in empty.detail) == (Severity.WARNING, True)
    wrong = check("reader", repo_password="wrong")
    assert (wrong.level, "SignatureDoesNotMatch: the secret is wrong" in wrong.detail) == (Severity.FAILED, True)


# --- where a signature never goes


def test_no_redirect_is_followed(opened: Open) -> None:
    with OriginServer() as first, OriginServer() as other:
        first.script(f"{BUCKET}/pre fix/a.tif", redirect=f"{other.url}a.tif")
        first.script(f"{BUCKET}/pre fix/b.tif", redirect=f"{first.url}{BUCKET}/pre%20fix/c.tif")
        origin = opened(repo_internal_url=first.url, origin_redirect_hosts=f"127.0.0.1:{other.port}")
        for path in ("a.tif", "b.tif"):
            with pytest.raises(OriginRedirectRefused, match="no redirect of a bucket is followed"):
                read(origin, path)
        assert other.count() == 0
        assert [request.path for request in first.seen()] == [f"{BUCKET}/pre fix/a.tif", f"{BUCKET}/pre fix/b.tif"]
