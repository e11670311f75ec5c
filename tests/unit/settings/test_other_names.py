"""The settings' names in the newer lines of umd-lib/mezcal, and names that are a mistake."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mezcal.runtime.up.environment import handed_on, limited_to
from mezcal.settings import AuthType, Layout, WrongSetting, load
from tests import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

# Whole files in the form that each line documents, with values of our own.
S3_LINE = """
AUTH_TYPE=JWT_TOKEN
MEZCAL_JWT_TOKEN=t0k3n
MEZCAL_REPO_BASE_URL=https://fcrepo.example.edu/fcrepo/rest
MEZCAL_STORAGE_BACKEND=s3
MEZCAL_S3_BUCKET=mezzanines
MEZCAL_S3_PREFIX=cache
MEZCAL_S3_PRESIGNED_URL_EXPIRY=900
MEZCAL_STORAGE_LAYOUT=md5_encoded
MEZCAL_MAX_IMAGE_PIXELS=-1
AWS_DEFAULT_REGION=us-east-2
"""
FEDORA_LINE = """
MEZCAL_FCREPO_ENDPOINT=https://fcrepo.example.edu/fcrepo/rest
MEZCAL_FCREPO_ORIGIN=http://fcrepo-webapp:8080/fcrepo/rest
MEZCAL_FCREPO_JWT_SECRET=0123456789abcdef
MEZCAL_STORAGE_DIR=image_cache
MEZCAL_STORAGE_LAYOUT=MD5_ENCODED_PAIRTREE
MEZCAL_MAX_IMAGE_PIXELS=0
"""


@pytest.fixture(autouse=True)
def env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], object]:
    """Work in an empty folder. The fixture writes its `.env`."""
    monkeypatch.chdir(tmp_path)
    return (tmp_path / ".env").write_text


def test_a_whole_file_of_the_s3_line(env_file: Callable[[str], object]) -> None:
    env_file(S3_LINE)
    settings = load()
    assert settings.repo_base_url == "https://fcrepo.example.edu/fcrepo/rest"
    assert settings.auth_type is AuthType.JWT_TOKEN
    assert settings.jwt_token is not None
    assert settings.jwt_token.get_secret_value() == "t0k3n"
    assert (settings.storage, settings.aws_bucket, settings.aws_prefix) == ("s3", "mezzanines", "cache/")
    assert (settings.s3_serve, settings.s3_url_seconds) == ("redirect", 900)
    assert settings.storage_layout is Layout.MD5_ENCODED
    assert settings.pixel_limit is None


def test_a_whole_file_of_the_fedora_line(env_file: Callable[[str], object]) -> None:
    env_file(FEDORA_LINE)
    settings = load()
    assert settings.repo_base_url == "https://fcrepo.example.edu/fcrepo/rest"
    assert settings.repo_internal_url == "http://fcrepo-webapp:8080/fcrepo/rest"
    assert settings.auth_type is AuthType.JWT_SECRET
    assert settings.storage == "local"
    assert settings.cache_dir == Path.cwd() / "image_cache"
    assert settings.storage_layout is Layout.MD5_ENCODED_PAIRTREE


OLD_LINE = "REPO_BASE_URL=https://fcrepo.example.edu/rest\nSTORAGE_DIR=/old/cache\nexport STORAGE_LAYOUT=basic\n"


@pytest.mark.parametrize(
    "lines", [OLD_LINE, S3_LINE, FEDORA_LINE, "AWS_BUCKET=mezzanines\nAWS_PREFIX=cache\nSTORAGE=s3\n"]
)
def test_the_trial_of_the_moving_page_cannot_name_the_old_cache(
    env_file: Callable[[str], object], lines: str, tmp_path: Path
) -> None:
    page = (ROOT / "docs/moving-from-umd-mezcal.md").read_text()
    words = shlex.split(next(line for line in page.splitlines() if line.strip().startswith("grep ")))
    kept = subprocess.run([*words[:3]], input=lines, text=True, capture_output=True, check=False).stdout
    env_file(kept)
    settings = load()
    assert settings.storage == "local"
    assert settings.storage_dir is None
    assert (tmp_path / settings.cache_dir).is_relative_to(tmp_path)
    assert ("https://fcrepo.example.edu" in str(settings.repo_base_url)) == ("https" in lines), "the rest is as it was"


def test_a_backend_of_the_s3_line_leaves_a_choice_of_serving(env_file: Callable[[str], object]) -> None:
    env_file(S3_LINE + "S3_SERVE=proxy\n")
    assert load().s3_serve == "proxy"


def test_a_choice_of_serving_wins_wherever_it_is(
    env_file: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    env_file("S3_SERVE=proxy\n")
    monkeypatch.setenv("MEZCAL_STORAGE_BACKEND", "s3")
    monkeypatch.setenv("MEZCAL_S3_BUCKET", "mezzanines")
    assert load().s3_serve == "proxy"


def test_the_region_that_containers_of_aws_have_is_the_last_that_counts(
    env_file: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert load().aws_default_region == "eu-west-1"
    env_file("AWS_DEFAULT_REGION=us-east-2\n")
    assert load().aws_default_region == "us-east-2"


@pytest.mark.parametrize(("content", "reason"), [(b"", "is empty"), (b"\xff\xfe", "is not text in UTF-8")])
def test_a_file_without_a_secret_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes, reason: str
) -> None:
    (tmp_path / "secret").write_bytes(content)
    monkeypatch.setenv("MEZCAL_JWT_SECRET_FILE", str(tmp_path / "secret"))
    with pytest.raises(WrongSetting, match=reason):
        load()


def test_of_several_credentials_the_first_in_the_order_of_the_fedora_line_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MEZCAL_FCREPO_USERNAME", "me")
    assert load().auth_type is AuthType.NONE, "a user name alone is no credential"
    monkeypatch.setenv("MEZCAL_FCREPO_PASSWORD", "secret")
    assert load().auth_type is AuthType.BASIC
    monkeypatch.setenv("MEZCAL_FCREPO_JWT_TOKEN", "token")
    assert load().auth_type is AuthType.JWT_TOKEN
    monkeypatch.setenv("MEZCAL_FCREPO_JWT_SECRET", "key")
    assert load().auth_type is AuthType.JWT_SECRET
    monkeypatch.setenv("AUTH_TYPE", "NONE")
    assert load().auth_type is AuthType.NONE


def test_every_other_name_may_name_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("0123456789abcdef\n")
    monkeypatch.setenv("MEZCAL_FCREPO_JWT_SECRET_FILE", str(tmp_path / "secret"))
    settings = load()
    assert settings.jwt_secret is not None
    assert settings.jwt_secret.get_secret_value() == "0123456789abcdef"
    monkeypatch.setenv("MEZCAL_FCREPO_JWT_SECRET_FILE", str(tmp_path / "none"))
    with pytest.raises(WrongSetting, match=r"MEZCAL_FCREPO_JWT_SECRET_FILE names .*: No such file"):
        load()


@pytest.mark.parametrize(
    ("names", "values"),
    [
        (("REPO_BASE_URL", "MEZCAL_FCREPO_ENDPOINT"), ("http://one/", "http://two/")),
        (("MEZCAL_REPO_BASE_URL", "MEZCAL_FCREPO_ENDPOINT"), ("http://one/", "http://two/")),
        (("JWT_SECRET", "MEZCAL_JWT_SECRET"), ("one", "two")),
        (("STORAGE_LAYOUT", "DIRECTORY_LAYOUT"), ("basic", "md5_encoded")),
    ],
)
def test_two_names_with_different_values_stop_the_start(
    env_file: Callable[[str], object], monkeypatch: pytest.MonkeyPatch, names: tuple[str, str], values: tuple[str, str]
) -> None:
    env_file("".join(f"{name}={value}\n" for name, value in zip(names, values, strict=True)))
    with pytest.raises(WrongSetting) as caught:
        load()
    assert str(caught.value) == f"{' and '.join(names)} are names of one setting and differ: remove all but one"
    env_file("")
    for name, value in zip(names, values, strict=True):
        monkeypatch.setenv(name, value)
    with pytest.raises(WrongSetting):
        load()


def test_two_names_with_one_value_are_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPO_BASE_URL", "http://repository.example/rest/")
    monkeypatch.setenv("MEZCAL_FCREPO_ENDPOINT", "http://repository.example/rest")
    monkeypatch.setenv("AWS_PREFIX", "cache/")
    monkeypatch.setenv("MEZCAL_S3_PREFIX", "cache")
    assert load().aws_prefix == "cache/"


def test_the_environment_wins_over_the_file_by_whatever_name(
    env_file: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    env_file("REPO_BASE_URL=http://in-the-file/\n")
    monkeypatch.setenv("MEZCAL_FCREPO_ENDPOINT", "http://in-the-environment")
    assert load().repo_base_url == "http://in-the-environment"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("MEZCAL_FCREPO_ENDPIONT", "did you mean MEZCAL_FCREPO_ENDPOINT?"),
        ("FCREPO_ENDPOINT", "did you mean MEZCAL_FCREPO_ENDPOINT?"),
        ("MEZCAL_WAIT_SECONDS", "did you mean WAIT_SECONDS?"),
        ("MEZCAL_DEBUG_TOOLBAR_OF_THINGS", "remove it, or see docs/configuration.md"),
    ],
)
def test_an_unknown_name_that_begins_as_ours_stops_the_start(
    env_file: Callable[[str], object], monkeypatch: pytest.MonkeyPatch, name: str, line: str
) -> None:
    env_file(f"{name}=a-secret-perhaps\n")
    with pytest.raises(WrongSetting) as caught:
        load()
    assert str(caught.value) == f"{name} is not a setting of mezcal; {line}"
    env_file("")
    monkeypatch.setenv(name, "a-secret-perhaps")
    with pytest.raises(WrongSetting, match=name):
        load()


@pytest.mark.parametrize(
    "name",
    [
        *("MEZCAL_PORT", "MEZCAL_VERSION", "MEZCAL_SERVICE_HOST", "MEZCAL_SERVICE_PORT", "MEZCAL_SERVICE_PORT_HTTP"),
        *("MEZCAL_API_PORT", "MEZCAL_API_PORT_5000_TCP_ADDR", "FCREPO_PORT_8080_TCP", "FCREPO_SERVICE_HOST"),
    ],
)
def test_the_names_that_containers_set_are_no_mistake(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "tcp://10.0.0.1:5000")
    load()


def test_the_internal_address_needs_the_public_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEZCAL_FCREPO_ORIGIN", "http://fcrepo-webapp:8080/rest")
    with pytest.raises(WrongSetting, match="REPO_INTERNAL_URL needs REPO_BASE_URL"):
        load()


def test_the_parts_of_an_installation_get_each_setting_by_its_own_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("0123456789abcdef")
    environ = {
        "MEZCAL_FCREPO_ENDPOINT": "http://repository.example/rest",
        "MEZCAL_FCREPO_JWT_SECRET_FILE": "secret",
        "MEZCAL_STORAGE_DIR": "image_cache",
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    variables = handed_on(load(), environ)
    assert variables["REPO_BASE_URL"] == "http://repository.example/rest"
    assert variables["STORAGE_DIR"] == str(tmp_path / "image_cache")
    assert variables["JWT_SECRET_FILE"] == str(tmp_path / "secret")
    assert not [name for name in variables if name.startswith("MEZCAL_")]
    assert "0123456789abcdef" not in variables.values(), "the secret stays in its file"


def test_programs_of_others_get_no_secret_by_whatever_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("mezcal_jwt_token", "secret")
    assert "mezcal_jwt_token" not in handed_on(load(), os.environ)
    assert limited_to((), {"MEZCAL_JWT_TOKEN_FILE": "secret", "mezcal_repo_password": "secret", "PATH": "x"}) == {
        "PATH": "x"
    }
