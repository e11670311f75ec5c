"""Who may change state and who may read: tokens, loopback, and requests that only look like loopback."""

from __future__ import annotations

import json
import time
from html import escape
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from werkzeug.test import EnvironBuilder, TestResponse, run_wsgi_app
from werkzeug.wrappers import Request

from api import create_app
from api.security.rate_limit import IGNORED_AFTER
from mezcal.errors import Failure, MasterMissing, OriginRedirectRefused, Undecodable, kinds
from mezcal.jobs import Lane, Note
from mezcal.recipe import Mezzanine
from mezcal.settings import load
from mezcal.store import open_store
from tests.support.installation import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flask import Flask

    from mezcal.settings import Settings
    from tests.support.broker import Broker

NEAR, FAR = "127.0.0.1", "192.0.2.7"
CACHED = "cached.tif"


@pytest.fixture
def app_with(broker: Broker, tmp_path: Path) -> Callable[..., Flask]:
    """Build an application with the given settings and one cached image."""

    def make(**given: Any) -> Flask:
        settings = load(
            _env_file=None,
            storage_dir=tmp_path,
            redis_url=broker.url,
            key_prefix=f"{uuid4().hex}:",
            repo_base_url=SAMPLES.as_uri(),
            **given,
        )
        cached(settings)
        return create_app(settings)

    return make


def cached(settings: Settings) -> None:
    path = open_store(settings).path(Mezzanine.parse(CACHED))  # type: ignore[attr-defined]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\xff\xd8 an image \xff\xd9")


def test_a_proxy_without_headers_is_recognized_by_http_1_0(app_with: Callable[..., Flask]) -> None:
    """Plain `proxy_pass` of nginx sends HTTP/1.0, and the address of the upstream as Host."""
    environ = {"REMOTE_ADDR": NEAR, "SERVER_PROTOCOL": "HTTP/1.0"}
    client = app_with(loopback_trusted=True).test_client()
    response = client.delete(
        f"/images/{CACHED}", base_url="http://127.0.0.1:5000", environ_overrides=environ, buffered=True
    )
    assert response.status_code == 403


