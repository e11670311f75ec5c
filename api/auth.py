"""Who may: tokens for whatever changes state, and for reading where the operator says so."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from typing import TYPE_CHECKING

from flask import request

from api.context import here
from mezcal.errors import Forbidden, Unauthorized

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import SecretStr

# What proxies add; HTTP/1.0 is what nginx speaks to those behind it, unless it is told otherwise.
PROXIED = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")
LOCAL_NAMES = {"localhost", "127.0.0.1", "[::1]", "::1"}


def may_read() -> None:
    """Raise `Unauthorized` where READ_TOKENS are set and the request has none of them."""
    settings = here().settings
    if settings.read_tokens and not _has_one_of((*settings.read_tokens, *settings.api_tokens)):
        raise Unauthorized("reading needs `Authorization: Bearer` with one of READ_TOKENS")


def may_change() -> None:
    """Raise `Forbidden` or `Unauthorized` unless the request may change state."""
    settings = here().settings
    if settings.api_tokens:
        if not _has_one_of(settings.api_tokens):
            raise Unauthorized("this needs `Authorization: Bearer` with one of API_TOKENS")
    elif not (settings.loopback_trusted and _from_this_machine()):
        raise Forbidden("changes are closed until the variable API_TOKENS names at least one token")


def may_scrape() -> None:
    """Raise `Unauthorized` where METRICS_TOKEN is set and did not come, `Forbidden` to other machines where not."""
    token = here().settings.metrics_token
    if token is not None:
        if not _has_one_of((token,)):
            raise Unauthorized("this needs `Authorization: Bearer` with METRICS_TOKEN")
    elif not _from_this_machine():
        raise Forbidden("metrics are for this machine alone until the variable METRICS_TOKEN names a token")


def _has_one_of(tokens: Iterable[SecretStr]) -> bool:
    """Compare digests, all of them: the time it takes says nothing of any token."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given:
        return False
    digest = _digest(given.strip())
    return bool(sum(hmac.compare_digest(digest, _digest(token.get_secret_value())) for token in tokens))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _from_this_machine() -> bool:
    """Whether a person or script at this machine asks.

    Not a proxy on it, not a page from elsewhere in its browser, nor one whose name was made to point here.
    """
    try:
        near = ipaddress.ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False
    named = request.host.rsplit(":", 1)[0] if not request.host.endswith("]") else request.host
    own_page = request.headers.get("Sec-Fetch-Site", "none") in {"none", "same-origin"}
    foreign = request.headers.get("Origin", request.host_url.rstrip("/")) != request.host_url.rstrip("/")
    proxied = any(name in request.headers for name in PROXIED) or request.environ["SERVER_PROTOCOL"] == "HTTP/1.0"
    return near and named in LOCAL_NAMES and own_page and not foreign and not proxied
