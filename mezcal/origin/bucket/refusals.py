"""What an error of an object store means for a master: its code says more than the status (S3 API, Error responses)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mezcal.errors import (
    MasterArchived,
    MasterDenied,
    MasterForbidden,
    MasterMissing,
    OriginFailed,
    OriginKeyRefused,
    OriginRedirectRefused,
    UnusableResponse,
)
from mezcal.origin.responses import parse_retry_after
from mezcal.origin.retries import TransientFailure

if TYPE_CHECKING:
    from collections.abc import Mapping

CODE = re.compile(rb"<Code>\s*(\w{1,64})\s*</Code>")
REGION = re.compile(rb"<Region>\s*([a-z0-9-]{1,32})\s*</Region>")
BODY_MAX = 16 * 1024  # bytes of a body that are searched: errors of S3 have some hundred

WRONG_KEY = "check REPO_USERNAME and REPO_PASSWORD, or the AWS_ settings if those are not set"
OTHER_REGION = "the bucket is in another region: set REPO_REGION"
EXPIRED = "the temporary key has expired: set a new one, or use a role, whose keys are renewed"
# The operator's fault, whichever master was asked for.
OF_THE_KEY: Mapping[str, str] = {
    "InvalidAccessKeyId": f"the access key id is unknown there: {WRONG_KEY}",
    "SignatureDoesNotMatch": f"the secret is wrong: {WRONG_KEY}. If it is right, a proxy may change requests",
    "InvalidToken": f"the session token is wrong: {WRONG_KEY}",
    "ExpiredToken": EXPIRED,
    "TokenRefreshRequired": EXPIRED,
    "RequestExpired": EXPIRED,
    "RequestTimeTooSkewed": "this machine's clock is wrong: synchronise it by NTP",
    "NoSuchBucket": "there is no such bucket: check REPO_BASE_URL, and REPO_INTERNAL_URL if that is set",
    "InvalidBucketName": "the bucket's name is not valid there: check REPO_BASE_URL",
    "PermanentRedirect": OTHER_REGION,
    "TemporaryRedirect": OTHER_REGION,
    "AuthorizationHeaderMalformed": OTHER_REGION,
    "IllegalLocationConstraintException": OTHER_REGION,
    "AllAccessDisabled": "all access to the bucket is disabled: ask its owner",
    "AccountProblem": "the account of the key has a problem: ask AWS",
    "NotSignedUp": "the account of the key has no S3: ask AWS",
}
DENIED = (
    "the key may not read this object (s3:GetObject, and kms:Decrypt if it is encrypted), or there is none: S3 says "
    "the same of a missing one to a key without s3:ListBucket. `mezcal check` tells whether it has that right"
)
ARCHIVED = "InvalidObjectState"
OF_A_REGION = {301, 307, 308}  # redirects of S3
REDIRECTS = {300, 302, 303}  # of something else in front of it


def failure_of(status: int, headers: Mapping[str, str], body: bytes, denied: int) -> Exception:
    """Return the `Failure` that an error of the bucket means, or a `TransientFailure`.

    *body* is the beginning of the response, empty for a HEAD. *denied* is ORIGIN_DENIED_STATUS.
    """
    match = CODE.search(body)
    code = match[1].decode() if match else ""
    said = f"the bucket answered {status} {code}".rstrip()
    if code in OF_THE_KEY or status in OF_A_REGION:
        region = headers.get("x-amz-bucket-region") or _region(body)
        advice = OF_THE_KEY.get(code, OTHER_REGION)
        return OriginKeyRefused(f"{said}: {advice}{f'={region}' if region and advice == OTHER_REGION else ''}")
    if status == 429 or status >= 500 or status < 200:
        return TransientFailure(OriginFailed(said), parse_retry_after(headers.get("Retry-After")))
    if status in REDIRECTS:
        detail = "no redirect of a bucket is followed, for a signature is for one server: check REPO_INTERNAL_URL"
        return OriginRedirectRefused(f"{said}: {detail}")
    if code == ARCHIVED:
        return MasterArchived(f"{said}: the object is in an archive (Glacier), and has to be restored first")
    return _of_the_master(status, said, denied)


def _of_the_master(status: int, said: str, denied: int) -> Exception:
    if status in {404, 410}:
        return MasterMissing(said)
    if status in {401, 403}:
        return (MasterForbidden if denied == 403 else MasterDenied)(f"{said}: {DENIED}")
    return UnusableResponse(f"{said}, which brings no master")


def _region(body: bytes) -> str:
    match = REGION.search(body)
    return match[1].decode() if match else ""
