"""A program that tries the broker of REDIS_URL. Ends with 0 if it can be used, else prints the reason on stdout.

With the variable STARTING_ROLE it refuses only a broker that mezcal can never work with: a role starts without one that
cannot be reached now, and says so.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from redis import AuthenticationError, ConnectionError, RedisError, TimeoutError  # noqa: A004

from mezcal.errors import BrokerDown
from mezcal.jobs.transport.celery_pipe import connect
from mezcal.jobs.transport.connection_faults import describe
from mezcal.jobs.transport.probe import REPLICA, unusable
from mezcal.jobs.transport.redis_connection import shown
from mezcal.runtime.parent_death import follow_parent
from mezcal.runtime.processes import STARTING_ROLE
from mezcal.settings import load

if TYPE_CHECKING:
    from mezcal.jobs.transport.connection_faults import Fault
    from mezcal.settings import Settings

PATIENCE = 30.0  # seconds; enough for a server that is started at the same time
REPLICA_PATIENCE = 10.0  # seconds in which a replica may become the master
RETRY_SECONDS = 0.5
ANSWER_SECONDS = 3.0


def main() -> int:
    """Try until it can be used, PATIENCE at most. Returns the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends the waiting without a traceback
    follow_parent()
    settings = load()
    try:
        place = shown(settings)
    except BrokerDown as unknown:
        print(unknown.detail)
        return 1
    role = STARTING_ROLE in os.environ
    try:
        fault = wait_until_usable(settings, place, 0.0 if role else PATIENCE)
    except (RedisError, ValueError) as error:
        fault = describe(error)
        if role:
            print(f"mezcal: {place} cannot be used now: {fault}", file=sys.stderr, flush=True)
            return 0
    if fault is not None:
        print(f"REDIS_URL: {place} cannot be used: {fault}")
    return int(fault is not None)


def wait_until_usable(settings: Settings, place: str, patience: float) -> Fault | None:
    """Wait for a server that does not answer, for *patience* seconds. Returns why it can never be used, None if it can.

    Raises the error, at once if waiting cannot help.
    """
    began, reported = time.monotonic(), False
    while True:
        waited = time.monotonic() - began
        try:
            with connect(settings, ANSWER_SECONDS) as client:
                fault = unusable(client)
            if fault is not REPLICA or waited >= max(patience, REPLICA_PATIENCE):
                return fault
        except AuthenticationError:
            raise
        except (ConnectionError, TimeoutError) as error:
            if waited >= patience:
                raise
            fault = describe(error)
        if not reported:
            print(f"up     | waiting for {place}: {fault}", file=sys.stderr, flush=True)
            reported = True
        time.sleep(RETRY_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
