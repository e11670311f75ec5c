"""Which Authorization the archive gets: none of mezcal's own secrets, whatever the scheme."""

from __future__ import annotations

from base64 import b64encode
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from flask import Flask

from api.security import auth
from mezcal.settings import Settings, load
from mezcal.telemetry.redaction import secrets_of

if TYPE_CHECKING:
    from pathlib import Path

SECRETS = [name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)]
LOGINS = {"webhook_logins", "flower_basic_auth"}


def value(name: str) -> str:
    if name == "redis_url":
        return f"redis://:of-{name}@broker:6379/0"
    if name == "notice_url":
        return f"https://hooks.example/of-{name}"
    if name == "listen_urls":
        return f"stomp://user:of-{name}@broker/queue/images"
    if name == "downstream_urls":
        return f"purge+http://user:of-{name}@varnish"
    if name == "webhook_secrets":
        return "whsec_" + b64encode(b"k" * 32).decode()
    return f"user:of-{name}" if name in LOGINS else f"of-{name}"


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Flask:
    given = {name: value(name) for name in SECRETS}
    settings = load(_env_file=None, data_dir=tmp_path, archive_api_url="https://archive.example/", **given)
    monkeypatch.setattr(auth, "context", lambda: SimpleNamespace(settings=settings))
    return Flask(__name__)


def sent_on(app: Flask, authorization: str) -> str | None:
    with app.test_request_context(headers={"Authorization": authorization}):
        return auth.authorization_for_archive()


@pytest.mark.parametrize("name", [name for name in SECRETS if name != "archive_token"])
def test_no_secret_of_the_settings_is_sent_to_the_archive(app: Flask, name: str) -> None:
    with app.app_context():
        secrets = [secret for secret in secrets_of(auth.context().settings) if f"of-{name}" in secret]
    for secret in secrets or [value(name)]:
        login = b64encode(f"user:{secret.partition(':')[2] or secret}".encode()).decode()
        for form in (f"Bearer {secret}", f"Token   {secret} ", f"Basic {login}"):
            assert sent_on(app, form) is None


@pytest.mark.parametrize(
    "authorization",
    ["Token of-archive_token", "Bearer of", "Basic ", "Basic dXNlcjpwYXNz", "Basic /w==", "Negotiate x"],
)
def test_the_authorization_of_a_client_is_sent_on(app: Flask, authorization: str) -> None:
    assert sent_on(app, authorization) == authorization.strip()


def test_without_authorization_none_is_sent(app: Flask) -> None:
    with app.test_request_context():
        assert auth.authorization_for_archive() is None
