"""The operator's page: access, sessions, forms, and what it shows, also while a component is down."""

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
from mezcal.errors import MasterMissing, OriginFailed, StoreDown
from mezcal.jobs import Jobs, Lane, Worker
from mezcal.jobs.failure_report import keys_below
from mezcal.recipe import Frame, Mezzanine, Thumbnail, ThumbnailOptions
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
    """Record a job that ended with *failure*. Returns its key."""
    table, recipe = Jobs.of(settings).table, Mezzanine(path)
    table.ensure(recipe, Lane.INTERACTIVE)
    claim = table.begin(recipe.key, "a worker")
    assert claim is not None
    table.fail(claim, failure)  # type: ignore[arg-type]
    return recipe.key


# --- delayed jobs


def test_it_says_why_jobs_wait_for_their_next_attempt(settings: Settings) -> None:
    table, recipe = Jobs.of(settings).table, Mezzanine("a.tif")
    table.ensure(recipe, Lane.BULK)
    claim = table.begin(recipe.key, "a worker")
    assert claim is not None
    table.delay_after(claim, StoreDown("the cache folder cannot be used (Permission denied)"), 30)
    page = signed_in(settings).get("/ops").text
    assert "Waiting after store-down: the cache folder cannot be used (Permission denied)" in page


# --- access


def test_without_a_session_there_is_only_the_sign_in_form(settings: Settings) -> None:
    response = client(create_app(settings)).get("/ops")
    assert response.status_code == 401
    assert 'type="password"' in response.text
    assert "Queue" not in response.text


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
def test_behind_tls_the_cookie_is_secure(
    settings_with: Callable[..., Settings], headers: dict[str, str], public_url: str | None
) -> None:
    app = create_app(settings_with(api_tokens=TOKEN, public_url=public_url))
    opened = client(app).post("/ops/sign-in", data={"token": TOKEN}, headers=headers)
    assert "Secure" in opened.headers["Set-Cookie"]


@pytest.mark.parametrize("token", ["", "wrong", f"another,{TOKEN}"])
def test_a_wrong_token_opens_nothing(settings: Settings, token: str) -> None:
    browser = client(create_app(settings))
    response = browser.post("/ops/sign-in", data={"token": token})
    assert response.status_code == 401
    assert "Set-Cookie" not in response.headers
    assert browser.get("/ops").status_code == 401


def test_a_client_that_guesses_has_to_wait_and_a_right_token_does_not(settings: Settings) -> None:
    app = create_app(settings)
    browser, other = client(app), client(app, REMOTE_ADDR="192.0.2.9")
    responses = [browser.post("/ops/sign-in", data={"token": f"guess {number}"}) for number in range(12)]
    assert [response.status_code for response in responses] == [401] * 10 + [429] * 2
    assert 6 < int(responses[-1].headers["Retry-After"]) <= 12
    assert "try again in" in responses[-1].text
    assert other.post("/ops/sign-in", data={"token": TOKEN}).status_code == 303
    assert browser.post("/ops/sign-in", data={"token": TOKEN}).status_code == 303


