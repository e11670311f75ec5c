"""`Consumer.ensure_connected`, which `worker/celery_hooks/consumer.py` replaces: Celery waits in it for the broker."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from celery import Celery
from celery.worker import consumer as celery_consumer

from tests.support.broker import Broker
from tests.support.waiting import until
from worker.celery_hooks.consumer import Consumer

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_both_connections_of_celery_are_made_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(celery_consumer.Consumer, "ensure_connected", lambda _self, conn: made.append(conn))
    consumer = object.__new__(celery_consumer.Consumer)
    consumer.app = Celery(broker="memory://", set_as_current=False)
    consumer.connection_for_read()
    consumer.connection_for_write()
    assert len(made) == 2


def test_it_shows_life_until_the_broker_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heartbeat = tmp_path / "alive"
    monkeypatch.setenv("WORKER_HEARTBEAT", str(heartbeat))
    broker = Broker(tmp_path)
    consumer = object.__new__(Consumer)
    consumer.app = Celery(broker=broker.url, set_as_current=False)
    connections: list[Any] = []
    waiting = threading.Thread(target=lambda: connections.append(consumer.connection_for_read()))
    waiting.start()
    until(heartbeat.exists, what="a sign of life without a broker")
    assert not connections
    broker.start()
    try:
        waiting.join(10)
        (connection,) = connections
        assert connection.connected
        connection.release()
    finally:
        broker.stop()
