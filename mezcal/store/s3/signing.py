"""AWS Signature Version 4, as S3 has it: in a request's headers, or in a URL for whoever has that.

After https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html. Ours because a URL has to be
the same for an hour, which needs a date of our choice, and because a hit's HEAD is most of what we send.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Key:
    """An access key; *token* belongs to those that are lent for some hours."""

    id: str
    secret: str
    token: str | None = None

    def __repr__(self) -> str:
        return f"Key({self.id!r})"  # the secret gets into no log


@dataclass(frozen=True, slots=True)
class Request:
    """What is signed: *path* as it is, not quoted; *query* and *headers* (in small letters) likewise."""

    method: str
    host: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    payload: str = EMPTY

    def canonical(self) -> tuple[str, str]:
        """The text that is hashed, and the names of the headers in it."""
        headers = {"host": self.host, **self.headers}
        names = sorted(headers)
        lines = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in names)
        signed = ";".join(names)
        parts = (self.method, quoted(self.path), written(self.query), lines, signed, self.payload)
        return "\n".join(parts), signed


def quoted(path: str) -> str:
    """*path* percent-encoded as S3 signs it: all but letters, digits, `-._~` and the slashes."""
    return quote(path, safe="/-._~")


def written(query: Mapping[str, str]) -> str:
    """*query* in the one order in which it is signed: that of the names as they are written."""
    pairs = ((quote(name, safe="-._~"), quote(value, safe="-._~")) for name, value in query.items())
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def signed_headers(request: Request, key: Key, region: str, now: float | None = None) -> dict[str, str]:
    """The headers that *request* is sent with."""
    stamp = _stamp(time.time() if now is None else now)
    added = {"x-amz-date": stamp, "x-amz-content-sha256": request.payload}
    if key.token:
        added["x-amz-security-token"] = key.token
    whole = replace(request, headers={**request.headers, **added})
    canonical, names = whole.canonical()
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    signature = _signature(canonical, stamp, scope, key)
    authorization = f"{ALGORITHM} Credential={key.id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**whole.headers, "authorization": authorization}


def signed_query(request: Request, key: Key, region: str, since: float, seconds: int) -> str:
    """The query that lets anybody do *request* from *since* on for *seconds*, at most a week."""
    stamp = _stamp(since)
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    query = {
        **request.query,
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{key.id}/{scope}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(seconds),
        "X-Amz-SignedHeaders": "host",
    }
    if key.token:
        query["X-Amz-Security-Token"] = key.token
    whole = replace(request, query=query, headers={}, payload=UNSIGNED)
    return f"{written(query)}&X-Amz-Signature={_signature(whole.canonical()[0], stamp, scope, key)}"


def _stamp(seconds: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))


def _signature(canonical: str, stamp: str, scope: str, key: Key) -> str:
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"{ALGORITHM}\n{stamp}\n{scope}\n{digest}"
    day, region = scope.split("/")[:2]
    return hmac.new(_derived(key.secret, day, region), text.encode(), hashlib.sha256).hexdigest()


@lru_cache(16)
def _derived(secret: str, day: str, region: str) -> bytes:
    """The key of one day: the secret itself signs nothing."""
    value = f"AWS4{secret}".encode()
    for part in (day, region, "s3", "aws4_request"):
        value = hmac.new(value, part.encode(), hashlib.sha256).digest()
    return value
