"""The loop of `mezcal listen`: every message is recorded in Redis before its broker may forget it."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from mezcal.errors import BadEvent, BrokerDown, Busy
from mezcal.ingest.events import Event, EventKind
from mezcal.ingest.queues.forms import read_message
from mezcal.ingest.queues.message import TICK_SECONDS, QueueUnreachable
from mezcal.telemetry.metrics import metrics

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from mezcal.ingest.events import Delivery
    from mezcal.ingest.queues.message import MessageQueue, QueueMessage
    from mezcal.jobs import Jobs
    from mezcal.settings.queue_address import QueueAddress

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds between two attempts to reach a broker


class QueueListener:
    """Listens to *queue* until *stopping* is set. *alive* is called about once a second, whatever happens.

    A message is acknowledged when its events are recorded, so that a listener or a broker may die at any moment. The
    same delivery adds nothing when it comes again.
    """

    def __init__(
        self,
        queue: MessageQueue,
        address: QueueAddress,
        jobs: Jobs,
        stopping: threading.Event,
        alive: Callable[[], None],
    ) -> None:
        self._queue, self._address, self._jobs = queue, address, jobs
        self._stopping, self._alive = stopping, alive

    def run(self) -> None:
        """Listen, and connect again for as long as it takes, with growing pauses."""
        pause, connected = FIRST_PAUSE, False
        while not self._stopping.is_set():
            try:
                for message in self._queue.messages():
                    if not connected:
                        log.info("listening to %s", self._address.shown)
                    pause, connected = FIRST_PAUSE, True
                    self._alive()
                    if message is not None:
                        self._settle(message)
                    if self._stopping.is_set():
                        break
            except QueueUnreachable as error:
                connected = False
                log.warning("%s: %s; next attempt in %g s", self._address.shown, error, pause)
                self._wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            finally:
                self._queue.close()

    def _settle(self, message: QueueMessage) -> None:
        """Record the events of *message* and acknowledge it, or move it to the error queue."""
        form = self._address.form
        try:
            form, delivery = read_message(form, message)
            outcome = self._record(form, message, delivery)
        except BadEvent as error:
            self._reject(form, message, error.detail)
            return
        except (MemoryError, OSError) as error:  # of this machine, not of the message
            raise QueueUnreachable(f"this machine has no memory or descriptor left ({type(error).__name__})") from error
        except Exception as error:
            log.exception("a message failed in a way that is not provided for")
            self._reject(form, message, f"an unforeseen {type(error).__name__}: the log of mezcal has the details")
            return
        if outcome is not None:
            self._queue.acknowledge(message)
            metrics().deliveries.labels(form, outcome).inc()

    def _record(self, form: str, message: QueueMessage, delivery: Delivery) -> str | None:
        """Record the events as a batch as soon as Redis can be reached. Returns the outcome, None if we must stop."""
        if not delivery.events:
            return "ignored"
        events, identity = delivery.events, None
        if message.id:
            identity = f"{self._address.shown}\n{message.id}"
        elif message.redelivered:  # it may be recorded already, and its image may have been made since
            events = list(map(_perhaps, events))
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            try:
                posted = self._jobs.post(events, identity)
            except (BrokerDown, Busy) as error:
                log.warning("%s; next attempt in %g s", error.detail, pause)
                self._wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            if not posted.again:
                metrics().delivered_items.labels(form).inc(posted.items)
            return "duplicate" if posted.again else "accepted"
        return None

    def _reject(self, form: str, message: QueueMessage, reason: str) -> None:
        identity = f"{self._address.shown}\n{message.id or message.digest}"
        with suppress(BrokerDown):
            if message.redelivered and self._jobs.was_moved(identity):
                self._queue.acknowledge(message)
                return
        log.warning("a message of %s is moved to the error queue: %s", self._address.shown, reason)
        self._queue.reject(message, reason)
        metrics().deliveries.labels(form, "malformed").inc()
        with suppress(BrokerDown):
            self._jobs.note_moved(identity)

    def _wait(self, seconds: float) -> None:
        """Wait, and show the broker and `mezcal healthy` that we live."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0 and not self._stopping.wait(min(left, TICK_SECONDS)):
            self._alive()
            with suppress(QueueUnreachable):
                self._queue.keep_alive()


def _perhaps(event: Event) -> Event:
    return event._replace(kind=EventKind.PERHAPS_CHANGED) if event.kind is EventKind.CHANGED else event
