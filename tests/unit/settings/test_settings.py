"""Settings: the predecessors' names, secrets by file, and one clear line for a wrong value."""

from __future__ import annotations

from pathlib import Path

import pytest

from mezcal.settings import DEFAULT_MAX_PIXELS, AuthType, Layout, Settings, WrongSetting, load
from mezcal.settings.typos import given_names, strangers

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
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting from outside: neither the environment's nor a `.env` of the working folder."""
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


def test_a_token_alone_means_that_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_TOKEN", "secret")
    assert load().auth_type is AuthType.JWT_TOKEN
    monkeypatch.setenv("AUTH_TYPE", "NONE")
    assert load().auth_type is AuthType.NONE


def test_a_secret_comes_by_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-a-file\n")
    monkeypatch.setenv("JWT_TOKEN_FILE", str(tmp_path / "token"))
    settings = load()
    assert settings.jwt_token is not None
    assert settings.jwt_token.get_secret_value() == "from-a-file"
    assert settings.auth_type is AuthType.JWT_TOKEN


def test_several_secrets_come_by_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("one, two\n")
    monkeypatch.setenv("API_TOKENS_FILE", str(tmp_path / "tokens"))
    assert [token.get_secret_value() for token in load().api_tokens] == ["one", "two"]


def test_a_secret_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET_FILE", "/nowhere/secret")
    with pytest.raises(WrongSetting, match="JWT_SECRET_FILE names /nowhere/secret: No such file"):
        load()


@pytest.mark.parametrize(
    ("name", "value", "may_hold"),
    [
        ("MEZZANINE_QUALITY", "200", "less than or equal to 100"),
        ("STORAGE_LAYOUT", "flat", "'basic', 'md5_encoded' or 'md5_encoded_pairtree'"),
        ("AUTH_TYPE", "KERBEROS", "'NONE', 'BASIC', 'JWT_TOKEN' or 'JWT_SECRET'"),
        ("REPO_BASE_URL", "ftp://x/", "must begin with http://, https:// or file:///"),
        ("WAIT_SECONDS", "soon", "valid number"),
        ("BACKGROUND", "white", "#"),
    ],
)
def test_a_wrong_value_is_told_by_name_content_and_what_it_may_be(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, may_hold: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(WrongSetting) as caught:
        load()
    told = str(caught.value)
    assert told.startswith(f"{name} is {value!r}: ")
    assert may_hold in told
    assert "\n" not in told


def test_a_secret_never_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_TOKEN", "hush-hush")
    monkeypatch.setenv("API_TOKENS", "whisper,murmur")
    shown = repr(load()) + str(load().model_dump())
    assert not any(secret in shown for secret in ("hush-hush", "whisper", "murmur"))


def test_every_setting_says_what_it_is_for() -> None:
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize(
    ("slip", "meant"),
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
def test_a_slip_of_the_pen_is_told_with_what_was_meant(slip: str, meant: str) -> None:
    assert strangers([slip]) == [f"{slip} is no setting of mezcal; did you mean {meant}?"]


def test_of_what_is_ours_and_of_what_is_others_nothing_is_told() -> None:
    ours = [name.upper() for name in Settings.model_fields]
    assert (
        strangers([*ORDINARY.split(), *ours, "wait_seconds", "DIRECTORY_LAYOUT", "AWS_REGION", "API_TOKENS_FILE"]) == []
    )


def test_slips_are_looked_for_in_the_environment_and_in_the_env_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAIT_SECOND", "61")
    Path(".env").write_text("API_TOKEN=hush-hush\n")
    told = "\n".join(strangers(given_names()))
    assert told.startswith("API_TOKEN is no setting")
    assert "did you mean WAIT_SECONDS?" in told
    assert not any(value in told for value in ("61", "hush-hush"))
