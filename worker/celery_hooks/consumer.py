"""What the worker's main process does besides handing out tasks: it keeps house, and shows that it lives."""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from celery import bootsteps
from celery.exceptions import WorkerShutdown
from celery.worker import consumer, state
from redis import RedisError

from mezcal.errors import BrokerDown, Failure
from mezcal.jobs import Worker
from mezcal.jobs.transport.celery_pipe import CHORES
from mezcal.recipe import from_json
from mezcal.telemetry.history import MinuteRecorder, job_recorder
from worker.app import context, has_partner, serve_metrics
from worker.chores import due

log = logging.getLogger(__name__)

SWEEP_SECONDS = 2.0
# Celery hears at once when a process closes its files, but finds it still dying then and looks again after 5 s.
DEATHS_SECONDS = 0.2
RECONNECT_MOST = 2.0  # seconds between two tries to reach the broker; Celery's own go up to 30


def show_life() -> None:
    """Touch the file that health checks look at."""
    heartbeat = os.environ.get("WORKER_HEARTBEAT")
    if heartbeat:
        Path(heartbeat).touch()


class Housekeeping(bootsteps.StartStopStep):  # type: ignore[misc]  # celery ships no types
    """Puts right what nobody else will, every two seconds, from the worker's own event loop.

    In the event loop, so that the heartbeat tells that it turns, and that no thread stands beside a fork. A
    step of the consumer, since that forgets its timers when it loses the broker, and starts its steps again.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, _consumer: Any, **_: Any) -> None:
        self._seen = 0.0  # when Redis last answered, on this process' monotonic clock
        self._held_until = 0.0
        self._hour: MinuteRecorder | None = None

    def start(self, consumer: Any) -> None:
        """Begin, now and after every reconnection."""
        refuse_what_evicts()
        self._seen = 0.0
        self._worker = myself(consumer)
        consumer.timer.call_repeatedly(SWEEP_SECONDS, self._turn)
        consumer.timer.call_repeatedly(DEATHS_SECONDS, consumer.pool.maintain_pool)
        self._turn()

    def shutdown(self, _consumer: Any) -> None:
        """Leave the roster; one that is killed falls silent there."""
        with suppress(BrokerDown):
            context().jobs.workers.remove(self._worker)

    def _turn(self) -> None:
        show_life()
        serve_metrics()
        try:
            context().jobs.workers.heartbeat(self._worker)
            self._reap()
            self._send_what_is_due()
            context().store.sweep()
            self._tell_of_jobs()
        except (RedisError, Failure) as error:
            log.warning("housekeeping has to wait: %s", error)

    def _tell_of_jobs(self) -> None:
        if has_partner():
            return
        if self._hour is None:
            self._hour = job_recorder(context().jobs.minutes)
        self._hour.record_if_due()

    def _reap(self) -> None:
        """Hold still for one lease after a gap in our own contact with Redis.

        Running jobs need that long to renew theirs; else the first thing after an outage would be to count
        them out and start each of them again.
        """
        ctx = context()
        ctx.jobs.broker.ping()
        now = time.monotonic()
        gap, self._seen = now - self._seen, now
        if gap > SWEEP_SECONDS + ctx.table.policy.lease / 3:
            self._held_until = now + ctx.table.policy.lease
        if now < self._held_until:
            return
        for message in ctx.table.reap():
            ctx.pipe.send(message.recipe, message.lane, from_json(message.recipe).label)

    def _send_what_is_due(self) -> None:
        ctx = context()
        for chunk in ctx.jobs.chunks.due():
            ctx.pipe.spread(chunk)
        for chore in due(ctx):
            ctx.pipe.chore(chore)


def myself(consumer: Any) -> Worker:
    """What the roster tells of us; `chores` comes with bulk."""
    queues = tuple(sorted(set(consumer.app.amqp.queues.consume_from) - {CHORES}))
    return Worker(f"{consumer.hostname}:{os.getpid()}", consumer.pool.num_processes, queues)


def refuse_what_evicts() -> None:
    """End the worker where Redis may throw jobs away; where it cannot be asked, it is later."""
    try:
        risk = context().jobs.broker.eviction_risk()
    except BrokerDown as error:
        log.warning("the broker's policy could not be read: %s", error)
        return
    if risk:
        log.critical("%s", risk)
        raise WorkerShutdown(1)


class Consumer(consumer.Consumer):  # type: ignore[misc]
    """Celery's, which shows that it lives while the broker is away, too, and comes back to it soon."""

    class Blueprint(consumer.Consumer.Blueprint):  # type: ignore[misc]
        """Celery's steps and ours."""

        default_steps = (*consumer.Consumer.Blueprint.default_steps, Housekeeping)

    def ensure_connected(self, conn: Any) -> Any:
        """*conn*, once the broker is there; Celery waits in here, and its event loop stands still."""

        def unreachable(error: Exception, seconds: float) -> None:
            show_life()
            log.warning("the broker cannot be reached, again in %.0f s: %s", seconds, error)

        def between() -> None:
            show_life()
            state.maybe_shutdown()

        conn.ensure_connection(unreachable, None, 1, 1, RECONNECT_MOST, between)
        self.first_connection_attempt = False
        self.broker_connection_retry_attempt = 0
        return conn
