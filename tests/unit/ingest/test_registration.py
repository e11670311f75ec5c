"""Thumbnails of named sizes are put into the archive's bucket and registered: once, later, or refused with words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mezcal.checks import Severity
from mezcal.checks.registration import registration_check
from mezcal.ingest.frame_lists import FrameThumbnails
from mezcal.ingest.registration import ArchiveRegistration, size_name
from mezcal.recipe import Frame, Thumbnail, ThumbnailOptions
from mezcal.settings import WrongSetting, load
from mezcal.store import Sidecar
from mezcal.store.s3.client import S3Client
from tests.support.archive_server import OWNER, ArchiveServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mezcal.jobs import Jobs
    from mezcal.settings import Settings
    from mezcal.store import Store
    from tests.support.s3_server import S3Server

FIELDS = {
    "basename": "tst1m0-fa01-20261129-0001-e91",
    "site_id": "tst",
    "instrument_id": "fa01",
    "observation_day": "2026-11-29",
    "observation_date": "2026-11-29T01:02:03Z",
}
NAME = "tst/fa01/20261129/thumbnails/tst1m0-fa01-20261129-0001-e91-small.jpg"
JPEG = b"\xff\xd8\xff\xd9"


@pytest.fixture
def archive() -> Iterator[ArchiveServer]:
    with ArchiveServer() as running:
        yield running


@pytest.fixture
def given(archive: ArchiveServer, s3: S3Server) -> dict[str, Any]:
    own = {"archive_api_url": archive.url, "archive_token": OWNER, "archive_bucket": s3.bucket()}
    return {name.lower(): value for name, value in s3.environment(s3.bucket()).items()} | own


def frame_of(archive: ArchiveServer, folder: Path, **fields: Any) -> int:
    (folder / "frame.fits").write_bytes(b"SIMPLE")
    return archive.add(folder / "frame.fits", **{**FIELDS, **fields})


def stored(store: Store, frame: int, size: int = 200, data: bytes = JPEG) -> Thumbnail:
    recipe = Thumbnail(
        (Frame(frame, "frame.fits", f"md5-{frame}"),), ThumbnailOptions.parse({"width": size, "height": size})
    )
    sidecar = Sidecar(recipe.as_json(), "v", "s", None, None, None, "FITS", len(data), 1, 1, "0" * 64, 0.0, 0.0)
    with store.draft() as draft:
        draft.write_bytes(data)
        store.put(recipe, draft, sidecar, lambda: None)
    return recipe


def client(settings: Settings) -> S3Client:
    return S3Client(settings.model_copy(update={"aws_bucket": settings.archive_bucket}))


def test_a_thumbnail_is_put_where_the_archives_urls_point_and_registered_once(
    archive: ArchiveServer, settings: Settings, jobs: Jobs, store: Store, tmp_path: Path
) -> None:
    registration = ArchiveRegistration(settings, jobs.registrations, store)
    recipe = stored(store, frame_of(archive, tmp_path))
    for _ in range(2):
        jobs.registrations.add([recipe])
        assert jobs.registrations.any_due()
        assert registration.run()
        assert not jobs.registrations.waiting()
    assert client(settings).call("get_object", Key=NAME)["Body"].read() == JPEG
    (record,) = archive.thumbnails
    expected = {
        "size": "small",
        "frame_basename": FIELDS["basename"],
        "basename": f"{FIELDS['basename']}-small",
        "extension": ".jpg",
        "observation_day": "20261129",
        "key": "null",
    }
    assert record == {**record, **expected}
    assert record["version_set"][0]["key"] == "null"
    assert not jobs.registrations.refused()
    assert not registration.run()


def test_the_key_is_the_version_of_the_object_and_a_repetition_makes_no_new_one(
    archive: ArchiveServer, settings: Settings, jobs: Jobs, store: Store, tmp_path: Path
) -> None:
    client(settings).call("put_bucket_versioning", VersioningConfiguration={"Status": "Enabled"})
    archive.script("/thumbnails/", 503)
    registration = ArchiveRegistration(settings, jobs.registrations, store)
    jobs.registrations.add([recipe := stored(store, frame_of(archive, tmp_path))])
    assert not registration.run()
    assert not jobs.registrations.any_due()
    archive.script("/thumbnails/", 200)
    jobs.registrations.add([recipe])
    registration.run()
    (record,) = archive.thumbnails
    versions = client(settings).call("list_object_versions")["Versions"]
    assert [version["VersionId"] for version in versions] == [record["key"]]


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_an_outage_of_the_archive_or_a_wrong_token_loses_nothing(
    status: int, archive: ArchiveServer, settings: Settings, jobs: Jobs, store: Store, tmp_path: Path
) -> None:
    frame = frame_of(archive, tmp_path)
    jobs.registrations.add([stored(store, frame), stored(store, frame, 600)])
    archive.script("/thumbnails/", status)
    assert not ArchiveRegistration(settings, jobs.registrations, store).run()
    assert archive.count("POST") == 1, "the others would fail in the same way"
    assert (jobs.registrations.waiting(), jobs.registrations.refused()) == (2, [])
    assert not jobs.registrations.any_due()


def test_a_refusal_is_listed_once_with_the_archives_words(
    archive: ArchiveServer, settings: Settings, jobs: Jobs, store: Store, tmp_path: Path
) -> None:
    frame, other = frame_of(archive, tmp_path), frame_of(archive, tmp_path, site_id="")
    jobs.registrations.add([stored(store, frame), stored(store, other)])
    archive.script("/thumbnails/", 400)
    assert ArchiveRegistration(settings, jobs.registrations, store).run()
    assert jobs.registrations.waiting() == 0
    reasons = {refused["reason"] for refused in jobs.registrations.refused()}
    assert any("answered 400" in reason for reason in reasons)
    assert any("no site_id, which ARCHIVE_THUMBNAIL_NAME needs" in reason for reason in reasons)


def test_a_value_with_a_slash_gets_into_no_name(
    archive: ArchiveServer, settings: Settings, jobs: Jobs, store: Store, tmp_path: Path
) -> None:
    jobs.registrations.add([stored(store, frame_of(archive, tmp_path, site_id="a/b"))])
    ArchiveRegistration(settings, jobs.registrations, store).run()
    assert "has a slash" in jobs.registrations.refused()[0]["reason"]
    assert not archive.count("POST")


def test_a_thumbnail_of_an_older_version_or_one_that_is_gone_is_not_registered(
    archive: ArchiveServer, settings: Settings, jobs: Jobs, store: Store, tmp_path: Path
) -> None:
    frame, gone = frame_of(archive, tmp_path), frame_of(archive, tmp_path)
    recipes = [stored(store, frame), stored(store, gone)]
    archive.frames[frame]["record"]["version_set"].insert(0, {"md5": "newer"})
    store.delete(recipes[1])
    jobs.registrations.add(recipes)
    assert ArchiveRegistration(settings, jobs.registrations, store).run()
    assert (jobs.registrations.waiting(), jobs.registrations.refused(), archive.thumbnails) == (0, [], [])


def test_check_says_what_waits_what_was_refused_and_that_there_is_no_token(
    archive: ArchiveServer, settings: Settings, jobs: Jobs, store: Store, tmp_path: Path
) -> None:
    jobs.registrations.add([stored(store, frame_of(archive, tmp_path))])
    finding = registration_check(jobs.registrations, settings).run()
    assert (finding.level, finding.detail[:10]) == (Severity.OK, "1 thumbnai")
    jobs.registrations.refuse("key", "the thumbnail of frame.fits", "the archive answered 400")
    finding = registration_check(jobs.registrations, settings).run()
    assert (finding.level, "frame.fits: the archive answered 400" in finding.detail) == (Severity.WARNING, True)
    no_token = settings.model_copy(update={"archive_token": None})
    assert "ARCHIVE_TOKEN" in registration_check(jobs.registrations, no_token).run().detail


def test_a_list_of_frames_has_registered_what_is_stored_already(
    archive: ArchiveServer, settings: Settings, jobs: Jobs, store: Store, tmp_path: Path
) -> None:
    frame = frame_of(archive, tmp_path, filename="frame.fits")
    stored(store, frame)
    assert len(list(FrameThumbnails(settings, None, store).thumbnails([frame]))) == 3
    assert jobs.registrations.waiting() == 0, "a dry run"
    assert len(list(FrameThumbnails(settings, jobs, store).thumbnails([frame]))) == 3
    ArchiveRegistration(settings, jobs.registrations, store).run()
    assert [record["size"] for record in archive.thumbnails] == ["small"]


def test_what_is_sent_can_be_changed(
    archive: ArchiveServer, settings: Settings, jobs: Jobs, store: Store, tmp_path: Path
) -> None:
    extra = '{"source": "mezcal {size}", "filename": null, "area": {"a": 1}}'
    changed = settings.model_copy(update={"archive_thumbnail_record": extra})
    jobs.registrations.add([stored(store, frame_of(archive, tmp_path))])
    ArchiveRegistration(changed, jobs.registrations, store).run()
    (record,) = archive.thumbnails
    assert (record["source"], record["area"], "filename" in record) == ("mezcal small", {"a": 1}, False)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"width": 200, "height": 200}, "small"),
        ({"width": 1200, "height": 1200}, "large"),
        ({"width": 300, "height": 300}, None),
        ({"width": 200, "height": 200, "label": "x"}, None),
        ({"width": 200, "height": 200, "color": "true"}, None),
    ],
)
def test_only_thumbnails_of_named_sizes_are_registered(
    options: dict[str, Any], name: str | None, settings: Settings
) -> None:
    recipe = Thumbnail((Frame(1, "a.fits", "v"),), ThumbnailOptions.parse(options))
    assert size_name(recipe, settings) == name
    assert size_name(recipe, settings.model_copy(update={"archive_bucket": None})) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"archive_api_url": None}, "ARCHIVE_API_URL"),
        ({"storage": "local"}, "STORAGE=s3"),
        ({"archive_thumbnail_name": "{basename}.jpg"}, "{size}"),
        ({"archive_thumbnail_record": "[]"}, "JSON object"),
    ],
)
def test_settings_that_cannot_work_stop_the_start(change: dict[str, Any], words: str, given: dict[str, Any]) -> None:
    with pytest.raises(WrongSetting, match=words):
        load(_env_file=None, repo_base_url="file:///", **{**given, **change})
