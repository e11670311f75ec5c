"""Signed URLs: whoever has one may fetch one thumbnail until it expires, and nobody can make one up."""

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
GOOD_FOR = 8 * DAY  # from the day's beginning: at least a week, and the same URL all day, so that browsers keep it
FILE = "url-secret"


class Signature(NamedTuple):
    """The parameters of a signed URL."""

    expires: str
    signature: str


class Signer:
    """Signs keys of the store; every process with the same secret makes and takes the same signatures."""

    def __init__(self, secret: bytes, clock: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._clock = clock

    def sign(self, key: str) -> Signature:
        """What makes *key*'s URL good for a week."""
        expires = str(int(self._clock()) // DAY * DAY + GOOD_FOR)
        return Signature(expires, self._signature(key, expires))

    def check(self, key: str, expires: str, signature: str) -> None:
        """Raise `Forbidden` unless *signature* is ours and *expires* is still to come."""
        if not hmac.compare_digest(self._signature(key, expires).encode(), signature.encode("utf-8", "replace")):
            raise Forbidden("the signature of this URL is wrong: ask for the thumbnail again")
        if int(expires) < self._clock():
            raise Forbidden("this URL has expired: ask for the thumbnail again")

    def _signature(self, key: str, expires: str) -> str:
        return hmac.new(self._secret, f"{key}\n{expires}".encode(), hashlib.sha256).hexdigest()


def secret_of(settings: Settings) -> bytes:
    """URL_SECRET, or the one that is kept in DATA_DIR and made there when first needed."""
    if settings.url_secret is not None:
        return settings.url_secret.get_secret_value().encode()
    path = settings.data_dir.absolute() / FILE
    with suppress(FileNotFoundError):
        return path.read_bytes()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _make(path)
    except OSError as error:
        raise WrongSetting(f"URL_SECRET is not set, and none can be kept in {path}: {error.strerror}") from error
    return path.read_bytes()


def _make(path: Path) -> None:
    """A new secret, whole or not at all, and only one however many processes need it at once."""
    draft = path.with_name(f".{FILE}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_hex(32).encode())
    with suppress(FileExistsError):  # another process was first: its secret is everybody's
        os.link(draft, path)
    draft.unlink()
