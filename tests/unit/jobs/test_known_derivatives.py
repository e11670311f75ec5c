"""What was requested of a master is known as long as a job or a failure of it may be."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from mezcal.errors import Retention, Undecodable
from mezcal.jobs import Lane
from mezcal.jobs.state import known_derivatives
from mezcal.jobs.state.keys import Keys
from mezcal.jobs.state.policy import JobPolicy
from mezcal.jobs.state.table import JobTable
from mezcal.recipe import PYRAMID, Mezzanine

if TYPE_CHECKING:
    from tests.support.broker import Broker

DAY = 86_400
MASTER = Mezzanine.parse("dc/1")
PAGE = Mezzanine.parse("dc/1", 3)


def table_of(broker: Broker, lasting: int = 30 * DAY) -> JobTable:
    policy = JobPolicy(max_attempts=1, retention={Retention.LASTING: lasting})
    return JobTable(broker.client(), Keys(f"{uuid4().hex}:"), policy)


def seconds_known(table: JobTable) -> int:
    return int(table.redis.ttl(table.keys.others(MASTER.key)))


def seconds_of_job(table: JobTable) -> int:
    return int(table.redis.ttl(table.keys.job(PAGE.key)))


def test_other_derivatives_are_known_until_their_last_failure_is_forgotten(broker: Broker) -> None:
    table = table_of(broker)
    table.ensure(PAGE, Lane.BULK)
    queued = seconds_of_job(table)
    assert table.begin(PAGE.key, "w", "m")
    assert table.process_died("m")
    assert queued + seconds_of_job(table) <= seconds_known(table) + 60 < 200 * DAY, "its attempts were used up"


@pytest.mark.parametrize("days", [1, 400])
def test_they_are_known_for_longer_if_failures_are_remembered_for_longer(broker: Broker, days: int) -> None:
    table = table_of(broker, lasting=days * DAY)
    table.ensure(PAGE, Lane.BULK)
    queued = seconds_of_job(table)
    claim = table.begin(PAGE.key, "w")
    assert claim is not None
    table.fail(claim, Undecodable("damaged"))
    assert queued + seconds_of_job(table) <= seconds_known(table) + 60


def test_each_request_renews_how_long_they_are_known(broker: Broker) -> None:
    table = table_of(broker)
    table.ensure(PAGE, Lane.BULK)
    table.redis.expire(table.keys.others(MASTER.key), DAY)
    table.ensure(MASTER.in_profile(PYRAMID), Lane.BULK)
    assert seconds_known(table) > 100 * DAY
    [known] = known_derivatives.known([MASTER], table.keys, table.redis)
    assert set(known) == {PAGE, MASTER.in_profile(PYRAMID)}
