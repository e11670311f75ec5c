"""Images that lie in a bucket, over HTTP: sent through the API, or fetched by the client from the object store."""

from __future__ import annotations

import io
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from PIL import Image

from mezcal.recipe import Mezzanine
from mezcal.store.s3 import S3Store
from mezcal.store.s3.client import S3Client
from mezcal.store.s3.store import CHECK_SECONDS
from tests import DATA
from tests.integration.conftest import TOKEN
from tests.support.archive_server import OWNER, ArchiveServer
from tests.support.installation import ONE_WORKER, SAMPLES, running_installation
from tests.support.s3_server import KEYS, running_s3
from tests.support.umd_mezcal import UMD_JPEG, UmdBucket
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future
    from pathlib import Path

    from tests.support.installation import Installation
    from tests.support.origin_server import OriginServer
    from tests.support.s3_server import S3Server

BEARER = {"Authorization": f"Bearer {TOKEN}"}
MONO = DATA / "fits" / "mono_f32_rice.fits.fz"
ARCHIVES = "the-archives-own-bucket"
QUICK = {"API_TOKENS": TOKEN, "FAILURE_BRIEF_SECONDS": "1", "RETRY_SECONDS": "0.5"}


@pytest.fixture(scope="module")
def bucket(s3: S3Server) -> str:
    return s3.bucket()


@pytest.fixture(scope="module")
def archive() -> Iterator[ArchiveServer]:
    with ArchiveServer() as running:
        yield running


@pytest.fixture(scope="module")
def proxy(
    s3: S3Server,
    bucket: str,
    repository: OriginServer,
    archive: ArchiveServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Installation]:
    own = {"ARCHIVE_API_URL": archive.url, "ARCHIVE_TOKEN": OWNER, "ARCHIVE_BUCKET": s3.bucket(ARCHIVES)}
    given = s3.environment(bucket, API_PROCESSES="2", **own, **QUICK)
    with running_installation(tmp_path_factory.mktemp("proxy"), repository.url, *ONE_WORKER, **given) as up:
        yield up


@pytest.fixture(scope="module")
def redirect(
    s3: S3Server, bucket: str, repository: OriginServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    given = s3.environment(bucket, S3_SERVE="redirect", **QUICK)
    with running_installation(tmp_path_factory.mktemp("redirect"), repository.url, *ONE_WORKER, **given) as up:
        yield up


def store_of(s3: S3Server, bucket: str, folder: Path) -> S3Store:
    return S3Store(s3.settings(bucket, folder))


def whole(data: bytes) -> bool:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.format == "JPEG"


@pytest.fixture(scope="module")
def fragile(
    repository: OriginServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Installation, S3Server]]:
    """An installation with a separate object store, which is damaged last, because it counts as healthy for 10 s."""
    with running_s3(tmp_path_factory.mktemp("s3-fragile")) as server:
        given = server.environment(server.bucket("fragile"), REVALIDATE_AFTER="1", **QUICK)
        with running_installation(tmp_path_factory.mktemp("fragile"), repository.url, **given) as installation:
            assert installation.request("/readyz").status_code == 200
            yield installation, server


def test_an_old_image_is_looked_after_while_it_is_served(
    fragile: tuple[Installation, S3Server], repository: OriginServer, master: str
) -> None:
    installation, _ = fragile
    before = installation.ask(master).content
    repository.script(master, body=(SAMPLES / "portrait-rotated.tif").read_bytes())
    until(lambda: installation.ask(master).content != before, 30, "the changed master's image")


@contextmanager
def held(repository: OriginServer, master: str, installation: Installation) -> Iterator[Future[requests.Response]]:
    """Ask for *master* and stop its download: the worker has found then that the store can be written."""
    script = repository.script_of(master)
    script.hold_at = 1000
    with ThreadPoolExecutor() as threads:
        asked = threads.submit(installation.ask, master)
        repository.wait_for_requests(master, 1)
        yield asked
        script.go.set()