def delete(app: Flask, near: str = NEAR, host: str = "localhost:5000", **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    base = f"http://{host}"
    environ = {"REMOTE_ADDR": near}
    return app.test_client().delete(
        f"/images/{CACHED}", base_url=base, environ_base=environ, headers=named, buffered=True
    )


def test_without_tokens_changes_are_refused_and_the_setting_is_named(app_with: Callable[..., Flask]) -> None:
    response = delete(app_with())
    assert response.status_code == 403
    assert "API_TOKENS" in response.get_json()["detail"]


@pytest.mark.parametrize(("given", "status"), [("one", 204), ("two", 204), ("three", 401), ("", 401), ("one two", 401)])
def test_each_of_several_tokens_is_accepted(app_with: Callable[..., Flask], given: str, status: int) -> None:
    assert delete(app_with(api_tokens="one,two"), Authorization=f"Bearer {given}").status_code == status


def test_a_token_is_only_accepted_with_the_bearer_scheme(app_with: Callable[..., Flask]) -> None:
    assert delete(app_with(api_tokens="one"), Authorization="Basic one").status_code == 401


def test_guesses_at_a_token_are_limited_for_each_client(app_with: Callable[..., Flask]) -> None:
    app = app_with(api_tokens="one", read_tokens="reader", metrics_token="meter", sendfile_header="X-Accel-Redirect")
    guess = {"Authorization": "Bearer guess", "X_Forwarded_For": FAR}
    assert [delete(app, **guess).status_code for _ in range(12)] == [401] * 10 + [429] * 2
    limited = delete(app, **guess)
    assert 0 < int(limited.headers["Retry-After"]) < 60
    assert "try again in" in limited.get_json()["detail"]
    headers = {name.replace("_", "-"): value for name, value in guess.items()}
    for target in ("/", "/metrics", "/jobs?state=failed"):
        assert app.test_client().get(target, headers=headers).status_code == 429
    assert delete(app, Authorization="Bearer guess", X_Forwarded_For="192.0.2.8").status_code == 401
    assert delete(app, Authorization="Bearer one", X_Forwarded_For="192.0.2.8").status_code == 204
    assert delete(app, Authorization="Bearer one", X_Forwarded_For=FAR).status_code == 204


def test_a_token_for_reading_is_no_guess_at_one_for_changes(app_with: Callable[..., Flask]) -> None:
    client = app_with(api_tokens="one", read_tokens="reader").test_client()
    headers = {"Authorization": "Bearer reader"}
    assert {client.get("/jobs?state=failed", headers=headers).status_code for _ in range(20)} == {200}
    assert client.delete(f"/images/{CACHED}", headers=headers).status_code == 401


def test_trusted_loopback_needs_no_token(app_with: Callable[..., Flask]) -> None:
    app = app_with(loopback_trusted=True)
    assert delete(app).status_code == 204
    assert delete(app, near="::1", host="[::1]:5000").status_code == 204


@pytest.mark.parametrize(
    "headers",
    [
        {"Referer": "http://localhost:5000/ops", "User_Agent": "curl"},
        {"Referer": "http://localhost:5000", "X_Request_ID": "x"},
        {"Origin": "http://localhost:5000", "Sec_Fetch_Site": "same-origin", "Accept": "*/*"},
        {"Origin": "http://localhost:5000", "Referer": "no URL", "X_Requested_With": "x"},
    ],
)
def test_our_own_pages_may_use_trusted_loopback(app_with: Callable[..., Flask], headers: dict[str, str]) -> None:
    assert delete(app_with(loopback_trusted=True), **headers).status_code == 204


@pytest.mark.parametrize("host", ["127.0.0.7:80", "LOCALHOST", "localhost.:5000", "[::1]"])
def test_every_name_of_this_machine_is_local(app_with: Callable[..., Flask], host: str) -> None:
    assert delete(app_with(loopback_trusted=True), host=host).status_code == 204


ALLOWED = {"allowed_hosts": "images.example,2001:db8::1,other.example:8080", "public_url": "https://bücher.example/x"}


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:5000", "127.0.0.1:5000", "127.1.2.3", "[::1]:5000", "images.example"),
        *("other.example", "IMAGES.example:443", "images.example.", "[2001:db8::1]:80", "xn--bcher-kva.example", None),
    ],
)
@pytest.mark.parametrize("target", [f"/images/{CACHED}", "/healthz", "/nothing/here"])
def test_allowed_hosts_are_answered(app_with: Callable[..., Flask], host: str | None, target: str) -> None:
    assert asked(app_with(**ALLOWED), target, host).status_code in {200, 404}


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.evil.example", "127.1", "["]
)
@pytest.mark.parametrize("target", [f"/images/{CACHED}", f"/images/{CACHED}?any=1", "/", "/jobs", "/nothing/here"])
def test_a_host_of_another_site_is_misdirected(app_with: Callable[..., Flask], host: str, target: str) -> None:
    """Hits of the fast path, too: a page whose name points to this machine must not read them."""
    answer = asked(app_with(**ALLOWED), target, host)
    assert answer.status_code == 421
    assert answer.headers["Cache-Control"] == "no-store"
    assert {"PUBLIC_URL", "ALLOWED_HOSTS"} <= set(answer.get_json()["detail"].split())


@pytest.mark.parametrize("given", [{}, {"public_url": "https://images.example"}, {"allowed_hosts": "a.example,*"}])
def test_without_allowed_hosts_any_is_answered(app_with: Callable[..., Flask], given: dict[str, Any]) -> None:
    assert asked(app_with(**given), f"/images/{CACHED}", "api:5000").status_code == 200


def asked(app: Flask, target: str, host: str | None) -> TestResponse:
    """Send a GET with this `Host` as it is; the test client would correct it."""
    environ = EnvironBuilder(target).get_environ()
    environ.pop("HTTP_HOST", None)
    environ |= {"SERVER_PROTOCOL": "HTTP/1.0"} if host is None else {"HTTP_HOST": host}
    return TestResponse(*run_wsgi_app(app, environ, buffered=True), request=Request(environ))


def test_if_tokens_are_set_loopback_needs_one_too(app_with: Callable[..., Flask]) -> None:
    assert delete(app_with(loopback_trusted=True, api_tokens="one")).status_code == 401


