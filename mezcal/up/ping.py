"""Try the broker that REDIS_URL names, as a program: exit code 0 when it answers, else why on stdout."""

from __future__ import annotations

import signal
import sys
import time
from urllib.parse import urlsplit

import redis

from mezcal import settings
from mezcal.lifeline import follow_parent

PATIENCE = 30.0  # seconds: a server that starts beside us is there by then
AGAIN_EVERY = 0.5
ANSWER_WITHIN = 3.0


def main() -> int:
    """Ask until it answers or patience ends; waiting is told once, on stderr."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends the waiting without a traceback
    follow_parent()
    secret = settings.load().redis_url
    url = secret.get_secret_value() if secret else ""
    end, told = time.monotonic() + PATIENCE, False
    while reason := unreachable(url):
        if time.monotonic() >= end:
            print(f"REDIS_URL: no answer from {shown(url)} for {PATIENCE:.0f} s: {reason}")
            return 1
        if not told:
            print(f"up     | waiting for the broker at {shown(url)}: {reason}", file=sys.stderr, flush=True)
            told = True
        time.sleep(AGAIN_EVERY)
    return 0


def unreachable(url: str) -> str | None:
    """Why the server at *url* does not answer, in one line; None if it does."""
    try:
        with redis.Redis.from_url(
            for_redis(url), socket_timeout=ANSWER_WITHIN, socket_connect_timeout=ANSWER_WITHIN
        ) as client:
            client.ping()
    except (redis.RedisError, ValueError, OSError) as error:
        return " ".join(str(error).split())
    return None


def for_redis(url: str) -> str:
    """*url* as redis-py writes it: kombu's `redis+socket://..?virtual_host=1` is its `unix://..?db=1`."""
    return url.replace("redis+socket://", "unix://", 1).replace("virtual_host=", "db=", 1)


def shown(url: str) -> str:
    """*url* without user, password and options."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


if __name__ == "__main__":
    sys.exit(main())
