"""The galleries of the pages ask a bucket once for each picture, since S3 charges for requests and takes its time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from api import create_app
from mezcal.jobs import Jobs, Lane
from mezcal.recipe import Mezzanine
from mezcal.store import open_store
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
    store, jobs = open_store(settings), Jobs.of(settings)
    for recipe in PICTURES:
        stored = store_contract.put(store, recipe=recipe)
        jobs.table.ensure(recipe, Lane.BULK)
        claim = jobs.table.begin(recipe.key, "a worker")
        assert claim is not None
        jobs.table.finish(claim)
        jobs.recent.add(recipe, stored.size)
    return create_app(settings).test_client()


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
