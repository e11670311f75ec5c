"""Requests to an object store: signed, retried, and with a failure that says what an operator can do."""

from __future__ import annotations

import logging
import os
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import certifi
import urllib3
from urllib3.exceptions import HTTPError, ProtocolError

from mezcal.errors import StoreDown
from mezcal.store.s3.signing import EMPTY, Request, quoted, signed_headers, written

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mezcal.store.s3.location import Credentials, Place

log = logging.getLogger(__name__)

TRIES = 3
PAUSE = 0.1  # seconds before the second try; four times that before the third
CONNECT_SECONDS, READ_SECONDS = 2.0, 20.0
LOOK_SECONDS = 5.0  # for a HEAD, whose asker waits
REST_SECONDS = 1.0  # for which a store that could not be reached is not tried: who asks meanwhile is told at once
CONNECTIONS_KEPT = 64
PASSING = {429, 500, 502, 503, 504}  # 501 stays: it says that the server cannot do what was asked
BLOCK = 1 << 18
HINTS = {
    "AccessDenied": "give its key the rights that docs/object-storage.md lists",
    "InvalidAccessKeyId": "AWS_ACCESS_KEY_ID is unknown there",
    "SignatureDoesNotMatch": "AWS_SECRET_ACCESS_KEY or AWS_DEFAULT_REGION is wrong",
    "NoSuchBucket": "AWS_BUCKET does not exist there",
    "PermanentRedirect": "the bucket is in another region: set AWS_DEFAULT_REGION",
    "AuthorizationHeaderMalformed": "AWS_DEFAULT_REGION is wrong",
    "RequestTimeTooSkewed": "this machine's clock is wrong",
    "ExpiredToken": "the credentials have expired",
    "QuotaExceeded": "the bucket is full",
}


@dataclass(frozen=True, slots=True)
class Told:
    """An answer: *headers* in small letters, the body unless it went into a file."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def code(self) -> str:
        """S3's own word for what went wrong; "" where there is none."""
        return find(self.body, "Code") if self.body.lstrip().startswith(b"<") else ""

    def refused(self) -> StoreDown:
        """The failure that this answer means."""
        word = self.code or {403: "AccessDenied", 301: "PermanentRedirect"}.get(self.status, "")
        hint = f": {HINTS[word]}" if word in HINTS else ""
        return StoreDown(f"the object store refuses ({self.status} {word})".replace(" )", ")") + hint)


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked of the bucket. *path* is below it; *payload* is the body's SHA-256 in hex, *into* takes the
    answer's body and is begun anew by every try.
    """

    method: str
    path: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Callable[[], BinaryIO] = b""
    payload: str = EMPTY
    into: BinaryIO | None = None


class Wire:
    """The connections of one process to one bucket."""

    def __init__(self, place: Place, credentials: Credentials, ca_bundle: str | None = None) -> None:
        self.place = place
        self.credentials = credentials
        self._ca_bundle = ca_bundle or certifi.where()
        self._pool: Any = None
        self._pid = 0
        self._rests_until = 0.0

    def ask(self, call: Call) -> Told:
        """The answer to *call*, whatever its status; one that may pass is asked for again. Raises `StoreDown`."""
        if time.monotonic() < self._rests_until:
            raise StoreDown("the object store could not be reached a moment ago")
        for attempt in range(TRIES):
            last = attempt == TRIES - 1
            try:
                told = self._once(call)
            except (HTTPError, OSError) as error:
                log.warning("%s at the object store: %s", call.method, type(error).__name__)
                if last:
                    raise self._unreachable(error) from error
            else:
                if told.status not in PASSING or last:
                    return told
            time.sleep(PAUSE * 4**attempt * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
        raise AssertionError

    def _unreachable(self, error: Exception) -> StoreDown:
        self._rests_until = time.monotonic() + REST_SECONDS
        return StoreDown(f"the object store cannot be reached ({type(error).__name__})")

    def _once(self, call: Call) -> Told:
        place = self.place
        path = place.path + call.path if call.path else place.path.rstrip("/") or "/"
        request = Request(call.method, place.host, path, call.query, call.headers, call.payload)
        headers = signed_headers(request, self.credentials.key(), place.region)
        target = quoted(path) + (f"?{written(call.query)}" if call.query else "")
        waits = urllib3.Timeout(connect=CONNECT_SECONDS, read=LOOK_SECONDS if call.method == "HEAD" else READ_SECONDS)
        body = call.body() if callable(call.body) else call.body
        try:
            answer = self._connections().urlopen(
                *(call.method, target, body or None, headers),
                timeout=waits,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            return _received(answer, call)
        finally:
            if not isinstance(body, bytes):
                body.close()

    def _connections(self) -> Any:
        if self._pid != os.getpid():  # no connection survives a fork
            at = urlsplit(self.place.base)
            kinds = {"http": urllib3.HTTPConnectionPool, "https": urllib3.HTTPSConnectionPool}
            secure = {"ca_certs": self._ca_bundle, "cert_reqs": "CERT_REQUIRED"} if at.scheme == "https" else {}
            self._pool = kinds[at.scheme](at.hostname, at.port, maxsize=CONNECTIONS_KEPT, **secure)
            self._pid = os.getpid()
        return self._pool


def _received(answer: Any, call: Call) -> Told:
    """Read *answer* to its end, so that its connection serves again; a cut one raises `ProtocolError`."""
    headers = {name.lower(): value for name, value in answer.headers.items()}
    if call.into is None or answer.status >= 300:
        told = Told(answer.status, headers, answer.read())
    else:
        call.into.seek(0)
        call.into.truncate()
        for block in answer.stream(BLOCK):
            _keep(block, call.into, answer)
        if call.into.tell() != int(headers.get("content-length", -1)):
            raise ProtocolError("the body is not as long as was announced")
        told = Told(answer.status, headers)
    answer.release_conn()
    return told


def _keep(block: bytes, into: BinaryIO, answer: Any) -> None:
    """Write *block*; our own full disk is not told as a store that cannot be reached."""
    try:
        into.write(block)
    except OSError as error:
        answer.close()
        raise StoreDown(f"the scratch folder cannot be written: {error.strerror}") from error


def find(xml: bytes, name: str) -> str:
    """The text of the first element *name* in *xml*, whatever its namespace; "" if there is none."""
    try:
        found = ET.fromstring(xml).find(f".//{{*}}{name}")  # noqa: S314 - expat expands no outside entities, and bounds the inner
    except ET.ParseError:
        return ""
    return (found.text or "") if found is not None else ""
