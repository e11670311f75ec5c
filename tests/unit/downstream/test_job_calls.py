"""Receivers are told of jobs that have ended, by signed calls."""

from __future__ import annotations

import json
import re
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from api.security.webhook_signatures import verify
from mezcal.downstream import hold, http_hooks
from mezcal.errors import MasterMissing
from mezcal.jobs import Lane
from mezcal.jobs.state.records import QueueRequest
from mezcal.recipe import Frame, Mezzanine, Thumbnail, ThumbnailOptions
from tests import ROOT
from tests.support.hook_server import HookServer, Told, hook_server
from tests.support.notice_receiver import SECRET
from tests.support.store_contract import put
from tests.support.waiting import until
from tests.unit.downstream.installed import Installed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mezcal.errors import Failure
    from mezcal.recipe import Recipe
    from mezcal.settings import Settings

MASTER = Mezzanine("a b/1.tif", 2)
EVENTS = "event=made&event=failed&event=quarantined"


@pytest.fixture
def receiver() -> Iterator[HookServer]:
    with hook_server() as server:
        yield server


@pytest.fixture
def here(receiver: HookServer, settings_with: Callable[..., Settings]) -> Installed:
    return Installed(settings_with(f"webhook+http://{receiver.host}/jobs?{EVENTS}"))


def end(here: Installed, recipe: Recipe, failure: Failure | None = None) -> None:
    """Have a job end as one of a worker does."""
    table = here.jobs.table
    table.queue([QueueRequest(recipe)], Lane.BULK)
    claim = table.begin(recipe.key, "w1")
    assert claim is not None
    assert table.fail(claim, failure) if failure else table.finish(claim)


def calls(server: HookServer) -> list[dict[str, Any]]:
    return [json.loads(told.body) for told in list(server.told)]


def test_a_made_derivative_is_described_as_it_is_stored(here: Installed, receiver: HookServer) -> None:
    put(here.store, recipe=MASTER)
    stored = here.store.describe(MASTER)
    assert stored is not None
    assert stored.sidecar is not None
    end(here, MASTER)
    here.delivery.run()
    (told,) = receiver.told
    verify(told.headers, told.body, [SecretStr(SECRET)], time.time())
    call = json.loads(told.body)
    data = call["data"]
    assert call["type"] == "mezcal.job.made"
    assert (data["path"], data["page"], data["profile"]) == ("a b/1.tif", 2, "mezzanine")
    assert (data["job"], data["url"]) == (MASTER.key, "/images/a%20b/1.tif?page=2")
    assert (data["etag"], data["bytes"]) == (stored.stored.etag, stored.stored.size)
    described = (data["sha256"], data["recipe_version"], data["width"])
    assert described == (stored.sidecar.sha256, stored.sidecar.recipe_version, stored.sidecar.width)
    assert (data["class"], data["reason"], data["batches"]) == (None, None, [])


def test_a_failure_has_its_class_and_reason_and_the_same_id_when_it_is_repeated(
    here: Installed, receiver: HookServer
) -> None:
    receiver.statuses = [500]
    end(here, MASTER, MasterMissing("no such file"))
    here.delivery.run()
    here.jobs.downstream.retry(here.address.name)
    here.delivery.run()
    first, second = receiver.told
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    call = json.loads(second.body)
    assert call == json.loads(first.body)
    assert call["type"] == "mezcal.job.failed"
    assert (call["data"]["class"], call["data"]["reason"]) == ("master-missing", "no such file")
    assert call["data"]["sha256"] is None
    assert here.waiting == 0


def test_a_thumbnail_is_named_by_its_frames(here: Installed, receiver: HookServer) -> None:
    end(here, Thumbnail((Frame(17, "a.fits", "v"),), ThumbnailOptions.parse({})))
    here.delivery.run()
    (call,) = calls(receiver)
    assert (call["data"]["frames"], call["data"]["path"], call["data"]["profile"]) == ([17], None, "thumbnail")


