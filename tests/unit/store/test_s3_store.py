"""The store in a bucket: what only such a store has to do."""

from __future__ import annotations

import os
import random
import shutil
import socket
import string
import threading
import time
import tracemalloc
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from mezcal.errors import StoreDown, Superseded
from mezcal.recipe import Frame, Mezzanine, Thumbnail, ThumbnailOptions, from_json
from mezcal.settings import Layout, WrongSetting, load
from mezcal.store import LocalStore, Replaced, open_store
from mezcal.store.housekeeping.trim import Bounds, Trim
from mezcal.store.s3 import S3Store
from mezcal.store.s3.client import S3Client
from mezcal.store.s3.object_metadata import as_metadata, from_metadata
from tests.support.s3_server import KEYS
from tests.support.store_contract import JPEG, RECIPE, content, put, sidecar
from tests.unit.store.test_local_store import files_no_larger_than

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.s3_server import S3Server


LOWER_KEYS = {name.lower(): value for name, value in KEYS.items()}


@pytest.fixture
def store(s3: S3Server, tmp_path: Path) -> S3Store:
    return S3Store(s3.settings(s3.bucket(), tmp_path))


def test_an_object_that_mezcal_did_not_write_has_no_time_of_a_comparison(store: S3Store) -> None:
    store.bucket.put(store.name(RECIPE), JPEG)
    found = store.find(RECIPE)
    assert found is not None
    assert found.fresh is None


