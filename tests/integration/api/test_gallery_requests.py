"""The galleries of the pages ask a bucket once for each picture, since S3 charges for requests and takes its time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from api import create_app
from api.context import EXTENSION
from mezcal.jobs import Lane
from mezcal.recipe import PYRAMID, Mezzanine
from tests.support import store_contract
from tests.support.s3_server import running_s3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flask.testing import FlaskClient

    from tests.support.broker import Broker
    from tests.support.s3_server import S3Server

TOKEN = {"Authorization": "Bearer one"}
PICTURES = [Mezzanine(f"{number}.tif") for number in range(5)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    """A separate object store, whose log has only the requests of this test."""
    with running_s3(tmp_path) as running:
        yield running


@pytest.fixture
def client(server: S3Server, broker: Broker, tmp_path: Path) -> FlaskClient:
    """The API in front of a bucket with PICTURES, all made by jobs."""
    keep = {"redis_url": broker.url, "key_prefix": f"{uuid4().hex}:", "api_tokens": "one"}
    settings = server.settings(server.bucket(), tmp_path, repo_base_url="http://127.0.0.1:1/", **keep)
    client = create_app(settings).test_client()
    make(client, PICTURES)
    return client


def make(client: FlaskClient, recipes: list[Mezzanine]) -> None:
    """Store *recipes* as jobs of a worker do."""
    context = client.application.extensions[EXTENSION]
    for recipe in recipes:
        stored = store_contract.put(context.store, recipe=recipe)
        context.jobs.table.ensure(recipe, Lane.BULK)
        claim = context.jobs.table.begin(recipe.key, "a worker")
        assert claim is not None
        context.jobs.table.finish(claim)
        context.jobs.table.let_go(claim)
        context.jobs.recent.add(recipe, stored.size)


def requests_by_picture(log: Path, seen: int = 0) -> dict[str, int]:
    """Returns the number of requests for each picture, after the first *seen* characters of *log*."""
    counts: dict[str, int] = {}
    for path in re.findall(r'"(?:HEAD|GET) /[\w-]+/(\S+)/image\.jpg ', log.read_text()[seen:]):
        counts[path] = counts.get(path, 0) + 1
    return counts


@pytest.mark.parametrize("page", ["/", "/ops"])
def test_a_page_asks_the_bucket_once_for_each_picture(client: FlaskClient, server: S3Server, page: str) -> None:
    log = server.log
    before = len(log.read_text())
    response = client.get(page, headers=TOKEN)
    assert response.status_code == 200
    assert all(f"/images/{picture.path}" in response.text for picture in PICTURES)
    assert "3 \N{MULTIPLICATION SIGN} 2" in response.text
    assert requests_by_picture(log, before) == {picture.path: 1 for picture in PICTURES}


def test_pyramids_do_not_push_the_pictures_from_the_home_page(client: FlaskClient) -> None:
    """A browser shows no TIFF. The operator's page lists them, with links to them."""
    make(client, [Mezzanine(f"{number}.tif", profile=PYRAMID) for number in range(15)])
    home = client.get("/", headers=TOKEN).text
    assert all(f'<img src="/images/{picture.path}"' in home for picture in PICTURES)
    assert "pyramid" not in home
    operators = client.get("/ops", headers=TOKEN).text
    assert 'href="/derivatives/pyramid/14.tif.tif"' in operators
    assert "14.tif as pyramid" in operators
