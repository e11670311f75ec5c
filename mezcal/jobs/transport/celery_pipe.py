"""The two connections to Redis: Celery for messages, redis-py for the job table."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from celery import Celery
from kombu.exceptions import KombuError
from redis import Redis, RedisError

from mezcal.errors import BrokerDown
from mezcal.jobs.state.keys import Lane
from mezcal.jobs.transport import redis_connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mezcal.jobs.state.records import Message
    from mezcal.settings import Settings

MAKE = "mezcal.make"  # the names of tasks, which clients and workers share
SPREAD = "mezcal.spread"
CHORE = "mezcal.chore"
REVALIDATE = "mezcal.revalidate"
PREVIEW = "mezcal.preview"
CHORES = "chores"  # the queue of short work without an image: after the interactive lane, before bulk
CHORE_SECONDS = 900  # the time limit of tasks that make no image
CONNECT_SECONDS = 1.0
CLIENT_SECONDS = 2.0  # a client waits, so a frozen Redis is given up soon
WORKER_SECONDS = 10.0  # no client waits, so a worker is more patient
BATCH = 500  # messages in one round trip
POOL_MOST = 64  # connections of a process; a thread waits for a free one


def connect(settings: Settings, seconds: float = CLIENT_SECONDS) -> Redis:
    """Return a client for the job table that waits *seconds* for an answer. It connects when first used."""
    pool = redis_connection.pool(
        settings,
        decode_responses=True,
        socket_timeout=seconds,
        socket_connect_timeout=CONNECT_SECONDS,
        health_check_interval=10,
        max_connections=POOL_MOST,
        timeout=seconds,
    )
    return Redis(connection_pool=pool)


def celery_app(settings: Settings, seconds: float = CLIENT_SECONDS) -> Celery:
    """Return a Celery app on mezcal's broker; its sockets give up after *seconds*."""
    app = Celery("mezcal", set_as_current=False)
    app.config_from_object("celeryconfig")
    configure(app, settings, seconds)
    return app


def configure(app: Celery, settings: Settings, seconds: float) -> None:
    """Add to *app*'s configuration what *settings* say; its sockets give up after *seconds*."""
    broker = redis_connection.broker(settings)
    app.conf.broker_url = broker["broker_url"]
    app.conf.broker_use_ssl = broker["broker_use_ssl"]
    app.conf.broker_transport_options |= broker["broker_transport_options"] | {
        "global_keyprefix": settings.redis_prefix,
        "socket_timeout": seconds,
        "socket_keepalive": not app.conf.broker_url.startswith("redis+socket://"),
    }
    # No soft limit: it raises at any line, and libvips' callbacks would swallow that. The lease checks the time.
    app.conf.task_time_limit = settings.job_time_limit + settings.job_time_grace
    app.conf.worker_soft_shutdown_timeout = 0.0


class CeleryPipe:
    """Sends messages to Celery's queues. A message only wakes a worker; the job is in the job table. One of the
    interactive lane names no job: whichever worker takes it begins the job whose turn it is.

    *headers* returns what each message carries besides its task.
    """

    def __init__(self, app: Celery, headers: Callable[[], Mapping[str, str]]) -> None:
        self._app, self.headers = app, headers

    def send(self, message: Message, producer: Any = None) -> None:
        """Send the message of one job. Raises `BrokerDown` at once; the reaper sends the message later then."""
        named = [] if message.lane is Lane.INTERACTIVE else [message.recipe]
        self._send(MAKE, named, str(message.lane), message.label, producer)

    def wake(self) -> None:
        """Send a message of the interactive lane for no job in particular."""
        self._send(MAKE, [], str(Lane.INTERACTIVE), "")

    def send_all(self, messages: list[Message]) -> None:
        """Send the messages of many jobs in few round trips, which is three times as fast."""
        with _raises_broker_down(), self._app.producer_or_acquire() as producer, producer.batch(BATCH):
            for message in messages:
                self.send(message, producer)

    def spread(self, chunk: str) -> None:
        """Send the task that queues the items of *chunk*."""
        self._send(SPREAD, [chunk], CHORES, chunk)

    def spread_all(self, chunks: list[str]) -> None:
        """Send the tasks that queue the items of *chunks*, in few round trips."""
        with _raises_broker_down(), self._app.producer_or_acquire() as producer, producer.batch(BATCH):
            for chunk in chunks:
                self._send(SPREAD, [chunk], CHORES, chunk, producer)

    def chore(self, name: str) -> None:
        """Send the task of the chore *name*."""
        self._send(CHORE, [name], CHORES, name)

    def revalidate(self, recipe: dict[str, Any], label: str, lane: Lane) -> None:
        """Send the task that revalidates a stored derivative, for a remake in *lane*.

        Workers take it after all queued jobs, in the interactive lane before those of the bulk lane.
        """
        queue = CHORES if lane is Lane.INTERACTIVE else str(lane)
        self._send(REVALIDATE, [recipe, lane], queue, label)

    def preview(self, recipe: dict[str, Any], label: str) -> None:
        """Send the task that makes a preview of a stored derivative."""
        self._send(PREVIEW, [recipe], CHORES, label)

    def _send(self, task: str, args: list[Any], queue: str, label: str, producer: Any = None) -> None:
        with _raises_broker_down():
            self._app.send_task(
                task,
                args=args,
                queue=queue,
                retry=False,
                argsrepr=label,
                kwargsrepr=f"lane={queue}",
                ignore_result=True,
                headers=dict(self.headers()),
                producer=producer,
            )


@contextmanager
def _raises_broker_down() -> Iterator[None]:
    try:
        yield
    except (KombuError, OSError, RedisError) as error:  # of a batch, kombu raises no OperationalError
        raise BrokerDown("the queue cannot be reached") from error
