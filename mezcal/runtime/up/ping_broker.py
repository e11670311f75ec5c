"""A program that tries the broker of REDIS_URL. Ends with 0 if it answers, else prints the reason on stdout."""

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

PATIENCE = 30.0  # seconds; enough for a server that is started at the same time
RETRY_SECONDS = 0.5
ANSWER_SECONDS = 3.0


def main() -> int:
    """Try until it answers, PATIENCE at most. Returns the exit code."""
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
    """Return when the server answers and does not evict keys. Raises the error, at once if waiting cannot help."""
    end, reported = time.monotonic() + PATIENCE, False
    while True:
        try:
            with connect(settings, ANSWER_SECONDS) as client:
                check_policy(client)
            return
        except AuthenticationError:
            raise
        except (ConnectionError, TimeoutError) as error:
            if time.monotonic() >= end:
                raise
            if not reported:
                print(f"up     | waiting for {place}: {one_line(error)}", file=sys.stderr, flush=True)
                reported = True
        time.sleep(RETRY_SECONDS)


def one_line(error: Exception) -> str:
    """Returns the message of *error* on one line."""
    return " ".join(str(error).split()) or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
