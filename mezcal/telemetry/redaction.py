"""Keeps secrets out of the logs: those in the settings, and text that looks like one."""

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
LENGTH_MIN = 4  # characters: hiding shorter secrets would make lines unreadable
TARGET_LENGTH_MIN = 16  # characters of the path of a webhook: shorter ones are words such as /hook
_VALUE = r"[^\s\"'&<>\\,;]+"
# Each pattern takes time linear in the text: clients choose logged texts, and a search blocks all threads.
SECRET_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # Header fields with credentials, as in headers, dicts and the options of curl.
        r"(\b(?:proxy-)?authorization\b['\"]?\s*[:=]\s*['\"]?)(?:(?:bearer|basic|token|digest|apikey)\s+)?" + _VALUE,
        r"(\b(?:set-)?cookie\b['\"]?\s*[:=]\s*['\"]?)[^\s\"'<>\\]+",
        r"(\b(?:bearer|basic|token)\s+)(?=\S*\d)[A-Za-z0-9._~+/=-]{8,}",
        # The query of a signed URL: X-Amz-Signature, X-Amz-Credential, sig, token, AWSAccessKeyId ..
        r"([?&;][\w.-]{0,64}(?:sig|token|secret|passw?o?r?d|credential|key|auth)[\w.-]{0,64}=)[^&\s\"'<>\\]+",
        r"(\b(?:x-)?(?:api[_-]?key|secret|password|passwd|token)\b['\"]?\s*[:=]\s*['\"]?)" + _VALUE,
        r"(://)[^/\s@\"':]*:[^/\s@\"']*(?=@)",
        r"()\beyJ[\w-]{1,1000}+\.[\w-]++\.[\w-]*",  # a JSON web token
    )
)


class Redactor:
    """Replaces secrets in text. *known* secrets are hidden in every form: quoted, in JSON, in URLs."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        forms = {form for secret in known if len(secret) >= LENGTH_MIN for form in _forms(secret)}
        longest_first = sorted(forms, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    @classmethod
    def of(cls, settings: Settings) -> Redactor:
        """Returns a redactor that knows every secret of *settings*."""
        return cls(secrets_of(settings))

    def hide_known(self, text: str) -> str:
        """Returns *text* without the known secrets."""
        return self._known.sub(HIDDEN, text) if self._known else text

    def __call__(self, text: str) -> str:
        """Returns *text* without known secrets and without what looks like a secret."""
        text = self.hide_known(text)
        for pattern in SECRET_PATTERNS:
            text = pattern.sub(rf"\1{HIDDEN}", text)
        return text


def secrets_of(settings: Settings) -> Iterator[str]:
    """Yield every secret in *settings*; of a URL, the password, and of that of a webhook, all after its scheme."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        for secret in value if isinstance(value, tuple) else (value,):
            if not isinstance(secret, SecretStr):
                continue
            text = secret.get_secret_value()
            if name == "notice_url":
                yield from _of_webhook(text)
            else:
                yield (urlsplit(text).password or "") if "://" in text else text
    for own in (settings, *(origin.settings for origin in settings.origins)):
        yield from _of_origin(own)


def _of_origin(settings: Settings) -> Iterator[str]:
    """Yield the credential of the one origin of *settings*."""
    for secret in (settings.jwt_token, settings.jwt_secret, settings.repo_password):
        if secret is not None:
            yield secret.get_secret_value()
    if settings.repo_username and settings.repo_password:
        pair = f"{settings.repo_username}:{settings.repo_password.get_secret_value()}"
        yield b64encode(pair.encode()).decode()


def _of_webhook(url: str) -> Iterator[str]:
    """Yield *url* without its scheme, and what follows its host if that is long enough to be a secret."""
    rest = url.partition("://")[2]
    target = rest.partition("/")[2]
    yield rest
    if len(target) >= TARGET_LENGTH_MIN:
        yield target


def _forms(secret: str) -> set[str]:
    bare = secret.rpartition(" ")[2]  # `Token 0123..` may be logged without its scheme
    plain = {secret, bare} if len(bare) >= LENGTH_MIN else {secret}
    return {form for text in plain for form in (text, quote(text, safe=""), json.dumps(text)[1:-1], repr(text)[1:-1])}
