"""The S3 client of this process, and hints for operators about its failures."""

from __future__ import annotations

import logging
import os
import time
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.exceptions import (
    ConnectionError as NoConnection,
)
from botocore.session import Session
from botocore.utils import parse_timestamp

from mezcal.errors import StoreDown
from mezcal.store.s3.presigned_urls import presigned

if TYPE_CHECKING:
    from collections.abc import Container

    from mezcal.settings import Settings

log = logging.getLogger(__name__)

ATTEMPTS = 3
CONNECT_SECONDS, READ_SECONDS = 2.0, 20.0
LOOKUP_SECONDS = 5.0  # for a HEAD: a client waits for it
PAUSE_SECONDS = 1.0  # no request is sent for so long after the store could not be reached
CONNECTIONS_MAX = 64  # kept open by each process
DEFAULT_REGION = "us-east-1"
THUMBNAIL_REGION = "us-west-2"  # thumbnail-service's default, for who takes its variables over
NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError)
UNREACHABLE = (NoConnection, HTTPClientError, IncompleteReadError)
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
CODES = {"403": "AccessDenied", "301": "PermanentRedirect"}  # the response to a HEAD has no body with a code


class S3Refused(Exception):
    """The object store answered with an error: HTTP's *status* and S3's own *code*. *failure* is what it means."""

    def __init__(self, error: ClientError) -> None:
        self.status: int = error.response["ResponseMetadata"]["HTTPStatusCode"]
        code: str = error.response["Error"]["Code"]
        self.code = CODES.get(code, "" if code.isdecimal() else code)
        super().__init__(f"{self.status} {self.code}".strip())

    @property
    def failure(self) -> StoreDown:
        """The failure, with a hint for the operator."""
        hint = f": {HINTS[self.code]}" if self.code in HINTS else ""
        return StoreDown(f"the object store refuses ({self}){hint}")


class S3Client:
    """botocore's client for the bucket of *settings*: it signs, retries and finds the bucket's region.

    A client is made at the first request of each process, because no connection may be shared after a fork.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.bucket = settings.aws_bucket or ""
        self._clients: dict[str, Any] = {}
        self._pid = 0
        self._paused_until = 0.0

    def call(self, operation: str, handled: Container[int] = (), **parameters: Any) -> dict[str, Any]:
        """Call *operation* of botocore's client on the bucket. Returns the parsed response.

        Raises `S3Refused` if the store answers with one of the *handled* statuses, else `StoreDown`.
        """
        if time.monotonic() < self._paused_until:
            raise StoreDown("the object store could not be reached a moment ago")
        try:
            client = self._client("lookups" if operation == "head_object" else "requests")
            response: dict[str, Any] = getattr(client, operation)(Bucket=self.bucket, **parameters)
        except ClientError as error:
            refused = S3Refused(error)
            raise (refused if refused.status in handled else refused.failure) from error
        except BotoCoreError as error:
            raise self.failure(error) from error
        return response

    def failure(self, error: BotoCoreError) -> StoreDown:
        """Returns the failure that botocore's *error* means, with a hint for the operator."""
        if isinstance(error, NO_CREDENTIALS):
            hint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            return StoreDown(f"no credentials for the object store ({type(error).__name__}): {hint}")
        if isinstance(error, UNREACHABLE):
            log.warning("the object store cannot be reached: %s", error)
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            return StoreDown(f"the object store cannot be reached ({type(error).__name__})")
        return StoreDown(f"the object store cannot be asked ({type(error).__name__}): {error}")

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


def _session(settings: Settings) -> Session:
    """Returns a session with the key of *settings*; without one botocore looks for it where every AWS client does."""
    session = Session()
    if settings.aws_access_key_id and settings.aws_secret_access_key:
        token = settings.aws_session_token.get_secret_value() if settings.aws_session_token else None
        session.set_credentials(settings.aws_access_key_id, settings.aws_secret_access_key.get_secret_value(), token)
    default = THUMBNAIL_REGION if settings.archive_api_url else DEFAULT_REGION
    region = settings.aws_default_region or session.get_config_variable("region") or default
    session.set_config_variable("region", region)
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
    style = settings.s3_addressing
    if style == "auto":  # a dot in the bucket's name does not match the certificate of `*.s3.amazonaws.com`
        style = "path" if settings.storage_url or "." in (settings.aws_bucket or "") else "virtual"
    return Config(
        signature_version="s3v4",
        connect_timeout=CONNECT_SECONDS,
        read_timeout=read_seconds,
        max_pool_connections=CONNECTIONS_MAX,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        parameter_validation=False,  # costs a tenth of a HEAD's time; the parameters are written in `bucket`
        s3={"addressing_style": style, "payload_signing_enabled": True, "us_east_1_regional_endpoint": "regional"},
    )
