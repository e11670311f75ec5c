"""Events where several profiles are made: of one download, made again together, and gone together."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import uuid4

import botocore.session
import pytest
import requests

from mezcal.recipe import PYRAMID, Mezzanine, Profile
from mezcal.store import open_store
from tests.integration.conftest import SECRET, TOKEN
from tests.integration.ingest.test_webhooks import ended_batch
from tests.support.installation import ONE_WORKER, SAMPLES, running_installation
from tests.support.masters import grey_tiff
from tests.support.s3_server import KEYS, running_s3
from tests.support.signed import event, signed
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from tests.support.installation import Installation
    from tests.support.origin_server import OriginServer

HOUR = 3600
BEARER = {"Authorization": f"Bearer {TOKEN}"}
SMALL = '[small]\nformat = "webp"\nmax_edge = 40\n'
HEARS = {"API_TOKENS": TOKEN, "WEBHOOK_SECRETS": SECRET, "REVALIDATE_AFTER": str(HOUR), "ORIGIN_RETRIES": "0"}


@pytest.fixture(scope="module")
def both(repository: OriginServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation with the profile `small`, where events make the mezzanine and the pyramid."""
    folder = tmp_path_factory.mktemp("both")
    (folder / "profiles.toml").write_text(SMALL)
    given = HEARS | {"EVENT_PROFILES": "mezzanine,pyramid", "PROFILES_FILE": str(folder / "profiles.toml")}
    with running_installation(folder, repository.url, *ONE_WORKER, **given) as up:
        yield up


@pytest.fixture
def grey(repository: OriginServer) -> str:
    """The path of a grey master that no other test has asked for."""
    path = f"{uuid4().hex}.tif"
    repository.script(path, body=grey_tiff(40), etag='"first"')
    return path


def urls(path: str) -> list[str]:
    return [f"/images/{path}", f"/derivatives/pyramid/{path}.tif", f"/derivatives/small/{path}.webp"]


def contents(installation: Installation, path: str) -> list[bytes]:
    """The three derivatives of *path*, all from the cache."""
    answers = [installation.request(url) for url in urls(path)]
    assert [answer.headers["Cache-Status"] for answer in answers] == ["mezcal; hit"] * 3
    return [answer.content for answer in answers]


def send(installation: Installation, kind: str, path: str) -> dict[str, Any]:
    body = event(kind, path)
    answer = installation.request("/webhooks/standard", "POST", data=body, headers=signed(body, SECRET))
    return ended_batch(installation, answer)


def downloads(repository: OriginServer, path: str) -> int:
    return sum(seen.method == "GET" for seen in repository.seen(path))


def stored_profiles(installation: Installation, path: str) -> set[str]:
    """The names of the profiles in which the master at *path* is stored, whatever the installation knows."""
    folder = open_store(installation.settings).path(Mezzanine.parse(path)).parent  # type: ignore[attr-defined]
    return {file.name for file in folder.glob("*") if file.suffix != ".json"}


def test_all_profiles_of_a_new_master_are_made_from_one_download(
    both: Installation, repository: OriginServer, grey: str
) -> None:
    batch = send(both, "created", grey)
    assert (batch["items"], batch["counts"]["done"]) == (2, 2)
    assert stored_profiles(both, grey) == {"image.jpg", "pyramid.tif"}
    assert downloads(repository, grey) == 1


def test_all_stored_profiles_of_a_changed_master_are_made_again_from_one_download(
    both: Installation, repository: OriginServer, grey: str
) -> None:
    """`small` is none of EVENT_PROFILES. It is stored, so it is made again."""
    for url in urls(grey):
        assert both.request(url).status_code == 200
    before, earlier = contents(both, grey), downloads(repository, grey)
    repository.script(grey, body=grey_tiff(220), etag='"second"')
    batch = send(both, "changed", grey)
    assert (batch["items"], batch["counts"]["done"]) == (2, 2)
    until(lambda: all(old != new for old, new in zip(before, contents(both, grey), strict=True)), what="all three")
    assert downloads(repository, grey) == earlier + 1


