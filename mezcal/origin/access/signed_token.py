"""The tokens that mezcal signs itself, with the secret that it shares with the repository (AUTH_TYPE=JWT_SECRET)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import jwt

if TYPE_CHECKING:
    from collections.abc import Callable

LIFETIME = 3600  # seconds for which a signed token is valid
RENEW = 600  # seconds before a token's end when the next one is signed: the repository's clock may differ


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
