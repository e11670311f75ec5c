"""Try the broker that REDIS_URL names, as a program: exit code 0 when it answers, else why on stdout."""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from redis import RedisError

from mezcal.jobs.broker import connect, redis_url
from mezcal.lifeline import follow_parent
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
    place, end, told = shown(redis_url(settings)), time.monotonic() + PATIENCE, False
    while reason := unreachable(settings):
        if time.monotonic() >= end:
            print(f"REDIS_URL: no answer from {place} for {PATIENCE:.0f} s: {reason}")
            return 1
        if not told:
            print(f"up     | waiting for the broker at {place}: {reason}", file=sys.stderr, flush=True)
            told = True
        time.sleep(AGAIN_EVERY)
    return 0


def unreachable(settings: Settings) -> str | None:
    """Why the server does not answer, in one line; None if it does."""
    try:
        with connect(settings, ANSWER_WITHIN) as client:
            client.ping()
    except (RedisError, ValueError, OSError) as error:
        return " ".join(str(error).split()) or type(error).__name__
    return None


def shown(url: str) -> str:
    """*url* without user, password and options."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


if __name__ == "__main__":
    sys.exit(main())