def waits_for_the_store(installation: Installation, master: str) -> bool:
    job = installation.request(f"/jobs/{Mezzanine.parse(master).key}").json()
    return bool((job.get("progress") or {}).get("storing"))


def test_what_is_converted_is_kept_while_the_store_refuses(
    fragile: tuple[Installation, S3Server], repository: OriginServer, master: str
) -> None:
    installation, server = fragile
    with held(repository, master, installation) as asked:
        server.refuse("PUT", Retry_After="1")
        repository.script_of(master).go.set()
        until(lambda: waits_for_the_store(installation, master), 30, "a picture that waits")
        server.refuse(count=0)
        assert whole(asked.result(60).content)
    assert repository.count(master) == 1


def test_a_deletion_ends_the_wait_for_the_store(
    fragile: tuple[Installation, S3Server], repository: OriginServer, master: str
) -> None:
    installation, server = fragile
    with held(repository, master, installation) as asked:
        server.refuse("PUT")
        script = repository.script_of(master)
        script.go.set()
        until(lambda: waits_for_the_store(installation, master), 30, "a picture that waits")
        script.body = (SAMPLES / "portrait-rotated.tif").read_bytes()
        assert installation.ask(master, "DELETE", headers=BEARER).status_code == 204
        server.refuse(count=0)
        newer = asked.result(60).content
    assert repository.count(master) == 2
    with Image.open(io.BytesIO(newer)) as image, Image.open(SAMPLES / "portrait-rotated.tif") as expected:
        assert sorted(image.size) == sorted(expected.size)


def test_jobs_for_which_nobody_waits_survive_any_number_of_refusals(
    fragile: tuple[Installation, S3Server], repository: OriginServer, master: str, tmp_path: Path
) -> None:
    installation, server = fragile
    time.sleep(CHECK_SECONDS)  # for which a store counts as healthy
    server.refuse("PUT")
    assert installation.request("/jobs", "POST", headers=BEARER, json=[master]).ok
    until(lambda: installation.request("/readyz").status_code == 503, 30, "not ready")
    assert repository.count(master) == 0
    server.refuse(count=0)
    store = store_of(server, "fragile", tmp_path)
    until(lambda: store.find(Mezzanine.parse(master)), 30, "the image")
    assert repository.count(master) == 1


def test_a_miss_is_made_and_kept_in_the_bucket(
    proxy: Installation, s3: S3Server, bucket: str, master: str, repository: OriginServer, tmp_path: Path
) -> None:
    cold, warm = proxy.ask(master), proxy.ask(master)
    assert whole(cold.content)
    assert cold.headers["Cache-Status"] == "mezcal; fwd=miss"
    assert warm.headers["Cache-Status"] == "mezcal; hit"
    assert warm.content == cold.content
    assert repository.count(master) == 1
    bucket_of = store_of(s3, bucket, tmp_path).bucket
    kept = requests.head(bucket_of.presigned_url(f"{master}/image.jpg", "HEAD", time.time(), 60), timeout=10)
    assert kept.ok
    with Image.open(io.BytesIO(cold.content)) as image:
        assert kept.headers["x-amz-meta-width"] == str(image.width)
    assert kept.headers["content-type"] == "image/jpeg"
    assert kept.headers["cache-control"] == warm.headers["Cache-Control"]
    assert not list((proxy.folder / "data").rglob("*.jpg"))


