"""`pool.maintain_pool`, called every 0.2 s: `worker/celery_hooks/housekeeping.py` sees the death of a process soon."""

from __future__ import annotations

import os
import signal
import time

from tests.support.waiting import until


def test_the_death_of_a_process_is_signalled_at_once_as_a_lost_worker(celery_worker) -> None:
    with celery_worker(1) as worker:
        worker.send("a master", "bulk")
        until(lambda: worker.log() == ["began a master"], what="the task")
        pids = until(lambda: [run["pid"] for run in worker.state()["requests"] if run["pid"]], what="its process")
        os.kill(pids[0], signal.SIGKILL)
        killed = time.monotonic()
        until(lambda: "failed WorkerLostError" in worker.log(), what="the signal")
        assert time.monotonic() - killed < 3, "Celery by itself looks every 5 s"
