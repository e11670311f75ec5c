"""The S3 client of this process: it signs requests, and repeats those that may succeed the next time."""

from __future__ import annotations

import logging
import os
import random
import time
from datetime import datetime
from email.utils import parsedate_to_datetime
from itertools import count
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from botocore.utils import parse_timestamp

from mezcal.errors import StoreDown
from mezcal.s3_session import DEFAULT_REGION, addressing_style, open_session
from mezcal.store.s3.client.failures import OVERLOADED, UNREACHABLE, S3Refused, failure_of
from mezcal.store.s3.client.presigned_urls import presigned

if TYPE_CHECKING:
    from collections.abc import Container

    from botocore.session import Session

    from mezcal.settings import Settings

log = logging.getLogger(__name__)

ATTEMPTS = 3
OVERLOADED_ATTEMPTS = 6  # for a store that says to come back: of 30 refusals in 100, one request in 1,400 is left
PAUSE_FIRST = 0.05  # seconds before the second attempt, doubled each time, times a random factor of 0.5 to 1.5
PAUSE_MAX = 2.0  # a client may wait: for a store that asks for a longer pause, nobody waits here
CONNECT_SECONDS, READ_SECONDS = 2.0, 20.0
LOOKUP_SECONDS = 5.0  # for a HEAD: a client waits for it
UNREACHABLE_SECONDS = 1.0  # no request is sent for so long after the store could not be reached
CONNECTIONS_MAX = 64  # kept open by each process
# Of a server that redirects every request, botocore asks in which region the bucket is, and is redirected again.
UNREADABLE = (ResponseParserError, RecursionError)
THUMBNAIL_REGION = "us-west-2"  # thumbnail-service's default, for who takes its variables over


class S3Client:
    """botocore's client for the bucket of *settings*: it signs, and finds the bucket's region.

    A client is made at the first request of each process, because no connection may be shared after a fork.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.bucket = settings.aws_bucket or ""
        self._clients: dict[str, Any] = {}
        self._pid = 0
        self._paused_until = 0.0
        self._overloaded = False  # the last request was refused at every attempt: until one succeeds, none is repeated

    def call(self, operation: str, handled: Container[int] = (), **parameters: Any) -> dict[str, Any]:
        """Call *operation* of botocore's client on the bucket, more than once if need be. Returns the parsed response.

        Raises `S3Refused` if the store answers with one of the *handled* statuses, else `StoreDown`.
        """
        for attempt in count(1):
            try:
                response = self._send(operation, parameters)
            except S3Refused as refused:
                if refused.status in handled:
                    self._overloaded = False
                    raise
                if self._may_repeat(refused, attempt):
                    time.sleep(_pause(attempt, refused.retry_after))
                    continue
                raise refused.failure from refused
            except UNREACHABLE as error:
                if attempt < ATTEMPTS:
                    time.sleep(_pause(attempt))
                    continue
                raise self.failure(error) from error
            self._overloaded = False
            return response
        raise AssertionError("the last attempt returns or raises")

    def _send(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Send one request. Raises `S3Refused`, an error of UNREACHABLE, or `StoreDown`."""
        if time.monotonic() < self._paused_until:
            raise StoreDown("the object store could not be reached a moment ago", may_pass=True)
        body = parameters.get("Body")
        if body is not None and not isinstance(body, bytes):
            body.seek(0)
        try:
            client = self._client("lookups" if operation == "head_object" else "requests")
            response: dict[str, Any] = getattr(client, operation)(Bucket=self.bucket, **parameters)
        except ClientError as error:
            raise S3Refused(error) from error
        except UNREACHABLE:
            raise
        except (BotoCoreError, *UNREADABLE) as error:
            raise self.failure(error) from error
        return response

    def _may_repeat(self, refused: S3Refused, attempt: int) -> bool:
        """Returns True if another attempt is worthwhile. While the store refuses everything, no client waits."""
        if refused.status not in OVERLOADED:
            return refused.may_pass and attempt < ATTEMPTS
        short = refused.retry_after is None or refused.retry_after <= PAUSE_MAX
        if short and not self._overloaded and attempt < OVERLOADED_ATTEMPTS:
            return True
        self._overloaded = True
        return False

    def failure(self, error: Exception) -> StoreDown:
        """Returns the failure that *error* of botocore means. No request is sent for a moment if it is UNREACHABLE."""
        if isinstance(error, UNREACHABLE):
            log.warning("the object store cannot be reached: %s", error)
            self._paused_until = time.monotonic() + UNREACHABLE_SECONDS
        return failure_of(error)

    def presigned_url(self, key: str, method: str, since: float, seconds: int) -> str:
        """Returns a URL that allows anyone to do *method*, GET or HEAD, on *key* for *seconds* from *since* on.

        The URL names S3_PUBLIC_URL where that is set. Raises `StoreDown` without credentials.
        """
        try:
            client = self._client("public" if self._settings.s3_public_url else "lookups")
            operation = {"GET": "get_object", "HEAD": "head_object"}[method]
            url = client.generate_presigned_url(operation, {"Bucket": self.bucket, "Key": key})
            return presigned(url, method, self._session.get_credentials(), since, seconds)
        except BotoCoreError as error:
            raise self.failure(error) from error

    def _client(self, purpose: str) -> Any:
        """Returns the client for *purpose*: `lookups`, `requests`, or `public` for URLs given to clients."""
        if self._pid != os.getpid():
            self._session, self._clients, self._pid = _session(self._settings), {}, os.getpid()
        client = self._clients.get(purpose)
        if client is None:
            settings = self._settings
            client = self._clients[purpose] = self._session.create_client(
                "s3",
                endpoint_url=settings.s3_public_url if purpose == "public" else settings.storage_url,
                verify=str(settings.aws_ca_bundle) if settings.aws_ca_bundle else None,
                config=_config(settings, LOOKUP_SECONDS if purpose == "lookups" else READ_SECONDS),
            )
        return client