def test_what_is_sent_through_has_the_headers_that_iiif_servers_need(proxy: Installation, master: str) -> None:
    answer = proxy.ask(master, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert not {"Content-Encoding", "Transfer-Encoding"} & answer.headers.keys()
    head = proxy.ask(master, "HEAD")
    assert head.content == b""
    for name in ("Content-Type", "Content-Length", "ETag", "Last-Modified", "Accept-Ranges", "Cache-Control"):
        assert head.headers[name] == answer.headers[name]
    assert answer.headers["ETag"].startswith('"')
    step = len(answer.content) // 3
    spans = [(at, min(at + step, len(answer.content)) - 1) for at in range(0, len(answer.content), step)]
    parts = [proxy.ask(master, headers={"Range": f"bytes={first}-{last}"}) for first, last in spans]
    assert {part.status_code for part in parts} == {206}
    assert b"".join(part.content for part in parts) == answer.content


def test_conditions_are_judged_before_anything_is_fetched(proxy: Installation, master: str) -> None:
    image = proxy.ask(master)
    tag = image.headers["ETag"]
    same = proxy.ask(master, headers={"If-None-Match": tag})
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", tag)
    part = proxy.ask(master, headers={"Range": "bytes=10-19", "If-Range": tag})
    assert (part.status_code, part.content) == (206, image.content[10:20])
    several = proxy.ask(master, headers={"Range": "bytes=10-19,-5,0-0", "If-Range": tag})
    assert several.headers["Content-Type"].startswith("multipart/byteranges; boundary=")
    assert several.headers["Content-Length"] == str(len(several.content))
    size = len(image.content)
    for content, span in ((image.content[10:20], "10-19"), (image.content[-5:], f"{size - 5}-{size - 1}")):
        assert f"Content-Range: bytes {span}/{size}\r\n\r\n".encode() + content + b"\r\n--" in several.content
    told = proxy.ask(master, "HEAD", headers={"Range": "bytes=10-19,-5,0-0"})
    assert (told.status_code, told.headers["Content-Length"]) == (206, several.headers["Content-Length"])
    other = proxy.ask(master, headers={"Range": "bytes=10-19", "If-Range": '"other"'})
    assert (other.status_code, other.content) == (200, image.content)
    past = proxy.ask(master, headers={"Range": f"bytes={len(image.content)}-"})
    assert (past.status_code, past.headers["Content-Range"]) == (416, f"bytes */{len(image.content)}")


def test_a_hit_is_a_redirect_to_a_url_that_stays_for_an_hour(redirect: Installation, master: str) -> None:
    first, again = redirect.ask(master), redirect.ask(master)
    assert (first.status_code, again.status_code) == (302, 302)
    assert "no-store" in again.headers["Cache-Control"]
    if time.time() % 3600 > 10:  # else an hour may have begun in between
        assert first.headers["Location"] == again.headers["Location"]
    query = parse_qs(urlsplit(again.headers["Location"]).query)
    assert int(query["X-Amz-Expires"][0]) == 7200
    fetched = requests.get(again.headers["Location"], timeout=10)
    assert fetched.headers["Content-Type"] == "image/jpeg"
    assert whole(fetched.content)


def test_a_head_is_sent_to_a_url_signed_for_heads(redirect: Installation, master: str) -> None:
    get, head = redirect.ask(master), redirect.ask(master, "HEAD")
    assert head.status_code == 302
    assert head.headers["Location"] != get.headers["Location"]
    assert head.headers["Location"].partition("?")[0] == get.headers["Location"].partition("?")[0]
    answer = requests.head(head.headers["Location"], timeout=10)
    assert answer.headers["Content-Length"] == str(len(requests.get(get.headers["Location"], timeout=10).content))


def test_a_bucket_of_umd_lib_mezcal_is_served_as_it_is_and_ours_by_it(
    proxy: Installation, redirect: Installation, master: str, s3: S3Server, bucket: str, repository: OriginServer
) -> None:
    umd = UmdBucket(s3, bucket, "", "basic")
    assert umd.get(master) == UMD_JPEG
    assert proxy.ask(master).content == UMD_JPEG
    answer = redirect.ask(master)
    assert answer.status_code == 302
    assert requests.get(answer.headers["Location"], timeout=30).content == UMD_JPEG
    assert repository.count(master) == 0
    assert proxy.ask(master, "DELETE", headers=BEARER).status_code == 204
    assert umd.get(master) == UMD_JPEG, "it was gone for the other program too, which made it again"
    umd.delete(master)
    assert umd_reads_what_mezcal_made(proxy, umd, master)


def umd_reads_what_mezcal_made(installation: Installation, umd: UmdBucket, master: str) -> bool:
    made = installation.ask(master).content
    return whole(made) and umd.get(master) == made


def test_a_deleted_image_is_made_again(proxy: Installation, master: str, repository: OriginServer) -> None:
    proxy.ask(master)
    assert proxy.ask(master, "DELETE", headers=BEARER).status_code == 204
    assert whole(proxy.ask(master).content)
    assert repository.count(master) == 2


def test_what_was_evicted_just_now_is_served_and_stays(
    proxy: Installation, s3: S3Server, bucket: str, master: str, tmp_path: Path, repository: OriginServer
) -> None:
    proxy.ask(master)
    store = store_of(s3, bucket, tmp_path)
    assert store.evict(Mezzanine.parse(master))
    assert proxy.ask(master).headers["Cache-Status"] == "mezcal; hit"
    assert store.find(Mezzanine.parse(master)) is not None
    assert repository.count(master) == 1


def test_secrets_get_into_no_log(proxy: Installation, master: str) -> None:
    proxy.ask(master)
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in proxy.journal.read_text()


def test_thumbnails_have_urls_of_the_object_store(
    proxy: Installation, s3: S3Server, bucket: str, archive: ArchiveServer
) -> None:
    frame = archive.add(MONO)
    url = proxy.request(f"/{frame}/").json()["url"]
    assert proxy.request(f"/{frame}/").json()["url"] == url
    assert url.startswith(f"{s3.url}/{bucket}/")
    assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == ["604800"]
    assert whole(requests.get(url, timeout=10).content)
    assert proxy.request(f"/{frame}/?image=1").headers["Location"] == url


def test_a_thumbnail_of_a_named_size_is_registered_with_the_archive(
    proxy: Installation, s3: S3Server, bucket: str, archive: ArchiveServer, tmp_path: Path
) -> None:
    fields = {"site_id": "tst", "instrument_id": "fa01", "observation_day": "2026-11-29"}
    frame = archive.add(MONO, **fields)
    for size in (300, 600):
        assert proxy.request(f"/{frame}/?width={size}&height={size}").ok
    name = f"tst/fa01/20261129/thumbnails/frame{frame}-medium.jpg"
    (record,) = until(lambda: archive.thumbnails, 30, "the registration")
    assert (record["size"], record["frame_basename"], record["key"]) == ("medium", f"frame{frame}", "null")
    body = S3Client(s3.settings(ARCHIVES, tmp_path)).call("get_object", Key=name)["Body"].read()
    assert whole(body)


def test_a_missing_bucket_is_reported_by_name(tmp_path: Path, s3: S3Server, repository: OriginServer) -> None:
    with running_installation(
        tmp_path, repository.url, *ONE_WORKER, **s3.environment("no-such-bucket-of-ours")
    ) as installation:
        answer = installation.ask("maps/valley.tif")
        assert answer.status_code == 503
        assert "AWS_BUCKET" in answer.json()["detail"]


def test_a_store_that_is_down_is_reported_before_the_work_and_loses_nothing(
    fragile: tuple[Installation, S3Server], repository: OriginServer, master: str
) -> None:
    installation, server = fragile
    server.stop()
    down = installation.ask(master)
    assert down.status_code == 503
    assert down.json()["type"] == "/problems/store-down"
    assert int(down.headers["Retry-After"]) > 0
    until(lambda: installation.request("/readyz").status_code == 503, 30, "not ready")
    assert repository.count(master) == 0
    server.start()
    server.bucket("fragile")
    assert whole(until(lambda: served(installation, master), 30, "the image"))


@pytest.mark.slow
def test_a_store_that_accepts_connections_but_never_answers_is_reported(
    fragile: tuple[Installation, S3Server], master: str
) -> None:
    installation, server = fragile
    server.signal(signal.SIGSTOP)
    try:
        down = installation.ask(master)
        assert (down.status_code, down.json()["type"]) == (503, "/problems/store-down")
        assert installation.request("/healthz").status_code == 200
    finally:
        server.signal(signal.SIGCONT)
    assert whole(until(lambda: served(installation, master), 30, "the image"))


def served(installation: Installation, master: str) -> bytes | None:
    answer = installation.ask(master)
    return answer.content if answer.status_code == 200 else None
