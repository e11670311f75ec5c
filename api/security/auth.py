"""Authorization: tokens for changes and, if READ_TOKENS is set, for reading."""

from __future__ import annotations

import binascii
import hashlib
import hmac
import ipaddress
import math
import time
from base64 import b64decode
from contextlib import suppress
from typing import TYPE_CHECKING

from flask import g, request
from werkzeug.exceptions import TooManyRequests

from api.context import context
from api.security import body_limits, webhook_signatures
from api.security.clients import current_client
from mezcal.errors import Forbidden, Unauthorized
from mezcal.runtime.host_names import host_name, is_own_name
from mezcal.runtime.proxy_headers import has_proxy_header
from mezcal.telemetry.redaction import secrets_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic import SecretStr

SESSION = "operator_session"  # in `flask.g`: the request belongs to a session of the operator's page
AUTHORIZED = "authorized_for_details"  # in `flask.g`: what `_has_api_token` found


def require_read_access() -> None:
    """Raise `Unauthorized` if READ_TOKENS is set and the request has none of its tokens."""
    settings = context().settings
    if settings.read_tokens and not _has_one_of((*settings.read_tokens, *settings.api_tokens)):
        raise _refusal("reading needs `Authorization: Bearer` with one of READ_TOKENS")


def require_write_access() -> None:
    """Raise `Forbidden` or `Unauthorized` unless the request may change state."""
    settings = context().settings
    if settings.api_tokens:
        if not _has_one_of(settings.api_tokens):
            raise _refusal("this needs `Authorization: Bearer` with one of API_TOKENS")
    elif not (settings.loopback_trusted and _is_local()):
        raise Forbidden("changes need a token, and API_TOKENS is not set")


def is_operator() -> bool:
    """Return True if the request may change state, or belongs to a session of `/ops`. Operators see more details.

    Wrong tokens are counted apart from those of `_refusal`: they may belong to a proxy or to the archive, and must not
    keep their client from signing in.
    """
    settings = context().settings
    if g.get(SESSION, False):
        return True
    if not settings.api_tokens:
        return settings.loopback_trusted and _is_local()
    if AUTHORIZED not in g:  # a wrong token counts once, however often a response asks
        setattr(g, AUTHORIZED, _has_api_token())
    return bool(g.get(AUTHORIZED))


def _has_api_token() -> bool:
    """Return True if the request has one of API_TOKENS. No token is looked at if its client has sent too many others.

    Also not if it has sent the right one before: clients that share an address could guess without limit then.
    """
    settings, attempts, client = context().settings, context().detail_attempts, current_client()
    if attempts.is_ignored(client):
        return False
    if _has_one_of(settings.api_tokens):
        return True
    for_other_things = (*settings.read_tokens, *settings.webhook_tokens, *filter(None, [settings.metrics_token]))
    if _scheme() == "bearer" and not _has_token(for_other_things):
        attempts.wrong(client)
    return False


def read_authorized_event(read_body: Callable[[], bytes]) -> tuple[bytes, webhook_signatures.Signed | None]:
    """Return the body of an event and its signature, which is None if a token or a login authorized it.

    The body is read only when it may be. Raises `Forbidden` or `Unauthorized` if the event may not be reported.
    """
    settings = context().settings
    tokens = (*settings.webhook_tokens, *settings.api_tokens)
    if _has_one_of(tokens, settings.webhook_logins):
        return read_body(), None
    headers = {name.lower(): value for name, value in request.headers}
    if settings.webhook_secrets and any(name in headers for name in webhook_signatures.NAMES):
        with body_limits.of_stranger(body_limits.signed_events):
            body = read_body()
            return body, webhook_signatures.verify(headers, body, settings.webhook_secrets, time.time())
    if tokens or settings.webhook_logins or settings.webhook_secrets:
        reason = "an event needs a signature (WEBHOOK_SECRETS), a token (WEBHOOK_TOKENS) or a login (WEBHOOK_LOGINS)"
        raise _refusal(reason, bool(settings.webhook_logins))
    if settings.loopback_trusted and _is_local():
        return read_body(), None
    raise Forbidden("events are refused, because none of WEBHOOK_SECRETS, WEBHOOK_TOKENS and WEBHOOK_LOGINS is set")


def _has_one_of(tokens: Iterable[SecretStr], logins: Iterable[SecretStr] = ()) -> bool:
    """Return True if the request has one of *tokens* or *logins*.

    It is not looked at if its client has sent too many wrong ones.
    """
    if "Authorization" not in request.headers:
        return False
    attempts, client = context().token_attempts, current_client()
    if attempts.is_ignored(client) or not (_has_token(tokens) or _has_login(logins)):
        return False
    attempts.right(client)
    return True


