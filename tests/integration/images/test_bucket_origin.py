"""All of mezcal in front of a bucket of masters."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import TOKEN
from tests.support.commands import run
from tests.support.installation import ONE_WORKER, SAMPLES, Installation, running_installation
from tests.support.s3_server import running_s3
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.s3_server import S3Server

BUCKET, BASE = "masters", "s3://masters/a%20prefix"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
VALLEY, AGAVE = ((SAMPLES / name).read_bytes() for name in ("maps/valley.tif", "agave-p3.tif"))
QUICK = {"API_TOKENS": TOKEN, "FAILURE_BRIEF_SECONDS": "1", "FAILURE_MISSING_SECONDS": "1", "RETRY_SECONDS": "0.5"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An object store that checks signatures, with the key of a reader."""
    with running_s3(tmp_path_factory.mktemp("s3")) as running:
        running.bucket(BUCKET)
        resources = [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"]
        running.add_key("reader", {"Action": "s3:*", "Resource": resources})
        running.enforce_keys()
        yield running


def environment(server: S3Server, **given: str) -> dict[str, str]:
    """Returns the variables of an installation that reads from the bucket."""
    key = {name.upper(): value for name, value in server.keys["reader"].items()}
    return {"REPO_INTERNAL_URL": server.url, "REPO_REQUESTER_PAYS": "true", **key, **QUICK, **given}


@pytest.fixture(scope="module")
def mezcal(server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    given = environment(server, REVALIDATE_AFTER="5")
    with running_installation(tmp_path_factory.mktemp("bucket"), BASE, *ONE_WORKER, **given) as up:
        yield up


def put(server: S3Server, name: str, body: bytes = VALLEY) -> None:
    with closing(server.client("s3", *server.keys["reader"].values())) as client:
        client.put_object(Bucket=BUCKET, Key=f"a prefix/{name}", Body=body)


def delete(server: S3Server, name: str) -> None:
    with closing(server.client("s3", *server.keys["reader"].values())) as client:
        client.delete_object(Bucket=BUCKET, Key=f"a prefix/{name}")


def test_a_cold_image_is_made_of_an_object_and_remembers_its_s3_url(mezcal: Installation, server: S3Server) -> None:
    put(server, "cold/1 2.tif")
    answer = mezcal.ask("cold/1%202.tif")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/jpeg")
    [sidecar] = mezcal.settings.cache_dir.glob("cold/*/image.json")
    assert json.loads(sidecar.read_text())["source"] == f"{BASE}/cold/1%202.tif"
    [fetched] = [each for each in server.seen(f"/{BUCKET}/a prefix/cold/1 2.tif") if each.method == "GET"]
    assert fetched.headers["x-amz-request-payer"] == "requester"


def test_a_changed_object_is_shown(mezcal: Installation, server: S3Server) -> None:
    put(server, "changing.tif")
    first = mezcal.ask("changing.tif")
    put(server, "changing.tif", AGAVE)
    until(lambda: mezcal.ask("changing.tif").headers["ETag"] != first.headers["ETag"], 60, what="the changed image")


def test_the_image_of_a_deleted_object_goes(mezcal: Installation, server: S3Server) -> None:
    put(server, "leaving.tif")
    assert mezcal.ask("leaving.tif").status_code == 200
    delete(server, "leaving.tif")
    until(lambda: mezcal.ask("leaving.tif").status_code == 404, 60, what="the end of the image")


def test_a_missing_object_is_404_with_the_code_of_s3(mezcal: Installation) -> None:
    answer = mezcal.ask("none.tif")
    assert answer.status_code == 404
    assert answer.json()["type"].endswith("/problems/master-missing")


def test_warm_by_prefix_makes_what_the_bucket_lists(mezcal: Installation, server: S3Server) -> None:
    for number in range(3):
        put(server, f"box/{number}.tif")
    put(server, "box/notes.txt")
    done = run(mezcal, "warm", "--wait", f"{BASE}/box/")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "3 named: 3 made")
    done = run(mezcal, "purge", "--yes", "box/")
    assert done.returncode == 0, done.stderr
    assert not any(mezcal.stored(f"box/{number}.tif") for number in range(3))


def test_the_form_understands_an_s3_url_and_the_page_shows_the_base(mezcal: Installation) -> None:
    answer = mezcal.request("/", params={"url": f"{BASE}/box/1.tif"})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/images/box/1.tif")
    assert mezcal.request("/", params={"url": "s3://others/1.tif"}).status_code == 404
    assert BASE in mezcal.request("/").text


def test_a_notification_of_the_bucket_needs_no_setting(mezcal: Installation, server: S3Server) -> None:
    put(server, "heard.tif")
    event = {"eventName": "ObjectCreated:Put", "eventSource": "aws:s3", "eventVersion": "2.1"}
    event["s3"] = {"bucket": {"name": BUCKET}, "object": {"key": "a+prefix/heard.tif"}}
    answer = mezcal.request("/webhooks/s3", "POST", headers=BEARER, json={"Records": [event]})
    assert answer.status_code == 202, answer.text
    until(lambda: mezcal.stored("heard.tif"), what="the image of the new object")


def test_check_says_that_the_bucket_can_be_listed(mezcal: Installation) -> None:
    done = run(mezcal, "check", "box/1.tif")
    assert f"{BASE}/ at " in done.stdout
    assert "box/1.tif is there" in done.stdout


@pytest.mark.slow
def test_a_wrong_key_loses_no_bulk_job_and_is_no_masters_fault(server: S3Server, tmp_path: Path) -> None:
    """What was queued under a wrong key is made when the key has been corrected, and no failure is remembered."""
    put(server, "later.tif")
    with running_installation(tmp_path, BASE, *ONE_WORKER, **environment(server, REPO_PASSWORD="wrong")) as up:
        refused = up.ask("later.tif")
        assert refused.status_code == 502
        assert refused.json()["type"].endswith("/problems/origin-key-refused")
        assert "secret" not in refused.json()["detail"], "only operators see the reason"
        assert run(up, "warm", "later.tif").returncode == 0
        until(lambda: (job := up.job("later.tif")) and job.state == "delayed", what="a delayed job")
        up.stop()
    corrected = Installation(tmp_path, BASE, *ONE_WORKER, **environment(server))
    corrected.start()
    try:
        until(lambda: corrected.stored("later.tif"), 60, "the image")
    finally:
        corrected.end()