def test_all_profiles_of_a_deleted_master_go(both: Installation, repository: OriginServer, grey: str) -> None:
    for url in urls(grey):
        assert both.request(url).status_code == 200
    repository.script(grey, status=404, fails=-1)
    assert send(both, "deleted", grey)["counts"]["deleted"] == 1
    assert stored_profiles(both, grey) == set()
    assert [both.request(url).status_code for url in urls(grey)] == [404] * 3


def test_a_pyramid_alone_is_made_of_new_masters_and_a_stored_mezzanine_is_made_again(
    repository: OriginServer, grey: str, tmp_path: Path
) -> None:
    given = HEARS | {"EVENT_PROFILES": "pyramid"}
    with running_installation(tmp_path, repository.url, *ONE_WORKER, "--nginx", "never", **given) as up:
        assert send(up, "created", grey)["counts"]["done"] == 1
        assert stored_profiles(up, grey) == {"pyramid.tif"}
        before = up.ask(grey).content
        repository.script(grey, body=grey_tiff(220), etag='"second"')
        send(up, "changed", grey)
        until(lambda: up.ask(grey).content != before, what="the new mezzanine")


@pytest.mark.slow
def test_a_message_of_a_queue_has_all_profiles_made_from_one_download(
    repository: OriginServer, grey: str, tmp_path: Path
) -> None:
    (tmp_path / "sqs").mkdir()
    with running_s3(tmp_path / "sqs") as server:
        names = {"aws_access_key_id": KEYS["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": KEYS["AWS_SECRET_ACCESS_KEY"]}
        sqs = botocore.session.get_session().create_client("sqs", "us-east-1", endpoint_url=server.url, **names)
        queue_url = sqs.create_queue(QueueName="masters")["QueueUrl"]
        sqs.create_queue(QueueName="masters-errors")
        where = f"sqs+http://127.0.0.1:{server.port}/123456789012/masters?region=us-east-1&errors=masters-errors"
        given = HEARS | KEYS | {"EVENT_PROFILES": "mezzanine,pyramid", "WEBHOOK_BUCKETS": "masters"}
        options = (*ONE_WORKER, "--nginx", "never", "--listen", where)
        with running_installation(tmp_path, repository.url, *options, **given) as up:
            record = {
                "eventSource": "aws:s3",
                "eventName": "ObjectCreated:Put",
                "s3": {"bucket": {"name": "masters"}, "object": {"key": grey}},
            }
            sqs.send_message(QueueUrl=queue_url, MessageBody=json.dumps({"Records": [record]}))
            until(lambda: stored_profiles(up, grey) == {"image.jpg", "pyramid.tif"}, 30, "both derivatives")
    assert downloads(repository, grey) == 1


# --- without events


def grow_old(installation: Installation, path: str, profile: Profile = PYRAMID) -> None:
    store = open_store(installation.settings)
    image = store.path(Mezzanine.parse(path, profile=profile))  # type: ignore[attr-defined]
    os.utime(image.with_suffix(".json"), (0, time.time() - 2 * HOUR))


def test_a_stale_pyramid_is_made_again_when_its_master_has_changed(
    both: Installation, repository: OriginServer, grey: str
) -> None:
    """With nginx the hit is known from its log alone."""
    assert_made_again(both, repository, grey)


@pytest.mark.slow
def test_so_it_is_without_nginx(repository: OriginServer, grey: str, tmp_path: Path) -> None:
    with running_installation(tmp_path, repository.url, *ONE_WORKER, "--nginx", "never", **HEARS) as up:
        assert_made_again(up, repository, grey)


def assert_made_again(installation: Installation, repository: OriginServer, path: str) -> None:
    installation.table.redis.set(installation.table.keys.chore("walk"), "another's", ex=HOUR)
    pyramid = urls(path)[1]
    before = installation.request(pyramid)
    repository.script(path, body=grey_tiff(220), etag='"second"')
    grow_old(installation, path)
    hit = installation.request(pyramid)
    assert (hit.status_code, hit.content) == (200, before.content), "the hit does not wait"
    until(lambda: installation.request(pyramid).content != before.content, 30, "the new pyramid")


@pytest.mark.slow
def test_an_edited_file_has_its_pyramid_made_again(tmp_path: Path) -> None:
    master = tmp_path / "masters" / "edited.tif"
    master.parent.mkdir()
    master.write_bytes(grey_tiff(10))
    with running_installation(
        tmp_path, master.parent.as_uri(), *ONE_WORKER, "--nginx", "never", REVALIDATE_AFTER="2"
    ) as up:
        before = up.request(urls("edited.tif")[1]).content
        draft = master.with_suffix(".part")
        draft.write_bytes(grey_tiff(200))
        draft.replace(master)
        until(lambda: up.request(urls("edited.tif")[1]).content != before, 30, "the new pyramid")


@pytest.mark.slow
def test_a_profile_that_changes_is_made_again_and_one_of_another_format_has_another_file(
    repository: OriginServer, master: str, tmp_path: Path
) -> None:
    profiles, options = tmp_path / "profiles.toml", (*ONE_WORKER, "--nginx", "never")
    given = {"PROFILES_FILE": str(profiles), "REVALIDATE_AFTER": "1"}
    (tmp_path / "first").mkdir()
    profiles.write_text(SMALL)
    url = f"/derivatives/small/{master}.webp"
    with running_installation(tmp_path / "first", repository.url, *options, **given) as up:
        small = up.request(url).content
        shared = str(up.settings.cache_dir)
    (tmp_path / "second").mkdir()
    profiles.write_text(SMALL.replace("40", "80"))
    with running_installation(tmp_path / "second", repository.url, *options, STORAGE_DIR=shared, **given) as up:
        until(lambda: len(up.request(url).content) > 1.5 * len(small), 30, "the larger derivative")
    (tmp_path / "third").mkdir()
    profiles.write_text(SMALL.replace("webp", "jpeg"))
    with running_installation(tmp_path / "third", repository.url, *options, STORAGE_DIR=shared, **given) as up:
        assert up.request(url).status_code == 404, "the old file is not served"
        made = up.request(f"/derivatives/small/{master}.jpg")
        assert (made.status_code, made.headers["Content-Type"]) == (200, "image/jpeg")


def known(installation: Installation, url: str) -> list[requests.Response]:
    """Returns the answer to *url* from an API that knows its profile, nothing while there is no such API."""
    with suppress(requests.ConnectionError):
        answer = installation.request(url)
        return [] if answer.status_code == 404 else [answer]
    return []


@pytest.mark.slow
def test_a_worker_without_the_profile_says_so_and_for_a_short_time_only(
    repository: OriginServer, tmp_path: Path
) -> None:
    """The file of profiles has changed, and the API alone was started again."""
    path = f"{uuid4().hex}.tif"
    repository.script(path, body=(SAMPLES / "maps" / "valley.tif").read_bytes())
    (tmp_path / "profiles.toml").write_text("")
    given = {"PROFILES_FILE": str(tmp_path / "profiles.toml"), "FAILURE_BRIEF_SECONDS": "1"}
    with running_installation(tmp_path, repository.url, *ONE_WORKER, "--nginx", "never", **given) as up:
        (tmp_path / "profiles.toml").write_text(SMALL)
        [main, *_] = up.pids("gunicorn")
        os.kill(main, 9)
        [answer] = until(lambda: known(up, f"/derivatives/small/{path}.webp"), 60, "the API's new profile")
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/profile-missing")
        assert answer.headers["Retry-After"]
        assert repository.count(path) == 0
        record = up.table.read(Mezzanine.parse(path, profile=Profile("small", "webp")).key)
        assert record is None or up.table.redis.ttl(up.table.keys.job(record.key)) <= 1
