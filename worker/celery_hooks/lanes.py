"""Which queues a worker takes from at this moment: interactive first, and bulk never with its last process."""

from __future__ import annotations

import logging
from types import MethodType
from typing import Any

from celery import bootsteps
from celery.worker import state

from mezcal.errors import BrokerDown
from mezcal.jobs import Lane
from mezcal.jobs.transport.celery_pipe import CHORES
from worker.app import context, settings

log = logging.getLogger(__name__)

ORDER = {str(Lane.INTERACTIVE): 0, CHORES: 1, str(Lane.BULK): 2}
BULKY = {str(Lane.BULK), CHORES}


class Lanes(bootsteps.StartStopStep):  # type: ignore[misc]  # celery ships no types
    """Tells Celery's Redis transport, before each blocking pop, which queues to wait on.

    A step of the consumer: its channel is another one after every reconnection.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, _consumer: Any, **_: Any) -> None:
        self._left_out = False  # whether the pop that waits now leaves bulk out
        self._client = 0

    def start(self, consumer: Any) -> None:
        """Take over the order in which this connection's queues are asked."""
        queues = consumer.app.amqp.queues
        if str(Lane.BULK) in queues.consume_from and CHORES not in queues.consume_from:
            consumer.task_consumer.add_queue(queues.select_add(CHORES))
        self._channel = consumer.task_consumer.channel
        self._cycle = Cycle(consumer)
        self._cycle.update(self._channel.active_queues)
        self._channel._queue_cycle = self._cycle  # noqa: SLF001 - its own choice is a class without arguments
        pop = type(self._channel)._brpop_start  # noqa: SLF001

        def noted_pop(channel: Any, timeout: float | None = None) -> Any:
            self._left_out = self._cycle.spares()
            if self._left_out:
                self._client = client_id(channel.client.connection)
            return pop(channel, timeout)

        self._channel._brpop_start = MethodType(noted_pop, self._channel)  # noqa: SLF001
        consumer.hub.on_tick.add(self._tick)

    def _tick(self) -> None:
        """End a pop that left bulk out as soon as bulk may be taken again.

        Celery's loop comes by whenever a task has ended. To let short pops run out instead would take a tenth of
        a second each: no finer does the server look at the time.
        """
        if not (self._left_out and self._channel._in_poll) or self._cycle.spares():  # noqa: SLF001
            return
        self._left_out = False
        try:
            context().jobs.broker.unblock(self._client)
        except BrokerDown as error:
            log.warning("bulk jobs wait a second longer: %s", error)


def client_id(connection: Any) -> int:
    """The broker's number for *connection*, which is idle: while it waits it cannot be asked."""
    connection.send_command("CLIENT", "ID")
    return int(connection.read_response())


class Cycle:
    """The queues to ask next, in kombu's terms; bulk is left out while it has all the processes it may have."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._queues: list[str] = []

    def update(self, queues: Any) -> None:
        """The queues that this worker consumes."""
        self._queues = sorted(queues, key=lambda name: ORDER.get(name, len(ORDER)))

    def consume(self, most: int) -> list[str]:
        """The queues to pop from, in their order."""
        queues = self._queues[:most]
        return [name for name in queues if name not in BULKY] if self.spares() else queues

    def rotate(self, last: str) -> str:
        """Nothing: the order is strict."""
        return last

    def spares(self) -> bool:
        """Whether a process is kept for those who wait. Pools of one have none to spare."""
        processes = self._consumer.pool.num_processes
        most = max(1, processes - settings.interactive_reserve)
        return str(Lane.INTERACTIVE) in self._queues and most < processes and _bulk_running() >= most


def _bulk_running() -> int:
    """Tasks of bulk or chores that have a process, or will in a moment."""
    return sum(request.delivery_info.get("routing_key") in BULKY for request in state.reserved_requests)