def _pause(attempt: int, asked: float | None = None) -> float:
    """Returns the seconds until the next attempt: a growing random time, and no less than the store *asked* for."""
    pause = min(PAUSE_FIRST * 2.0**attempt, PAUSE_MAX) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
    return max(pause, asked or 0.0)


def _session(settings: Settings) -> Session:
    """Returns a session with the key of *settings*."""
    session = open_session(
        settings.aws_access_key_id,
        settings.aws_secret_access_key,
        settings.aws_session_token,
        settings.aws_default_region,
        THUMBNAIL_REGION if settings.archive_api_url else DEFAULT_REGION,
    )
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=parse_time)
    return session


def parse_time(value: Any) -> datetime:
    """Returns the moment in a response. botocore's own parser takes two thirds of the time that a listing takes."""
    try:
        return datetime.fromisoformat(value) if "T" in value[:11] else parsedate_to_datetime(value)
    except (TypeError, ValueError):  # a number, in responses of other services that lend keys
        moment: datetime = parse_timestamp(value)
        return moment


def _config(settings: Settings, read_seconds: float) -> Config:
    """Returns what all S3 servers understand: no checksum headers beyond the signature, which covers the body."""
    style = addressing_style(settings.s3_addressing, settings.aws_bucket or "", settings.storage_url)
    return Config(
        signature_version="s3v4",
        connect_timeout=CONNECT_SECONDS,
        read_timeout=read_seconds,
        max_pool_connections=CONNECTIONS_MAX,
        retries={"mode": "standard", "total_max_attempts": 1},  # `call` repeats requests: botocore ignores Retry-After
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        parameter_validation=False,  # costs a tenth of a HEAD's time; the parameters are written in `bucket`
        s3={"addressing_style": style, "payload_signing_enabled": True, "us_east_1_regional_endpoint": "regional"},
    )
