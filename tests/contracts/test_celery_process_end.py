"""The last steps of a pool process: `worker/celery_hooks/shutdown.py` ends it before the pause that follows."""

from __future__ import annotations

import pytest
from billiard.pool import Worker
from celery import signals
from celery.concurrency.prefork import process_destructor


class Ended(BaseException):
    """Instead of the end of this process."""


class Outbox:
    """Receives the message after which a process sleeps."""

    def put(self, message: object) -> None:
        raise AssertionError(message)


def test_the_signal_comes_before_the_pause_with_the_exit_code() -> None:
    def end(exitcode: int, **_: object) -> None:
        raise Ended(exitcode)

    process = Worker.__new__(Worker)
    process.on_exit, process.outq = process_destructor, Outbox()
    signals.worker_process_shutdown.connect(end)
    try:
        with pytest.raises(Ended) as ended:
            process._do_exit(4711, 155)
    finally:
        signals.worker_process_shutdown.disconnect(end)
    assert ended.value.args == (155,)