def test_a_receiver_of_jobs_is_told_of_no_changes_and_the_other_way_round(
    here: Installed,
    receiver: HookServer,
    settings_with: Callable[..., Settings],
) -> None:
    here.jobs.notify_downstream([MASTER])
    assert here.waiting == 0
    there = Installed(settings_with(f"webhook+http://{receiver.host}/changes?event=replaced&prefix=a"))
    there.jobs.downstream.add([MASTER, Mezzanine("b.tif")])
    end(there, MASTER)
    there.delivery.run()
    assert there.waiting == 0
    assert receiver.told == [], "it is deleted, and the other has another path"


@pytest.mark.parametrize(("status", "seconds"), [(410, 3600), (503, 2), (429, 2)])
def test_a_receiver_that_wants_no_calls_now_is_left_alone(
    here: Installed, receiver: HookServer, status: int, seconds: float
) -> None:
    """After 410 for an hour: by Standard Webhooks, nothing more is wanted. A person says which of the two is wrong."""
    receiver.status = status
    for number in range(30):
        end(here, Mezzanine(f"{number}.tif"))
    assert not here.delivery.run()
    assert not here.delivery.run()
    assert len(receiver.told) <= 4, "those that were under way"
    rests = here.jobs.table.redis.hmget(here.jobs.table.keys.of_hook(here.address.name)["fault"], "at", "until")
    at, until_then = map(float, rests)
    assert (until_then - at) / 1000 >= seconds
    receiver.status = 204
    here.jobs.downstream.retry(here.address.name)
    while here.delivery.run():
        pass
    assert here.waiting == 0
    assert len({call["data"]["path"] for call in calls(receiver)}) == 30


def test_calls_of_one_image_are_in_order_while_others_are_sent_at_the_same_time(
    here: Installed, receiver: HookServer
) -> None:
    under_way, most = [0], [0]
    lock = threading.Lock()

    def count(_: Told) -> None:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        until(lambda: most[0] > 1, 5, "another call")
        with lock:
            under_way[0] -= 1

    receiver.before = count
    for number in range(8):
        end(here, Mezzanine(f"{number}.tif"))
    here.delivery.run()
    assert most[0] > 1
    assert len(receiver.told) == 8


def test_a_process_that_has_lost_its_hold_sends_nothing_more(
    here: Installed, receiver: HookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was frozen: another process sends by now, and what this one would send may be old."""
    monkeypatch.setattr(hold, "HELD_SECONDS", 0.3)
    keys = here.jobs.table.keys.of_hook(here.address.name)
    for number in range(20):
        end(here, Mezzanine(f"{number}.tif"))

    def lose(_: Told) -> None:
        here.jobs.table.redis.set(keys["holder"], "another", px=60_000)
        with suppress(AssertionError):
            until(lambda: False, 0.5)

    receiver.before = lose
    assert not here.delivery.run()
    assert len(receiver.told) <= 4
    assert here.jobs.table.redis.get(keys["holder"]) == "another"


def test_a_slow_receiver_is_left_alone_and_told_later(
    here: Installed, receiver: HookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_hooks, "ANSWER_SECONDS", 0.2)
    go = threading.Event()
    receiver.before = lambda _: go.wait(10) and None
    end(here, MASTER)
    assert not here.delivery.run()
    assert here.waiting == 1
    go.set()
    here.jobs.downstream.retry(here.address.name)
    here.delivery.run()
    assert here.waiting == 0


def test_the_receiver_of_the_docs_accepts_a_signed_call_and_refuses_another(
    here: Installed, receiver: HookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example is run as it stands in docs/callbacks.md."""
    end(here, MASTER, MasterMissing("no such file"))
    here.delivery.run()
    (told,) = receiver.told
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "callbacks.md").read_text(), re.DOTALL)
    monkeypatch.setenv("DOWNSTREAM_SECRET", SECRET)
    names: dict[str, Any] = {"__name__": "receiver"}
    exec(compile(example, "docs/callbacks.md", "exec"), names)
    client = names["app"].test_client()
    headers = {name: value for name, value in told.headers.items() if name.startswith(("webhook-", "content-type"))}
    assert client.post("/mezcal", data=told.body, headers=headers).status_code == 204
    assert client.post("/mezcal", data=told.body + b" ", headers=headers).status_code == 401
