"""The operator's page: who may see it, what its forms ask for, what it tells, also while a part is down."""

from __future__ import annotations

import html
import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from werkzeug.http import parse_date

from api import create_app
from mezcal.errors import MasterMissing, OriginFailed
from mezcal.jobs import Jobs, Lane, Worker
from mezcal.recipe import Mezzanine
from mezcal.settings import load
from mezcal.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flask import Flask
    from flask.testing import FlaskClient

    from mezcal.settings import Settings
    from tests.support.broker import Broker

TOKEN = "an-operator's-token"
HERE = {"REMOTE_ADDR": "127.0.0.1"}
LOCAL = "http://127.0.0.1:5000"


@pytest.fixture
def settings_with(broker: Broker, tmp_path: Path) -> Callable[..., Settings]:
    def make(**given: Any) -> Settings:
        base = {"storage_dir": tmp_path, "redis_url": broker.url, "key_prefix": f"{uuid4().hex}:"}
        return load(_env_file=None, **(base | {"repo_base_url": "https://repository.example/rest/"} | given))

    return make


@pytest.fixture
def settings(settings_with: Callable[..., Settings]) -> Settings:
    return settings_with(api_tokens=f"another,{TOKEN}")


def client(app: Flask, **environ: str) -> FlaskClient:
    """A browser that keeps cookies."""
    browser = app.test_client()
    browser.environ_base.update(HERE | environ)
    return browser


def signed_in(settings: Settings) -> FlaskClient:
    browser = client(create_app(settings))
    assert browser.post("/ops/sign-in", data={"token": TOKEN}).status_code == 303
    return browser


def csrf_token_of(page: str) -> str:
    return re.findall(r'name="csrf_token" value="([\w-]+)"', page)[0]


def failed(settings: Settings, path: str, failure: Exception) -> str:
    """A job that ended with *failure*; its key."""
    table, recipe = Jobs.of(settings).table, Mezzanine(path)
    table.ensure(recipe, Lane.INTERACTIVE)
    claim = table.begin(recipe.key, "a worker")
    assert claim is not None
    table.fail(claim, failure)  # type: ignore[arg-type]
    return recipe.key


# --- who may


def test_without_a_session_there_is_only_the_way_in(settings: Settings) -> None:
    answer = client(create_app(settings)).get("/ops")
    assert answer.status_code == 401
    assert 'type="password"' in answer.text
    assert "Queue" not in answer.text


def test_a_token_opens_a_session_and_its_cookie_is_kept_from_scripts_and_other_sites(settings: Settings) -> None:
    browser = client(create_app(settings))
    opened = browser.post("/ops/sign-in", data={"token": TOKEN})
    cookie = opened.headers["Set-Cookie"]
    assert (opened.status_code, opened.headers["Location"]) == (303, "/ops")
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Path=/ops" in cookie
    assert TOKEN not in cookie
    assert browser.get("/ops").status_code == 200


@pytest.mark.parametrize(
    ("headers", "public_url"), [({"X-Forwarded-Proto": "https"}, None), ({}, "https://images.example")]
)
def test_behind_tls_the_cookie_goes_over_tls_alone(
    settings_with: Callable[..., Settings], headers: dict[str, str], public_url: str | None
) -> None:
    app = create_app(settings_with(api_tokens=TOKEN, public_url=public_url))
    opened = client(app).post("/ops/sign-in", data={"token": TOKEN}, headers=headers)
    assert "Secure" in opened.headers["Set-Cookie"]


@pytest.mark.parametrize("token", ["", "wrong", f"another,{TOKEN}"])
def test_a_wrong_token_opens_nothing(settings: Settings, token: str) -> None:
    browser = client(create_app(settings))
    answer = browser.post("/ops/sign-in", data={"token": token})
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers
    assert browser.get("/ops").status_code == 401