def _refusal(reason: str, logins: bool = False) -> Unauthorized | TooManyRequests:
    """Return what to raise for a request without a right token. A wrong one is counted.

    A login is counted only where *logins* are accepted: elsewhere it belongs to a proxy before mezcal.
    """
    if _scheme() != "bearer" and not (logins and _scheme() == "basic"):
        return Unauthorized(reason)
    wait = context().token_attempts.wrong(current_client())
    return too_many_wrong_tokens(wait) if wait else Unauthorized(reason)


def _scheme() -> str:
    return request.headers.get("Authorization", "").partition(" ")[0].lower()


def too_many_wrong_tokens(wait: float) -> TooManyRequests:
    """Return the 429 for a client that may send another token in *wait* seconds."""
    seconds = math.ceil(wait)
    text = f"too many wrong tokens came from your address or through your proxy: try again in {seconds} s"
    return TooManyRequests(text, retry_after=seconds)


def read_token_digest() -> str:
    """Return a digest of the request's token if it is one of READ_TOKENS, else ""."""
    if not _has_one_of(context().settings.read_tokens):
        return ""
    return _digest(request.headers["Authorization"].partition(" ")[2].strip()).hex()


def _has_login(logins: Iterable[SecretStr]) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    try:
        login = b64decode(given.strip(), validate=True) if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        return False
    digest = hashlib.sha256(login).digest()
    return bool(sum(hmac.compare_digest(digest, _digest(known.get_secret_value())) for known in logins))


def require_metrics_access() -> None:
    """Raise `Unauthorized` if METRICS_TOKEN is set and missing; if it is not set, `Forbidden` for other machines."""
    token = context().settings.metrics_token
    if token is not None:
        if not _has_one_of((token,)):
            raise _refusal("this needs `Authorization: Bearer` with METRICS_TOKEN")
    elif not _is_local():
        raise Forbidden("metrics are only for this machine, because METRICS_TOKEN is not set")


def authorization_for_archive() -> str | None:
    """Return the client's Authorization, for the archive to judge; None if it has a secret of mezcal's own.

    All secrets of the settings are, but for ARCHIVE_TOKEN. The scheme does not matter.
    """
    given = request.headers.get("Authorization", "").strip()
    own = secrets_of(context().settings.model_copy(update={"archive_token": None}))
    digests = {_digest(secret) for secret in own if secret}
    return None if digests.intersection(map(_digest, _credentials_in(given))) else given or None


def _credentials_in(authorization: str) -> list[str]:
    """Return what *authorization* may hold: a token with or without a scheme, or a login and its password."""
    token = authorization.partition(" ")[2].strip()
    found = [authorization, token]
    with suppress(binascii.Error, ValueError):
        login = b64decode(token, validate=True).decode()
        found += [login, login.partition(":")[2]]
    return found


def _has_token(tokens: Iterable[SecretStr]) -> bool:
    """Return True if the request has one of *tokens*. All are compared, so that the time reveals nothing."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given:
        return False
    digest = _digest(given.strip())
    return bool(sum(hmac.compare_digest(digest, _digest(token.get_secret_value())) for token in tokens))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _is_local() -> bool:
    """Return True if the request comes from a person or a script on this machine.

    Refused are proxies on this machine, pages of other sites in its browser, and host names of other sites that were
    made to point here (DNS rebinding).
    """
    try:
        loopback = ipaddress.ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False
    own_name = is_own_name(host_name(request.host))
    old_protocol = request.environ["SERVER_PROTOCOL"] == "HTTP/1.0"  # what nginx uses unless it is configured otherwise
    proxied = old_protocol or has_proxy_header(name for name, _ in request.headers)
    return loopback and own_name and not proxied and _is_from_own_page()


def _is_from_own_page() -> bool:
    """Return True if a page of mezcal sent the request, or no page did.

    Browsers before 2020 send neither Sec-Fetch-Site nor, with a form, Origin; then Referer tells the page. One that
    sends none of the three cannot be told from a script.
    """
    here = request.host_url.rstrip("/")
    own_site = request.headers.get("Sec-Fetch-Site", "none") in {"none", "same-origin"}
    own_origin = request.headers.get("Origin", here) == here
    own_referer = "Origin" in request.headers or f"{request.headers.get('Referer', here)}/".startswith(f"{here}/")
    return own_site and own_origin and own_referer
