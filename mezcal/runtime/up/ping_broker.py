"""Try the broker that REDIS_URL names, as a program: exit code 0 when it answers, else why on stdout."""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING

from redis import AuthenticationError, ConnectionError, RedisError, TimeoutError  # noqa: A004

from mezcal.errors import BrokerDown
from mezcal.jobs.transport.celery_pipe import connect
from mezcal.jobs.transport.probe import check_policy
from mezcal.jobs.transport.redis_connection import shown
from mezcal.runtime.parent_death import follow_parent
from mezcal.settings import load

if TYPE_CHECKING:
    from mezcal.settings import Settings

PATIENCE = 30.0  # seconds: a server that is started beside us is there by then
AGAIN_EVERY = 0.5
ANSWER_WITHIN = 3.0


def main() -> int:
    """Ask until it answers or patience ends; that it waits is told once, on stderr."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends the waiting without a traceback
    follow_parent()
    settings = load()
    try:
        place = shown(settings)
    except BrokerDown as unusable:
        print(unusable.detail)
        return 1
    try:
        await_answer(settings, place)
    except BrokerDown as unfit:
        print(f"REDIS_URL: {place} cannot be used: {unfit.detail}")
        return 1
    except (RedisError, ValueError) as error:
        print(f"REDIS_URL: {place} cannot be used: {one_line(error)}")
        return 1
    return 0


def await_answer(settings: Settings, place: str) -> None:
    """Return once the server answers and keeps what it is given; raises what is wrong, at once if waiting cannot
    mend it.
    """
    end, told = time.monotonic() + PATIENCE, False
    while True:
        try:
            with connect(settings, ANSWER_WITHIN) as client:
                check_policy(client)
            return
        except AuthenticationError:
            raise
        except (ConnectionError, TimeoutError) as error:
            if time.monotonic() >= end:
                raise
            if not told:
                print(f"up     | waiting for {place}: {one_line(error)}", file=sys.stderr, flush=True)
                told = True
        time.sleep(AGAIN_EVERY)


def one_line(error: Exception) -> str:
    """What *error* says, for a log."""
    return " ".join(str(error).split()) or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