def test_who_guesses_is_told_to_wait_even_with_the_right_token_and_others_are_not(settings: Settings) -> None:
    app = create_app(settings)
    browser, other = client(app), client(app, REMOTE_ADDR="192.0.2.9")
    answers = [browser.post("/ops/sign-in", data={"token": f"guess {number}"}) for number in range(12)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 2
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 6
    assert "Try again in" in answers[-1].text
    assert browser.post("/ops/sign-in", data={"token": TOKEN}).status_code == 429
    assert other.post("/ops/sign-in", data={"token": TOKEN}).status_code == 303
    assert browser.get("/ops", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_of_a_stranger_no_more_is_read_than_a_form_has(settings: Settings, kind: str) -> None:
    browser = client(create_app(settings))
    assert browser.post("/ops/sign-in", data=b"&a=b" * 10_000, content_type=kind).status_code == 413


def test_a_session_is_known_by_every_process_and_ends_with_its_token(settings: Settings) -> None:
    cookie = signed_in(settings).get_cookie("mezcal-ops", path="/ops")
    assert cookie is not None
    for tokens, status in ((TOKEN, 200), (f"{TOKEN},newer", 200), ("another", 401)):
        other = client(create_app(settings.model_copy(update={"api_tokens": load_tokens(tokens)})))
        other.set_cookie("mezcal-ops", cookie.value, path="/ops")
        assert other.get("/ops").status_code == status


def load_tokens(tokens: str) -> Any:
    return load(_env_file=None, api_tokens=tokens).api_tokens


@pytest.mark.parametrize(
    "change", [lambda v: "9" + v, lambda v: v[:-1] + "0g", lambda v: "1.x.y", lambda v: "no session"]
)
def test_a_session_that_was_tampered_with_is_none(settings: Settings, change: Callable[[str], str]) -> None:
    browser = signed_in(settings)
    cookie = browser.get_cookie("mezcal-ops", path="/ops")
    assert cookie is not None
    browser.set_cookie("mezcal-ops", change(cookie.value), path="/ops")
    assert browser.get("/ops").status_code == 401


@pytest.mark.parametrize(("hours", "status"), [(11.9, 200), (12.1, 401)])
def test_a_session_ends_after_half_a_day(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, hours: float, status: int
) -> None:
    cookie = signed_in(settings).get_cookie("mezcal-ops", path="/ops")
    assert cookie is not None
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + 3600 * hours)
    browser = client(create_app(settings))
    browser.set_cookie("mezcal-ops", cookie.value, path="/ops")
    assert browser.get("/ops").status_code == status


def test_the_browser_is_told_when_the_session_ends(settings: Settings) -> None:
    opened = client(create_app(settings)).post("/ops/sign-in", data={"token": TOKEN})
    expires = parse_date(re.findall(r"Expires=([^;]+)", opened.headers["Set-Cookie"])[0])
    assert expires is not None
    assert 12 * 3600 - 60 < expires.timestamp() - time.time() <= 12 * 3600


def test_signing_out_ends_it(settings: Settings) -> None:
    browser = signed_in(settings)
    token = csrf_token_of(browser.get("/ops").text)
    assert browser.post("/ops/sign-out", data={"csrf_token": token}).status_code == 303
    assert browser.get("/ops").status_code == 401


def test_a_script_may_show_its_token_as_everywhere_else(settings: Settings) -> None:
    browser = client(create_app(settings))
    assert browser.get("/ops", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert browser.get("/ops", headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_where_loopback_is_trusted_no_token_is_asked_for(settings_with: Callable[..., Settings]) -> None:
    app = create_app(settings_with(loopback_trusted=True))
    assert client(app).get("/ops", base_url=LOCAL).status_code == 200


@pytest.mark.parametrize(
    "request_from",
    [
        {"environ_overrides": {"REMOTE_ADDR": "192.0.2.7"}},
        {"environ_overrides": {"SERVER_PROTOCOL": "HTTP/1.0"}},
        {"headers": {"X-Forwarded-For": "198.51.100.4"}},
        {"headers": {"Forwarded": "for=198.51.100.4"}},
        {"headers": {"Via": "1.1 proxy"}},
        {"headers": {"Sec-Fetch-Site": "cross-site"}},
        {"base_url": "http://mezcal.evil.example"},
    ],
)
def test_what_only_looks_like_loopback_sees_nothing(
    settings_with: Callable[..., Settings], request_from: dict[str, Any]
) -> None:
    app = create_app(settings_with(loopback_trusted=True))
    answer = client(app).get("/ops", **({"base_url": LOCAL} | request_from))
    assert answer.status_code == 403
    assert "API_TOKENS" in answer.text


def test_without_tokens_and_trust_it_is_closed(settings_with: Callable[..., Settings]) -> None:
    app = create_app(settings_with())
    assert client(app).get("/ops", base_url=LOCAL).status_code == 403
    assert client(app).get("/ops/previews/x.jpg", base_url=LOCAL).status_code == 403


# --- forms


def test_what_failed_is_tried_again_by_class(settings: Settings) -> None:
    missing = [failed(settings, f"{number}.tif", MasterMissing("none")) for number in range(3)]
    other = failed(settings, "x.tif", OriginFailed("broken"))
    browser = signed_in(settings)
    form = {"csrf_token": csrf_token_of(browser.get("/ops").text), "class": "master-missing"}
    answer = browser.post("/ops/retry", data=form)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/ops?retried=3")
    table = Jobs.of(settings).table
    assert {table.read(key).state for key in missing} == {"queued"}  # type: ignore[union-attr]
    assert table.read(other).state == "failed"  # type: ignore[union-attr]
    assert "3 jobs were queued again" in browser.get(answer.headers["Location"]).text


def test_one_job_alone_is_tried_again(settings: Settings) -> None:
    keys = [failed(settings, f"{number}.tif", MasterMissing("none")) for number in range(2)]
    browser = signed_in(settings)
    browser.post("/ops/retry", data={"csrf_token": csrf_token_of(browser.get("/ops").text), "job": keys[0]})
    table = Jobs.of(settings).table
    assert [table.read(key).state for key in keys] == ["queued", "failed"]  # type: ignore[union-attr]


@pytest.mark.parametrize("form", [{}, {"csrf_token": ""}, {"csrf_token": "0" * 64}])
def test_a_form_that_is_not_ours_does_nothing(settings: Settings, form: dict[str, str]) -> None:
    key = failed(settings, "a.tif", MasterMissing("none"))
    browser = signed_in(settings)
    assert browser.post("/ops/retry", data={**form, "class": "master-missing"}).status_code == 403
    assert Jobs.of(settings).table.read(key).state == "failed"  # type: ignore[union-attr]


def test_the_csrf_token_of_another_session_is_refused(settings: Settings) -> None:
    one, other = signed_in(settings), signed_in(settings)
    form = {"csrf_token": csrf_token_of(other.get("/ops").text), "class": "master-missing"}
    assert one.post("/ops/retry", data=form).status_code == 403


def test_a_page_from_elsewhere_cannot_send_the_form_even_with_its_csrf_token(settings: Settings) -> None:
    browser = signed_in(settings)
    form = {"csrf_token": csrf_token_of(browser.get("/ops").text), "class": "master-missing"}
    assert browser.post("/ops/retry", data=form, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_on_loopback_the_form_needs_its_csrf_token_too(settings_with: Callable[..., Settings]) -> None:
    browser = client(create_app(settings_with(loopback_trusted=True)))
    token = csrf_token_on_loopback(browser)
    for form, status in (({"class": "x"}, 403), ({"class": "x", "csrf_token": token}, 303)):
        assert browser.post("/ops/retry", data=form, base_url=LOCAL).status_code == status


def csrf_token_on_loopback(browser: FlaskClient) -> str:
    """A page has a form only where something has failed."""
    settings = browser.application.extensions["mezcal"].settings
    failed(settings, "a.tif", MasterMissing("none"))
    return csrf_token_of(browser.get("/ops", base_url=LOCAL).text)


# --- what it tells


def test_every_page_says_that_it_is_not_to_be_framed_sniffed_or_kept(settings: Settings) -> None:
    browser = signed_in(settings)
    anonymous = client(create_app(settings))
    for answer in (browser.get("/ops"), anonymous.get("/ops"), anonymous.get("/"), anonymous.get("/jobs/x")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    for answer in (browser.get("/ops"), anonymous.get("/ops"), anonymous.get("/")):
        policy = answer.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] == "no-store"


def test_it_tells_of_failures_by_class_whatever_they_are_called(settings: Settings) -> None:
    failed(settings, "<img src=x onerror=alert(1)>.tif", MasterMissing("</script><b>"))
    page = signed_in(settings).get("/ops").text
    assert "<img src=x" not in page
    assert "</script><b>" not in page
    assert "<img src=x onerror=alert(1)>.tif" in html.unescape(page)
    assert "The repository has no such master" in page


def test_it_tells_of_the_workers(settings: Settings) -> None:
    browser, workers = signed_in(settings), Jobs.of(settings).workers
    assert "no worker is running" in browser.get("/ops").text
    workers.heartbeat(Worker("mezcal@one:7", 2, ("bulk",)))
    assert "none takes interactive jobs" in browser.get("/ops").text
    workers.heartbeat(Worker("mezcal@two:7", 4, ("interactive",)))
    assert "2 workers with 6 processes" in browser.get("/ops").text


def test_it_tells_what_runs_and_what_waits(settings: Settings) -> None:
    table = Jobs.of(settings).table
    for path in ("running.tif", "waiting.tif"):
        table.ensure(Mezzanine(path), Lane.BULK)
    table.begin(Mezzanine("running.tif").key, "host:9")
    page = signed_in(settings).get("/ops").text
    assert "running.tif" in page
    assert "host:9" in page
    assert re.search(r'<th scope="row">bulk</th><td>1</td>', page)


def stored(settings: Settings, path: str, content: bytes) -> Mezzanine:
    recipe = Mezzanine(path)
    place = open_store(settings).path(recipe)  # type: ignore[attr-defined]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    Jobs.of(settings).recent.add(recipe, len(content))
    return recipe


def test_what_was_deleted_is_no_longer_among_the_largest(settings: Settings) -> None:
    small, large = stored(settings, "small.tif", b"1" * 10), stored(settings, "large.tif", b"1" * 1000)
    browser = signed_in(settings)
    page = browser.get("/ops").text
    assert page.index("large.tif") < page.index("small.tif")
    open_store(settings).delete(large)
    assert "large.tif" not in browser.get("/ops").text
    assert [recipe["path"] for recipe in Jobs.of(settings).recent.largest()] == [small.path]


def test_the_cache_is_shown_against_its_bound(settings_with: Callable[..., Settings]) -> None:
    bounded = settings_with(api_tokens=TOKEN, cache_max_bytes="2GB")
    stored(bounded, "a.tif", b"1" * 500_000)
    page = signed_in(bounded).get("/ops").text
    assert 'max="2000000000" value="500000"' in page
    assert "<dd>2.0 GB</dd>" in page


def test_a_preview_is_asked_for_by_looking_and_shown_when_it_is_there(settings: Settings) -> None:
    recipe, browser = stored(settings, "a.tif", b"1" * 10), signed_in(settings)
    address = f"/ops/previews/{recipe.key}.jpg"
    assert address not in browser.get("/ops").text
    assert browser.get(address).status_code == 404
    table = Jobs.of(settings).table
    assert table.redis.llen(f"{table.keys.prefix}chores") == 1
    Jobs.of(settings).recent.save_preview(recipe, b"\xff\xd8 small \xff\xd9")
    assert address in browser.get("/ops").text
    answer = browser.get(address)
    assert (answer.data, answer.mimetype) == (b"\xff\xd8 small \xff\xd9", "image/jpeg")
    assert "private" in answer.headers["Cache-Control"]


def test_it_tells_what_is_down_while_the_broker_is(settings_with: Callable[..., Settings]) -> None:
    settings = settings_with(api_tokens=TOKEN, redis_url="redis://127.0.0.1:1/0")
    answer = signed_in(settings).get("/ops")
    assert answer.status_code == 200
    assert "The broker cannot be reached" in answer.text
    assert "cannot be reached (ConnectionError)" in answer.text


def test_nothing_on_the_page_comes_from_elsewhere(settings: Settings) -> None:
    page = signed_in(settings).get("/ops").text
    named = re.findall(r'(?:src|href|action)="([^"]+)"', page)
    assert named
    assert not [one for one in named if urlsplit(one).netloc]
    assert " style=" not in page
