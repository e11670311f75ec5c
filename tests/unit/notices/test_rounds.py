"""Which notices go out, and how often."""

from __future__ import annotations

import json
import logging
from typing import Any

import fakeredis
import pytest

from mezcal.jobs import NoticeState
from mezcal.jobs.state.keys import Keys
from mezcal.notices.conditions import Condition
from mezcal.notices.delivery import NotDelivered
from mezcal.notices.rounds import REPEAT_SECONDS, NoticeRound

BEGIN = 1_780_000_000.0
QUARANTINE = Condition("quarantine", "Quarantined jobs: 3.", "Read them.", "failures", "docs/operations-queue.md")
AWAY = Condition("origin-away:a.example", "It is away.", "Look.", "components", "docs/operations-queue.md", 300)


class Receiver:
    """*sent* are the delivered notices; *refuses* many requests come before."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.refuses = 0

    def __call__(self, message: str, body: bytes) -> str:
        self.ids.append(message)
        if self.refuses:
            self.refuses -= 1
            raise NotDelivered("it answered 500")
        self.sent.append(json.loads(body)["data"])
        return "ok"

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(notice["name"], notice["state"]) for notice in self.sent]


@pytest.fixture
def state() -> NoticeState:
    return NoticeState(fakeredis.FakeRedis(decode_responses=True), Keys("x:"))


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


def look(state: NoticeState, receiver: Receiver | None, seconds: float, *conditions: Condition) -> None:
    NoticeRound(state, receiver, "https://images.example", BEGIN + seconds).run(list(conditions))


def test_a_notice_goes_out_at_the_beginning_each_day_and_at_the_end(state: NoticeState, receiver: Receiver) -> None:
    for seconds in (0, 60, REPEAT_SECONDS - 60, REPEAT_SECONDS, REPEAT_SECONDS + 60):
        look(state, receiver, seconds, QUARANTINE)
    look(state, receiver, REPEAT_SECONDS + 120)
    look(state, receiver, REPEAT_SECONDS + 180)
    assert receiver.states == [("quarantine", "begun"), ("quarantine", "lasts"), ("quarantine", "over")]
    assert len(set(receiver.ids)) == 3
    assert {notice["since"] for notice in receiver.sent} == {"2026-05-28T20:26:40+00:00"}
    assert receiver.sent[0]["url"] == "https://images.example/ops#failures"
    assert receiver.sent[2]["sentence"] == "Over: Quarantined jobs: 3."


def test_what_may_pass_by_itself_is_no_notice_before_its_grace(state: NoticeState, receiver: Receiver) -> None:
    look(state, receiver, 0, AWAY)
    look(state, receiver, 240, AWAY)
    look(state, receiver, 260)  # it has passed: no notice of its end either
    assert receiver.states == []
    look(state, receiver, 300, AWAY)
    look(state, receiver, 600, AWAY)
    assert receiver.states == [("origin-away:a.example", "begun")]


def test_a_failed_delivery_is_repeated_with_the_same_id(
    state: NoticeState, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.refuses = 2
    with caplog.at_level(logging.WARNING):
        look(state, receiver, 0, QUARANTINE)
    assert caplog.messages == ["a notice is sent again in a few minutes: it answered 500"]
    look(state, receiver, 60, QUARANTINE)
    look(state, receiver, 120, QUARANTINE)
    assert receiver.states == [("quarantine", "begun")]
    assert len(set(receiver.ids)) == 1
    receiver.refuses = 1
    look(state, receiver, 180)
    look(state, receiver, 240)
    assert receiver.states[1:] == [("quarantine", "over")]
    assert state.read() == {}


def test_without_a_receiver_only_the_time_is_recorded(state: NoticeState, receiver: Receiver) -> None:
    look(state, None, 0, QUARANTINE)
    assert state.read()["quarantine"]["since"] == BEGIN
    look(state, receiver, 60, QUARANTINE)  # NOTICE_URL is set now
    assert receiver.states == [("quarantine", "begun")]
