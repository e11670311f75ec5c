"""The CORS rule of a bucket: without one, scripts of other hosts cannot read pictures that clients fetch there."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.exceptions import BotoCoreError, HTTPClientError
from botocore.httpsession import URLLib3Session

from mezcal.store.protocols import ServerFeature

if TYPE_CHECKING:
    from pathlib import Path

    from mezcal.settings import Settings

SECONDS = 10.0
ANY_PAGE = "https://any-page.example"  # the origin that is asked about if PUBLIC_URL is not set
OTHER_PAGES = b"This CORS request is not allowed"  # S3's words if there is a rule, for other pages
HINT = (
    "set a CORS rule on the bucket that allows GET and HEAD for AllowedOrigins *, or for your pages: "
    "docs/object-storage.md#how-images-are-sent"
)


def gives_urls(settings: Settings) -> bool:
    """Returns True if clients fetch pictures from the bucket themselves: images, or thumbnails."""
    return settings.s3_serve == "redirect" or settings.archive_api_url is not None


def cors_feature(url: str, settings: Settings) -> ServerFeature:
    """Returns whether a page of PUBLIC_URL, or of any host, may read the object at *url* (Fetch standard, CORS)."""
    parts = urlsplit(settings.public_url or ANY_PAGE)
    origin = f"{parts.scheme}://{parts.netloc}"
    pages = f"pages of {origin}" if settings.public_url else "pages of other hosts"
    try:
        answer = _preflight(url, origin, settings.aws_ca_bundle)
    except (BotoCoreError, HTTPClientError) as error:
        detail = f"{urlsplit(url).netloc} cannot be asked if {pages} may read pictures: {type(error).__name__}"
        return ServerFeature("cors", detail, "check S3_PUBLIC_URL, the address of the store for clients")
    if answer.status_code < 300 and answer.headers.get("Access-Control-Allow-Origin") in {"*", origin}:
        return ServerFeature("cors", f"scripts in {pages} may read pictures in the bucket")
    if OTHER_PAGES in answer.content:
        return ServerFeature("cors", f"a rule of the bucket allows some pages, and not {pages}")
    return ServerFeature("cors", f"the bucket does not let scripts in {pages} read pictures", HINT)


def _preflight(url: str, origin: str, ca_bundle: Path | None) -> AWSResponse:
    """Send the preflight request of a browser with a page of *origin*. Returns the answer."""
    headers = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    session = URLLib3Session(verify=str(ca_bundle) if ca_bundle else True, timeout=SECONDS)
    try:
        answer = session.send(AWSRequest("OPTIONS", url, headers).prepare())
        assert answer.content is not None, "all of it is read before the session is closed"
        return answer
    finally:
        session.close()