# --- where it is


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({"aws_default_region": "eu-west-1"}, "https://a-bucket.s3.eu-west-1.amazonaws.com/a/b"),
        ({"aws_default_region": "cn-north-1"}, "https://a-bucket.s3.cn-north-1.amazonaws.com.cn/a/b"),
        ({}, "https://a-bucket.s3.us-east-1.amazonaws.com/a/b"),
        ({"archive_api_url": "https://archive.example/"}, "https://a-bucket.s3.us-west-2.amazonaws.com/a/b"),
        ({"aws_bucket": "a.b"}, "https://s3.us-east-1.amazonaws.com/a.b/a/b"),
        ({"s3_addressing": "path"}, "https://s3.us-east-1.amazonaws.com/a-bucket/a/b"),
        ({"storage_url": "http://store:9000"}, "http://store:9000/a-bucket/a/b"),
        ({"storage_url": "https://store/s3/", "s3_addressing": "path"}, "https://store/s3/a-bucket/a/b"),
        ({"storage_url": "https://store:1", "s3_addressing": "virtual"}, "https://a-bucket.store:1/a/b"),
    ],
)
def test_the_bucket_is_where_the_settings_say(
    given: dict[str, str], url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    client = S3Client(load(_env_file=None, **{"storage": "s3", "aws_bucket": "a-bucket", **LOWER_KEYS, **given}))
    assert client.presigned_url("a/b", "GET", 0, 60).partition("?")[0] == url


def test_a_bucket_without_storage_means_s3(tmp_path: Path) -> None:
    """OCS thumbnail-service has no STORAGE either."""
    assert isinstance(open_store(load(_env_file=None, aws_bucket="a-bucket", data_dir=tmp_path)), S3Store)
    assert isinstance(open_store(load(_env_file=None, storage="local", aws_bucket="x", data_dir=tmp_path)), LocalStore)


@pytest.mark.parametrize(
    ("given", "named"),
    [({"storage": "s3"}, "AWS_BUCKET"), ({"aws_bucket": "b", "sendfile_header": "X-Sendfile"}, "SENDFILE_HEADER")],
)
def test_settings_that_cannot_be_meant_are_refused_by_name(given: dict[str, str], named: str) -> None:
    with pytest.raises(WrongSetting, match=named):
        load(_env_file=None, **given)


# --- who we are there


def test_credentials_come_from_where_every_aws_client_has_them(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "credentials"
    shared.write_text("[default]\naws_access_key_id = shared-id\naws_secret_access_key = shared-secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(shared))
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    no_credential = {"aws_access_key_id": None, "aws_secret_access_key": None}
    store = S3Store(s3.settings(s3.bucket(), tmp_path, **no_credential))
    assert put(store)
    assert "shared-id" in str(store.presigned_url("0" * 32))


def test_missing_credentials_are_reported(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    store = S3Store(s3.settings(s3.bucket(), tmp_path, aws_access_key_id=None, aws_secret_access_key=None))
    with pytest.raises(StoreDown, match="AWS_ACCESS_KEY_ID"):
        store.find(RECIPE)


def test_lent_keys_are_sent_with_their_token(s3: S3Server, tmp_path: Path) -> None:
    store = S3Store(s3.settings(s3.bucket(), tmp_path, aws_session_token="a-token-of-some-hours"))
    put(store)
    assert "X-Amz-Security-Token=a-token-of-some-hours" in str(store.presigned_url("0" * 32))


# --- requests


def test_a_large_image_goes_in_parts_and_is_fenced_all_the_same(s3: S3Server, tmp_path: Path) -> None:
    store = S3Store(s3.settings(s3.bucket(), tmp_path))
    store.bucket._part_bytes = 5 << 20
    large = os.urandom(12 << 20)
    put(store, large)
    assert content(store) == large
    found = store.bucket.head(store.name(RECIPE))
    assert found is not None
    assert found.etag.endswith('-3"')
    known = store.sidecar(RECIPE)
    assert known is not None
    assert known.size == len(large)
    assert store.refresh(RECIPE, replace(known, fresh=known.fresh + 1))


def test_parts_of_a_writer_that_was_overtaken_are_given_up(s3: S3Server, tmp_path: Path) -> None:
    store = S3Store(s3.settings(s3.bucket(), tmp_path))
    store.bucket._part_bytes = 5 << 20
    asked = []

    def overtaken() -> None:
        asked.append(True)
        if len(asked) == 1:
            put(store, JPEG)
        else:
            raise Superseded("the job was given to another worker")

    with pytest.raises(Superseded):
        put(store, os.urandom(6 << 20), overtaken)
    assert content(store) == JPEG
    assert store.bucket.abort_uploads(time.time() + 60, lambda _name: True) == 0


def test_uploads_of_dead_writers_are_given_up_in_the_end(s3: S3Server, tmp_path: Path) -> None:
    store = S3Store(s3.settings(bucket := s3.bucket(), tmp_path))
    assert s3.request("POST", f"{bucket}/left/image.jpg?uploads=").ok
    assert store.expire() == 1  # moto says of every upload that it was begun in 2010
    assert store.expire() == 0


def test_uploads_of_others_in_the_same_bucket_are_left_alone(s3: S3Server, tmp_path: Path) -> None:
    store = S3Store(s3.settings(bucket := s3.bucket(), tmp_path))
    assert s3.request("POST", f"{bucket}/dumps/database.tar?uploads=").ok
    assert store.expire() == 0
    assert store.bucket.abort_uploads(time.time() + 60, lambda _name: True) == 1


@pytest.mark.parametrize(("outer", "inner"), [("", "mezcal"), ("a", "a/b/c")])
def test_images_of_an_installation_below_another_are_neither_counted_nor_trimmed(
    s3: S3Server, tmp_path: Path, outer: str, inner: str
) -> None:
    bucket, names = s3.bucket(), ("early", "zebra/1", "zebra/2")
    ours, theirs = (S3Store(s3.settings(bucket, tmp_path / one, aws_prefix=one)) for one in (outer, inner))
    for store in (theirs, ours):
        store.bucket.put(".mezcal/check", b"")  # a living one writes it every ten seconds
        for name in names:
            put(store, recipe=Mezzanine.parse(name))
        put(store, recipe=Mezzanine.parse("zebra/1", "2"))
    seen = [entry.name for entry in ours.entries()]
    assert seen == [entry.name for entry in theirs.entries()]
    assert ours.usage() == theirs.usage()
    within = f"{theirs.bucket.prefix.removeprefix(ours.bucket.prefix)}early/image.jpg"
    assert [entry.name for entry in ours.entries(within)] == [name for name in seen if name > within], "gone on with"
    assert Trim(ours.inventory, Bounds(max_bytes=1)).run(60, now=True).counted == len(seen) == 4


def test_bytes_are_fetched_only_as_far_as_they_are_wanted(store: S3Store) -> None:
    put(store)
    opened = store.open(RECIPE)
    assert opened is not None
    assert opened.remote is not None
    with opened.remote.fetch((3, 6)) as part:
        assert part.read() == JPEG[3:7]
    put(store, b"\xff\xd8 another \xff\xd9")
    with pytest.raises(Replaced):
        opened.remote.fetch()
    newer = opened.remote.reopen()
    assert newer is not None
    assert newer.file.read() == b"\xff\xd8 another \xff\xd9"


def test_a_full_scratch_disk_is_not_reported_as_a_store_that_is_down(store: S3Store) -> None:
    put(store, os.urandom(2 << 20))
    opened = store.open(RECIPE)
    assert opened is not None
    with opened.file as file, files_no_larger_than(1 << 20), pytest.raises(StoreDown, match="scratch folder"):
        file.read()
    assert store.find(RECIPE) is not None, "other clients are not refused"


def test_a_sidecar_that_is_too_long_loses_what_can_be_spared() -> None:
    path = "".join(random.Random(1).choices(string.ascii_letters, k=2048))
    long = replace(sidecar(), source="http://x/" + "s" * 3000, recipe=Mezzanine.parse(path).as_json())
    metadata = as_metadata(long)
    assert sum(len(name) + len(value) for name, value in metadata.items()) <= 2048
    assert from_metadata(metadata, long.recipe) == replace(long, source="")
    assert from_metadata(metadata) is None


def test_the_recipe_of_the_largest_mosaic_is_kept_with_its_picture() -> None:
    """A take-down finds by it what shows a frame."""
    dice = random.Random(2)
    frames = [
        Frame(40_000_000 + number, f"cpt1m010-fa16-20261128-{number:04}-e91.fits.fz", f"{dice.getrandbits(128):032x}")
        for number in range(17)
    ]
    recipe = Thumbnail(tuple(frames), ThumbnailOptions.parse({"mosaic": "true", "ra": "10", "dec": "2", "size": "9"}))
    source = " ".join(f"https://archive.example.edu/frames/{frame.id}/" for frame in frames)
    digest = " ".join(f"sha-256:{dice.getrandbits(256):064x}" for _ in frames)
    for master_digest in (None, digest):
        long = replace(sidecar(), recipe=recipe.as_json(), source=source, master_digest=master_digest, note="covered=1")
        metadata = as_metadata(long)
        assert sum(len(name) + len(value) for name, value in metadata.items()) <= 2048
        found = from_metadata(metadata)
        assert found is not None
        assert from_json(found.recipe) == recipe
        assert found.note == "covered=1"


def test_a_damaged_recipe_in_the_metadata_is_none() -> None:
    metadata = as_metadata(sidecar())
    for text in ("**AAAA", "**!", "*%"):
        assert from_metadata({**metadata, "recipe": text}) is None


def test_objects_of_others_are_served_but_nothing_is_known_of_them(s3: S3Server, store: S3Store) -> None:
    store.bucket.put(store.name(RECIPE), JPEG)
    found = store.find(RECIPE)
    assert found is not None
    assert found.size == len(JPEG)
    assert store.sidecar(RECIPE) is None
    assert content(store) == JPEG


def test_a_url_of_a_thumbnail_is_the_same_all_day(store: S3Store) -> None:
    query = parse_qs(urlsplit(str(store.presigned_url("0" * 32))).query)
    assert query["X-Amz-Date"][0].endswith("T000000Z")
    assert query["X-Amz-Expires"] == ["604800"]


def test_clients_may_reach_the_store_by_another_name(s3: S3Server, tmp_path: Path) -> None:
    store = S3Store(s3.settings(s3.bucket(), tmp_path, s3_public_url="https://images.example.edu"))
    assert str(store.presigned_url("0" * 32)).startswith("https://images.example.edu/bucket-")


# --- what goes wrong


def test_a_refusal_says_what_to_do(s3: S3Server, tmp_path: Path) -> None:
    store = S3Store(s3.settings("missing-bucket", tmp_path))
    with pytest.raises(StoreDown, match="AWS_BUCKET"), store.draft():
        pass
    assert not list(tmp_path.rglob("*.jpg"))


def test_a_store_that_cannot_be_reached_is_reported_soon_and_then_at_once(s3: S3Server, tmp_path: Path) -> None:
    store = S3Store(s3.settings("a-bucket", tmp_path, storage_url="http://127.0.0.1:1"))
    with pytest.raises(StoreDown, match="cannot be reached"):
        store.find(RECIPE)
    with pytest.raises(StoreDown, match="a moment ago"):
        store.find(RECIPE)


def test_a_store_that_accepts_connections_but_never_answers_is_reported(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it is asked more than once, and waited for each time."""
    monkeypatch.setattr("mezcal.store.s3.client.s3_client.LOOKUP_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        store = S3Store(s3.settings("a-bucket", tmp_path, storage_url=url))
        with pytest.raises(StoreDown, match="cannot be reached"):
            store.find(RECIPE)
        with pytest.raises(StoreDown, match="a moment ago"):
            store.find(RECIPE)


# --- a million


class Listing(BaseHTTPRequestHandler):
    """An object store that lists as many images as it is asked for."""

    pages = 1000
    asked = 0
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        type(self).asked += 1
        page = int(parse_qs(urlsplit(self.path).query).get("continuation-token", ["0"])[0])
        following = f"<NextContinuationToken>{page + 1}</NextContinuationToken>" if page + 1 < self.pages else ""
        shown = "".join(
            f"<Contents><Key>{page:04}/{number:03}/image.jpg</Key><Size>7</Size><ETag>x</ETag>"
            "<LastModified>2026-11-22T03:00:00.000Z</LastModified></Contents>"
            for number in range(1000)
        )
        body = f"<ListBucketResult>{shown}{following}</ListBucketResult>".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def listing(pages: int) -> Iterator[tuple[str, type[Listing]]]:
    kind = type("Pages", (Listing,), {"pages": pages, "asked": 0})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", kind
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_listing_asks_for_a_page_when_it_is_wanted(s3: S3Server, tmp_path: Path) -> None:
    with listing(1000) as (url, kind):
        store = S3Store(s3.settings("a-bucket", tmp_path, storage_url=url))
        assert len(list(islice(store.entries(), 1500))) == 1500
        assert kind.asked == 2


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_million_images_are_listed_a_page_at_a_time(s3: S3Server, tmp_path: Path) -> None:
    with listing(1000) as (url, _):
        store = S3Store(s3.settings("a-bucket", tmp_path, storage_url=url))
        tracemalloc.start()
        try:
            assert sum(1 for _ in store.entries()) == 1_000_000
            assert tracemalloc.get_traced_memory()[1] < 20_000_000
        finally:
            tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_million_files_are_listed_without_holding_them(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "cache", Layout.BASIC)
    image = tmp_path / "image"
    try:
        for number in range(1_000_000):
            folder = f"{store.root}/{number // 10_000:02}/{number // 100 % 100:02}/{number % 100:02}"
            os.makedirs(folder)  # noqa: PTH103 - a million times
            if number % 10_000 == 0:  # a file takes some ten thousand links only
                image = image.with_name(f"image-{number}")
                image.write_bytes(b"x")
            os.link(image, f"{folder}/image.jpg")
        tracemalloc.start()
        assert sum(1 for _ in store.entries()) == 1_000_000
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
        shutil.rmtree(tmp_path)
