"""Hooks are notified of changes: what they get, and what follows when they do not accept it."""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from api.security.webhook_signatures import verify
from mezcal.checks import Severity
from mezcal.checks.downstream import hook_check
from mezcal.commands.operator import downstream as command
from mezcal.downstream import delivery
from mezcal.ingest.purge import others_to_remake, purge
from mezcal.notices.conditions import present
from mezcal.recipe import PYRAMID, Mezzanine
from mezcal.telemetry.gauges import Gauges
from tests.support.hook_server import HookServer, hook_server
from tests.support.notice_receiver import SECRET
from tests.unit.downstream.installed import Installed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mezcal.settings import Settings

MASTER = Mezzanine("a b/1.tif")


@pytest.fixture
def hook() -> Iterator[HookServer]:
    with hook_server() as server:
        yield server


def test_cantaloupe_is_told_to_drop_the_image_of_the_identifier(
    hook: HookServer, settings_with: Callable[..., Settings]
) -> None:
    hook.status = 202
    here = Installed(
        settings_with(f"cantaloupe+http://admin:p%40ss@{hook.host}/tasks?identifier=fcrepo:{{path}}&again=0")
    )
    here.jobs.downstream.add([MASTER])
    here.delivery.run()
    (told,) = hook.told
    assert (told.method, told.target, told.headers["content-type"]) == ("POST", "/tasks", "application/json")
    assert json.loads(told.body) == {"verb": "PurgeItemFromCache", "identifier": "fcrepo:a b/1.tif"}
    assert told.headers["authorization"] == "Basic YWRtaW46cEBzcw=="
    assert here.waiting == 0


def test_a_cache_is_told_to_purge_every_url_under_each_of_its_names(
    hook: HookServer, settings_with: Callable[..., Settings]
) -> None:
    hook.statuses = [404, 412]  # of modules of nginx: not cached
    here = Installed(settings_with(f"purge+http://{hook.host}?host=a.example&host=b.example&again=0"))
    here.jobs.downstream.add([Mezzanine("1.tif"), Mezzanine("1.tif", 2, PYRAMID)])
    here.delivery.run()
    named = {told.headers["host"] for told in hook.told}
    assert named == {"a.example", "b.example"}
    paths = ["/images/1.tif", "/mezzanine/1.tif.jpg", "/derivatives/mezzanine/1.tif.jpg"]
    paths.append("/derivatives/pyramid/1.tif.tif?page=2")
    assert sorted(set(hook.targets("PURGE"))) == sorted(paths)
    assert here.waiting == 0


def test_a_receiver_gets_a_signed_call_that_tells_what_is_stored_now(
    hook: HookServer, settings_with: Callable[..., Settings]
) -> None:
    here = Installed(settings_with(f"webhook+http://{hook.host}/changes"))
    here.jobs.downstream.add([MASTER])
    hook.statuses = [500]
    here.delivery.run()
    here.jobs.downstream.retry(here.address.name)
    here.delivery.run()
    first, second = hook.told
    verify(second.headers, second.body, [SecretStr(SECRET)], time.time())
    assert first.headers["webhook-id"] == second.headers["webhook-id"], "the receiver can tell a repeated call"
    call = json.loads(second.body)
    assert call["type"] == "mezcal.derivative.deleted", "there is none"
    assert call["data"] == {
        "path": "a b/1.tif",
        "page": None,
        "profile": "mezzanine",
        "key": MASTER.key,
        "url": "/images/a%20b/1.tif",
    }


def test_a_hook_is_told_of_its_profiles_alone(hook: HookServer, settings_with: Callable[..., Settings]) -> None:
    here = Installed(settings_with(f"purge+http://{hook.host}?profile=pyramid&again=0"))
    here.jobs.downstream.add([MASTER, Mezzanine("1.tif", None, PYRAMID)])
    here.delivery.run()
    assert hook.targets("PURGE") == ["/derivatives/pyramid/1.tif.tif"]
    assert here.waiting == 0


def test_a_refused_change_is_delayed_and_others_are_told(
    hook: HookServer, settings_with: Callable[..., Settings]
) -> None:
    here = Installed(settings_with(f"cantaloupe+http://{hook.host}/tasks?again=0"))
    here.jobs.downstream.add([MASTER, Mezzanine("2.tif")])
    hook.statuses = [400]
    here.delivery.run()
    assert len(hook.told) == 2
    assert here.waiting == 1


