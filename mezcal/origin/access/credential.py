"""The credential that mezcal sends to the repository: the value of the Authorization header."""

from __future__ import annotations

import base64
import re
import time
from typing import TYPE_CHECKING

import jwt

from mezcal.settings import AuthType, WrongSetting

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import SecretStr

    from mezcal.settings import Settings

LIFETIME = 3600  # seconds for which a signed token is valid
RENEW = 600  # seconds before a token's end when the next one is signed: the repository's clock may differ


def authorization(settings: Settings) -> Callable[[], str | None]:
    """Return a function that gives the header's value for a request. Raises `WrongSetting` if a setting is missing."""
    match settings.auth_type:
        case AuthType.BASIC:
            return _constant(_basic(settings))
        case AuthType.JWT_TOKEN:
            return _constant(_bearer(settings))
        case AuthType.JWT_SECRET:
            return SignedToken(_required(settings.jwt_secret, "JWT_SECRET", settings))
        case _:
            return _constant(None)


def _constant(value: str | None) -> Callable[[], str | None]:
    return lambda: value


def _bearer(settings: Settings) -> str:
    token = _required(settings.jwt_token, "JWT_TOKEN", settings)
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise WrongSetting("JWT_TOKEN is a value that is not shown: it may not contain a space or a line break")
    return f"Bearer {token}"


def _basic(settings: Settings) -> str:
    name, password = settings.repo_username, settings.repo_password
    if not name or ":" in name:
        raise WrongSetting(f"REPO_USERNAME is {name!r}: AUTH_TYPE=BASIC needs a user name without a colon")
    pair = f"{name}:{_required(password, 'REPO_PASSWORD', settings)}"
    return "Basic " + base64.b64encode(pair.encode()).decode()  # UTF-8, as RFC 7617 recommends


def _required(secret: SecretStr | None, variable: str, settings: Settings) -> str:
    value = secret.get_secret_value().strip() if secret else ""
    if not value:
        hint = f"set {variable}, or name a file that has it by {variable}_FILE"
        raise WrongSetting(f"{variable} is not set: AUTH_TYPE={settings.auth_type} needs it", hint)
    return value


class SignedToken:
    """HS256 tokens with the claims that umd-lib/mezcal sends. Each is used until shortly before it expires."""

    def __init__(self, secret: str, clock: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._clock = clock
        # The header and when to renew it. One tuple, so that another thread sees both or neither.
        self._current = ("", 0.0)

    def __call__(self) -> str:
        """Return the header's value. A new token is signed when the last one has less than `RENEW` seconds left."""
        header, renew_at = self._current
        now = self._clock()
        if now >= renew_at:
            header = f"Bearer {self._sign(int(now))}"
            self._current = header, now + LIFETIME - RENEW
        return header

    def _sign(self, now: int) -> str:
        claims = {"sub": "mezcal", "iss": "fcrepo", "role": "fedoraAdmin", "iat": now, "exp": now + LIFETIME}
        return jwt.encode(claims, self._secret, algorithm="HS256")
