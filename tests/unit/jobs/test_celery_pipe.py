"""Messages to Celery's queues: whatever kombu raises, the caller gets `BrokerDown`."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from kombu.exceptions import BatchPublishError, OperationalError

from mezcal.errors import BrokerDown
from mezcal.jobs import Lane, Message
from mezcal.jobs.transport.celery_pipe import CeleryPipe, celery_app
from mezcal.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from celery import Celery


class BrokenProducer:
    """A producer whose connection breaks at the end of a batch, as kombu reports that."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    @contextmanager
    def batch(self, _size: int) -> Iterator[None]:
        yield
        raise self._error


class App:
    """A Celery app that hands out that producer."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    @contextmanager
    def producer_or_acquire(self) -> Iterator[BrokenProducer]:
        yield BrokenProducer(self._error)

    def send_task(self, *_: object, **__: object) -> None:
        """Put it into the batch."""


@pytest.mark.parametrize("error", [BatchPublishError("0 of 2 were sent"), OperationalError("gone"), OSError("gone")])
def test_a_batch_that_cannot_be_sent_is_an_outage(error: Exception) -> None:
    app: Celery = App(error)  # type: ignore[assignment]
    pipe = CeleryPipe(app, dict)
    with pytest.raises(BrokerDown):
        pipe.send_all([Message(Lane.BULK, {"kind": "mezzanine", "path": "a.tif", "page": None})])
    with pytest.raises(BrokerDown):
        pipe.spread_all(["a-chunk"])


def test_kombu_reports_a_broken_batch_as_the_test_above_assumes(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("no-broker")
    app = celery_app(load(_env_file=None, redis_url=f"redis+socket://{folder}/none.sock", repo_base_url="http://x/"))
    with pytest.raises(BrokerDown):
        CeleryPipe(app, dict).spread_all(["a-chunk"])