@pytest.mark.parametrize(
    "request_from",
    [
        {"near": FAR},
        {"X_Forwarded_For": "198.51.100.4"},
        {"X_Forwarded_Proto": "http"},
        {"X_Forwarded_Port": "80"},
        {"Forwarded": "for=198.51.100.4"},
        {"Via": "1.1 proxy"},
        *({name: "198.51.100.4"} for name in ("CF_Connecting_IP", "True_Client_IP", "X_Client_IP", "X_Real_IP")),
        *({name: "198.51.100.4"} for name in ("Fastly_Client_IP", "X_Remote_Addr", "X_Original_Forwarded_For")),
        *({name: "x"} for name in ("CF_Ray", "CDN_Loop", "X_ARR_LOG_ID", "X_Amzn_Trace_Id", "X_Scheme")),
        {"host": "mezcal.evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Referer": "http://evil.example/page"},  # browsers before 2020, with a form
        {"Referer": "http://localhost:5000.evil.example/"},
        {"Referer": "http://["},
    ],
)
def test_a_request_that_only_looks_like_loopback_is_refused(
    app_with: Callable[..., Flask], request_from: dict[str, str]
) -> None:
    """A proxy on this machine, a page of another site in its browser, a host name that was made to point here."""
    assert delete(app_with(loopback_trusted=True), **request_from).status_code == 403


