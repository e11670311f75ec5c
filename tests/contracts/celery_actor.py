"""A Celery worker with mezcal's `celeryconfig` and no other part of mezcal, for the contract tests.

    BROKER_URL=.. FOLDER=.. celery -A tests.contracts.celery_actor worker

Its one task runs until the file `go` exists in FOLDER. What mezcal reads of Celery's private state is written to the
file `state` there, ten times a second.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from celery import Celery, bootsteps, signals
from celery.worker import state


def make_app(broker_url: str, folder: Path) -> Celery:
    """An app whose keys do not meet those of another folder."""
    app = Celery("contract", broker=broker_url, set_as_current=False)
    app.config_from_object("celeryconfig")
    options = {"global_keyprefix": f"{folder.name}:"}
    app.conf.broker_transport_options = dict(app.conf.broker_transport_options) | options
    return app


folder = Path(os.environ.get("FOLDER", "."))
app = make_app(os.environ.get("BROKER_URL", "memory://"), folder)


def note(line: str) -> None:
    with (folder / "log").open("a") as log:
        log.write(f"{line}\n")


@app.task(name="hold")
def hold(name: str) -> None:
    note(f"began {name}")
    while not (folder / "go").exists():
        time.sleep(0.01)


@signals.task_failure.connect
def failed(exception: BaseException, **_: Any) -> None:
    note(f"failed {type(exception).__name__}")


class Reporter(bootsteps.StartStopStep):
    """Writes the state; looks for dead processes as often as mezcal does."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        consumer.timer.call_repeatedly(0.1, self.report, (consumer,))
        consumer.timer.call_repeatedly(0.2, consumer.pool.maintain_pool)

    def report(self, consumer: Any) -> None:
        requests = [
            {"id": request.id, "name": request.name, "args": list(request.args), "pid": request.worker_pid}
            for request in state.active_requests | state.reserved_requests
        ]
        draft = folder / "state.draft"
        draft.write_text(json.dumps({"requests": requests, "processes": consumer.pool.num_processes}))
        draft.replace(folder / "state")


app.steps["consumer"].add(Reporter)
