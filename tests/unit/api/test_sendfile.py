"""The file that another server is to send, whatever its name: named so that a header can hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import pytest
from werkzeug.test import Client

from api import create_app
from api.context import EXTENSION
from api.server.hits import Hits
from mezcal.recipe import Mezzanine
from mezcal.settings import load

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["plain.tif", "é/東京 \N{SNOWMAN}.tif", "100%25.tif", 'a"b;c.tif', "a+b?c#d.tif"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("header", ["X-Sendfile", "X-Accel-Redirect"])
def test_fast_path_and_view_name_the_same_file_and_the_server_finds_it(tmp_path: Path, header: Any, name: str) -> None:
    root = tmp_path / "naïve"
    given = {"storage_dir": root, "repo_base_url": "http://repository.example/", "redis_url": "redis://127.0.0.1:1"}
    app = create_app(load(_env_file=None, sendfile_header=header, **given))
    context = app.extensions[EXTENSION]
    place = context.store.path(Mezzanine(name))
    place.parent.mkdir(parents=True)
    place.write_bytes(b"\xff\xd8 an image")
    target = f"/images/{quote(name)}"
    named = app.test_client().get(target).headers[header]
    where = unquote(named).removeprefix(
        context.settings.sendfile_prefix if header == "X-Accel-Redirect" else f"{root}/"
    )
    assert named.isascii()
    assert root / where == place
    assert Client(Hits(unreachable, context)).get(target).headers[header] == named


def unreachable(_environ: Any, _start_response: Any) -> Any:
    pytest.fail("the fast path passed a plain hit on")
