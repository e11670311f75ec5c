"""How an operator's browser shows that it may: by where it stands, or by a session that a token opened.

The session's cookie is signed with the token that opened it, so any process and host that knows the token knows the
session, nothing is stored, and a token that is taken away takes its sessions along.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from flask import request, url_for

from api.context import context
from api.security.auth import may_change
from mezcal.errors import Forbidden, Unauthorized

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flask import Response

COOKIE = "mezcal-ops"
OPEN_SECONDS = 12 * 3600  # a working day; then the token is asked for again
SIGNATURE = "an operator's session"


def visitor() -> str:
    """What the operator's forms are bound to. Raises `Unauthorized` or `Forbidden` for whoever is none.

    An operator is who may change state: by `Authorization`, from this machine where that is trusted, or by a session.
    """
    given = request.cookies.get(COOKIE, "")
    try:
        may_change()
    except Unauthorized:
        if not _is_open(given, _tokens()):
            raise Unauthorized("the operator's page needs one of API_TOKENS") from None
    return given or secrets.token_urlsafe(16)


def opened_by(token: str) -> str | None:
    """A new session's cookie, None where *token* is none of API_TOKENS."""
    known = [one for one in _tokens() if hmac.compare_digest(_digest(one), _digest(token.strip()))]
    if not known:
        return None
    stem = f"{int(time.time()) + OPEN_SECONDS}.{secrets.token_urlsafe(16)}"
    return f"{stem}.{_signature(stem, known[0])}"


def remember(response: Response, session: str) -> Response:
    """*response*, which leaves *session* with the browser: for this page alone, and out of every script's reach."""
    place = url_for("operator.page")
    response.set_cookie(
        COOKIE, session, OPEN_SECONDS, path=place, secure=_encrypted(), httponly=True, samesite="Strict"
    )
    return response


def forget(response: Response) -> Response:
    """*response*, which ends the browser's session."""
    response.delete_cookie(COOKIE, url_for("operator.page"), secure=_encrypted(), httponly=True, samesite="Strict")
    return response


def seal(session: str) -> str:
    """What the forms of *session* carry: no page from elsewhere can know it, for none can read the cookie."""
    return hashlib.sha256(f"form\n{session}".encode()).hexdigest()


def check_seal() -> None:
    """Raise `Forbidden` unless the form that was sent is one of ours, of this very session."""
    given, session = request.form.get("seal", ""), request.cookies.get(COOKIE, "")
    foreign = request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin"
    if foreign or not session or not hmac.compare_digest(seal(session).encode(), given.encode()):
        raise Forbidden("the form is not of this session: load the operator's page again, with cookies allowed")


def _tokens() -> list[str]:
    return [token.get_secret_value() for token in context().settings.api_tokens]


def _is_open(session: str, tokens: Iterable[str]) -> bool:
    stem, _, signature = session.rpartition(".")
    ours = sum(hmac.compare_digest(_signature(stem, one).encode(), signature.encode()) for one in tokens)
    with suppress(ValueError):
        return bool(ours) and int(stem.partition(".")[0]) > time.time()
    return False


def _signature(stem: str, token: str) -> str:
    return hmac.new(_digest(token), f"{SIGNATURE}\n{stem}".encode(), hashlib.sha256).hexdigest()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _encrypted() -> bool:
    """Whether the browser came by TLS, as far as we or the proxy before us can tell.

    Over plain HTTP a browser takes no cookie that asks for TLS; the token has crossed the wire in the clear by then.
    """
    proxied = request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower() == "https"
    return request.is_secure or proxied or (context().settings.public_url or "").startswith("https://")
