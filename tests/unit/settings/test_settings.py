"""Settings: names of the predecessors, secrets from files, and one clear line for a wrong value."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pytest

from mezcal.origin.repository import base_url_in
from mezcal.settings import AuthType, Layout, Settings, WrongSetting, load
from mezcal.settings.types import DEFAULT_MAX_PIXELS
from mezcal.settings.typos import SIMILAR, find_typos, given_names, nearest

ORDINARY = """
PATH HOME HOSTNAME USER LOGNAME SHELL LANG LC_ALL TERM COLORTERM COLORS COLUMNS PWD OLDPWD SHLVL TZ TMPDIR TEMP TMP
XDG_DATA_DIRS XDG_DATA_HOME XDG_CACHE_HOME XDG_RUNTIME_DIR http_proxy HTTPS_PROXY NO_PROXY REQUESTS_CA_BUNDLE
SSL_CERT_FILE JOURNAL_STREAM INVOCATION_ID NOTIFY_SOCKET PYTHONPATH VIRTUAL_ENV WEB_CONCURRENCY LOGLEVEL LOG_FILE
PORT HOST SERVER_PORT API_PORT DATABASE_URL SECRET_KEY FLASK_APP FLASK_ENV FLOWER_PORT FLOWER_AUTH CELERY_BROKER_URL
REDIS_PORT REDIS_HOST REDIS_SERVICE_HOST REDIS_SERVICE_PORT REDIS_PORT_6379_TCP REDIS_PORT_6379_TCP_ADDR REDIS_USERNAME
MEZCAL_PORT MEZCAL_SERVICE_HOST KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT KUBERNETES_PORT_443_TCP_PROTO
AWS_PROFILE AWS_DEFAULT_PROFILE AWS_ROLE_ARN AWS_ROLE_SESSION_NAME AWS_WEB_IDENTITY_TOKEN_FILE AWS_SECURITY_TOKEN
AWS_CONTAINER_CREDENTIALS_RELATIVE_URI AWS_CONTAINER_AUTHORIZATION_TOKEN AWS_EC2_METADATA_DISABLED AWS_CONFIG_FILE
AWS_SHARED_CREDENTIALS_FILE AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 AWS_MAX_ATTEMPTS AWS_RETRY_MODE AWS_EXECUTION_ENV
AWS_ACCESS_KEY AWS_SECRET_KEY AWS_PAGER COMPOSE_PROFILES COMPOSE_PROJECT_NAME WORKER_HEARTBEAT ROLE_SIGN
"""


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remove all settings from the environment, and use a working folder without `.env`."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_names_of_umd_lib_mezcal_work_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPO_BASE_URL", "http://fcrepo.local/rest")
    monkeypatch.setenv("STORAGE_DIR", "image_cache")
    monkeypatch.setenv("STORAGE_LAYOUT", "MD5_ENCODED_PAIRTREE")
    monkeypatch.setenv("MAX_IMAGE_PIXELS", "-1")
    settings = load()
    assert settings.repo_base_url == "http://fcrepo.local/rest"
    assert settings.cache_dir == Path.cwd() / "image_cache"
    assert settings.storage_layout is Layout.MD5_ENCODED_PAIRTREE
    assert settings.pixel_limit is None


def test_the_env_file_is_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MEZZANINE_QUALITY=77\nFLASK_DEBUG=1\n")
    assert load().mezzanine_quality == 77


def test_no_pixel_limit_given_is_the_default_limit() -> None:
    assert load().pixel_limit == DEFAULT_MAX_PIXELS
    assert load(max_image_pixels=5).pixel_limit == 5


def test_a_token_alone_implies_its_auth_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_TOKEN", "secret")
    assert load().auth_type is AuthType.JWT_TOKEN
    monkeypatch.setenv("AUTH_TYPE", "NONE")
    assert load().auth_type is AuthType.NONE


def test_a_secret_is_read_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-a-file\n")
    monkeypatch.setenv("JWT_TOKEN_FILE", str(tmp_path / "token"))
    settings = load()
    assert settings.jwt_token is not None
    assert settings.jwt_token.get_secret_value() == "from-a-file"
    assert settings.auth_type is AuthType.JWT_TOKEN


def test_several_secrets_are_read_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("one, two\n")
    monkeypatch.setenv("API_TOKENS_FILE", str(tmp_path / "tokens"))
    assert [token.get_secret_value() for token in load().api_tokens] == ["one", "two"]


def test_a_secret_file_may_be_named_in_env(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A line READ_TOKENS_FILE that nobody reads would leave reading open."""
    (tmp_path / "tokens").write_text("one\n")
    (tmp_path / "others").write_text("two\n")
    (tmp_path / ".env").write_text("READ_TOKENS_FILE=tokens\nread_tokens_file=tokens\n")
    assert [token.get_secret_value() for token in load().read_tokens] == ["one"]
    monkeypatch.setenv("READ_TOKENS_FILE", "others")
    assert [token.get_secret_value() for token in load().read_tokens] == ["two"], "the environment overrides .env"
    monkeypatch.setenv("READ_TOKENS", "three")
    assert [token.get_secret_value() for token in load().read_tokens] == ["three"]