def test_a_hook_that_cannot_be_reached_costs_one_attempt_and_is_told_of_all_later(
    settings_with: Callable[..., Settings],
) -> None:
    with hook_server() as gone:
        host = gone.host
    here = Installed(settings_with(f"purge+http://{host}?again=0"))
    here.jobs.downstream.add([Mezzanine(f"{number}.tif") for number in range(30)])
    assert not here.delivery.run()
    assert not here.delivery.run(), "it rests"
    assert here.waiting == 30
    with hook_server(int(host.partition(":")[2])) as back:
        here.jobs.downstream.retry(here.address.name)
        while here.delivery.run():
            pass
        assert len(set(back.targets("PURGE"))) == 90
    assert here.waiting == 0


def test_a_change_is_given_up_after_a_day_listed_and_needs_a_person(
    hook: HookServer,
    settings_with: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = settings_with(f"cantaloupe+http://{hook.host}/tasks?again=0")
    here = Installed(settings)
    monkeypatch.setattr(delivery, "PATIENCE_SECONDS", -1.0)
    hook.status = 403
    here.jobs.downstream.add([MASTER])
    here.delivery.run()
    assert here.waiting == 0
    settings.cache_dir.mkdir(parents=True, exist_ok=True)
    conditions = {each.name: each for each in present(here.jobs, here.store, settings, set())}
    assert "was not notified of 1 changes" in conditions[f"downstream-failed:{here.address.name}"].sentence
    assert conditions[f"downstream-away:{here.address.name}"].grace == 300
    samples = {
        sample.name: sample.value
        for metric in Gauges(here.jobs, here.store, settings.data_dir, settings.hooks).collect()
        for sample in metric.samples
        if "hook" in sample.labels
    }
    assert samples == {"mezcal_waiting_changes": 0, "mezcal_undelivered_changes": 1, "mezcal_downstream_up": 0}
    monkeypatch.setattr(command, "settings_with_broker", lambda _: settings)
    assert command.run(options()) == 1
    listed = capsys.readouterr().out
    assert "1 given up" in listed
    assert "a b/1.tif" in listed
    assert "answered 403" in listed
    hook.status = 202
    assert command.run(options(retry=True)) == 0
    here.delivery.run()
    assert command.run(options()) == 0
    assert here.waiting == 0


def options(*, retry: bool = False) -> Any:
    return argparse.Namespace(retry=retry, json=False)


def test_a_deletion_is_told_of_although_nothing_was_stored(
    hook: HookServer, settings_with: Callable[..., Settings]
) -> None:
    """It may have been evicted here, and not there."""
    here = Installed(settings_with(f"purge+http://{hook.host}?again=0"))
    assert not purge(MASTER, here.jobs, here.store)
    here.delivery.run()
    assert "/images/a%20b/1.tif" in hook.targets("PURGE")


def test_pages_of_a_changed_master_that_are_not_stored_are_told_of(
    hook: HookServer, settings_with: Callable[..., Settings]
) -> None:
    here = Installed(settings_with(f"purge+http://{hook.host}?again=0"))
    others_to_remake(MASTER, [], [Mezzanine(MASTER.path, 4)], here.jobs, here.store)
    here.delivery.run()
    assert "/images/a%20b/1.tif?page=4" in hook.targets("PURGE")


def test_a_check_reaches_a_hook_and_purges_nothing(hook: HookServer, settings_with: Callable[..., Settings]) -> None:
    settings = settings_with(f"purge+http://{hook.host}")
    finding = hook_check(settings, settings.hooks[0]).run()
    assert (finding.level, finding.detail) == (Severity.OK, f"purge {hook.host} answers 204")
    assert [told.method for told in hook.told] == ["OPTIONS"]
    with hook_server() as gone:
        host = gone.host
    settings = settings_with(f"purge+http://u:hidden@{host}")
    finding = hook_check(settings, settings.hooks[0]).run()
    assert finding.level is Severity.FAILED
    assert "cannot be reached" in finding.detail
    assert "hidden" not in finding.detail
