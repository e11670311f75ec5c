"""What a response's status and headers mean for a master: read it, try again, or a failure of `errors`."""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from mezcal.errors import (
    MasterDenied,
    MasterEmpty,
    MasterForbidden,
    MasterMissing,
    NotAnImage,
    OriginFailed,
    PageInstead,
    TooLarge,
    UnusableResponse,
)
from mezcal.origin.retries import TransientFailure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mezcal.errors import Failure

CODINGS = {"", "identity", "gzip", "x-gzip", "deflate"}  # these are undone, though none was requested
PAGES = {"text/html", "application/xhtml+xml", "application/json", "application/problem+json"}
NEVER_IMAGES = re.compile(
    r"(text|audio|video|font|message|multipart)/.*"
    r"|application/(json|xml|pdf|postscript|javascript|n-triples|n-quads|sparql-results"
    r"|msword|rtf|warc|zip|.*\+json|.*\+xml)"
)


def check_status(status: int, headers: Mapping[str, str], *, ranged: bool, denied: int) -> None:
    """Raise unless *status* is that of a master: `TransientFailure` if another request may succeed, else the failure.

    *ranged* is True if a part was requested; *denied* is ORIGIN_DENIED_STATUS.
    """
    if status in {200, 203} or (ranged and status == 206):
        return
    if status == 429 or status >= 500 or status < 200:  # 1xx: http.client takes any but 100 for the response
        failure = OriginFailed(f"the repository answered {status}")
        raise TransientFailure(failure, parse_retry_after(headers.get("Retry-After")))
    raise _final_failure(status, denied)


def _final_failure(status: int, denied: int) -> Failure:
    if status in {404, 410}:
        return MasterMissing(f"the repository answered {status}")
    if status in {401, 403}:
        failure = MasterForbidden if denied == 403 else MasterDenied
        return failure(f"the repository answered {status}")
    if status == 204:
        return MasterEmpty("the repository answered 204: it has no content")
    return UnusableResponse(f"the repository answered {status}, which brings no master")


def check_no_page(headers: Mapping[str, str]) -> None:
    """Raise `PageInstead` if *headers* are those of a web page or of JSON."""
    media_type = _media_type(headers)
    if media_type in PAGES:
        raise PageInstead(f"the repository sent {media_type}: a page for signing in, or of an outage?")


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("Content-Type", "").partition(";")[0].strip().lower()


def check_content(headers: Mapping[str, str], limit: int) -> int | None:
    """Return the master's size in bytes, None if *headers* do not say.

    Raises the failure of a master that cannot be an image, or has more than *limit* bytes.
    """
    check_no_page(headers)
    media_type = _media_type(headers)
    if NEVER_IMAGES.fullmatch(media_type):
        raise NotAnImage(f"the repository declares the master as {media_type}")
    coding = headers.get("Content-Encoding", "").strip().lower()
    if coding not in CODINGS:
        raise UnusableResponse(f"the repository sent the content coding {coding!r}, though none was requested")
    length = headers.get("Content-Length", "")
    if coding not in {"", "identity"} or not (length.isascii() and length.isdigit()):
        return None
    size = int(length)
    if size == 0:
        raise MasterEmpty("the repository sent no byte")
    if size > limit:
        raise too_large(limit, size)
    return size


def too_large(limit: int, size: int | None = None) -> TooLarge:
    """Return the failure of a master of *size* bytes, None if unknown, with more than ORIGIN_MAX_BYTES (*limit*)."""
    has = f"has {size:,} bytes, and" if size is not None else "has more bytes than allowed:"
    return TooLarge(f"the master {has} ORIGIN_MAX_BYTES is {limit:,}")


def parse_retry_after(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header, a number or a date (RFC 9110, 10.2.3); None if it is neither."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def strong_etag(etag: str | None) -> str | None:
    """Return *etag* if it promises the same bytes (RFC 9110, 8.8.3), None if it is weak or missing."""
    return etag if etag and etag.startswith('"') and etag.endswith('"') and len(etag) > 1 else None
