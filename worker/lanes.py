"""Which queues a worker takes from at this moment: interactive first, and bulk never with its last process."""

from __future__ import annotations

from types import MethodType
from typing import Any

from celery import bootsteps
from celery.worker import state

from mezcal.jobs import Lane
from mezcal.jobs.broker import CHORES
from worker.app import settings

ORDER = {str(Lane.INTERACTIVE): 0, CHORES: 1, str(Lane.BULK): 2}
SHORT_SECONDS = 0.02  # how soon a worker that left bulk out looks whether it may take from it again


class Lanes(bootsteps.StartStopStep):  # type: ignore[misc]  # celery ships no types
    """Tells Celery's Redis transport, before each blocking pop, which queues to wait on.

    A step of the consumer: its channel is another one after every reconnection.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        """Take over the order in which this connection's queues are asked."""
        queues = consumer.app.amqp.queues
        if str(Lane.BULK) in queues.consume_from and CHORES not in queues.consume_from:
            consumer.task_consumer.add_queue(queues.select_add(CHORES))
        channel = consumer.task_consumer.channel
        cycle = Cycle(consumer)
        cycle.update(channel.active_queues)
        channel._queue_cycle = cycle  # noqa: SLF001 - its own choice of order is a class without arguments
        pop = type(channel)._brpop_start  # noqa: SLF001

        def pop_soon(self: Any, timeout: float | None = None) -> Any:
            return pop(self, SHORT_SECONDS if cycle.spares() else timeout)

        channel._brpop_start = MethodType(pop_soon, channel)  # noqa: SLF001


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


BULKY = {str(Lane.BULK), CHORES}


def _bulk_running() -> int:
    """Tasks of bulk or chores that have a process, or will in a moment."""
    return sum(request.delivery_info.get("routing_key") in BULKY for request in state.reserved_requests)
