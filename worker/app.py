"""The Celery app, what each of its processes holds, and what the worker does besides working."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from celery import bootsteps, signals
from redis import RedisError

from mezcal.convert import Choices
from mezcal.errors import Failure
from mezcal.jobs import Keys, Table, Terms
from mezcal.jobs.broker import MAKER_SECONDS, Pipe, celery_app, connect
from mezcal.lifeline import follow_parent
from mezcal.origin import open_origin
from mezcal.recipe import from_json
from mezcal.settings import Settings, load
from mezcal.store import open_store
from mezcal.telemetry import set_up_logs

if TYPE_CHECKING:
    from mezcal.origin import Origin
    from mezcal.store import Store

log = logging.getLogger(__name__)

SWEEP_SECONDS = 2.0

settings = load()
app = celery_app(settings, MAKER_SECONDS)
app.set_current()
app.conf.include = ["worker.tasks"]


@dataclass(frozen=True, slots=True)
class Bench:
    """What a worker process works with."""

    settings: Settings
    origin: Origin
    store: Store
    table: Table
    pipe: Pipe
    choices: Choices
    name: str


@cache
def here() -> Bench:
    """The bench of this process, made when first used: after the fork, so that no connection is shared."""
    return Bench(
        settings=settings,
        origin=open_origin(settings),
        store=open_store(settings),
        table=Table(connect(settings, MAKER_SECONDS), Keys(settings.key_prefix), Terms.of(settings)),
        pipe=Pipe(app),
        choices=Choices.of(settings),
        name=f"{socket.gethostname()}:{os.getpid()}",
    )


@signals.setup_logging.connect
def _logs(**_: Any) -> None:
    set_up_logs(settings)


@signals.worker_process_init.connect
def _pool_process(**_: Any) -> None:
    """End with the worker, however it ends: an orphan would go on with a job that is another's by now."""
    follow_parent(signal.SIGKILL)
    here.cache_clear()
    here()


class Housekeeping(bootsteps.StartStopStep):  # type: ignore[misc]  # celery ships no types
    """Puts right what nobody else will, every two seconds, from the worker's own event loop.

    In the event loop, so that the heartbeat tells that it turns, and that no thread stands beside a fork. A
    step of the consumer, since that forgets its timers when it loses the broker, and starts its steps again.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, _consumer: Any, **_: Any) -> None:
        self._seen = 0.0  # when Redis last answered, on this process' monotonic clock
        self._held_until = 0.0

    def start(self, consumer: Any) -> None:
        """Begin, now and after every reconnection."""
        self._seen = 0.0
        consumer.timer.call_repeatedly(SWEEP_SECONDS, self._turn)
        self._turn()

    def _turn(self) -> None:
        heartbeat = os.environ.get("WORKER_HEARTBEAT")
        if heartbeat:
            Path(heartbeat).touch()
        try:
            self._reap()
            here().store.sweep()
        except (RedisError, Failure) as error:
            log.warning("housekeeping has to wait: %s", error)

    def _reap(self) -> None:
        """Hold still for one lease after a gap in our own contact with Redis.

        Running jobs need that long to renew theirs; else the first thing after an outage would be to count
        them out and start each of them again.
        """
        bench = here()
        bench.table.redis.ping()
        now = time.monotonic()
        gap, self._seen = now - self._seen, now
        if gap > bench.table.terms.lease:
            self._held_until = now + bench.table.terms.lease
        if now < self._held_until:
            return
        for message in bench.table.reap():
            bench.pipe.send(message.recipe, message.lane, from_json(message.recipe).label)


app.steps["consumer"].add(Housekeeping)
