"""Refuses a command that needs the cache for itself while mezcal runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mezcal.errors import BrokerDown, CannotStart
from mezcal.jobs import Jobs
from mezcal.runtime.up.remembered_options import saved_options

if TYPE_CHECKING:
    from mezcal.settings import Settings


def refuse_if_running(settings: Settings) -> None:
    """Raise `CannotStart` if `mezcal up` runs with the data folder of *settings*, or if workers of its queue do.

    A queue that cannot be reached has no working workers.
    """
    if saved_options(settings.data_dir.absolute() / "run") is not None:
        raise CannotStart(f"`mezcal up` runs with the data folder {settings.data_dir}: stop it first")
    if settings.redis_url is None:
        return
    try:
        alive = [status.worker.name for status in Jobs.of(settings).workers.statuses() if not status.silent]
    except BrokerDown:
        return
    if alive:
        raise CannotStart(f"workers are running ({', '.join(alive[:3])}): stop every role of mezcal first")
