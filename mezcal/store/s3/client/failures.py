"""What the errors of an object store mean: whether they may pass, and what an operator can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    SSLError,
)
from botocore.exceptions import (
    ConnectionError as NoConnection,
)

from mezcal.errors import StoreDown

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError)
UNREACHABLE = (NoConnection, HTTPClientError, IncompleteReadError)
NO_S3 = "check STORAGE_URL: nothing there answers as an S3 server does"
GENERAL = "check STORAGE_URL, AWS_BUCKET and the key: docs/object-storage.md"
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
    "SlowDown": "it is overloaded, or limits requests: if this lasts, ask its operator",
}
CODES = {"403": "AccessDenied", "301": "PermanentRedirect"}  # the response to a HEAD has no body with a code
OVERLOADED = {429, 503}
PASSING = {*OVERLOADED, 500, 502, 504}
PASSING_CODES = {"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded"}
MISSING_PAGE = {404, 405, 411, 413}  # a web server's answers to a request that it does not know
RETRY_AFTER_MAX = 60  # seconds


class S3Refused(Exception):
    """The object store answered with an error: HTTP's *status* and S3's own *code*. *failure* is what it means.

    It *may_pass* if the store is overloaded or failing. *retry_after* is the pause in seconds that the store asked for,
    None if it asked for none.
    """

    def __init__(self, error: ClientError) -> None:
        answer = error.response["ResponseMetadata"]
        code: str = error.response["Error"]["Code"]
        self.status: int = answer["HTTPStatusCode"]
        self.code = CODES.get(code, "" if code.isdecimal() else code)
        self.may_pass = self.status in PASSING or self.code in PASSING_CODES
        self.retry_after = _retry_after(answer.get("HTTPHeaders", {})) if self.may_pass else None
        super().__init__(f"{self.status} {self.code}".strip())

    @property
    def failure(self) -> StoreDown:
        """The failure, with a hint for the operator."""
        reason = f"the object store refuses ({self})"
        return StoreDown(reason, self._hint(), may_pass=self.may_pass, pause=self.retry_after)

    def _hint(self) -> str:
        if self.code in HINTS:
            return HINTS[self.code]
        if self.status in OVERLOADED:
            return HINTS["SlowDown"]
        return NO_S3 if self.status in MISSING_PAGE and not self.code else GENERAL


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds of a Retry-After header. Object stores send a number; a date is ignored."""
    value = headers.get("retry-after", "")
    return min(float(value), RETRY_AFTER_MAX) if value.isdecimal() else None


def failure_of(error: Exception) -> StoreDown:
    """Returns the failure that *error* of botocore means, with a hint for the operator."""
    kind = type(error).__name__
    if isinstance(error, NO_CREDENTIALS):
        hint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        return StoreDown(f"no credentials for the object store ({kind})", hint=hint)
    if isinstance(error, SSLError):
        hint = "check AWS_CA_BUNDLE, and the https:// or http:// of STORAGE_URL"
        return StoreDown(f"the object store's certificate or TLS cannot be used ({kind})", hint=hint, may_pass=True)
    if isinstance(error, UNREACHABLE):
        hint = "check STORAGE_URL, and the network to it"
        return StoreDown(f"the object store cannot be reached ({kind})", hint=hint, may_pass=True)
    if isinstance(error, BotoCoreError):
        return StoreDown(f"the object store cannot be asked ({kind}): {error}", hint=GENERAL)
    return StoreDown(f"the object store's answer cannot be read ({kind})", hint=NO_S3)
