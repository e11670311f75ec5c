"""Access to a bucket: its address, signed requests, and the reasons of its errors."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from mezcal.http import RequestFailed
from mezcal.origin import urls
from mezcal.origin.access import Addresses
from mezcal.origin.bucket.refusals import BODY_MAX, failure_of
from mezcal.origin.bucket.signing import RequestSigner
from mezcal.origin.fixity.headers import CHECKSUM_MODE, s3_digest
from mezcal.origin.repository import base_url_in
from mezcal.s3_session import addressing_style
from mezcal.settings import WrongSetting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mezcal.http import HttpRequest, HttpResponse
    from mezcal.origin.fixity import Digest
    from mezcal.settings import Settings

UNESCAPED = "~"  # S3 computes a signature from the key with all but the unreserved characters escaped (SigV4)
AWS_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]+")


class BucketAccess:
    """The bucket of REPO_BASE_URL, `s3://bucket/prefix/`, with the key of `RequestSigner`. Raises `WrongSetting`.

    No redirect is followed: a signature is for one server, and S3 redirects only to another region.
    """

    # A HEAD has no body with a code: the key, the bucket's name or the region may be wrong, and not the master's path.
    explained_by_get = frozenset({301, 307, 308, 401, 403, 404})

    digest_request: Mapping[str, str] = CHECKSUM_MODE

    def __init__(self, settings: Settings) -> None:
        self.signer = RequestSigner(settings)
        self._denied = settings.origin_denied_status
        self._payer = {"x-amz-request-payer": "requester"} if settings.repo_requester_pays else {}
        place = urls.bucket_and_prefix(settings.repo_base_url or "")
        assert place is not None, "the type of the setting, and the caller, have checked it"
        self.bucket, self.prefix = place
        self.root = self._root_url(settings)
        public = urls.join(f"s3://{self.bucket}/", self.prefix)
        self.addresses = Addresses(public, urls.join(self.root, self.prefix, UNESCAPED), UNESCAPED)

    def _root_url(self, settings: Settings) -> str:
        """Return the URL of the bucket without a prefix: on AWS, or on the server of REPO_INTERNAL_URL."""
        given = settings.repo_internal_url
        endpoint = base_url_in(given, "REPO_INTERNAL_URL") if given else _aws_endpoint(self.signer.region)
        if addressing_style(settings.s3_addressing, self.bucket, given) == "path":
            return f"{endpoint}{quote(self.bucket, safe='')}/"
        parts = urlsplit(endpoint)
        return parts._replace(netloc=f"{self.bucket}.{parts.netloc}").geturl()

    def prepare(self, request: HttpRequest) -> HttpRequest:
        """Return *request* with its signature, which is valid for some minutes."""
        signed = self.signer.sign(request.method, request.url, {**request.headers, **self._payer})
        return replace(request, own_headers=signed, may_redirect=None)

    def check(self, response: HttpResponse, *, ranged: bool) -> None:
        """Raise unless the status of *response* is that of an object; the code in an error's body is the reason."""
        if response.status == 200 or (ranged and response.status == 206):
            return
        raise failure_of(response.status, response.headers, _beginning(response), self._denied)

    def digest_in(self, headers: Mapping[str, str]) -> Digest | None:
        """Return the checksum of the whole object that *headers* declare, None if there is none."""
        return s3_digest(headers)


def _aws_endpoint(region: str) -> str:
    """Return the URL of S3 in *region* of AWS ("Amazon S3 endpoints"). Raises `WrongSetting` if there is none."""
    if not AWS_REGION.fullmatch(region):
        hint = "for another S3 server than AWS, set REPO_INTERNAL_URL to its address"
        raise WrongSetting(f"AWS has no region {region!r}: set REPO_REGION to that of the bucket", hint)
    return f"https://s3.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}/"


def _beginning(response: HttpResponse) -> bytes:
    """Return the first bytes of the body, as far as they arrive."""
    body = b""
    try:
        for chunk in response.chunks():
            body += chunk
            if len(body) >= BODY_MAX:
                break
    except RequestFailed:
        return body
    return body
