"""URLs that mezcal writes contain no host name that a client may have invented."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from api import create_app
from api.security.hosts import base_url
from mezcal.errors import WrongSetting
from mezcal.settings import load

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("given", "host", "base"),
    [
        ({}, "localhost:5000", "http://localhost:5000"),
        ({}, "[::1]:5000", "http://[::1]:5000"),
        ({}, "evil.example", ""),
        ({"allowed_hosts": "images.example"}, "images.example:8080", "http://images.example:8080"),
        ({"allowed_hosts": "*"}, "any.example", "http://any.example"),
        ({"public_url": "https://images.example/"}, "evil.example", "https://images.example"),
        ({"public_url": "https://images.example"}, "localhost", "https://images.example"),
    ],
)
def test_a_url_begins_with_a_known_name_or_is_relative(
    tmp_path: Path, given: dict[str, str], host: str, base: str
) -> None:
    settings = load(
        _env_file=None, data_dir=tmp_path, redis_url="redis://127.0.0.1:1", repo_base_url="http://r/", **given
    )
    with create_app(settings).test_request_context("/", base_url=f"http://{host}"):
        assert base_url() == base


@pytest.mark.parametrize("value", ["https://images.example", "a b", "a;return 200", "*.example", "$host"])
def test_what_is_no_host_name_is_refused(value: str) -> None:
    with pytest.raises(WrongSetting, match="ALLOWED_HOSTS"):
        load(_env_file=None, allowed_hosts=value)
