"""A master as derive and convert see it, and whether it is still the one that was read before."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mezcal.origin.fixity import Digest


def _is_complete() -> None:
    """Return at once: there is nothing to wait for."""


def _not_downloaded() -> None:
    return None


def _none_received() -> int:
    return 0


def _none_verified() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Master:
    """One master, open for reading, with what its origin says about it.

    *file* is seekable. A read past what has arrived waits for the bytes, or raises the origin's failure. Only masters
    of a folder have a `fileno()`. *source* is the URL without credentials. *etag* and *last_modified* are as the
    origin sent them. *size* is in bytes, None if the origin did not say. *delimited* is False if the end of the
    connection was the end of the master: nobody can tell then whether it is whole.

    *completed_at* returns when the last byte arrived, on the monotonic clock; None if it has not, or if nothing is
    downloaded. *bytes_received* returns how many bytes have arrived. *open_again* returns another file of the same
    bytes, with a position of its own; None if the master is not downloaded. *in_parts* is True if reading it may
    request further parts, however long it has been open. *sends_parts* is True if it is downloaded whole although its
    server sends parts, too. *shared* is True if it was downloaded for another job. *verified_digest* returns the digest
    that the origin declares, once the whole master was compared with it; None if it declares none. *declares_digest* is
    True if `complete` compares one.
    """

    file: BinaryIO
    source: str
    etag: str | None = None
    last_modified: str | None = None
    size: int | None = None
    delimited: bool = True
    content_type: str | None = None
    in_parts: bool = False
    sends_parts: bool = False
    shared: bool = False
    declares_digest: bool = False
    wait_complete: Callable[[], object] = field(default=_is_complete, repr=False, compare=False)
    completed_at: Callable[[], float | None] = field(default=_not_downloaded, repr=False, compare=False)
    bytes_received: Callable[[], int] = field(default=_none_received, repr=False, compare=False)
    open_again: Callable[[], BinaryIO] | None = field(default=None, repr=False, compare=False)
    verified_digest: Callable[[], Digest | None] = field(default=_none_verified, repr=False, compare=False)

    def complete(self) -> None:
        """Wait until the whole master has arrived.

        Raises `OriginFailed`, `MasterIncomplete`, `OriginTimeout`, `TooLarge` or `StoreDown` if it did not, and
        `MasterDamaged` if it is not what the origin declares. Call it before a derivative is stored, and before a
        decoder's complaint is believed: a cut master looks damaged.
        """
        self.wait_complete()


@dataclass(frozen=True, slots=True)
class MasterDescription:
    """What an origin declares of a master that is not downloaded, None where it says nothing. *size* is in bytes."""

    etag: str | None = None
    last_modified: str | None = None
    size: int | None = None
    digest: Digest | None = None


class MasterStatus(StrEnum):
    """What the origin says of a master that was read before."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"
    GONE = "gone"


def compare_validators(headers: Mapping[str, str], etag: str | None, last_modified: str | None) -> MasterStatus:
    """Compare a response's *headers* with the validators that were read before (RFC 9110, 8.8).

    The entity tag counts before the date. Weak tags compare by their value. A master without validators counts as
    unchanged: only an event can say otherwise.
    """
    new_etag, new_date = headers.get("ETag"), headers.get("Last-Modified")
    if etag and new_etag:
        same = etag.removeprefix("W/") == new_etag.removeprefix("W/")
    else:
        same = not (last_modified and new_date) or last_modified == new_date
    return MasterStatus.UNCHANGED if same else MasterStatus.CHANGED
