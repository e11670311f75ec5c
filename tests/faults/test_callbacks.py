"""A receiver is told of every ended job, although processes are killed and the receiver itself is away."""

from __future__ import annotations

import json
import os
import random
from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.support.environment import BEARER
from tests.support.hook_server import HookServer, hook_server
from tests.support.notice_receiver import SECRET
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.support.environment import FaultEnvironment

EVENTS = "event=made&event=failed&event=quarantined"


@pytest.fixture(scope="module")
def receiver() -> Iterator[HookServer]:
    with hook_server() as server:
        yield server


@pytest.fixture(scope="module")
def given(receiver: HookServer) -> dict[str, str]:
    """Tell one receiver of all jobs, and one of those of lists that call it."""
    hooks = f"webhook+http://{receiver.host}/all?{EVENTS},webhook+http://{receiver.host}/called?name=catalogue"
    return {"DOWNSTREAM_URLS": hooks, "DOWNSTREAM_SECRET": SECRET, "MAX_ATTEMPTS": "20"}


def calls(receiver: HookServer, target: str, path: str) -> list[tuple[str, dict[str, Any]]]:
    """Returns what was told of *path*, in the order of arrival: the id, and the call."""
    found = [
        (told.headers["webhook-id"], json.loads(told.body)) for told in list(receiver.told) if told.target == target
    ]
    return [(message, call) for message, call in found if call["data"]["path"] == path]


def states(receiver: HookServer, target: str, path: str) -> list[str]:
    """Returns the states of *path* as they were told, without repeated calls."""
    told = [(message, call["type"].rpartition(".")[2]) for message, call in calls(receiver, target, path)]
    return [state for (_, state), _ in groupby(told)]


def order(environment: FaultEnvironment, paths: list[str], query: str = "") -> str:
    answer = environment.installation.request(f"/jobs{query}", "POST", json=paths, headers=BEARER)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["batch"])


def test_a_list_calls_a_receiver_by_the_name_that_the_settings_give_it(
    environment: FaultEnvironment, receiver: HookServer
) -> None:
    path, script = environment.master(status=404, fails=-1)
    url = f"/jobs?callback=http://{receiver.host}/"
    answer = environment.installation.request(url, "POST", json=[path], headers=BEARER)
    assert answer.status_code == 400
    assert "it may be catalogue" in answer.json()["detail"]
    receiver.statuses = [500, 503]
    batch = order(environment, [path], "?callback=catalogue")
    for target in ("/all", "/called"):
        until(lambda target=target: states(receiver, target, path) == ["failed"], 30, f"the failure at {target}")
        data = calls(receiver, target, path)[0][1]["data"]
        assert (data["class"], data["batches"]) == ("master-missing", [batch])
    script.fails = 0
    job = calls(receiver, "/all", path)[0][1]["data"]["job"]
    retried = environment.installation.request(f"/jobs/{job}/retry", "POST", headers=BEARER)
    assert retried.status_code == 202
    until(lambda: states(receiver, "/all", path) == ["failed", "made"], 30, "the derivative")
    stored = environment.installation.stored(path)
    made = calls(receiver, "/all", path)[-1][1]["data"]
    assert stored is not None
    assert made["etag"] == stored.etag
    assert len(made["sha256"]) == 64
    assert states(receiver, "/called", path) == ["failed"], "no list waits for it any more"


class Killer:
    """Kills a process each time that *progress* has grown, *most* times."""

    def __init__(self, environment: FaultEnvironment, most: int) -> None:
        self.environment, self.left, self.reached = environment, most, -1
        self.chance = random.Random(most)

    def look(self, progress: int) -> None:
        if progress <= self.reached or not self.left:
            return
        self.reached, self.left = progress, self.left - 1
        victims = self.environment.pool() if self.chance.random() < 0.7 else self.environment.installation.workers()
        with suppress(ProcessLookupError, IndexError):
            os.kill(self.chance.choice(victims), 9)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [12, pytest.param(300, marks=pytest.mark.slow)])
def test_every_ended_job_is_told_of_while_processes_are_killed(
    environment: FaultEnvironment, receiver: HookServer, number: int
) -> None:
    killer = Killer(environment, number // 4)
    masters = dict(environment.master() for _ in range(number))
    missing = set(list(masters)[::4])
    for path in missing:
        masters[path].status, masters[path].fails = 404, -1
    receiver.statuses = [500, 503, 500]
    order(environment, list(masters), "?callback=catalogue")

    def told(target: str) -> int:
        count = sum(bool(states(receiver, target, path)) for path in masters)
        killer.look(count)
        return count

    for target in ("/all", "/called"):
        until(lambda target=target: told(target) == number, 240, f"every end at {target}")
        for path in masters:
            assert states(receiver, target, path) == ["failed" if path in missing else "made"], path
            assert len({message for message, _ in calls(receiver, target, path)}) == 1, "a repeated call has its id"
    environment.assert_clean()