def test_a_missing_secret_file_that_env_names_stops_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("READ_TOKENS_FILE=/nowhere/tokens\n")
    with pytest.raises(WrongSetting, match="READ_TOKENS_FILE names /nowhere/tokens: No such file"):
        load()
    monkeypatch.setenv("READ_TOKENS", "one")
    assert load().read_tokens, "a file that is not needed is not read"


def test_a_missing_secret_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET_FILE", "/nowhere/secret")
    with pytest.raises(WrongSetting, match="JWT_SECRET_FILE names /nowhere/secret: No such file"):
        load()


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("MEZZANINE_QUALITY", "200", "must be at most 100"),
        ("STORAGE_LAYOUT", "flat", "'basic', 'md5_encoded' or 'md5_encoded_pairtree'"),
        ("AUTH_TYPE", "KERBEROS", "'NONE', 'BASIC', 'JWT_TOKEN' or 'JWT_SECRET'"),
        ("REPO_BASE_URL", "ftp://x/", "must begin with http://, https://, s3:// or file:///"),
        ("REPO_BASE_URL", "/home/x/masters", "for this folder, write file:///home/x/masters"),
        ("REPO_BASE_URL", "s3://", "must name a bucket, as s3://bucket/prefix"),
        ("REPO_BASE_URL", "s3:///prefix", "must name a bucket, as s3://bucket/prefix"),
        ("REPO_BASE_URL", "s3://bucket:9000/x", "must name a bucket, as s3://bucket/prefix"),
        ("WAIT_SECONDS", "soon", "must be a number"),
        ("BACKGROUND", "white", "must be #rrggbb"),
        ("API_PROCESSES", "1.5", "must be a whole number"),
        ("ORIGIN_READ_TIMEOUT", "0", "must be more than 0"),
        ("KEEP_METADATA", "perhaps", "must be true or false"),
    ],
)
def test_an_error_names_the_variable_its_value_and_the_allowed_values(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(WrongSetting) as caught:
        load()
    message = str(caught.value)
    assert message.startswith(f"{name} is {value!r}: ")
    assert allowed in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("REPO_BASE_URL", "htps://me:hush@repository/rest/", "htps://..@repository/rest/"),
        ("REPO_BASE_URL", "me:hush@repository/rest/", "..@repository/rest/"),
        ("REPO_BASE_URL", "s3://KEY:hu/hush@masters/a", "s3://..@masters/a"),
        ("REPO_INTERNAL_URL", "http:/me:hush@inside/", "http:/..@inside/"),
        ("ARCHIVE_API_URL", "htps://me:hu@hush@archive/", "htps://..@archive/"),
        ("PUBLIC_URL", "me:hush@images", "..@images"),
    ],
)
def test_an_error_shows_no_password_of_a_url(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, shown: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(WrongSetting, match=f"^{name} is '{re.escape(shown)}': must ") as caught:
        load()
    assert "hush" not in str(caught.value)


def test_an_origin_that_cannot_be_requested_shows_no_password() -> None:
    with pytest.raises(WrongSetting, match=r"^REPO_BASE_URL is 'https://\.\.@repository/': it may be"):
        base_url_in("https://me:hu/hush@repository/", "REPO_BASE_URL")


def test_secrets_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_TOKEN", "hush-hush")
    monkeypatch.setenv("API_TOKENS", "whisper,murmur")
    shown = repr(load()) + str(load().model_dump())
    assert not any(secret in shown for secret in ("hush-hush", "whisper", "murmur"))


def test_every_setting_has_a_description() -> None:
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize(
    ("typo", "setting"),
    [
        ("WAIT_SECOND", "WAIT_SECONDS"),
        ("REPO_BASEURL", "REPO_BASE_URL"),
        ("API_TOKEN", "API_TOKENS"),
        ("REDIS_URI", "REDIS_URL"),
        ("STORAGE_DRI", "STORAGE_DIR"),
        ("directory_layot", "DIRECTORY_LAYOUT"),
        ("URL_SECRET_FIEL", "URL_SECRET_FILE"),
    ],
)
def test_a_typo_is_reported_with_the_name_of_the_setting(typo: str, setting: str) -> None:
    assert find_typos([typo]) == [f"{typo} is not a setting of mezcal; did you mean {setting}?"]


@pytest.mark.parametrize("setting", sorted(Settings.model_fields)[::8])
def test_the_names_that_are_left_out_first_are_none_that_difflib_finds(setting: str) -> None:
    known = sorted(name.upper() for name in Settings.model_fields)
    name = setting.upper()
    wrong = [name[1:], name[:-2], f"{name}S", f"X_{name}", name.replace("E", "I"), name.replace("_", ""), name[::-1]]
    letters = {other: frozenset(other) for other in known}
    assert [nearest(typo, letters) for typo in wrong] == [get_close_matches(typo, known, 1, SIMILAR) for typo in wrong]


def test_names_of_mezcal_and_of_other_programs_are_no_typos() -> None:
    ours = [name.upper() for name in Settings.model_fields]
    assert (
        find_typos([*ORDINARY.split(), *ours, "wait_seconds", "DIRECTORY_LAYOUT", "AWS_REGION", "API_TOKENS_FILE"])
        == []
    )


def test_typos_are_found_in_the_environment_and_in_the_env_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAIT_SECOND", "61")
    Path(".env").write_text("API_TOKEN=hush-hush\n")
    message = "\n".join(find_typos(given_names()))
    assert message.startswith("API_TOKEN is not a setting")
    assert "did you mean WAIT_SECONDS?" in message
    assert not any(value in message for value in ("61", "hush-hush"))


BUCKET = "s3://masters/scans"


def test_the_key_of_a_bucket_is_no_basic_authentication() -> None:
    settings = load(_env_file=None, repo_base_url=BUCKET, repo_username="AKIAEXAMPLE", repo_password="secret")
    assert settings.auth_type is AuthType.NONE
    assert load(_env_file=None, repo_base_url=BUCKET, jwt_token="of another repository").auth_type is AuthType.NONE


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"repo_base_url": "s3://AKIAEXAMPLE:secret@masters/"}, "REPO_BASE_URL contains a key: set REPO_USERNAME and"),
        ({"repo_base_url": "s3://masters/a?b"}, "must be s3://bucket/prefix, with [?] and # as %3F and %23"),
        ({"auth_type": "BASIC"}, "AUTH_TYPE is BASIC: requests to a bucket are signed, so remove it"),
        ({"repo_base_url": "https://x.example/", "repo_requester_pays": True}, "REPO_REQUESTER_PAYS needs a bucket"),
        ({"repo_base_url": "file:///x", "repo_internal_url": "http://x"}, "REPO_INTERNAL_URL needs REPO_BASE_URL"),
    ],
)
def test_what_a_bucket_cannot_have_is_one_line(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(WrongSetting, match=reason) as caught:
        load(_env_file=None, **{"repo_base_url": BUCKET} | given)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
