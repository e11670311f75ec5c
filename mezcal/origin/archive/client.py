"""The archive's API: small GETs with the client's own Authorization, bounded in bytes and time, without redirects."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from mezcal.errors import ArchiveFailed, ArchiveRefused, ArchiveTimeout, FrameMissing
from mezcal.http import (
    Deadline,
    DeadlineExceeded,
    HttpClient,
    HttpRequest,
    RequestFailed,
    RequestTimedOut,
    has_user,
)
from mezcal.settings import WrongSetting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mezcal.settings import Settings

FRAME_SECONDS = 10.0  # for the whole response; OCS thumbnail-service's time-out between two reads
REQUEST_SECONDS = 30.0
RESPONSE_BYTES_MAX = 8 * 2**20  # a request with thousands of frames
WORDS_MOST = 500  # bytes of an answer that are passed on
REDIRECTS = {301, 302, 303, 307, 308}
CONNECTIONS = 32  # kept open: each client that waits may need one

Query = dict[str, str | int]


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """The archive's record of one frame; `fields` as they came."""

    fields: Mapping[str, Any]

    def text(self, name: str) -> str:
        """Return a field as text, empty if it is missing."""
        value = self.fields.get(name)
        return "" if value is None else str(value)

    @property
    def id(self) -> int:
        """The frame's number."""
        return int(self.fields["id"])

    @property
    def version(self) -> str:
        """The MD5 of the newest version of the frame's file, else the date of its last change."""
        versions = self.fields.get("version_set")
        newest = versions[0] if isinstance(versions, list) and versions and isinstance(versions[0], dict) else {}
        return str(newest.get("md5") or self.fields.get("md5") or self.fields.get("modified") or "")

    def shows(self, md5: str) -> bool:
        """Return True if the record has a file, and among its versions, if it lists any, the one with this *md5*.

        With "" any version will do.
        """
        versions = self.fields.get("version_set")
        listed = versions if isinstance(versions, list) else []
        sums = [version.get("md5") for version in listed if isinstance(version, dict)]
        return bool(self.fields.get("url")) and (not md5 or not any(sums) or md5 in sums)


class ArchiveClient:
    """Finds frames. Threads may share it, and it may be created before a process forks.

    Each method takes the value of the client's Authorization header, so that the archive decides what it may see.
    """

    def __init__(self, settings: Settings) -> None:
        url = settings.archive_api_url or ""
        if has_user(url):
            raise WrongSetting(
                "ARCHIVE_API_URL contains a user name: the archive gets the Authorization of each client"
            )
        self._base_url = url.rstrip("/") + "/"
        self._http = HttpClient(REQUEST_SECONDS, REQUEST_SECONDS, pool_size=CONNECTIONS)

    def find_frame(self, number: int, authorization: str | None) -> FrameRecord:
        """Return the frame with this id. Raises the archive's failures of `errors`."""
        return _read_record(self._get(f"frames/{number}/", {}, authorization, FRAME_SECONDS))

    def find_by_basename(self, basename: str, authorization: str | None) -> FrameRecord:
        """Return the one frame whose file has this name without its extension."""
        answer = self._get("frames/", {"basename_exact": basename}, authorization, FRAME_SECONDS)
        records = _read_results(answer)
        if answer.get("count") != 1 or len(records) != 1:
            raise FrameMissing("Not found")
        return records[0]

    def list_request(self, request_id: str, authorization: str | None) -> list[FrameRecord]:
        """Return the reduced frames of a request that the client may see, in the archive's order."""
        query: Query = {"request_id": request_id, "reduction_level": 91}
        return _read_results(self._get("frames/", query, authorization, REQUEST_SECONDS))

    def add_thumbnail(self, record: Mapping[str, Any], authorization: str | None) -> None:
        """Register a thumbnail by its *record*. One that is registered already is not registered again.

        Raises `ArchiveRefused` with the archive's own words, `ArchiveFailed` or `ArchiveTimeout`.
        """
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        body = json.dumps(record).encode()
        url = f"{self._base_url}thumbnails/"
        request = HttpRequest(url, "POST", headers, authorization=lambda: authorization, body=body)
        status, answer = self._exchange(request, REQUEST_SECONDS)
        words = " ".join(answer[:WORDS_MOST].decode(errors="replace").split())
        if 200 <= status < 300 or status == 409 or (status == 400 and "already exists" in words):
            return
        if status in REDIRECTS:
            raise ArchiveRefused(f"the archive answered {status}: ARCHIVE_API_URL must be its last address", status)
        if 400 <= status < 500:
            raise ArchiveRefused(f"the archive answered {status} to the registration: {words}", status)
        raise ArchiveFailed(f"the archive answered {status} to the registration")

    def _get(self, path: str, query: Query, authorization: str | None, seconds: float) -> dict[str, Any]:
        body = self._read(
            HttpRequest(
                self._base_url + path + (f"?{urlencode(query)}" if query else ""),
                headers={"Accept": "application/json"},
                authorization=lambda: authorization,
            ),
            seconds,
        )
        try:
            answer = json.loads(body)
        except ValueError as error:
            raise ArchiveFailed("Got error response: the archive's answer is no JSON") from error
        if not isinstance(answer, dict):
            raise ArchiveFailed("Got error response: the archive's answer is no JSON object")
        return answer

    def _read(self, request: HttpRequest, seconds: float) -> bytes:
        status, body = self._exchange(request, seconds)
        _check_status(status)
        return body

    def _exchange(self, request: HttpRequest, seconds: float) -> tuple[int, bytes]:
        try:
            with closing(self._http.send(request, Deadline.after(seconds))) as response:
                return response.status, response.read(RESPONSE_BYTES_MAX)
        except (RequestTimedOut, DeadlineExceeded) as failed:
            raise ArchiveTimeout("Timeout while accessing resource") from failed
        except RequestFailed as failed:
            raise ArchiveFailed(f"Got error response: the archive {failed}") from failed


def _check_status(status: int) -> None:
    if status == 200:
        return
    if status == 404:
        raise FrameMissing("Not found")
    if 400 <= status < 500:
        raise ArchiveRefused(f"Got error response: the archive answered {status}", status)
    raise ArchiveFailed(f"Got error response: the archive answered {status}")


def _read_results(answer: dict[str, Any]) -> list[FrameRecord]:
    results = answer.get("results")
    if not isinstance(results, list):
        raise ArchiveFailed("Got error response: the archive's answer has no results")
    return [_read_record(record) for record in results]


def _read_record(fields: Any) -> FrameRecord:
    number = fields.get("id") if isinstance(fields, dict) else None
    if not isinstance(number, int):
        raise ArchiveFailed("Got error response: the archive's answer is no frame")
    return FrameRecord(fields)
