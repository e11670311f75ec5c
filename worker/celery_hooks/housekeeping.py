"""Housekeeping: the work that the main process of a worker repeats every two seconds."""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from celery import bootsteps
from celery.exceptions import WorkerShutdown
from celery.utils.sysinfo import load_average
from celery.worker import state
from redis import RedisError

from mezcal.errors import BrokerDown, Failure
from mezcal.jobs import Worker
from mezcal.jobs.transport.celery_pipe import CHORES
from mezcal.jobs.transport.probe import REPLICA
from mezcal.telemetry.history import MinuteRecorder, job_recorder
from worker.app import context, frames, has_partner, serve_metrics
from worker.chores import claim_due

log = logging.getLogger(__name__)

SWEEP_SECONDS = 2.0
# Celery notices at once that a process closes its files. The process is still dying then, and Celery checks again only
# after 5 s.
DEATHS_SECONDS = 0.2


def touch_heartbeat() -> None:
    """Touch the file that health checks look at (WORKER_HEARTBEAT)."""
    heartbeat = os.environ.get("WORKER_HEARTBEAT")
    if heartbeat:
        try:
            Path(heartbeat).touch()
        except OSError as error:
            log.warning("the heartbeat file cannot be touched: %s", error)


class HousekeepingStep(bootsteps.StartStopStep):  # type: ignore[misc]  # celery ships no types
    """Queues lost jobs again, and sends tasks that are due, from the event loop of the worker.

    It also sends the events that tell Flower that the worker lives. Celery's own heartbeat waits for an absent broker
    inside the event loop, for ever: a worker would look dead in every outage.

    It runs in the event loop, so that the heartbeat shows that the loop turns, and that no thread runs during a fork.
    It is a step of the consumer: a consumer that loses the broker drops its timers, and starts its steps again.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, _consumer: Any, **_: Any) -> None:
        # When Redis last answered, by the monotonic clock. A reconnection does not change it: even if connections break
        # twice a second, the jobs of dead workers are queued again.
        self._answered = 0.0
        self._paused_until = 0.0
        self._minutes: MinuteRecorder | None = None
        self._consumer: Any = None
        self._worker: Worker | None = None  # as last reported: at the shutdown the pool is gone

    def start(self, consumer: Any) -> None:
        """Start, now and after each reconnection."""
        stop_if_broker_unusable()
        self._consumer = consumer
        consumer.timer.call_repeatedly(SWEEP_SECONDS, self._sweep)
        consumer.timer.call_repeatedly(DEATHS_SECONDS, consumer.pool.maintain_pool)
        self._sweep()

    def shutdown(self, _consumer: Any) -> None:
        """Remove this worker from the list. One that is killed stays in it as silent."""
        if self._worker is None:
            return
        self._send_event("worker-offline")
        with suppress(BrokerDown):
            context().jobs.workers.remove(self._worker)

    def _sweep(self) -> None:
        touch_heartbeat()
        serve_metrics()
        if (shared := frames()) is not None:
            shared.expire()
        try:
            self._worker = describe(self._consumer)
            context().jobs.workers.heartbeat(self._worker)
            self._reap()
            self._send_due()
            context().store.sweep()
            self._record_minutes()
            self._answered = time.monotonic()  # a slow link is no outage, however long this took
        except (RedisError, Failure) as error:
            log.warning("housekeeping is delayed: %s", error)
        touch_heartbeat()
        self._send_event("worker-heartbeat")

    def _send_event(self, event: str) -> None:
        """Send *event* to Flower. If the broker is away, Celery keeps it until the next connection."""
        counts = {"active": len(state.active_requests), "processed": state.all_total_count[0]}
        about = {"freq": SWEEP_SECONDS, "loadavg": load_average(), **counts, **state.SOFTWARE_INFO}
        self._consumer.event_dispatcher.send(event, **about)

    def _record_minutes(self) -> None:
        """Add the jobs that both workers of this machine counted to the history. The partner does not do this."""
        if has_partner():
            return
        if self._minutes is None:
            self._minutes = job_recorder(context().jobs.minutes)
        self._minutes.record_if_due()

    def _reap(self) -> None:
        """Queue the jobs again whose lease ran out, unless Redis was away a moment ago.

        After an outage, running jobs have the time of one lease to renew theirs. Otherwise all of them would count as
        dead and be started again.
        """
        ctx = context()
        ctx.jobs.broker.ping()
        now = time.monotonic()
        gap, self._answered = now - self._answered, now
        if gap > SWEEP_SECONDS + ctx.jobs.table.policy.lease / 3:
            self._paused_until = now + ctx.jobs.table.policy.lease
        if now < self._paused_until:
            return
        for message in ctx.jobs.table.reap():
            ctx.jobs.pipe.send(message)

    def _send_due(self) -> None:
        ctx = context()
        for chunk in ctx.jobs.chunks.due():
            ctx.jobs.pipe.spread(chunk)
        for chore in claim_due(ctx):
            ctx.jobs.pipe.chore(chore)


def describe(consumer: Any) -> Worker:
    """Return this worker as the list of workers shows it, without its queue of chores."""
    queues = tuple(sorted(set(consumer.app.amqp.queues.consume_from) - {CHORES}))
    return Worker(f"{consumer.hostname}:{os.getpid()}", consumer.pool.num_processes, queues)


def stop_if_broker_unusable() -> None:
    """End the worker if mezcal cannot work with this Redis. One that cannot be asked now is asked after the next
    reconnection; a replica may become the master soon.
    """
    try:
        fault = context().jobs.broker.unusable()
    except BrokerDown as error:
        log.warning("%s -> %s", error.detail, error.hint)
        return
    if fault is not None and fault is not REPLICA:
        log.critical("the broker cannot be used: %s", fault)
        raise WorkerShutdown(1)
