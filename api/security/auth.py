"""Who may: tokens for whatever changes state, and for reading where the operator says so."""

from __future__ import annotations

import binascii
import hashlib
import hmac
import ipaddress
import time
from base64 import b64decode
from typing import TYPE_CHECKING

from flask import request

from api.context import context
from api.security import body_limits, webhook_signatures
from mezcal.errors import Forbidden, Unauthorized

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic import SecretStr

# What proxies add; HTTP/1.0 is what nginx speaks to those behind it, unless it is told otherwise.
PROXIED = ("FORWARDED", "VIA", "X_FORWARDED", "X_REAL_IP")  # and all that begin so
LOCAL_NAMES = {"localhost", "127.0.0.1", "[::1]", "::1"}


def may_read() -> None:
    """Raise `Unauthorized` where READ_TOKENS are set and the request has none of them."""
    settings = context().settings
    if settings.read_tokens and not _has_one_of((*settings.read_tokens, *settings.api_tokens)):
        raise Unauthorized("reading needs `Authorization: Bearer` with one of READ_TOKENS")


def may_change() -> None:
    """Raise `Forbidden` or `Unauthorized` unless the request may change state."""
    settings = context().settings
    if settings.api_tokens:
        if not _has_one_of(settings.api_tokens):
            raise Unauthorized("this needs `Authorization: Bearer` with one of API_TOKENS")
    elif not (settings.loopback_trusted and _from_this_machine()):
        raise Forbidden("changes are closed until the variable API_TOKENS names at least one token")


def is_operator() -> bool:
    """Whether the request may change state: to those who may, more is shown."""
    try:
        may_change()
    except (Unauthorized, Forbidden):
        return False
    return True


def may_report(body: Callable[[], bytes]) -> tuple[bytes, webhook_signatures.Signed | None]:
    """*body*, read once it may be; and what its signature says, None where a token or a login opened.

    Raises `Forbidden` or `Unauthorized` unless the request may report events.
    """
    settings = context().settings
    tokens = (*settings.webhook_tokens, *settings.api_tokens)
    if _has_one_of(tokens) or _has_login(settings.webhook_logins):
        return body(), None
    headers = {name.lower(): value for name, value in request.headers}
    if settings.webhook_secrets and any(name in headers for name in webhook_signatures.NAMES):
        with body_limits.of_stranger():
            read = body()
            return read, webhook_signatures.checked(headers, read, settings.webhook_secrets, time.time())
    if tokens or settings.webhook_logins or settings.webhook_secrets:
        raise Unauthorized("events need a signature, a token or a login: one of WEBHOOK_SECRETS, _TOKENS or _LOGINS")
    if settings.loopback_trusted and _from_this_machine():
        return body(), None
    raise Forbidden("events are refused until WEBHOOK_SECRETS, WEBHOOK_TOKENS or WEBHOOK_LOGINS has at least one entry")


def _has_login(logins: Iterable[SecretStr]) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    try:
        login = b64decode(given.strip(), validate=True) if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        return False
    digest = hashlib.sha256(login).digest()
    return bool(sum(hmac.compare_digest(digest, _digest(one.get_secret_value())) for one in logins))


def may_scrape() -> None:
    """Raise `Unauthorized` where METRICS_TOKEN is set and did not come, `Forbidden` to other machines where not."""
    token = context().settings.metrics_token
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
    passed_on = any(name.removeprefix("HTTP_").startswith(PROXIED) for name in request.environ)
    proxied = passed_on or request.environ["SERVER_PROTOCOL"] == "HTTP/1.0"
    return near and named in LOCAL_NAMES and own_page and not foreign and not proxied
