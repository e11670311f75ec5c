"""The archive's client against a real server that is slow, broken or sends too much."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mezcal.errors import (
    ArchiveFailed,
    ArchiveRefused,
    ArchiveTimeout,
    FrameMissing,
    OriginRedirectRefused,
    TicketExpired,
)
from mezcal.origin.archive import ArchiveClient, FrameOrigin, select_frames
from mezcal.recipe import ThumbnailOptions
from mezcal.settings import WrongSetting, load
from tests import DATA
from tests.support.archive_server import ArchiveServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mezcal.settings import Settings

FRAMES = DATA / "fits"
SMALL = FRAMES / "small50x60.fits"


@pytest.fixture
def archive() -> Iterator[ArchiveServer]:
    with ArchiveServer() as running:
        yield running


def settings(archive: ArchiveServer, folder: Path, **given: Any) -> Settings:
    return load(_env_file=None, data_dir=folder, archive_api_url=archive.url, origin_retries=0, **given)


def test_a_slow_archive_times_out(archive: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mezcal.origin.archive.client.FRAME_SECONDS", 0.2)
    archive.script("/frames/1/", delay=5)
    with pytest.raises(ArchiveTimeout):
        ArchiveClient(settings(archive, tmp_path)).find_frame(1, None)


def test_an_archive_that_is_not_there_has_failed(archive: ArchiveServer, tmp_path: Path) -> None:
    nowhere = load(_env_file=None, data_dir=tmp_path, archive_api_url="http://127.0.0.1:9/")
    with pytest.raises(ArchiveFailed):
        ArchiveClient(nowhere).find_frame(1, None)


def test_too_long_an_answer_is_not_read(
    archive: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mezcal.origin.archive.client.RESPONSE_BYTES_MAX", 100)
    with pytest.raises(ArchiveFailed, match="more than 100 bytes"):
        ArchiveClient(settings(archive, tmp_path)).find_frame(archive.add(SMALL), None)


def test_a_basename_of_several_frames_names_none(archive: ArchiveServer, tmp_path: Path) -> None:
    archive.add(SMALL, basename="twice")
    archive.add(SMALL, basename="twice")
    with pytest.raises(FrameMissing, match="Not found"):
        ArchiveClient(settings(archive, tmp_path)).find_by_basename("twice", None)


def test_a_version_is_the_files(archive: ArchiveServer, tmp_path: Path) -> None:
    client = ArchiveClient(settings(archive, tmp_path))
    assert client.find_frame(archive.add(SMALL), None).version == "md5-1000"
    assert client.find_frame(archive.add(SMALL, version_set=[], modified="today"), None).version == "today"


@pytest.mark.parametrize(("look", "expected"), [("lco", [1000, 1001, 1002]), ("robust", [1003, 1001, 1005])])
def test_frames_of_one_instrument_and_night_are_preferred(
    archive: ArchiveServer, tmp_path: Path, look: str, expected: list[int]
) -> None:
    """thumbnail-service took the first of each; blue has none of the named frame's night but one of its camera."""
    for band, camera, night in [
        *(("R", "other", "1"), ("V", "ours", "2"), ("B", "other", "3")),
        *(("rp", "ours", "2"), ("B", "other", "1"), ("B", "ours", "3"), ("I", "ours", "2")),
    ]:
        archive.add(SMALL, request_id=9, primary_optical_element=band, instrument_id=camera, observation_day=night)
    given = settings(archive, tmp_path)
    client = ArchiveClient(given)
    frames = select_frames(
        client.find_frame(1006, None), ThumbnailOptions.parse({"look": look, "color": "1"}), client, given, None
    )
    assert [frame.id for frame in frames] == expected


def test_another_set_of_filters_can_be_configured(archive: ArchiveServer, tmp_path: Path) -> None:
    for band in ("gp", "rp", "ip"):
        archive.add(SMALL, request_id=9, primary_optical_element=band)
    given = settings(archive, tmp_path, thumbnail_filters="R,rp/V/B; ip/rp/gp")
    client = ArchiveClient(given)
    frames = select_frames(client.find_frame(1000, None), ThumbnailOptions.parse({"color": "1"}), client, given, None)
    assert [frame.id for frame in frames] == [1002, 1001, 1000]


def test_a_frames_file_is_fetched_without_any_credential(archive: ArchiveServer, tmp_path: Path) -> None:
    number = archive.add(SMALL)
    given = settings(archive, tmp_path, jwt_token="the-repository's")
    ticket = {str(number): archive.shown(number)["url"]}
    with FrameOrigin(given, ticket).open(str(number)) as master:
        assert master.file.read() == SMALL.read_bytes()
        assert master.source == f"{archive.url}frames/{number}/"
    assert archive.requests == [(ticket[str(number)].removeprefix(archive.root), None)]


def test_an_expired_or_missing_url_means_an_expired_ticket(archive: ArchiveServer, tmp_path: Path) -> None:
    number = archive.add(SMALL)
    ticket = {str(number): archive.shown(number)["url"]}
    archive.expire_urls()
    for frame_id in (str(number), "7"):
        with pytest.raises(TicketExpired), FrameOrigin(settings(archive, tmp_path), ticket).open(frame_id):
            pass


def test_frames_come_from_allowed_hosts_only(archive: ArchiveServer, tmp_path: Path) -> None:
    number = archive.add(SMALL)
    given = settings(archive, tmp_path, archive_file_hosts="bucket.example")
    ticket = {str(number): archive.shown(number)["url"]}
    with pytest.raises(OriginRedirectRefused, match="ARCHIVE_FILE_HOSTS"), FrameOrigin(given, ticket).open(str(number)):
        pass
    assert not archive.requests


def test_a_frames_url_with_a_user_name_is_refused(archive: ArchiveServer, tmp_path: Path) -> None:
    """Its password would be sent along as a credential."""
    number = archive.add(SMALL)
    url = archive.shown(number)["url"].replace("http://", "http://user:secret@")
    origin = FrameOrigin(settings(archive, tmp_path), {str(number): url})
    with pytest.raises(OriginRedirectRefused) as refused, origin.open(str(number)):
        pass
    assert "secret" not in refused.value.detail
    assert not archive.requests


def test_an_archive_url_with_a_user_name_is_a_wrong_setting(tmp_path: Path) -> None:
    given = load(_env_file=None, data_dir=tmp_path, archive_api_url="https://user:secret@archive.example/")
    with pytest.raises(WrongSetting, match="ARCHIVE_API_URL contains a user name") as wrong:
        ArchiveClient(given)
    assert "secret" not in str(wrong.value)


@pytest.mark.parametrize("status", [302, 404, 403, 500])
def test_the_archives_refusals_keep_their_status(archive: ArchiveServer, tmp_path: Path, status: int) -> None:
    """A redirect is a failure: none is followed, whatever it names."""
    archive.script("/frames/1/", status=status)
    with pytest.raises({404: FrameMissing, 403: ArchiveRefused}.get(status, ArchiveFailed)) as failed:
        ArchiveClient(settings(archive, tmp_path)).find_frame(1, "Token t")
    assert failed.value.status == {302: 502, 500: 502}.get(status, status)
    assert archive.requests == [("/frames/1/", "Token t")]
