"""What the form of the home page does with a text: as in umd-lib/mezcal, a URL outside the repository is 404."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from api import create_app
from mezcal.settings import load

if TYPE_CHECKING:
    from pathlib import Path

    from flask.testing import FlaskClient

BASE = "http://repository.example/rest"


@pytest.fixture
def client(tmp_path: Path) -> FlaskClient:
    given = {"redis_url": "redis://127.0.0.1:1", "repo_base_url": BASE, "data_dir": tmp_path, "url_secret": "ours"}
    return create_app(load(_env_file=None, **given)).test_client()


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (f"{BASE}/foo", "/images/foo"),
        (f" {BASE}/a/b.tif ", "/images/a/b.tif"),
        ("box 1/1.tif", "/images/box%201/1.tif"),
    ],
)
def test_a_url_of_the_repository_or_a_path_leads_to_the_image(client: FlaskClient, text: str, path: str) -> None:
    response = client.get("/", query_string={"url": text})
    assert (response.status_code, response.headers["Location"]) == (302, path)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "foo",
            "..",
            "../x.tif",
            "/etc/passwd",
            "//evil.example/x.tif",
            "ftp:x",
            "http://elsewhere.example/x",
        ),
        *(BASE, f"{BASE}/", f"{BASE}/a/../b", f"{BASE}/a%2F..%2Fb"),
    ],
)
def test_any_other_text_is_404(client: FlaskClient, text: str) -> None:
    response = client.get("/", query_string={"url": text})
    assert response.status_code == 404
    assert "Location" not in response.headers
