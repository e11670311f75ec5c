"""Celery's lists of the requests that a worker holds: `worker/celery_hooks/shutdown.py` gives their jobs back."""

from __future__ import annotations

import os

from tests.support.proc import command_line
from tests.support.waiting import until


def test_a_request_that_runs_is_listed_with_its_task_arguments_and_process(celery_worker) -> None:
    with celery_worker(2) as worker:
        worker.send("a master", "bulk")
        (request,) = until(lambda: worker.state()["requests"], what="the request")
        assert (request["name"], request["args"]) == ("hold", ["a master"])
        (pid,) = until(lambda: [run["pid"] for run in worker.state()["requests"] if run["pid"]], what="its process")
        assert pid != os.getpid()
        assert "celery_actor" in command_line(pid)
        assert worker.state()["processes"] == 2
        (worker.folder / "go").touch()
        until(lambda: worker.state()["requests"] == [], what="the end of the request")