def test_of_a_client_that_guesses_on_and_on_no_token_is_looked_at(settings: Settings) -> None:
    browser, other = client(app := create_app(settings)), client(app, REMOTE_ADDR="192.0.2.9")
    for number in range(110):
        browser.post("/ops/sign-in", data={"token": f"guess {number}"})
    assert browser.post("/ops/sign-in", data={"token": TOKEN}).status_code == 429
    assert browser.get("/ops", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 429
    assert other.post("/ops/sign-in", data={"token": TOKEN}).status_code == 303


def test_a_login_for_a_proxy_before_mezcal_is_no_guess(settings: Settings) -> None:
    browser = client(create_app(settings))
    proxied = {"Authorization": "Basic dXNlcjpwYXNz"}
    assert {browser.get("/ops", headers=proxied).status_code for _ in range(20)} == {401}
    assert browser.post("/ops/sign-in", data={"token": TOKEN}, headers=proxied).status_code == 303
    assert browser.get("/ops", headers=proxied).status_code == 200


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_form_that_is_too_large_is_refused_unread(settings: Settings, kind: str) -> None:
    browser = client(create_app(settings))
    assert browser.post("/ops/sign-in", data=b"&a=b" * 10_000, content_type=kind).status_code == 413


def test_every_process_accepts_a_session_until_its_token_is_removed(settings: Settings) -> None:
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
def test_a_changed_cookie_is_refused(settings: Settings, change: Callable[[str], str]) -> None:
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


def test_the_cookie_expires_with_the_session(settings: Settings) -> None:
    opened = client(create_app(settings)).post("/ops/sign-in", data={"token": TOKEN})
    expires = parse_date(re.findall(r"Expires=([^;]+)", opened.headers["Set-Cookie"])[0])
    assert expires is not None
    assert 12 * 3600 - 60 < expires.timestamp() - time.time() <= 12 * 3600


def test_signing_out_ends_the_session(settings: Settings) -> None:
    browser = signed_in(settings)
    token = csrf_token_of(browser.get("/ops").text)
    assert browser.post("/ops/sign-out", data={"csrf_token": token}).status_code == 303
    assert browser.get("/ops").status_code == 401


def test_a_script_can_send_its_token_in_the_authorization_header(settings: Settings) -> None:
    browser = client(create_app(settings))
    assert browser.get("/ops", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert browser.get("/ops", headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_trusted_loopback_needs_no_token(settings_with: Callable[..., Settings]) -> None:
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
def test_a_request_that_only_looks_like_loopback_is_refused(
    settings_with: Callable[..., Settings], request_from: dict[str, Any]
) -> None:
    app = create_app(settings_with(loopback_trusted=True))
    response = client(app).get("/ops", **({"base_url": LOCAL} | request_from))
    assert response.status_code == 403
    assert "API_TOKENS" in response.text


def test_without_tokens_and_trusted_loopback_the_page_is_closed(settings_with: Callable[..., Settings]) -> None:
    app = create_app(settings_with())
    assert client(app).get("/ops", base_url=LOCAL).status_code == 403
    assert client(app).get("/ops/previews/x.jpg", base_url=LOCAL).status_code == 403


# --- jobs of another version


@pytest.mark.parametrize("recipe", ['{"kind": "hologram", "path": "a.tif"}', '{"kind": "mezzanine", "path": "../x"}'])
def test_a_failed_job_of_another_version_is_shown_and_named_so(settings: Settings, recipe: str) -> None:
    key, table = failed(settings, "a.tif", MasterMissing("none")), Jobs.of(settings).table
    table.redis.hset(table.keys.job(key), "recipe", recipe)
    browser = signed_in(settings)
    for path in ("/ops", f"/ops/jobs/{key}"):
        assert f"of another version: {recipe}" in html.unescape(browser.get(path).text), path
    assert keys_below(Jobs.of(settings), lambda _: True) == []


# --- forms


def test_the_failed_jobs_of_a_class_are_retried(settings: Settings) -> None:
    missing = [failed(settings, f"{number}.tif", MasterMissing("none")) for number in range(3)]
    other = failed(settings, "x.tif", OriginFailed("broken"))
    browser = signed_in(settings)
    form = {"csrf_token": csrf_token_of(browser.get("/ops").text), "class": "master-missing"}
    response = browser.post("/ops/retry", data=form)
    assert (response.status_code, response.headers["Location"]) == (303, "/ops?retried=3")
    table = Jobs.of(settings).table
    assert {table.read(key).state for key in missing} == {"queued"}  # type: ignore[union-attr]
    assert table.read(other).state == "failed"  # type: ignore[union-attr]
    assert "3 jobs were queued again" in browser.get(response.headers["Location"]).text


def test_a_single_job_is_retried(settings: Settings) -> None:
    keys = [failed(settings, f"{number}.tif", MasterMissing("none")) for number in range(2)]
    browser = signed_in(settings)
    browser.post("/ops/retry", data={"csrf_token": csrf_token_of(browser.get("/ops").text), "job": keys[0]})
    table = Jobs.of(settings).table
    assert [table.read(key).state for key in keys] == ["queued", "failed"]  # type: ignore[union-attr]


@pytest.mark.parametrize("form", [{}, {"csrf_token": ""}, {"csrf_token": "0" * 64}])
def test_a_form_without_the_csrf_token_does_nothing(settings: Settings, form: dict[str, str]) -> None:
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
    """The page has a form only if something has failed."""
    settings = browser.application.extensions["mezcal"].settings
    failed(settings, "a.tif", MasterMissing("none"))
    return csrf_token_of(browser.get("/ops", base_url=LOCAL).text)


# --- what it shows


def test_every_page_forbids_framing_sniffing_and_caching(settings: Settings) -> None:
    browser = signed_in(settings)
    anonymous = client(create_app(settings))
    for response in (browser.get("/ops"), anonymous.get("/ops"), anonymous.get("/"), anonymous.get("/jobs/x")):
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    for response in (browser.get("/ops"), anonymous.get("/ops"), anonymous.get("/")):
        policy = response.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["Referrer-Policy"] == "same-origin"
        assert response.headers["Cache-Control"] == "no-store"


def test_failures_are_shown_by_class_and_their_texts_are_escaped(settings: Settings) -> None:
    failed(settings, "<img src=x onerror=alert(1)>.tif", MasterMissing("</script><b>"))
    page = signed_in(settings).get("/ops").text
    assert "<img src=x" not in page
    assert "</script><b>" not in page
    assert "<img src=x onerror=alert(1)>.tif" in html.unescape(page)
    assert "The repository has no such master" in page


def test_the_workers_are_shown(settings: Settings) -> None:
    browser, workers = signed_in(settings), Jobs.of(settings).workers
    assert "no worker is running" in browser.get("/ops").text
    workers.heartbeat(Worker("mezcal@one:7", 2, ("bulk",)))
    assert "none takes interactive jobs" in browser.get("/ops").text
    workers.heartbeat(Worker("mezcal@two:7", 4, ("interactive",)))
    assert "2 workers with 6 processes" in browser.get("/ops").text


def test_running_and_queued_jobs_are_shown(settings: Settings) -> None:
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


def test_a_deleted_derivative_is_no_longer_among_the_largest(settings: Settings) -> None:
    small, large = stored(settings, "small.tif", b"1" * 10), stored(settings, "large.tif", b"1" * 1000)
    browser = signed_in(settings)
    page = browser.get("/ops").text
    assert page.index("large.tif") < page.index("small.tif")
    open_store(settings).delete(large)
    assert "large.tif" not in browser.get("/ops").text
    assert [recipe["path"] for recipe in Jobs.of(settings).recent.largest()] == [small.path]


def test_the_cache_is_shown_against_its_limit(settings_with: Callable[..., Settings]) -> None:
    bounded = settings_with(api_tokens=TOKEN, cache_max_bytes="2GB")
    stored(bounded, "a.tif", b"1" * 500_000)
    page = signed_in(bounded).get("/ops").text
    assert 'max="2000000000" value="500000"' in page
    assert "<dd>2.0 GB</dd>" in page


def test_opening_the_page_requests_previews_and_shows_those_that_exist(settings: Settings) -> None:
    recipe, browser = stored(settings, "a.tif", b"1" * 10), signed_in(settings)
    address = f"/ops/previews/{recipe.key}.jpg"
    assert address not in browser.get("/ops").text
    assert browser.get(address).status_code == 404
    table = Jobs.of(settings).table
    assert table.redis.llen(f"{table.keys.prefix}chores") == 1
    Jobs.of(settings).recent.save_preview(recipe, b"\xff\xd8 small \xff\xd9")
    assert address in browser.get("/ops").text
    response = browser.get(address)
    assert (response.data, response.mimetype) == (b"\xff\xd8 small \xff\xd9", "image/jpeg")
    assert "private" in response.headers["Cache-Control"]


def test_without_the_broker_the_page_shows_what_is_down(settings_with: Callable[..., Settings]) -> None:
    settings = settings_with(api_tokens=TOKEN, redis_url="redis://127.0.0.1:1/0")
    response = signed_in(settings).get("/ops")
    assert response.status_code == 200
    assert "The broker cannot be reached" in response.text
    assert "cannot be reached: it refuses connections" in response.text


def test_the_page_loads_nothing_from_other_hosts(settings: Settings) -> None:
    page = signed_in(settings).get("/ops").text
    named = re.findall(r'(?:src|href|action)="([^"]+)"', page)
    assert named
    assert not [one for one in named if urlsplit(one).netloc]
    assert " style=" not in page


def test_what_needs_a_person_comes_first_with_its_next_step(settings: Settings) -> None:
    jobs = Jobs.of(settings)
    page = signed_in(settings).get("/ops").text
    assert page.index("No worker runs: nothing new is made.") < page.index('id="components"')
    jobs.workers.heartbeat(Worker("one", 1, ("bulk", "interactive")))
    assert "Needs a person" not in signed_in(settings.model_copy(update={"cache_min_free_bytes": 1})).get("/ops").text


def test_the_page_names_the_broker_that_is_down(settings_with: Callable[..., Settings]) -> None:
    away = settings_with(api_tokens=TOKEN, redis_url="redis://127.0.0.1:1/0")
    assert "Redis does not answer" in signed_in(away).get("/ops").text


def test_the_page_lists_what_caches_downstream_were_not_told_and_a_button_tells_them(
    settings_with: Callable[..., Settings],
) -> None:
    settings = settings_with(api_tokens=TOKEN, downstream_urls="purge+http://user:of-varnish@varnish:6081")
    jobs, browser, (hook,) = Jobs.of(settings), signed_in(settings), settings.hooks
    assert "0 changes to be sent" in browser.get("/ops").text
    jobs.downstream.add([Mezzanine("a/1.tif"), Mezzanine("a/2.tif")])
    holder = jobs.downstream.hold(hook.name, 60)
    assert holder is not None
    (change, _) = jobs.downstream.take(hook.name, holder, 2)
    jobs.downstream.give_up(hook.name, change, "varnish answered 405")
    jobs.downstream.rest(hook.name, "varnish answered 405")
    page = browser.get("/ops").text
    assert "a/1.tif" in page
    assert "Varnish answered 405." in page
    assert "purge varnish:6081: 1 change to be sent; 1 given up; varnish answered 405" in page
    assert "was not notified of 1 changes" in page, "it needs a person"
    assert "of-varnish" not in page
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert token is not None
    assert browser.post("/ops/downstream", data={}).status_code == 403
    assert browser.post("/ops/downstream", data={"csrf_token": token[1]}).status_code == 303
    assert jobs.downstream.failed(hook.name) == []
    sent = [change.recipe.label for change in jobs.downstream.take(hook.name, holder, 2)]
    assert sorted(sent) == ["a/1.tif", "a/2.tif"]


def test_days_are_plotted_once_there_are_some(settings: Settings) -> None:
    browser, jobs = signed_in(settings), Jobs.of(settings)
    assert "Day by day" not in browser.get("/ops").text
    today = int(time.time()) // 86_400
    jobs.days.set(today - 2, {"hits": 90, "misses": 10, "images": 1000, "bytes": 10**9})
    jobs.days.set(today, {"images": 3000, "bytes": 3 * 10**9, "failures": 2})
    page = browser.get("/ops").text
    assert "Size of the cache in the last 3 days: size 3.0 GB on the last day, at most 3.0 GB" in page
    assert "Served from the cache in the last 3 days: hit rate none on the last day, at most 90.0 %" in page


def test_the_components_show_how_the_registration_with_the_archive_goes_on(settings: Settings) -> None:
    page = signed_in(settings).get("/ops").get_data(as_text=True)
    assert "Registration" not in page, "nothing is registered here"
    settings = settings.model_copy(update={"archive_bucket": "archive"})
    jobs, browser = Jobs.of(settings), signed_in(settings)
    jobs.registrations.add([Thumbnail((Frame(17, "a.fits", "v"),), ThumbnailOptions.parse({}))])
    assert "1 thumbnail to be registered" in browser.get("/ops").get_data(as_text=True)
    jobs.registrations.refuse("another", "the thumbnail of b.fits", "the archive answered 400")
    page = browser.get("/ops").get_data(as_text=True)
    assert "1 thumbnail to be registered; 1 refused in the last day" in page
    assert "refused by the archive in the last day" in page, "it needs a person"
