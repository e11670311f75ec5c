"""What an answer's status and headers mean for a master: go on, try again, or a failure of `errors`."""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from mezcal.errors import (
    MasterDenied,
    MasterForbidden,
    MasterMissing,
    NotAnImage,
    OriginFailed,
    TooLarge,
)
from mezcal.origin.retries import Again

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mezcal.errors import Failure

CODINGS = {"", "identity", "gzip", "x-gzip", "deflate"}  # what can be undone here, though none was asked for
NEVER_IMAGES = re.compile(
    r"(text|audio|video|font|message|multipart)/.*"
    r"|application/(json|xml|pdf|postscript|javascript|n-triples|n-quads|sparql-results"
    r"|msword|rtf|warc|zip|.*\+json|.*\+xml)"
)


def judge_status(status: int, headers: Mapping[str, str], *, ranged: bool, denied: int) -> None:
    """Pass an answer that brings the master; raise `Again` or a failure for any other.

    *ranged* says that a part was asked for; *denied* is ORIGIN_DENIED_STATUS.
    """
    if status in {200, 203} or (ranged and status == 206):
        return
    if status == 429 or status >= 500:
        raise Again(OriginFailed(f"the repository answered {status}"), retry_after(headers.get("Retry-After")))
    raise _final(status, denied)


def _final(status: int, denied: int) -> Failure:
    if status in {404, 410}:
        return MasterMissing(f"the repository answered {status}")
    if status in {401, 403}:
        kind = MasterForbidden if denied == 403 else MasterDenied
        return kind(f"the repository answered {status}")
    if status == 204:
        return NotAnImage("the master is empty")
    return OriginFailed(f"the repository answered {status}, which brings no master")


def judge_content(headers: Mapping[str, str], limit: int) -> int | None:
    """The master's size in bytes, None if *headers* do not say; a failure if it cannot be an image."""
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if NEVER_IMAGES.fullmatch(kind):
        raise NotAnImage(f"the repository declares the master as {kind}")
    coding = headers.get("Content-Encoding", "").strip().lower()
    if coding not in CODINGS:
        raise OriginFailed(f"the repository sent the content coding {coding!r}, though none was asked for")
    length = headers.get("Content-Length", "")
    if coding not in {"", "identity"} or not (length.isascii() and length.isdigit()):
        return None
    size = int(length)
    if size == 0:
        raise NotAnImage("the master is empty")
    if size > limit:
        raise too_large(limit)
    return size


def too_large(limit: int) -> TooLarge:
    """The failure of a master with more bytes than ORIGIN_MAX_BYTES."""
    return TooLarge(f"the master has more than {limit:,} bytes")


def retry_after(value: str | None) -> float | None:
    """Seconds that a Retry-After header asks for, as a number or a date; None if it says neither."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def strong(etag: str | None) -> str | None:
    """*etag* if it promises the same bytes (RFC 9110, 8.8.3), or None."""
    return etag if etag and etag.startswith('"') and etag.endswith('"') and len(etag) > 1 else None
