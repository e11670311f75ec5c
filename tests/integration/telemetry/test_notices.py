"""A worker sends notices of what needs a person."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING
from uuid import uuid4

from mezcal.jobs import Jobs
from tests.support.notice_receiver import SECRET, notice_receiver
from tests.support.roles import MEZCAL, Installation, bare_environment
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.broker import Broker


def test_a_worker_tells_once_when_something_needs_a_person_and_once_when_it_is_over(
    broker: Broker, tmp_path: Path
) -> None:
    with notice_receiver() as receiver:
        given = {"REDIS_URL": broker.url, "KEY_PREFIX": f"{uuid4().hex}:", "PUBLIC_URL": "https://images.example"}
        installation = Installation(
            tmp_path / "here", NOTICE_URL=receiver.url, NOTICE_SECRET=SECRET, CACHE_MIN_FREE_BYTES="1", **given
        )
        damaged = installation.folder / "data" / "broker.damaged-20261129"
        damaged.mkdir(parents=True)
        receiver.statuses = [500]
        with installation.role("worker", "--lanes", "all", "--concurrency", "1"):
            jobs = Jobs.of(installation.settings)
            until(lambda: receiver.ids, 60, f"a first attempt: {installation.log()}")
            until(lambda: look_now(jobs) or receiver.received, 60, f"a notice: {installation.log()}")
            damaged.rmdir()
            until(lambda: look_now(jobs) or len(receiver.received) == 2, 60, f"the end: {installation.log()}")
    assert receiver.states == [("broker-state-damaged", "begun"), ("broker-state-damaged", "over")]
    assert receiver.ids[0] == receiver.ids[1]
    assert receiver.received[0]["url"] == "https://images.example/ops#components"
    assert SECRET not in installation.log()
    assert receiver.url not in installation.log()


def look_now(jobs: Jobs) -> None:
    """Let the chore run again before its time."""
    jobs.table.redis.delete(jobs.table.keys.chore("send_notices"))


def test_check_sends_a_test_notice_and_says_what_happened(tmp_path: Path) -> None:
    with notice_receiver() as receiver:
        env = bare_environment() | {"NOTICE_URL": receiver.url, "NOTICE_SECRET": SECRET, "DATA_DIR": str(tmp_path)}
        done = subprocess.run(
            [MEZCAL, "check", "--notice"], env=env, cwd=tmp_path, capture_output=True, text=True, check=False
        )
    assert [notice["state"] for notice in receiver.received] == ["test"]
    assert "a test notice was sent: the host of NOTICE_URL answered 204" in done.stdout
