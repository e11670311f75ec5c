"""Presigned URLs that stay the same for a while: AWS Signature Version 4 in the query, as of a given moment.

botocore signs as of the present second, so that each of its URLs is another one and no browser can reuse an image.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import NoCredentialsError

if TYPE_CHECKING:
    from botocore.credentials import Credentials


class FixedTimeSigner(S3SigV4QueryAuth):  # type: ignore[misc]  # botocore has no types
    """botocore's signer of URLs, with *since* (seconds since 1970) as the moment of signing.

    A private part of botocore is overridden: see `tests/contracts/test_botocore_signer.py`.
    """

    def __init__(self, credentials: Any, region: str, since: float, seconds: int) -> None:
        super().__init__(credentials, "s3", region, expires=seconds)
        self._timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(since))

    def _modify_request_before_signing(self, request: AWSRequest) -> None:
        request.context["timestamp"] = self._timestamp
        super()._modify_request_before_signing(request)


def presigned(url: str, method: str, credentials: Credentials | None, since: float, seconds: int) -> str:
    """Returns *url*, which botocore has signed just now, signed as of *since* and valid for *seconds* from then on.

    A week is the most that S3 allows. The region is the one in *url*: botocore may have learned it from the store.
    Raises `NoCredentialsError`.
    """
    if credentials is None:
        raise NoCredentialsError
    parts = urlsplit(url)
    region = parse_qs(parts.query)["X-Amz-Credential"][0].split("/")[-3]
    request = AWSRequest(method, urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")))
    FixedTimeSigner(credentials.get_frozen_credentials(), region, since, seconds).add_auth(request)
    return str(request.url)
