"""A role that cannot work refuses to start, with the variable that is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mezcal.errors import BrokerDown, WrongSetting
from mezcal.jobs.transport.redis_connection import redis_url
from mezcal.runtime.processes import check_origin
from mezcal.settings import load

if TYPE_CHECKING:
    from pathlib import Path


def refusal(**given: str) -> str:
    """Returns why a role does not start with *given* settings, "" if it would."""
    try:
        settings = load(_env_file=None, **{"repo_base_url": "http://127.0.0.1:1/", **given})
        check_origin(settings)
        if settings.redis_url is not None:
            redis_url(settings)
    except (BrokerDown, WrongSetting) as refused:
        return f"{refused} -> {refused.hint}"
    return ""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"repo_base_url": ""}, "REPO_BASE_URL is"),
        ({"repo_base_url": "ftp://x/"}, "must begin with http://, https://, s3:// or file:///"),
        ({"repo_base_url": "http://x:abc/"}, "REPO_BASE_URL is 'http://x:abc/'"),
        (
            {"repo_base_url": "file:///no/such/folder"},
            "may not be read -> check the folder",
        ),
        ({"auth_type": "JWT_SECRET"}, "JWT_SECRET is not set: AUTH_TYPE=JWT_SECRET needs it -> set JWT_SECRET"),
        ({"auth_type": "JWT_TOKEN"}, "JWT_TOKEN is not set"),
        ({"auth_type": "BASIC", "repo_username": "u"}, "REPO_PASSWORD is not set"),
        ({"wait_seconds": "many"}, "WAIT_SECONDS is 'many'"),
        ({"redis_url": "amqp://x"}, "REDIS_URL begins with amqp://x"),
        ({"redis_url": "redis://:p/ss@x/0"}, "REDIS_URL cannot be read"),
        ({"storage": "s3"}, "STORAGE is s3, so AWS_BUCKET must name the bucket"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_in_one_line(given: dict[str, str], expected: str) -> None:
    text = refusal(**given)
    assert expected in text
    assert "\n" not in text


def test_a_repository_that_does_not_answer_is_no_reason_not_to_start() -> None:
    assert refusal(auth_type="JWT_SECRET", jwt_secret="secret") == ""


@pytest.mark.parametrize("secret", ["redis://:hunter22/x@host/0", "redis://:hunter22@host:port/0"])
def test_no_password_is_shown(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "hunter22" not in refusal(redis_url=secret)
    monkeypatch.setenv("REDIS_URL", secret)
    with pytest.raises(WrongSetting) as refused:
        load(_env_file=None, storage="s3")
    assert str(refused.value) == "STORAGE is s3, so AWS_BUCKET must name the bucket"


@pytest.mark.parametrize(("content", "expected"), [(b"", "empty"), (b" \n", "empty"), (b"\xff\xfe", "not text")])
def test_a_file_without_a_secret_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, expected: str
) -> None:
    """An empty READ_TOKENS_FILE would let everybody read."""
    file = tmp_path / "tokens"
    file.write_bytes(content)
    monkeypatch.setenv("READ_TOKENS_FILE", str(file))
    with pytest.raises(WrongSetting, match=f"READ_TOKENS_FILE names {file}, which is {expected}"):
        load(_env_file=None)
    monkeypatch.setenv("READ_TOKENS_FILE", str(tmp_path))
    with pytest.raises(WrongSetting, match="Is a directory"):
        load(_env_file=None)
