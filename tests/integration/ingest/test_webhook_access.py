"""Who may report events: closed until a variable opens it, which the refusal names."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from api import create_app
from api.security import body_limits
from mezcal.settings import WrongSetting, load
from tests.support.signed import event, signed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flask.testing import FlaskClient

    from tests.support.broker import Broker

BODY = event("updated", "a.tif")
NEAR, FAR = {"REMOTE_ADDR": "127.0.0.1"}, {"REMOTE_ADDR": "192.0.2.7"}
BEARER = {"Authorization": "Bearer one"}


@pytest.fixture
def client_with(broker: Broker, tmp_path: Path) -> Callable[..., FlaskClient]:
    def make(**given: Any) -> FlaskClient:
        fixed = {"_env_file": None, "storage_dir": tmp_path, "repo_base_url": "http://repository.example/"}
        where = {"redis_url": broker.url, "key_prefix": f"{uuid4().hex}:"}
        return create_app(load(**fixed | where | given)).test_client()

    return make


def sent(client: FlaskClient, headers: dict[str, str] | None = None, near: dict[str, str] = FAR) -> Any:
    return client.post("/webhooks/standard", data=BODY, headers=headers or {}, environ_base=near)


def test_with_nothing_set_events_are_refused_and_the_variables_named(client_with: Callable[..., FlaskClient]) -> None:
    answer = sent(client_with(), signed(BODY, "secret"))
    assert answer.status_code == 403
    assert "WEBHOOK_SECRETS" in answer.get_json()["detail"]


@pytest.mark.parametrize("given", [{"webhook_secrets": "s"}, {"webhook_tokens": "t"}, {"webhook_logins": "u:p"}])
def test_with_anything_set_events_need_it_from_loopback_too(
    client_with: Callable[..., FlaskClient], given: dict[str, str]
) -> None:
    assert sent(client_with(loopback_trusted=True, **given), near=NEAR).status_code == 401


def test_loopback_is_let_in_where_it_is_trusted_and_nothing_is_set(client_with: Callable[..., FlaskClient]) -> None:
    client = client_with(loopback_trusted=True)
    assert sent(client, near=NEAR).status_code == 202
    assert sent(client, near=FAR).status_code == 403
    assert sent(client, {"Origin": "http://evil.example"}, near=NEAR).status_code == 403


def test_tokens_of_the_api_open_and_those_of_readers_do_not(client_with: Callable[..., FlaskClient]) -> None:
    assert sent(client_with(api_tokens="one"), BEARER).status_code == 202
    assert sent(client_with(read_tokens="one", api_tokens="two"), BEARER).status_code == 401


@pytest.mark.parametrize("secret", ["first", "second", "whsec_dGhpcmQ="])
def test_each_of_several_keys_verifies(client_with: Callable[..., FlaskClient], secret: str) -> None:
    client = client_with(webhook_secrets="first,second,whsec_dGhpcmQ=")
    assert sent(client, signed(BODY, secret)).status_code == 202
    assert sent(client, signed(BODY, "another")).status_code == 401


@pytest.mark.parametrize("given", [{"webhook_secrets": "whsec_?"}, {"webhook_logins": "user"}])
def test_keys_that_cannot_be_used_stop_the_start_and_are_not_shown(given: dict[str, str]) -> None:
    with pytest.raises(WrongSetting) as wrong:
        load(_env_file=None, **given)
    assert next(iter(given)).upper() in str(wrong.value)
    assert "?" not in str(wrong.value)


def test_a_broker_that_is_away_has_the_producer_send_it_again(
    client_with: Callable[..., FlaskClient], tmp_path: Path
) -> None:
    away = client_with(redis_url=f"redis+socket://{tmp_path}/none.sock", webhook_tokens="one", api_tokens="one")
    for answer in (sent(away, BEARER), away.post("/jobs", json=["a.tif"], headers=BEARER)):
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0


def test_an_event_that_could_not_be_noted_is_not_taken_for_known(
    client_with: Callable[..., FlaskClient], tmp_path: Path
) -> None:
    headers = signed(BODY, "s")
    assert (
        sent(client_with(redis_url=f"redis+socket://{tmp_path}/none.sock", webhook_secrets="s"), headers).status_code
        == 503
    )
    client = client_with(webhook_secrets="s")
    assert [sent(client, headers).status_code for _ in range(2)] == [202, 200]


def test_bodies_of_unknown_clients_are_limited_and_delay_no_others(client_with: Callable[..., FlaskClient]) -> None:
    """A made-up signature has the body read before it is known to be made up."""
    client = client_with(webhook_secrets="s", webhook_tokens="one", api_tokens="two")
    with ExitStack() as others:
        for number in range(32):
            others.enter_context(body_limits.signed_events.held(f"client {number}", None))
        refused = sent(client, signed(BODY, "s"))
        assert (refused.status_code, refused.get_json()["type"]) == (503, "/problems/busy")
        assert int(refused.headers["Retry-After"]) > 0
        assert client.post("/ops/sign-in", data={"token": "two"}).status_code == 303
        assert sent(client, BEARER).status_code == 202
    assert sent(client, signed(BODY, "made up")).status_code == 401
    assert sent(client, signed(BODY, "s")).status_code == 202


@pytest.mark.parametrize("wrong", ["Bearer wrong", "Basic dTp3cm9uZw=="])
def test_wrong_tokens_and_logins_of_producers_are_limited(client_with: Callable[..., FlaskClient], wrong: str) -> None:
    client = client_with(webhook_logins="u:p", webhook_tokens="one", webhook_secrets="s")
    answers = [sent(client, {"Authorization": wrong}) for _ in range(12)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 2
    assert sent(client, BEARER).status_code == 202
    assert sent(client, signed(BODY, "s")).status_code == 202


def test_what_stands_in_headers_is_not_believed_for_a_signature_that_covers_the_body(
    client_with: Callable[..., FlaskClient],
) -> None:
    client = client_with(webhook_secrets="s", webhook_tokens="one")
    body = json.dumps({"path": "a.tif"}).encode()
    attributes = {"ce-specversion": "1.0", "ce-id": uuid4().hex, "ce-source": "x", "ce-type": "master.deleted"}
    refused = client.post("/webhooks/cloudevents", data=body, headers=signed(body, "s") | attributes)
    assert refused.status_code == 401
    assert "structured" in refused.get_json()["detail"]
    assert client.post("/webhooks/cloudevents", data=body, headers=BEARER | attributes).status_code == 202


def test_a_signed_message_is_known_at_every_address(client_with: Callable[..., FlaskClient]) -> None:
    client = client_with(webhook_secrets="s")
    head = {"specversion": "1.0", "id": "1", "source": "x", "type": "master.updated"}
    body = json.dumps(head | {"data": {"path": "a.tif"}}).encode()
    headers = signed(body, "s")
    forms = ("cloudevents", "standard", "cloudevents")
    answers = [client.post(f"/webhooks/{form}", data=body, headers=headers) for form in forms]
    assert [answer.status_code for answer in answers] == [202, 200, 200]
    assert len({answer.get_json()["batch"] for answer in answers}) == 1
