"""Keeps secrets out of what is logged: those of the settings, and whatever looks like one."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mezcal.settings import Settings

HIDDEN = "***"
SHORTEST = 4  # characters: to hide less would shred the lines
_VALUE = r"[^\s\"'&<>\\,;]+"
# Each goes over a text once, or nearly: strangers choose what is logged, and a search holds all threads up.
LOOKS_SECRET = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # Header fields with their credentials, as headers, dicts and curl's options show them.
        r"(\b(?:proxy-)?authorization\b['\"]?\s*[:=]\s*['\"]?)(?:(?:bearer|basic|token|digest|apikey)\s+)?" + _VALUE,
        r"(\b(?:set-)?cookie\b['\"]?\s*[:=]\s*['\"]?)[^\s\"'<>\\]+",
        r"(\b(?:bearer|basic|token)\s+)(?=\S*\d)[A-Za-z0-9._~+/=-]{8,}",
        # Queries of signed URLs: X-Amz-Signature, X-Amz-Credential, sig, token, AWSAccessKeyId ..
        r"([?&;][\w.-]{0,64}(?:sig|token|secret|passw?o?r?d|credential|key|auth)[\w.-]{0,64}=)[^&\s\"'<>\\]+",
        r"(\b(?:x-)?(?:api[_-]?key|secret|password|passwd|token)\b['\"]?\s*[:=]\s*['\"]?)" + _VALUE,
        r"(://)[^/\s@\"':]*:[^/\s@\"']*(?=@)",
        r"()\beyJ[\w-]{1,1000}+\.[\w-]++\.[\w-]*",  # a JSON web token
    )
)


class Redactor:
    """Replaces secrets in text. *known* are hidden in each form in which they may come along."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        forms = {form for secret in known if len(secret) >= SHORTEST for form in _forms(secret)}
        longest_first = sorted(forms, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    @classmethod
    def of(cls, settings: Settings) -> Redactor:
        """What hides every secret of *settings*."""
        return cls(secrets_of(settings))

    def known(self, text: str) -> str:
        """*text* without the secrets that are known."""
        return self._known.sub(HIDDEN, text) if self._known else text

    def __call__(self, text: str) -> str:
        """*text* without secrets, as far as they can be told."""
        text = self.known(text)
        for looks in LOOKS_SECRET:
            text = looks.sub(rf"\1{HIDDEN}", text)
        return text


def secrets_of(settings: Settings) -> Iterator[str]:
    """Every secret that *settings* hold, of the broker's URL the password."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        for one in value if isinstance(value, tuple) else (value,):
            if not isinstance(one, SecretStr):
                continue
            text = one.get_secret_value()
            yield (urlsplit(text).password or "") if "://" in text else text
    if settings.repo_username and settings.repo_password:
        pair = f"{settings.repo_username}:{settings.repo_password.get_secret_value()}"
        yield b64encode(pair.encode()).decode()


def _forms(secret: str) -> set[str]:
    bare = secret.rpartition(" ")[2]  # `Token 0123..` may be shown without its scheme
    plain = {secret, bare} if len(bare) >= SHORTEST else {secret}
    return {form for one in plain for form in (one, quote(one, safe=""), json.dumps(one)[1:-1], repr(one)[1:-1])}
