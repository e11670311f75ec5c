"""nginx's configuration as it is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mezcal.runtime.nginx import NginxConfig, can_name, configuration
from mezcal.runtime.nginx.locations import hit_locations, taken_names
from mezcal.settings import load
from tests import ROOT

CONFIG = NginxConfig("80", "api:5000", Path("/tmp/nginx"))


def settings(**given: object) -> str:
    return configuration(load(_env_file=None, storage_dir=Path("/var/cache/mezcal"), **given), CONFIG)


def test_the_configuration_in_deploy_is_the_one_that_is_printed() -> None:
    """Made by: STORAGE_DIR=/var/cache/mezcal python -m mezcal.runtime.nginx > deploy/nginx/nginx.conf."""
    assert (ROOT / "deploy" / "nginx" / "nginx.conf").read_text() == settings()


def test_where_only_some_may_read_nginx_looks_nothing_up() -> None:
    assert "/$named/image.jpg" in settings()
    assert "/$named/image.jpg" not in settings(read_tokens=("secret",))


def test_where_nginx_cannot_compute_the_path_the_api_names_it() -> None:
    text = settings(storage_layout="md5_encoded")
    assert "/$named/image.jpg" not in text
    assert 'alias "/var/cache/mezcal/";' in text


def test_nginx_takes_bodies_that_the_api_would_take() -> None:
    assert "client_max_body_size 33554432;" in settings()
    assert "client_max_body_size 9000000;" in settings(jobs_max_bytes=2000, webhook_max_bytes=9_000_000)


def test_nginx_does_not_look_up_a_name_with_a_final_line_feed() -> None:
    r"""`$` would match before the line feed of `/images/pic.tif%0a`, which names another master; `\z` does not."""
    lookups = [line for line in settings().splitlines() if "location ~" in line]
    assert len(lookups) == 4
    assert all(line.rstrip().endswith(r'\z" {') for line in lookups)


def test_paths_may_have_spaces_quotes_and_backslashes_but_no_dollar() -> None:
    text = configuration(load(_env_file=None, storage_dir=Path('/a b/"c"\\d')), CONFIG)
    assert r'alias "/a b/\"c\"\\d/$named/image.jpg";' in text
    assert can_name(Path('/a b/"c"'))
    assert not can_name(Path("/a$b"))


def test_nothing_is_left_to_fill_in() -> None:
    assert "@read_timeout@" not in settings()
    assert {word for word in settings().replace(";", " ").split() if word.startswith("@")} == {"@api", "@gone"}


def test_each_profile_has_a_location_with_its_file_and_its_type(tmp_path: Path) -> None:
    profiles = tmp_path / "profiles.toml"
    profiles.write_text('[small-1]\nformat = "webp"\nmax_edge = 1200\n')
    text = settings(profiles_file=profiles)
    for name, file, media_type in (
        ("mezzanine", "image.jpg", "image/jpeg"),
        ("pyramid", "pyramid.tif", "image/tiff"),
        ("small-1", "small-1.webp", "image/webp"),
    ):
        _, begun, location = text.partition(f'location ~ "^/derivatives/{re.escape(name)}/')
        assert begun, name
        body = location.partition("\n        location")[0]
        assert f'alias "/var/cache/mezcal/$named/{file}";' in body
        assert f"default_type {media_type};" in body
        assert ("if (!-f " in body) == (name != "mezzanine"), "umd-lib/mezcal wrote no records"
    assert r"small\-1\.json" in text


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("/derivatives/pyramid/a/b.tif.tif", "a/b.tif"),
        ("/derivatives/pyramid/a.tif", "a"),
        ("/derivatives/pyramid/a.tif.jpg", None),
        ("/derivatives/pyramid/.tif", None),
        ("/derivatives/pyramid/a/...tif", None),
        ("/derivatives/pyramid/a/pyramid.tif.tif", None),
        ("/derivatives/pyramid/a/pyramid.json/b.tif", None),
        ("/derivatives/pyramid/pyramid.tif", "pyramid"),
        ("/derivatives/pyramid/image.jpg.tif", None),
        ("/derivatives/pyramid/a.lock.tif", None),
        ("/derivatives/pyramid/.mezcal/by-key.tif", None),
        ("/derivatives/pyramid/.mezcal.tif", None),
        ("/derivatives/pyramid/a.tif\n", None),
        ("/derivatives/other/a.tif", None),
    ],
)
def test_a_url_names_a_master_unless_the_store_keeps_it_elsewhere(url: str, named: str | None) -> None:
    given = load(_env_file=None)
    patterns = [location.pattern(taken_names(given)) for location in hit_locations(given)]
    found = [re.search(pattern.replace("?<named>", "?P<named>").replace(r"\z", r"\Z"), url) for pattern in patterns]
    assert [match["named"] for match in found if match] == ([] if named is None else [named])
