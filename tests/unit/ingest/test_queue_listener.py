"""The loop of a listener, over a queue that the test holds: what is acknowledged, moved, tried again."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from mezcal.errors import BrokerDown
from mezcal.ingest.queues import QueueAddress, QueueListener, QueueMessage, QueueUnreachable, listener
from mezcal.telemetry.metrics import metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.jobs import Jobs

ADDRESS = QueueAddress.parse("stomp://activemq.example:61613/queue/images")


def announced(path: str, id_: str | None = None) -> QueueMessage:
    return QueueMessage(b"", {"camelfcrepouri": f"file:///{path}"}, id_)


class HeldQueue:
    """A queue of *messages*. *breaks* makes so many attempts to connect fail."""

    def __init__(self, messages: list[QueueMessage], breaks: int = 0) -> None:
        self.waiting = list(messages)
        self.acknowledged: list[QueueMessage] = []
        self.rejected: list[tuple[QueueMessage, str]] = []
        self.breaks, self.closed, self.lives = breaks, 0, 0

    def messages(self) -> Iterator[QueueMessage | None]:
        if self.breaks:
            self.breaks -= 1
            raise QueueUnreachable("cannot be reached")
        yield from self.waiting
        while True:
            yield None

    def acknowledge(self, message: QueueMessage) -> None:
        self.acknowledged.append(message)

    def reject(self, message: QueueMessage, reason: str) -> None:
        self.rejected.append((message, reason))

    def keep_alive(self) -> None:
        self.lives += 1

    def close(self) -> None:
        self.closed += 1


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "FIRST_PAUSE", 0.01)


def listen(queue: HeldQueue, jobs: Any, most: int | None = None) -> None:
    """Listen for *most* signs of life, by default until the queue has been idle."""
    most = len(queue.waiting) + 1 if most is None else most
    stopping, signs = threading.Event(), []

    def alive() -> None:
        signs.append(1)
        if len(signs) > most:
            stopping.set()

    QueueListener(queue, ADDRESS, jobs, stopping, alive).run()


def test_a_message_is_acknowledged_when_it_is_recorded(jobs: Jobs) -> None:
    queue = HeldQueue([announced("a.tif", "ID:1"), announced("b.tif", "ID:2")])
    listen(queue, jobs)
    assert [message.id for message in queue.acknowledged] == ["ID:1", "ID:2"]
    assert jobs.table.redis.zcard(jobs.table.keys.chunks) == 2
    assert queue.closed == 1


def test_the_same_delivery_adds_nothing_when_it_comes_again(jobs: Jobs) -> None:
    queue = HeldQueue([announced("a.tif", "ID:1"), announced("a.tif", "ID:1"), announced("a.tif")])
    listen(queue, jobs)
    assert len(queue.acknowledged) == 3
    assert jobs.table.redis.zcard(jobs.table.keys.chunks) == 2, "the third has no id, so it may be another one"


def test_what_cannot_be_understood_is_moved_and_the_next_is_taken(jobs: Jobs) -> None:
    queue = HeldQueue([QueueMessage(b"?", {}), announced("a.tif")])
    before = metrics().deliveries.labels("auto", "malformed")._value.get()
    listen(queue, jobs)
    [(message, reason)] = queue.rejected
    assert (message.body, reason[:22]) == (b"?", "the body is no JSON: E")
    assert len(queue.acknowledged) == 1
    assert metrics().deliveries.labels("auto", "malformed")._value.get() == before + 1


def test_a_message_that_was_moved_is_moved_once_though_it_comes_again(jobs: Jobs) -> None:
    queue = HeldQueue([QueueMessage(b"?", {}), QueueMessage(b"?", {}, redelivered=True), QueueMessage(b"?", {})])
    listen(queue, jobs)
    assert [message.redelivered for message, _ in queue.rejected] == [False, False]
    assert [message.redelivered for message in queue.acknowledged] == [True]


def test_a_change_that_may_be_recorded_already_is_one_to_look_at(jobs: Jobs) -> None:
    message = QueueMessage(b"", {"camelfcrepouri": "file:///a.tif"}, redelivered=True)
    listen(HeldQueue([message]), jobs)
    [name] = jobs.table.redis.zrange(jobs.table.keys.chunks, 0, -1)
    chunk = jobs.chunks.take(name)
    assert chunk is not None
    assert [item[0] for item in chunk.items] == ["perhaps"]


def test_an_unforeseen_error_moves_the_message_and_does_not_loop() -> None:
    class Broken:
        def note_moved(self, _: str) -> None:
            """Another part of the interface."""

        def post(self, *_: object) -> None:
            raise KeyError("never seen")

    queue = HeldQueue([announced("a.tif")])
    listen(queue, Broken())
    assert [reason for _, reason in queue.rejected] == ["an unforeseen KeyError: the log of mezcal has the details"]


def test_while_redis_is_away_the_message_is_held_and_the_broker_sees_a_living_client(jobs: Jobs) -> None:
    class Away:
        def __init__(self) -> None:
            self.left = 3

        def post(self, *given: Any) -> Any:
            if self.left:
                self.left -= 1
                raise BrokerDown("the queue cannot be reached")
            return jobs.post(*given)

    queue = HeldQueue([announced("a.tif", "ID:1")])
    listen(queue, Away(), most=50)
    assert len(queue.acknowledged) == 1
    assert queue.lives >= 3


def test_a_message_is_not_acknowledged_if_we_are_stopped_while_redis_is_away() -> None:
    class Away:
        def post(self, *_: object) -> None:
            raise BrokerDown("the queue cannot be reached")

    queue = HeldQueue([announced("a.tif")])
    listen(queue, Away(), most=3)
    assert (queue.acknowledged, queue.rejected) == ([], [])


def test_a_queue_that_cannot_be_reached_is_tried_again(jobs: Jobs) -> None:
    queue = HeldQueue([announced("a.tif", "ID:1")], breaks=3)
    listen(queue, jobs, most=50)
    assert len(queue.acknowledged) == 1
    assert queue.closed == 4
