"""The credential that mezcal sends to the repository: the value of the Authorization header."""

from __future__ import annotations

import base64
import re
from importlib import import_module
from typing import TYPE_CHECKING

from mezcal.settings import AuthType, WrongSetting

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import SecretStr

    from mezcal.settings import Settings

SIGNING = "mezcal.origin.access.signed_token"  # imported where it is needed: cryptography takes 60 ms and 10 MB


def authorization(settings: Settings) -> Callable[[], str | None]:
    """Return a function that gives the header's value for a request. Raises `WrongSetting` if a setting is missing."""
    match settings.auth_type:
        case AuthType.BASIC:
            return _constant(_basic(settings))
        case AuthType.JWT_TOKEN:
            return _constant(_bearer(settings))
        case AuthType.JWT_SECRET:
            return _signed(_required(settings.jwt_secret, "JWT_SECRET", settings))
        case _:
            return _constant(None)


def _constant(value: str | None) -> Callable[[], str | None]:
    return lambda: value


def _signed(secret: str) -> Callable[[], str | None]:
    token: Callable[[], str] = import_module(SIGNING).SignedToken(secret)
    return token


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
