"""What Celery's event says of a lost process: `worker/celery_hooks/flower.py` shows the reason in its place."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from celery.events.state import State

from tests.support.waiting import until
from worker.celery_hooks.flower import WRAPPED, complete_task


def test_the_event_of_a_lost_process_hides_the_reason_in_its_traceback(celery_worker) -> None:
    state, seen = State(), threading.Event()

    def failed(event: dict[str, Any]) -> None:
        state.event(event)
        seen.set()

    with celery_worker(1) as worker, worker.app.connection() as connection:
        receiver = worker.app.events.Receiver(connection, handlers={"task-failed": failed, "*": state.event})
        capturing = threading.Thread(target=receiver.capture, kwargs={"limit": None, "timeout": 20}, daemon=True)
        capturing.start()
        worker.send("a master", "bulk")
        pids = until(lambda: [request["pid"] for request in worker.state()["requests"] if request["pid"]])
        os.kill(pids[0], signal.SIGKILL)
        until(seen.is_set, what="the event")
        receiver.should_stop = True
        capturing.join(10)
    (task,) = state.tasks.values()
    assert task.exception == WRAPPED
    assert "WorkerLostError: Worker exited prematurely: signal 9" in complete_task(task).exception
