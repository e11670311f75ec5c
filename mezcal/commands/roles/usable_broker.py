"""Refuses to start a role whose broker can never work."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mezcal.jobs.transport.redis_connection import redis_url
from mezcal.runtime.processes import STARTING_ROLE
from mezcal.runtime.up.broker import await_given_broker

if TYPE_CHECKING:
    from mezcal.settings import Settings


def refuse_unusable_broker(settings: Settings) -> None:
    """Raise `CannotStart` or `BrokerDown` if REDIS_URL is missing, or names a server that mezcal cannot work with.

    A server that cannot be reached now is no reason: cached images are served without it, and it may come back.
    """
    redis_url(settings)
    await_given_broker({**os.environ, STARTING_ROLE: "1"})
