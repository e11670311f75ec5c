"""A request that finds no memory or no descriptor is answered 503, not as a bug of mezcal."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

import pytest

from api import create_app
from api.responses import html
from mezcal.settings import load
from tests.support.forked import forked

if TYPE_CHECKING:
    from pathlib import Path

    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse


opened: list[int] = []


def open_until_no_descriptor_is_left() -> str:
    """Lower the limit to the descriptors in use, and open until that fails. `ask` restores and closes."""
    first_free = os.open(os.devnull, os.O_RDONLY)
    os.close(first_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (first_free, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    while True:
        opened.append(os.open(os.devnull, os.O_RDONLY))


def take_too_much_memory() -> str:
    return str(len(bytearray(2**62)))


@pytest.fixture
def client(tmp_path: Path) -> FlaskClient:
    app = create_app(
        load(_env_file=None, storage_dir=tmp_path, repo_base_url="file:///", redis_url="redis://127.0.0.1:1")
    )
    app.get("/no-descriptor")(open_until_no_descriptor_is_left)
    app.get("/no-memory")(take_too_much_memory)
    return app.test_client()


def ask(client: FlaskClient, path: str, accept: str = "*/*") -> TestResponse:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        return client.get(path, headers={"Accept": accept})
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        while opened:
            os.close(opened.pop())


@pytest.mark.parametrize("path", ["/no-descriptor", "/no-memory"])
@forked
def test_a_shortage_in_a_view_is_503(client: FlaskClient, path: str) -> None:
    answer = ask(client, path)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "15")
    assert answer.content_type == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.get_json()["type"] == "/problems/out-of-memory"


@forked
def test_a_browser_gets_json_if_the_page_cannot_be_read(client: FlaskClient) -> None:
    html._environment.cache_clear()
    answer = ask(client, "/no-descriptor", "text/html")
    assert (answer.status_code, answer.content_type) == (503, "application/problem+json")


def test_a_browser_gets_a_page_otherwise(client: FlaskClient) -> None:
    answer = ask(client, "/no-memory", "text/html")
    assert (answer.status_code, answer.mimetype) == (503, "text/html")
