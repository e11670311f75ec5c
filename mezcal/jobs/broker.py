"""The two ways into Redis: Celery's pipe for messages, a plain client for the job table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery import Celery
from kombu.exceptions import OperationalError
from redis import Redis

from mezcal.errors import BrokerDown

if TYPE_CHECKING:
    from mezcal.jobs.keys import Lane
    from mezcal.settings import Settings

MAKE = "mezcal.make"  # the one name that askers and makers share
CONNECT_SECONDS = 1.0
ASKER_SECONDS = 2.0  # somebody waits: a frozen Redis is told from a slow one soon
MAKER_SECONDS = 10.0  # nobody does: a worker rides out more
POOL_MOST = 64  # redis-py's default is 100 a process; askers are bounded by WAITERS_MAX


def redis_url(settings: Settings) -> str:
    """REDIS_URL; `BrokerDown` where nothing names a broker."""
    if settings.redis_url is None:
        raise BrokerDown("REDIS_URL is not set: name a Redis, or start everything with `mezcal up`")
    return settings.redis_url.get_secret_value()


def connect(settings: Settings, seconds: float = ASKER_SECONDS) -> Redis:
    """A client for the job table that gives up on an answer after *seconds*; connects when first used."""
    url = redis_url(settings)
    if url.startswith("redis+socket://"):  # kombu's name for what redis-py calls unix://
        url = "unix://" + url.removeprefix("redis+socket://").replace("virtual_host=", "db=")
    options: dict[str, Any] = {} if url.startswith("unix://") else {"socket_keepalive": True}
    return Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=seconds,
        socket_connect_timeout=CONNECT_SECONDS,
        health_check_interval=10,
        max_connections=POOL_MOST,
        **options,
    )


def celery_app(settings: Settings, seconds: float = ASKER_SECONDS) -> Celery:
    """Celery on mezcal's broker, with `celeryconfig`; sockets give up after *seconds*."""
    app = Celery("mezcal", set_as_current=False)
    app.config_from_object("celeryconfig")
    url = redis_url(settings)
    app.conf.broker_url = url.replace("unix://", "redis+socket://", 1)
    app.conf.broker_transport_options |= {
        "global_keyprefix": settings.key_prefix,
        "socket_timeout": seconds,
        "socket_keepalive": not app.conf.broker_url.startswith("redis+socket://"),
    }
    app.conf.task_soft_time_limit = settings.job_time_limit
    app.conf.task_time_limit = settings.job_time_limit + 15
    app.conf.worker_soft_shutdown_timeout = 0.0
    return app


class Pipe:
    """Puts messages into Celery's lanes; a message is only a nudge, the job table is the truth."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def send(self, recipe: dict[str, Any], lane: Lane, label: str) -> None:
        """Send one job's message. Raises `BrokerDown` at once where it cannot; the reaper sends it later."""
        try:
            self._app.send_task(
                MAKE,
                args=[recipe],
                queue=str(lane),
                retry=False,
                argsrepr=label,
                kwargsrepr=f"lane={lane}",
                ignore_result=True,
            )
        except (OperationalError, OSError) as error:
            raise BrokerDown("the queue cannot be reached") from error
