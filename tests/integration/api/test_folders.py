"""The folders of a folder origin: for operators alone, in pages, with what is known of each image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from api import create_app
from mezcal.errors import MasterEmpty, OriginFailed
from mezcal.jobs import Jobs, Lane
from mezcal.recipe import Mezzanine
from mezcal.settings import load
from mezcal.store import Sidecar, open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flask.testing import FlaskClient

    from mezcal.errors import Failure
    from mezcal.settings import Settings
    from tests.support.broker import Broker

TOKEN = "an-operator's-token"
LOCAL = "http://127.0.0.1:5000"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("books/1/a.tif", "books/1/b & c.tif", "books/2/x.tif", "top.tif", "notes.txt", ".hidden/h.tif"):
        (tmp_path / "masters" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "masters" / name).write_bytes(b"II*\0")
    return tmp_path / "masters"


@pytest.fixture
def settings_with(broker: Broker, tmp_path: Path, folder: Path) -> Callable[..., Settings]:
    def make(**given: Any) -> Settings:
        base = {"storage_dir": tmp_path / "cache", "redis_url": broker.url, "key_prefix": f"{uuid4().hex}:"}
        return load(_env_file=None, **(base | {"repo_base_url": f"file://{folder}"} | given))

    return make


@pytest.fixture
def settings(settings_with: Callable[..., Settings]) -> Settings:
    return settings_with(api_tokens=TOKEN)


@pytest.fixture
def browser(settings: Settings) -> FlaskClient:
    """A browser that is signed in."""
    client = stranger(settings)
    assert client.post("/ops/sign-in", data={"token": TOKEN}).status_code == 303
    return client


@pytest.fixture
def operator(settings: Settings) -> FlaskClient:
    """A client that sends a token. The session of a browser is for /ops alone."""
    client = stranger(settings)
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {TOKEN}"
    return client


def stranger(settings: Settings) -> FlaskClient:
    client = create_app(settings).test_client()
    client.environ_base["REMOTE_ADDR"] = "127.0.0.1"
    return client


def store_image(settings: Settings, path: str) -> None:
    recipe, store = Mezzanine(path), open_store(settings)
    sidecar = Sidecar(recipe.as_json(), "v", "s", None, None, None, "TIFF", 4, 30, 20, "0" * 64, 0.0, 0.0)
    with store.draft() as draft:
        draft.write_bytes(b"\xff\xd8\xff\xd9")
        store.put(recipe, draft, sidecar, lambda: None)


def fail(settings: Settings, path: str, failure: Failure) -> str:
    table = Jobs.of(settings).table
    table.ensure(Mezzanine(path), Lane.INTERACTIVE)
    claim = table.begin(Mezzanine(path).key, "a worker")
    assert claim is not None
    table.fail(claim, failure)
    return Mezzanine(path).key


def test_names_are_shown_to_operators_alone(settings: Settings, browser: FlaskClient) -> None:
    for target in ("/ops/browse", "/ops/browse?folder=books/1/"):
        refused = stranger(settings).get(target)
        assert (refused.status_code, "books" in refused.text, "a.tif" in refused.text) == (401, False, False)
        assert browser.get(target).status_code == 200
        assert stranger(settings).get(target, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_another_machine_is_not_trusted_without_tokens(settings_with: Callable[..., Settings]) -> None:
    client = stranger(settings_with(loopback_trusted=True))
    assert client.get("/ops/browse", base_url=LOCAL).status_code == 200
    client.environ_base["REMOTE_ADDR"] = "192.0.2.1"
    refused = client.get("/ops/browse", base_url=LOCAL)
    assert (refused.status_code, "books" in refused.text) == (403, False)


def test_the_home_page_leads_operators_to_the_folders(settings_with: Callable[..., Settings]) -> None:
    client = stranger(settings_with(loopback_trusted=True))
    assert 'href="/ops/browse"' in client.get("/", base_url=LOCAL).text
    client.environ_base["REMOTE_ADDR"] = "192.0.2.1"
    assert "/ops/browse" not in client.get("/", base_url=LOCAL).text


def test_the_home_page_counts_what_it_does_not_show_for_operators_alone(
    settings: Settings, operator: FlaskClient, folder: Path
) -> None:
    assert "Not shown here" not in operator.get("/").text
    for number in range(20):
        (folder / f"{number:02}.tif").write_bytes(b"II*\0")
    assert "Not shown here: 12 more images" in operator.get("/").text
    assert "more images" not in stranger(settings).get("/").text


@pytest.mark.parametrize("typed", ["books/1/b & c.tif", " books/1/b & c.tif ", "{folder}/books/1/b & c.tif"])
def test_an_operator_finds_an_image_by_its_path_or_its_file(operator: FlaskClient, folder: Path, typed: str) -> None:
    found = operator.get("/", query_string={"url": typed.format(folder=folder)})
    assert (found.status_code, found.headers["Location"]) == (302, "/images/books/1/b%20&%20c.tif")


def test_an_operator_is_told_what_is_not_below_the_folder(operator: FlaskClient, folder: Path) -> None:
    refused = operator.get("/", query_string={"url": "/etc/hostname"})
    assert (refused.status_code, f"not below the repository's folder, {folder}" in refused.text) == (404, True)


def test_strangers_do_not_learn_which_folders_the_machine_has(settings: Settings, folder: Path) -> None:
    client = stranger(settings)
    (folder.parent / "link").symlink_to(folder)
    typed = [f"{folder}/top.tif", f"{folder.parent}/link/top.tif", "/etc/hostname", "/no/such/file", "file:///etc/x"]
    answers = [client.get("/", query_string={"url": name}) for name in typed]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.get_json()["detail"] for answer in answers}) == 1
    found = client.get("/", query_string={"url": "books/1/a.tif"})
    assert (found.status_code, found.headers["Location"]) == (302, "/images/books/1/a.tif")
    assert client.get("/", query_string={"url": "../a.tif"}).status_code == 404


def test_operators_are_not_sent_to_themselves(settings: Settings, operator: FlaskClient) -> None:
    fail(settings, "top.tif", MasterEmpty("the file is empty"))
    page = {"Accept": "text/html"}
    assert "Tell the people who run this service" in stranger(settings).get("/images/top.tif", headers=page).text
    shown = operator.get("/images/top.tif", headers=page).text
    assert ("Tell the people" in shown, "Next step" in shown) == (False, True)


def test_folders_lead_down_and_crumbs_up(browser: FlaskClient) -> None:
    top = browser.get("/ops/browse").text
    assert 'href="/ops/browse?folder=books/"' in top
    assert "top.tif" in top
    assert "notes.txt" not in top
    assert ".hidden" not in top
    inner = browser.get("/ops/browse?folder=books/1/").text
    assert 'href="/ops/browse?folder=books/"' in inner
    assert 'href="/images/books/1/b%20&amp;%20c.tif"' in inner
    assert browser.get("/ops/browse?folder=books/1").text == inner


def test_each_image_shows_what_is_known_of_it(settings: Settings, browser: FlaskClient, folder: Path) -> None:
    for name in ("cached", "empty", "away", "queued", "new"):
        (folder / f"{name}.tif").write_bytes(b"II*\0")
    store_image(settings, "cached.tif")
    empty = fail(settings, "empty.tif", MasterEmpty("the file is empty"))
    away = fail(settings, "away.tif", OriginFailed("the disk is <away>"))
    Jobs.of(settings).table.ensure(Mezzanine("queued.tif"), Lane.BULK)
    text = browser.get("/ops/browse").text
    shown = {part.partition("</p>")[0]: part for part in text.split('<p class="path">')}
    assert "cached · 4 bytes · 30 " in shown["cached.tif"]
    assert "failed: the file is empty" in shown["empty.tif"]
    assert f'href="/ops/jobs/{empty}" aria-label="show why empty.tif failed"' in text
    assert "Try again" not in shown["empty.tif"], "it would be of no use"
    assert "failed: the disk is &lt;away&gt;" in shown["away.tif"]
    assert f'name="job" value="{away}"' in shown["away.tif"]
    assert "waiting in the queue" in shown["queued.tif"]
    assert "not converted yet" in shown["new.tif"]


def test_try_again_queues_the_job_and_comes_back(settings: Settings, browser: FlaskClient) -> None:
    key = fail(settings, "books/1/a.tif", OriginFailed("away"))
    page = browser.get("/ops/browse?folder=books/1/").text
    csrf_token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    form = {"csrf_token": csrf_token, "job": key, "folder": "books/1", "page": "1"}
    done = browser.post("/ops/retry", data=form)
    assert (done.status_code, done.headers["Location"]) == (303, "/ops/browse?folder=books/1&page=1")
    assert "waiting in the queue" in browser.get(done.headers["Location"]).text
    assert browser.post("/ops/retry", data=form | {"csrf_token": "x"}).status_code == 403


def test_a_large_folder_has_pages(browser: FlaskClient, folder: Path) -> None:
    (folder / "many").mkdir()
    for number in range(150):
        (folder / "many" / f"{number:03}.tif").touch()
    (folder / "many" / "sub").mkdir()
    pages = [browser.get(f"/ops/browse?folder=many/&page={number}").text for number in (1, 2, 3)]
    assert [page.count('<p class="path">') for page in pages] == [59, 60, 31]
    assert ["sub/" in page for page in pages] == [True, False, False]
    assert "058.tif" in pages[0]
    assert "059.tif" in pages[1]
    assert "Page 2 of 3" in pages[1]
    assert browser.get("/ops/browse?folder=many/&page=4").status_code == 404
    assert browser.get("/ops/browse?folder=many/&page=x").text == pages[0]


@pytest.mark.parametrize(
    ("given", "status"),
    [("none/", 404), ("top.tif", 404), ("../", 400), ("books/../../x", 400), ("out/", 404), ("a%00", 400)],
)
def test_nothing_outside_is_listed(browser: FlaskClient, folder: Path, tmp_path: Path, given: str, status: int) -> None:
    (tmp_path / "secret").mkdir()
    (folder / "out").symlink_to(tmp_path / "secret")
    assert browser.get(f"/ops/browse?folder={given}").status_code == status


def test_names_that_no_address_can_have_are_shown_without_a_link(browser: FlaskClient, folder: Path) -> None:
    (folder / "line\nbreak.tif").touch()
    (folder / "caf\udce9.tif").touch()
    (folder / "back\\slash ").mkdir()
    text = browser.get("/ops/browse").text
    assert text.count("no address can have this name") >= 2
    assert "caf\N{REPLACEMENT CHARACTER}.tif" in text


def test_a_repository_over_http_has_no_folders(settings_with: Callable[..., Settings]) -> None:
    client = stranger(settings_with(repo_base_url="https://repository.example/", loopback_trusted=True))
    assert client.get("/ops/browse", base_url=LOCAL).status_code == 404
    assert "/ops/browse" not in client.get("/", base_url=LOCAL).text
    assert "/ops/browse" not in client.get("/ops", base_url=LOCAL).text


def test_without_the_broker_the_names_are_shown(settings_with: Callable[..., Settings]) -> None:
    settings = settings_with(loopback_trusted=True, redis_url="redis://127.0.0.1:1/0")
    store_image(settings, "top.tif")
    text = stranger(settings).get("/ops/browse", base_url=LOCAL).text
    assert "The broker cannot be reached" in text
    assert "cached · 4 bytes" in text
