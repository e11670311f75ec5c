"""nginx's configuration as it is written."""

from __future__ import annotations

from pathlib import Path

from mezcal.runtime.nginx import NginxConfig, can_name, configuration
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
    assert len(lookups) == 2
    assert all(line.rstrip().endswith(r'\z" {') for line in lookups)


def test_paths_may_have_spaces_quotes_and_backslashes_but_no_dollar() -> None:
    text = configuration(load(_env_file=None, storage_dir=Path('/a b/"c"\\d')), CONFIG)
    assert r'alias "/a b/\"c\"\\d/$named/image.jpg";' in text
    assert can_name(Path('/a b/"c"'))
    assert not can_name(Path("/a$b"))


def test_nothing_is_left_to_fill_in() -> None:
    assert "@read_timeout@" not in settings()
    assert {word for word in settings().replace(";", " ").split() if word.startswith("@")} == {"@api", "@gone"}
