"""How mezcal shows itself to the repository: the value of the Authorization header."""

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

LIFETIME = 3600  # seconds a signed token is good for
RENEW = 600  # seconds before its end when the next one is signed: room for clocks that differ


def authorization(settings: Settings) -> Callable[[], str | None]:
    """What gives the header's value, anew for every request; `WrongSetting` names what is missing."""
    match settings.auth_type:
        case AuthType.BASIC:
            return _always(_basic(settings))
        case AuthType.JWT_TOKEN:
            return _always(_bearer(settings))
        case AuthType.JWT_SECRET:
            return SignedToken(_needed(settings.jwt_secret, "JWT_SECRET", settings))
        case _:
            return _always(None)


def _always(value: str | None) -> Callable[[], str | None]:
    return lambda: value


def _bearer(settings: Settings) -> str:
    token = _needed(settings.jwt_token, "JWT_TOKEN", settings)
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise WrongSetting("JWT_TOKEN is a value that is not shown: it may hold no space or line break")
    return f"Bearer {token}"


def _basic(settings: Settings) -> str:
    name, password = settings.repo_username, settings.repo_password
    if not name or ":" in name:
        raise WrongSetting(f"REPO_USERNAME is {name!r}: AUTH_TYPE=BASIC needs a user name without a colon")
    pair = f"{name}:{_needed(password, 'REPO_PASSWORD', settings)}"
    return "Basic " + base64.b64encode(pair.encode()).decode()  # UTF-8, as RFC 7617 recommends


def _needed(secret: SecretStr | None, variable: str, settings: Settings) -> str:
    value = secret.get_secret_value().strip() if secret else ""
    if not value:
        raise WrongSetting(f"{variable} is not set: AUTH_TYPE={settings.auth_type} needs it")
    return value


class SignedToken:
    """HS256 tokens with the claims umd-lib/mezcal sends, each used until shortly before it expires."""

    def __init__(self, secret: str, clock: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._clock = clock
        # The header and when to renew it, in one tuple: another thread sees both or neither.
        self._kept = ("", 0.0)

    def __call__(self) -> str:
        """The header's value, signed anew when the last token has less than `RENEW` seconds left."""
        header, renew = self._kept
        now = self._clock()
        if now >= renew:
            header = f"Bearer {self._sign(int(now))}"
            self._kept = header, now + LIFETIME - RENEW
        return header

    def _sign(self, now: int) -> str:
        claims = {"sub": "mezcal", "iss": "fcrepo", "role": "fedoraAdmin", "iat": now, "exp": now + LIFETIME}
        return jwt.encode(claims, self._secret, algorithm="HS256")
