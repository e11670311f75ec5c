"""Whether a master is still the one that a derivative was made from."""

from __future__ import annotations

from contextlib import closing
from enum import StrEnum
from typing import TYPE_CHECKING

from mezcal.errors import MasterMissing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mezcal.origin.client import OriginClient, OriginResponse
    from mezcal.origin.retries import Retries

NO_HEAD = {400, 405, 501}  # a server that knows no HEAD is asked by GET, and hung up on


class MasterStatus(StrEnum):
    """What the origin says of a master that was read before."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"
    GONE = "gone"


def ask(wire: OriginClient, url: str, tries: Retries, etag: str | None, last_modified: str | None) -> MasterStatus:
    """Ask conditionally (RFC 9110, 13.1); raises what keeps the origin from telling.

    A server that ignores the conditions tells by the validators it sends; one that sends none tells nothing, and
    its master counts as unchanged: an event has to say otherwise.
    """
    asked = {"If-None-Match": etag, "If-Modified-Since": last_modified}
    headers = {name: value for name, value in asked.items() if value}
    try:
        with closing(_answer(wire, url, tries, headers)) as answer:
            if answer.status == 304:
                return MasterStatus.UNCHANGED
            return compare(answer.headers, etag, last_modified)
    except MasterMissing:
        return MasterStatus.GONE


def _answer(wire: OriginClient, url: str, tries: Retries, headers: Mapping[str, str]) -> OriginResponse:
    answer = tries.persist(lambda: wire.look(url, tries, headers, passed=frozenset(NO_HEAD)))
    if answer.status not in NO_HEAD:
        return answer
    answer.close()
    return tries.persist(lambda: wire.look(url, tries, headers, method="GET"))


def compare(headers: Mapping[str, str], etag: str | None, last_modified: str | None) -> MasterStatus:
    """Judge by the validators of an answer, the entity tag before the date; weak tags compare by their value."""
    now = headers.get("ETag")
    if etag and now:
        same = etag.removeprefix("W/") == now.removeprefix("W/")
    else:
        dated = headers.get("Last-Modified")
        same = not (last_modified and dated) or last_modified == dated
    return MasterStatus.UNCHANGED if same else MasterStatus.CHANGED
