"""The archive's API: small bounded GETs with the asker's own Authorization, no cookies, no redirects, no proxies."""

from __future__ import annotations

import json
import os
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from requests import Request
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException, Timeout
from urllib3.exceptions import HTTPError, ReadTimeoutError

from mezcal.errors import ArchiveFailed, ArchiveRefused, ArchiveTimeout, FrameMissing
from mezcal.origin import trusted_authorities

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mezcal.settings import Settings

FRAME_SECONDS = 10.0  # OCS thumbnail-service's patience, here for the whole answer
REQUEST_SECONDS = 30.0
ANSWER_MOST = 8 * 2**20  # bytes: a request with thousands of frames
PIECE = 64 * 1024
CONNECTIONS = 32  # kept open; each waiting asker may need one

Fields = dict[str, str | int]


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """What the archive says of one frame; `fields` as they came."""

    fields: Mapping[str, Any]

    def text(self, name: str) -> str:
        """A field as text, empty where there is none."""
        value = self.fields.get(name)
        return "" if value is None else str(value)

    @property
    def id(self) -> int:
        """The frame's number."""
        return int(self.fields["id"])

    @property
    def version(self) -> str:
        """What changes with the frame's file: the MD5 of its newest version, or when it was modified."""
        versions = self.fields.get("version_set")
        newest = versions[0] if isinstance(versions, list) and versions and isinstance(versions[0], dict) else {}
        return str(newest.get("md5") or self.fields.get("md5") or self.fields.get("modified") or "")


class Archive:
    """Asks for frames; safe to share between threads, and to make before a process forks."""

    def __init__(self, settings: Settings) -> None:
        self._base = (settings.archive_api_url or "").rstrip("/") + "/"
        self._trust = trusted_authorities()
        self._kept: tuple[int, HTTPAdapter] | None = None

    def frame(self, number: int, authorization: str | None) -> FrameRecord:
        """The frame of this id, if whoever has *authorization* may see it; else a failure of `errors`."""
        found = self._get(f"frames/{number}/", {}, authorization, FRAME_SECONDS)
        return _record(found)

    def named(self, basename: str, authorization: str | None) -> FrameRecord:
        """The one frame whose file has this name, less its extension."""
        found = self._get("frames/", {"basename_exact": basename}, authorization, FRAME_SECONDS)
        results = _results(found)
        if found.get("count") != 1 or len(results) != 1:
            raise FrameMissing("Not found")
        return results[0]

    def of_request(self, request_id: str, authorization: str | None) -> list[FrameRecord]:
        """The reduced frames of a request that the asker may see, in the archive's order."""
        query: Fields = {"request_id": request_id, "reduction_level": 91}
        return _results(self._get("frames/", query, authorization, REQUEST_SECONDS))

    def _get(self, path: str, query: Fields, authorization: str | None, seconds: float) -> dict[str, Any]:
        headers = {"Accept": "application/json", "User-Agent": "mezcal/2", "Accept-Encoding": "identity"}
        if authorization:
            headers["Authorization"] = authorization
        request = Request("GET", self._base + path, params=query, headers=headers).prepare()
        try:
            response = self._adapter().send(request, stream=True, timeout=seconds, verify=self._trust)
            with closing(response):
                _judge(response.status_code)
                answer = json.loads(_body(response.raw, time.monotonic() + seconds))
        except (Timeout, ReadTimeoutError) as error:
            raise ArchiveTimeout("Timeout while accessing resource") from error
        except (RequestException, HTTPError, OSError) as error:
            raise ArchiveFailed("Got error response: the archive cannot be reached") from error
        except ValueError as error:
            raise ArchiveFailed("Got error response: the archive's answer is no JSON") from error
        if not isinstance(answer, dict):
            raise ArchiveFailed("Got error response: the archive's answer is no JSON object")
        return answer

    def _adapter(self) -> HTTPAdapter:
        """The connections of one process: a fork must not go on speaking on its parent's."""
        if self._kept is None or self._kept[0] != os.getpid():
            self._kept = os.getpid(), HTTPAdapter(pool_maxsize=CONNECTIONS)
        return self._kept[1]


def _judge(status: int) -> None:
    if status == 200:
        return
    if status == 404:
        raise FrameMissing("Not found")
    if 400 <= status < 500:
        raise ArchiveRefused(f"Got error response: the archive answered {status}", status)
    raise ArchiveFailed(f"Got error response: the archive answered {status}")


def _body(raw: Any, deadline: float) -> bytes:
    body = b""
    while piece := raw.read1(PIECE, decode_content=True):
        body += piece
        if len(body) > ANSWER_MOST:
            raise ArchiveFailed(f"Got error response: the archive answered more than {ANSWER_MOST:,} bytes")
        if time.monotonic() > deadline:
            raise ArchiveTimeout("Timeout while accessing resource")
    return body


def _results(found: dict[str, Any]) -> list[FrameRecord]:
    results = found.get("results")
    if not isinstance(results, list):
        raise ArchiveFailed("Got error response: the archive's answer has no results")
    return [_record(one) for one in results]


def _record(found: Any) -> FrameRecord:
    number = found.get("id") if isinstance(found, dict) else None
    if not isinstance(number, int):
        raise ArchiveFailed("Got error response: the archive's answer is no frame")
    return FrameRecord(found)
