"""Signed URLs: each gives access to one thumbnail until it expires."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from mezcal.errors import Forbidden
from mezcal.settings import WrongSetting

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mezcal.settings import Settings

DAY = 86_400
VALID_SECONDS = 8 * DAY  # from the start of the day: valid for a week at least, and browsers can cache it for the day
FILE_NAME = "url-secret"


class Signature(NamedTuple):
    """The parameters of a signed URL."""

    expires: str
    signature: str


class Signer:
    """Signs and checks URLs. All processes with the same secret make and accept the same signatures."""

    def __init__(self, secret: bytes, clock: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._clock = clock

    def sign(self, key: str) -> Signature:
        """Return the parameters with which the URL of *key* is valid for a week."""
        expires = str(int(self._clock()) // DAY * DAY + VALID_SECONDS)
        return Signature(expires, self._signature(key, expires))

    def check(self, key: str, expires: str, signature: str) -> None:
        """Raise `Forbidden` unless *signature* is right and *expires* is in the future."""
        if not hmac.compare_digest(self._signature(key, expires).encode(), signature.encode("utf-8", "replace")):
            raise Forbidden("the signature of this URL is wrong: ask for the thumbnail again")
        if int(expires) < self._clock():
            raise Forbidden("this URL has expired: ask for the thumbnail again")

    def _signature(self, key: str, expires: str) -> str:
        return hmac.new(self._secret, f"{key}\n{expires}".encode(), hashlib.sha256).hexdigest()


def load_secret(settings: Settings) -> bytes:
    """Return URL_SECRET or, if it is not set, the secret in DATA_DIR, which is created at the first use."""
    if settings.url_secret is not None:
        return settings.url_secret.get_secret_value().encode()
    path = settings.data_dir.absolute() / FILE_NAME
    with suppress(FileNotFoundError):
        return path.read_bytes()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _create(path)
    except OSError as error:
        raise WrongSetting(f"URL_SECRET is not set, and {path} cannot hold a secret: {error.strerror}") from error
    return path.read_bytes()


def _create(path: Path) -> None:
    """Create the file with a new secret. It appears complete, and only once if several processes do this at a time."""
    draft = path.with_name(f".{FILE_NAME}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_hex(32).encode())
    with suppress(FileExistsError):  # another process was first: all use its secret
        os.link(draft, path)
    draft.unlink()
