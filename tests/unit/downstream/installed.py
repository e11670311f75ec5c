"""A queue with one hook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mezcal.downstream.delivery import HookDelivery, open_hook
from mezcal.jobs import Jobs
from mezcal.store import open_store

if TYPE_CHECKING:
    from mezcal.settings import Settings


class Installed:
    """An installation's queue and the delivery to its one hook."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.jobs, self.store = settings, Jobs.of(settings), open_store(settings)
        (self.address,) = settings.hooks
        hook = open_hook(self.address, settings, self.store)
        self.delivery = HookDelivery(self.address, hook, self.jobs.downstream)

    @property
    def waiting(self) -> int:
        return self.jobs.downstream.status(self.address.name).waiting
