"""Sessions of the operator's page: Flask's signed cookie, with keys that are derived from API_TOKENS.

Every process and host with the same tokens can read a session, and nothing is stored on the server.
docs/decisions/operators-page.md has the reasons.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from flask import g, request, session
from flask.sessions import SecureCookieSessionInterface

from api.context import context
from api.security.auth import SESSION, require_write_access
from mezcal.errors import Forbidden, Unauthorized

if TYPE_CHECKING:
    from flask import Flask, Request
    from flask.sessions import SecureCookieSession

    from mezcal.settings import Settings

PATH = "/ops"
COOKIE = "mezcal-ops"
LIFETIME = timedelta(hours=12)  # a working day; then the operator signs in again
TOKEN, CSRF_TOKEN = "token", "csrf_token"  # what a session holds; the second is also the form field's name


class OperatorSessions(SecureCookieSessionInterface):
    """Flask's session, only for the operator's page. Requests of images neither read nor write a cookie."""

    salt = "mezcal operator"
    digest_method = staticmethod(hashlib.sha256)

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the session of a request to the operator's page, None for all other requests."""
        return super().open_session(app, request) if request.path.startswith(PATH) else None

    def get_cookie_path(self, app: Flask) -> str:
        """Return the path of the page, below the prefix at which the service is mounted."""
        return request.script_root + super().get_cookie_path(app)

    def get_cookie_secure(self, app: Flask) -> bool:
        """Return True if the browser uses TLS, as far as this server or the proxy before it knows.

        Over plain HTTP a browser would not store a cookie with `Secure`.
        """
        forwarded = request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower()
        return super().get_cookie_secure(app) or request.is_secure or forwarded == "https"


def register(app: Flask, settings: Settings) -> None:
    """Give *app* the sessions of the operator's page.

    The last token's key signs, all tokens' keys are accepted. So a new token is appended, and removing an old one
    ends only the sessions that it opened.
    """
    keys = [_derive(token.get_secret_value(), "signing key") for token in settings.api_tokens]
    # Without tokens there is only loopback, where gunicorn's processes share a key: they are forked from this one.
    *older, newest = keys or [secrets.token_hex(32)]
    app.secret_key = newest
    app.config |= {
        "SECRET_KEY_FALLBACKS": older,
        "SESSION_COOKIE_NAME": COOKIE,
        "SESSION_COOKIE_PATH": PATH,
        "SESSION_COOKIE_SAMESITE": "Strict",
        "SESSION_COOKIE_SECURE": (settings.public_url or "").startswith("https://"),
        "SESSION_REFRESH_EACH_REQUEST": False,
        "PERMANENT_SESSION_LIFETIME": LIFETIME,
    }
    app.session_interface = OperatorSessions()


def require_operator() -> None:
    """Raise `Unauthorized` or `Forbidden` unless the request may change state or belongs to an open session."""
    if session.get(TOKEN) in _fingerprints():
        g.setdefault(SESSION, True)
        return
    try:
        require_write_access()
    except Unauthorized:
        raise Unauthorized("the operator's page needs one of API_TOKENS") from None


def open_session(token: str) -> bool:
    """Open a session. Returns False if *token* is not one of API_TOKENS."""
    given = _derive(token.strip(), "fingerprint")
    if not sum(hmac.compare_digest(given, known) for known in _fingerprints()):
        return False
    session.clear()
    session.permanent = True  # the cookie has an expiry
    session[TOKEN] = given
    return True


def close_session() -> None:
    """End the session of this browser."""
    session.clear()


def csrf_token() -> str:
    """Return the session's CSRF token, which every form of the page contains."""
    if CSRF_TOKEN not in session:
        session.permanent = True
        session[CSRF_TOKEN] = secrets.token_urlsafe(32)
    return str(session[CSRF_TOKEN])


def check_csrf_token() -> None:
    """Raise `Forbidden` unless the form came from a page of this session."""
    given, expected = request.form.get(CSRF_TOKEN, ""), session.get(CSRF_TOKEN, "")
    cross_site = request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin"
    if cross_site or not expected or not hmac.compare_digest(expected.encode(), given.encode()):
        raise Forbidden("this form does not belong to your session: allow cookies and reload the operator's page")


def _fingerprints() -> list[str]:
    return [_derive(token.get_secret_value(), "fingerprint") for token in context().settings.api_tokens]


def _derive(token: str, purpose: str) -> str:
    return hmac.digest(token.encode("utf-8", "surrogatepass"), f"mezcal {purpose}".encode(), "sha256").hex()
