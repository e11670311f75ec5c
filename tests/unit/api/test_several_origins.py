"""The pages of an installation with several origins: the form, and the folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from api import create_app
from mezcal.settings import load

if TYPE_CHECKING:
    from pathlib import Path

    from flask.testing import FlaskClient


@pytest.fixture
def client(tmp_path: Path) -> FlaskClient:
    for folder in ("maps", "rest/box"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "1.tif").write_bytes(b"a master")
    file = tmp_path / "origins.toml"
    file.write_text(
        '[far]\nprefix = "far"\nurl = "http://far.example/rest"\n'
        f'[maps]\nprefix = "old/maps"\nurl = "{(tmp_path / "maps").as_uri()}"\n'
        f'[rest]\nurl = "{(tmp_path / "rest").as_uri()}"\n'
    )
    given = {"redis_url": "redis://127.0.0.1:1/0", "data_dir": tmp_path, "loopback_trusted": True}
    return create_app(load(_env_file=None, origins_file=file, **given)).test_client()


def test_the_form_finds_the_origin_of_a_url(client: FlaskClient, tmp_path: Path) -> None:
    for url, path in {
        "http://far.example/rest/a%20b/1.tif": "far/a%20b/1.tif",
        (tmp_path / "maps/1.tif").as_uri(): "old/maps/1.tif",
        (tmp_path / "rest/box/1.tif").as_uri(): "box/1.tif",
    }.items():
        assert client.get("/", query_string={"url": url}).headers["Location"] == f"/images/{path}"
    assert client.get("/", query_string={"url": "http://elsewhere.example/1.tif"}).status_code == 404


def test_folders_of_all_origins_are_found_under_their_prefixes(client: FlaskClient) -> None:
    top = client.get("/ops/browse").get_data(as_text=True)
    assert "folder=old/" in top
    assert "folder=box/" in top
    assert "folder=old/maps/" in client.get("/ops/browse", query_string={"folder": "old/"}).get_data(as_text=True)
    assert "1.tif" in client.get("/ops/browse", query_string={"folder": "old/maps/"}).get_data(as_text=True)
    assert "1.tif" in client.get("/ops/browse", query_string={"folder": "box/"}).get_data(as_text=True)
    assert client.get("/ops/browse", query_string={"folder": "far/"}).status_code == 404