@pytest.mark.parametrize(
    ("token", "status"), [(None, 401), ("Bearer reader", 200), ("Bearer writer", 200), ("Bearer x", 401)]
)
@pytest.mark.parametrize("target", [f"/images/{CACHED}", f"/mezzanine/{CACHED}.jpg", "/", "/jobs/x"])
def test_reading_needs_a_token_if_read_tokens_is_set(
    app_with: Callable[..., Flask], target: str, token: str | None, status: int
) -> None:
    """Hits included: the fast path must not bypass the token."""
    app = app_with(read_tokens="reader", api_tokens="writer")
    headers = {} if token is None else {"Authorization": token}
    response = app.test_client().get(target, headers=headers, buffered=True)
    assert response.status_code == (404 if target == "/jobs/x" and status == 200 else status)
    if status == 200 and target.startswith("/images"):
        assert "private" in response.headers["Cache-Control"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("query", ["", "?unknown=1"])
def test_a_hit_is_the_same_whoever_answers_it(app_with: Callable[..., Flask], method: str, query: str) -> None:
    """The fast path and the view answer a hit with the same headers and bytes."""
    client = app_with().test_client()
    response = client.open(f"/images/{CACHED}{query}", method=method, buffered=True)
    other = client.open(f"/images/{CACHED}?another=query", method=method, buffered=True)
    assert response.status_code == 200
    assert response.data == other.data
    for headers in (response.headers, other.headers):
        headers.pop("Date", None)  # the server's to give
        assert headers.pop("X-Request-ID")  # each request has its own
    assert set(response.headers.items()) == set(other.headers.items())


@pytest.mark.parametrize(
    "target",
    ["/?url=file:///x", "/jobs?state=failed", f"/jobs/batch-{'0' * 24}", "/ops", f"/ops/previews/{'0' * 32}.jpg"],
)
def test_no_other_route_leaks_what_may_not_be_read(app_with: Callable[..., Flask], target: str) -> None:
    client = app_with(read_tokens="reader", api_tokens="writer").test_client()
    assert client.get(target).status_code == 401
    assert client.get(target, headers={"Authorization": "Bearer writer"}).status_code != 401


@pytest.mark.parametrize(
    "target",
    [
        *("/healthz", "/readyz", "/openapi.json", "/problems/busy", "/metrics", "/", "/ops", "/nothing/here"),
        *("/jobs?state=failed", "/jobs/x", f"/images/{CACHED}", f"/mezzanine/{CACHED}.jpg", "/images/none.tif"),
    ],
)
def test_every_response_forbids_sniffing(app_with: Callable[..., Flask], target: str) -> None:
    response = app_with().test_client().get(target, headers={"Prefer": "respond-async"}, buffered=True)
    assert response.headers.getlist("X-Content-Type-Options") == ["nosniff"]


def test_no_response_reveals_the_folder_of_the_masters(app_with: Callable[..., Flask]) -> None:
    client = app_with().test_client()
    response = client.get("/?url=https://elsewhere.example/a.tif")
    assert response.status_code == 404
    assert "is not in the repository" in response.get_json()["detail"]
    assert str(SAMPLES) not in response.text + client.get("/").text


@pytest.mark.parametrize("name", ["x", "0" * 31, f"batch-{'0' * 24}:open", f"batch-{'0' * 24}:notes", "*", "A" * 32])
def test_a_malformed_job_id_is_not_found(app_with: Callable[..., Flask], name: str) -> None:
    """The id must not select a key of Redis that is not a job."""
    app = app_with(api_tokens="one")
    table = app.extensions["mezcal"].jobs.table
    table.redis.sadd(table.keys.batch(name), "not a hash")
    client = app.test_client()
    assert client.get(f"/jobs/{name}").status_code == 404
    assert client.post(f"/jobs/{name}/retry", headers={"Authorization": "Bearer one"}).status_code == 404


@pytest.mark.parametrize(
    ("method", "target", "right"),
    [
        ("GET", "/imges/a.tif", "/images/<path>"),
        ("PUT", f"/images/{CACHED}", "not allowed here"),
        ("POST", "/ops/sign-in", "16,384 bytes"),
    ],
)
def test_an_error_says_what_would_be_right(
    app_with: Callable[..., Flask], method: str, target: str, right: str
) -> None:
    response = app_with().test_client().open(target, method=method, data={"a": "b" * 20_000})
    detail = response.get_json()["detail"]
    assert right in detail
    assert method != "PUT" or {"GET", "HEAD", "DELETE"} <= set(detail.replace(",", "").split())


@pytest.mark.parametrize(
    ("target", "status", "heading", "kind", "title"),
    [
        ("/imges/a.tif", 404, "Page not found", "about:blank", "Not Found"),
        ("/nowhere", 404, "Page not found", "about:blank", "Not Found"),
        ("/mezzanine/a.tif", 404, "Page not found", "about:blank", "Not Found"),
        ("/jobs/x", 404, "Not Found", "about:blank", "Not Found"),
        ("/images/", 400, "The request describes no image", "/problems/bad-recipe", "The request describes no image"),
        (
            "/images/a//b",
            400,
            "The request describes no image",
            "/problems/bad-recipe",
            "The request describes no image",
        ),
    ],
)
def test_an_unknown_route_differs_from_a_request_without_a_path(
    app_with: Callable[..., Flask], target: str, status: int, heading: str, kind: str, title: str
) -> None:
    client = app_with().test_client()
    page = client.get(target, headers={"Accept": "text/html"})
    assert page.status_code == status
    assert f"<title>{status}: {heading}</title>" in page.text
    body = client.get(target).get_json()
    assert (body["status"], body["type"], body["title"]) == (status, kind, title)


def failed_job(app: Flask, worker: str, failure: Failure | None = None) -> str:
    """Record a job that failed at *worker*. Returns its key."""
    recipe, table = Mezzanine.parse("broken.tif"), app.extensions["mezcal"].jobs.table
    table.ensure(recipe, Lane.BULK)
    claim = table.begin(recipe.key, worker)
    assert table.fail(claim, failure or Undecodable("no strip can be read"))
    return recipe.key


@pytest.mark.parametrize(
    ("given", "address", "headers", "shown"),
    [
        ({"api_tokens": "one"}, FAR, {"Authorization": "Bearer one"}, True),
        ({"api_tokens": "one"}, FAR, {"Authorization": "Bearer two"}, False),
        ({"api_tokens": "one"}, NEAR, {}, False),
        ({"api_tokens": "one", "read_tokens": "look"}, FAR, {"Authorization": "Bearer look"}, False),
        ({"loopback_trusted": True}, NEAR, {}, True),
        ({"loopback_trusted": True}, NEAR, {"X-Forwarded-For": FAR}, False),
        ({"loopback_trusted": True}, FAR, {}, False),
        ({}, NEAR, {}, False),
    ],
)
def test_the_worker_of_a_job_is_shown_only_to_clients_that_may_change_state(
    app_with: Callable[..., Flask], given: dict[str, Any], address: str, headers: dict[str, str], shown: bool
) -> None:
    app = app_with(**given)
    key = failed_job(app, "inner-host:4242")
    for target in (f"/jobs/{key}", "/jobs?state=failed"):
        response = app.test_client().get(
            target, base_url="http://127.0.0.1:5000", headers=headers, environ_overrides={"REMOTE_ADDR": address}
        )
        assert response.status_code == 200
        body = response.get_json()
        (past,) = (body["jobs"][0] if "jobs" in body else body)["history"]
        assert (past["attempt"], past.get("worker")) == (1, "inner-host:4242" if shown else None)
        assert ("inner-host" in response.text) is shown


@pytest.mark.parametrize("trusted", [True, False])
def test_jobs_of_recipes_of_another_version_are_listed(app_with: Callable[..., Flask], *, trusted: bool) -> None:
    app = app_with(loopback_trusted=trusted)
    key = failed_job(app, "host:1")
    table = app.extensions["mezcal"].jobs.table
    table.redis.hset(table.keys.job(key), "recipe", '{"kind": "mezzanine", "path": "../x.tif"}')
    response = app.test_client().get("/jobs?state=failed", base_url="http://127.0.0.1:5000")
    assert [job["image"] for job in response.get_json()["jobs"]] == [None]


def test_failed_masters_are_listed_behind_failed_frames(
    app_with: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.routes.jobs.PAGE", 1)
    app = app_with(api_tokens="one")
    table = app.extensions["mezcal"].jobs.table
    for name, kind in (("a.tif", "mezzanine"), ("b.tif", "thumbnail"), ("c.tif", "thumbnail")):
        recipe = Mezzanine.parse(name)
        table.ensure(recipe, Lane.BULK)
        table.fail(table.begin(recipe.key, "host:1"), Undecodable("no strip can be read"))
        table.redis.hset(table.keys.job(recipe.key), "recipe", json.dumps(recipe.as_json() | {"kind": kind}))
        table.redis.zadd(table.keys.failed, {recipe.key: time.time() * 1000 + 1e6 * ord(name[0])})
    stranger, operator = of_stranger_and_operator(app, "/jobs?state=failed&limit=1")
    masters, everything = (response.get_json()["jobs"] for response in (stranger, operator))
    assert [job["id"] for job in masters] == [Mezzanine.parse("a.tif").key]
    assert [job["id"] for job in everything] == [Mezzanine.parse("c.tif").key]


def test_caches_know_that_a_job_depends_on_the_authorization(app_with: Callable[..., Flask]) -> None:
    app = app_with(api_tokens="one")
    target, client = f"/jobs/{failed_job(app, 'inner-host:4242')}", app.test_client()
    authorized, anonymous = client.get(target, headers={"Authorization": "Bearer one"}), client.get(target)
    assert authorized.headers["ETag"] != anonymous.headers["ETag"]
    assert {response.headers["Vary"] for response in (authorized, anonymous)} == {"Authorization, Accept"}


BROWSER = {"Accept": "text/html,*/*;q=0.8"}


def of_stranger_and_operator(app: Flask, target: str, **headers: str) -> list[TestResponse]:
    """Returns the responses to a client without a token and to one with it."""
    client = app.test_client()
    return [client.get(target, headers=headers | more) for more in ({}, {"Authorization": "Bearer one"})]


def test_only_an_operator_learns_the_next_step_and_the_folder(
    app_with: Callable[..., Flask],
) -> None:
    app = app_with(api_tokens="one")
    failed_job(app, "inner-host:4242", MasterMissing("the folder has no such file"))
    stranger, operator = (response.get_json() for response in of_stranger_and_operator(app, "/images/broken.tif"))
    assert stranger["advice"] == operator["advice"]
    assert "broken.tif" in stranger["advice"]
    assert not {"operator", "next_step"} & set(stranger)
    assert f"{SAMPLES.as_uri()}/broken.tif" in operator["operator"]
    assert f"mezcal failures --forget {stranger['job']}" in operator["next_step"]
    assert time.time() < stranger["remembered_until"] < time.time() + 200


def test_a_folder_in_the_text_of_a_failure_is_shown_to_operators_only(app_with: Callable[..., Flask]) -> None:
    app = app_with(api_tokens="one")
    key = failed_job(app, "inner-host:4242", OriginRedirectRefused("the repository redirects to inner-host:8080"))
    for target in (f"/jobs/{key}", "/jobs?state=failed", "/images/broken.tif"):
        stranger, operator = of_stranger_and_operator(app, target)
        assert "inner-host:8080" not in stranger.text
        assert "inner-host:8080" in operator.text
        (stranger, operator) = of_stranger_and_operator(app, target, **BROWSER)
        assert ("inner-host:8080" in stranger.text, "inner-host:8080" in operator.text) == (False, True)


def test_guesses_at_the_token_that_shows_details_are_limited(app_with: Callable[..., Flask]) -> None:
    app = app_with(api_tokens="one", metrics_token="meter")
    target = f"/jobs/{failed_job(app, 'inner-host:4242')}"

    def shown(token: str, client: str = FAR) -> bool:
        headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": client}
        return "inner-host" in app.test_client().get(target, headers=headers).text

    assert shown("one")
    assert not any(shown("meter") for _ in range(IGNORED_AFTER + 1))
    assert shown("one"), "a token for another thing is no guess"
    assert not any(shown("guess") for _ in range(IGNORED_AFTER + 1))
    assert not shown("one"), "nor after a right one: the client may share its address"
    assert shown("one", "192.0.2.8")
    assert delete(app, Authorization="Bearer one", X_Forwarded_For=FAR).status_code == 204


def test_a_response_with_many_details_counts_a_wrong_token_once(app_with: Callable[..., Flask]) -> None:
    app = app_with(api_tokens="one")
    failed_job(app, "inner-host:4242")
    counted: list[str] = []
    app.extensions["mezcal"].detail_attempts.wrong = counted.append
    for target in ("/jobs?state=failed", "/images/broken.tif"):
        counted.clear()
        app.test_client().get(target, headers={"Authorization": "Bearer guess"})
        assert len(counted) == 1


def test_a_folder_in_a_note_of_a_batch_is_shown_to_operators_only(app_with: Callable[..., Flask]) -> None:
    app = app_with(api_tokens="one")
    batches = app.extensions["mezcal"].jobs.batches
    name = batches.post(["a.tif", "b.tif", "c.tif"]).name
    reasons = [
        "origin-redirect-refused: the repository redirects to inner-host:8080",
        "undecodable: no strip can be read",
    ]
    notes = [Note(place, "failed", "a.tif", reason) for place, reason in enumerate(reasons)]
    batches.note(name, [*notes, Note(2, "ignored", "c", "its path does not match WEBHOOK_PATHS")])
    stranger, operator = of_stranger_and_operator(app, f"/jobs/{name}")
    assert ("inner-host:8080" in stranger.text, "inner-host:8080" in operator.text) == (False, True)
    assert sorted(note["reason"] for note in operator.get_json()["notes"]) == sorted(
        [*reasons, "its path does not match WEBHOOK_PATHS"]
    )
    shown = {note["reason"] for note in stranger.get_json()["notes"]}
    assert {"undecodable: no strip can be read", "its path does not match WEBHOOK_PATHS"} < shown


def test_a_job_is_a_page_for_people_and_its_history_is_text(app_with: Callable[..., Flask]) -> None:
    app = app_with(api_tokens="one")
    key = failed_job(app, "inner-host:4242")
    stranger, operator = of_stranger_and_operator(app, f"/jobs/{key}", **BROWSER)
    assert stranger.mimetype == operator.mimetype == "text/html"
    assert "No strip can be read." in stranger.text
    assert ("inner-host" in stranger.text, "inner-host" in operator.text) == (False, True)
    (past,) = app.test_client().get(f"/jobs/{key}").get_json()["history"]
    assert (past["what"], past["class"]) == ("no strip can be read", "undecodable")


def test_the_operators_page_of_a_job_has_its_worker_and_a_form_that_retries_it(app_with: Callable[..., Flask]) -> None:
    app = app_with(api_tokens="one")
    target, client = f"/ops/jobs/{failed_job(app, 'inner-host:4242')}", app.test_client()
    assert client.get(target).status_code == 401
    client.post("/ops/sign-in", data={"token": "one"})
    page = client.get(target)
    assert "inner-host:4242" in page.text
    assert "Next step." in page.text
    assert "Retry after the change" in page.text
    assert client.get("/ops/jobs/nothing").status_code == 404


@pytest.mark.parametrize("kind", kinds())
def test_every_type_of_problem_has_a_page(app_with: Callable[..., Flask], kind: type[Failure]) -> None:
    client = app_with().test_client()
    page, described = client.get(f"/problems/{kind.slug}", headers=BROWSER), client.get(f"/problems/{kind.slug}")
    assert (page.status_code, page.mimetype, described.mimetype) == (200, "text/html", "application/json")
    assert escape(kind.title, quote=False) in page.text.replace("&#39;", "'")
    assert described.get_json()["status"] == kind.status
