"""ORIGINS_FILE: what a table may say, what it takes from the settings, and the line that names a mistake."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest

from mezcal.settings import AuthType, Settings, WrongSetting, load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAPS = '[maps]\nprefix = "maps"\nurl = "https://maps.example.edu/rest"\n'
PLATES = '[plates]\nprefix = "plates/glass/"\nurl = "s3://plates/a"\nusername = "id"\npassword = "s3cret"\n'
HOME = "https://repository.example.edu/rest/"


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Settings]:
    def read(text: str, **given: Any) -> Settings:
        file = tmp_path / "origins.toml"
        file.write_text(text)
        return load(_env_file=None, origins_file=file, data_dir=tmp_path, **given)

    return read


def test_the_longest_prefix_decides_and_repo_base_url_has_all_other_paths(read: Callable[..., Settings]) -> None:
    settings = read(MAPS + '[old]\nprefix = "maps/old/"\nurl = "file:///srv/maps"\n' + PLATES, repo_base_url=HOME)
    found = {
        path: settings.origin_of(path) for path in ("maps/old/1.tif", "maps/1.tif", "plates/1.tif", "mapsheet.tif")
    }
    assert {path: origin.name for path, origin in found.items() if origin} == {
        "maps/old/1.tif": "old",
        "maps/1.tif": "maps",
        "plates/1.tif": "repository",
        "mapsheet.tif": "repository",
    }
    assert [origin.limits_name for origin in settings.origins] == ["plates", "", "maps", "repository.example.edu"]
    assert read(MAPS).origin_of("plates/1.tif") is None


def test_limits_come_from_the_settings_and_credentials_never_do(
    read: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "JWT_SECRET": "0123456789abcdef0123456789abcdef",
        "REPO_USERNAME": "home",
        "REPO_PASSWORD": "h0me",
        "ORIGIN_REDIRECT_HOSTS": "files.example.edu",
        "REPO_INTERNAL_URL": "http://inside/",
        "AWS_ACCESS_KEY_ID": "cache",
        "AWS_SECRET_ACCESS_KEY": "c4che",
        "AWS_SESSION_TOKEN": "t0ken",
    }.items():
        monkeypatch.setenv(name, value)
    settings = read(MAPS + "retries = 7\n" + PLATES, repo_base_url=HOME, origin_read_timeout=11)
    plates, maps, home = (origin.settings for origin in settings.origins)
    assert (maps.origin_read_timeout, maps.origin_retries, plates.origin_retries) == (11, 7, 2)
    for own in (maps, plates):
        assert (own.jwt_secret, own.origin_redirect_hosts, own.repo_internal_url) == (None, (), None)
        assert own.auth_type is AuthType.NONE
    assert (maps.repo_username, plates.repo_username) == (None, "id")
    assert (plates.aws_access_key_id, plates.aws_secret_access_key, plates.aws_session_token) == (None, None, None)
    assert home.auth_type is AuthType.JWT_SECRET
    assert {origin.settings.scratch_dir for origin in settings.origins} == {settings.scratch_dir}


def test_a_bucket_uses_the_key_of_the_machine_only_if_its_table_says_so(read: Callable[..., Settings]) -> None:
    table = '[plates]\nurl = "s3://plates/a"\n'
    key = {"aws_access_key_id": "cache", "aws_secret_access_key": "c4che"}
    with pytest.raises(WrongSetting, match=r"^ORIGINS_FILE, \[plates\]: a bucket needs username and password.*machine"):
        read(table, **key)
    assert read(table + "machine_key = true\n", **key).origins[0].settings.aws_access_key_id == "cache"


def test_a_secret_may_be_in_a_file_and_implies_how_it_is_sent(read: Callable[..., Settings], tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    settings = read(f'{MAPS}username = "me"\npassword_file = "{tmp_path}/password"\n').origins[0].settings
    assert settings.auth_type is AuthType.BASIC
    assert settings.repo_password is not None
    assert settings.repo_password.get_secret_value() == "s3cret"


def test_one_origin_with_an_empty_prefix_is_the_same_installation(read: Callable[..., Settings]) -> None:
    alone = load(_env_file=None, repo_base_url=HOME)
    named = read(f'[home]\nurl = "{HOME}"\n')
    assert named.redis_prefix == alone.redis_prefix
    assert named.cache_dir.name == alone.cache_dir.name
    both = pickle.loads(pickle.dumps(read(MAPS, repo_base_url=HOME)))  # as for the child that tries it at a start
    assert both.cache_dir.name == alone.cache_dir.name, "the images that are there are still found"
    assert both.redis_prefix != alone.redis_prefix, "a worker without that origin must not get its jobs"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('url = "https://a/"\n', r"has 'url' outside a table: put the name of an origin in single brackets above it"),
        ("", r"has 0 origins: it may have 1 to 50"),
        ("[a\n", r"is not TOML: "),
        ('[A]\nurl = "https://a/"\n', r"has the origin 'A': a name is up to 32 lower-case letters"),
        ('[archive]\nurl = "https://a/"\n', r"has the origin 'archive': a name .* none of archive, repository"),
        ('[a]\nprefix = "x"\n', r"\[a\]: url is missing: http\(s\)://.., s3://bucket/prefix or file:///folder"),
        ('[a]\nurl = "ftp://a/"\n', r"\[a\]: url is 'ftp://a/': must begin with http://, https://, s3:// or file"),
        ('[a]\nurl = "htps://me:hush@a/"\n', r"\[a\]: url is 'htps://\.\.@a/': must begin with http://"),
        ('[a]\nurl = "https://a/"\nretries = ["u:hush@a"]\n', r"\[a\]: retries is a value that is not shown: must be"),
        ('[a]\nurl = "https://a/"\nprefix = "../x"\n', r"\[a\]: prefix is '../x': must be the first folders of paths"),
        ('[a]\nurl = "https://a/"\nprefix = "/x"\n', r"\[a\]: prefix is '/x': must be the first folders of paths"),
        (
            '[a]\nurl = "https://a/"\nprefix = "old maps/x"\n',
            r"\[a\]: prefix is 'old maps/x', which has ' ': it may have no space, .* choose another, as 'old-maps/x/'",
        ),
        ('[a]\nurl = "https://a/"\nprefix = "a;b/"\n', r"\[a\]: prefix is 'a;b/', which has ';': .* as 'a-b/'"),
        ('[a]\nurl = "https://a/"\nprefix = 7\n', r"\[a\]: prefix is 7: must be the first folders of paths"),
        ('[a]\nurl = "https://a/"\nretries = 11\n', r"\[a\]: retries is 11: must be at most 10"),
        ('[a]\nurl = "https://a/"\nretry = 1\n', r"\[a\]: retry is no part of an origin; it may have prefix, url, "),
        ('[a]\nurl = "https://a/"\npassword = 12\n', r"\[a\]: password is a value that is not shown: must be text"),
        ('[a]\nurl = "https://a/"\npassword_file = "/none"\n', r"\[a\]: password_file names /none: No such file"),
        (
            '[a]\nurl = "file:///a/"\nconcurrency = 2\n',
            r"\[a\]: concurrency has no meaning for a URL file:..: remove it",
        ),
        ('[a]\nurl = "s3://abc/"\nauth_type = "BASIC"\n', r"\[a\]: auth_type has no meaning for a URL s3://..: remove"),
        ('[a]\nurl = "s3://me@abc/"\nusername = "u"\n', r"\[a\]: `url` contains a key: set `username` and `password`"),
        (
            MAPS + MAPS.replace("[maps]", "[other]").replace("rest", "r"),
            r"\[other\]: prefix is 'maps/', and that is the prefix of \[maps\]",
        ),
        (
            MAPS + '[b]\nprefix = "b"\nurl = "https://MAPS.example.edu:443/rest/"\n',
            r"\[b\]: its URL is that of \[maps\]",
        ),
    ],
)
def test_a_mistake_is_one_line_that_names_it(read: Callable[..., Settings], text: str, line: str) -> None:
    with pytest.raises(WrongSetting, match=rf"^ORIGINS_FILE.*{line}") as wrong:
        read(text)
    assert "\n" not in str(wrong.value)


def test_a_name_that_is_the_host_of_another_origin_is_refused(read: Callable[..., Settings]) -> None:
    """Limits, circuit breakers and metrics of REPO_BASE_URL and of the archive have the names of their hosts."""
    for variable in ("repo_base_url", "archive_api_url"):
        with pytest.raises(WrongSetting, match=rf"\[maps\]: that is the host of {variable.upper()}: give the origin"):
            read(MAPS, **{variable: "http://maps/rest/"})


def test_two_origins_for_all_other_paths_are_refused(read: Callable[..., Settings]) -> None:
    with pytest.raises(WrongSetting, match=r"\[a\]: prefix is '', and that is the prefix of REPO_BASE_URL"):
        read('[a]\nurl = "https://a/"\n', repo_base_url=HOME)
