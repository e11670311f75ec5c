"""The program of `mezcal listen`: one thread for each queue in LISTEN_URLS."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

from mezcal.ingest.queues import QueueAddress, QueueListener, open_queue
from mezcal.jobs import Jobs
from mezcal.settings import Settings, WrongSetting, load
from mezcal.telemetry.logs import set_up_logs
from mezcal.telemetry.multiprocess import start_sharing
from worker.metrics.server import MetricsProcess

log = logging.getLogger(__name__)

NOISY_LOGGERS = ("stomp.py", "amqp", "botocore")
THREAD_SECONDS = 60.0  # the longest that a thread may be silent: connecting takes ten, and its ends a few more
CLOSING_SECONDS = 5.0  # for the thread of a queue to settle its message and close the connection


def main() -> int:
    """Listen until a signal ends it. Returns the exit code: 1 if the listener of a queue has failed."""
    settings = load()
    set_up_logs(settings, "listen")
    for name in NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # the listener says what happened, once
    start_sharing("listen")
    metrics_process = MetricsProcess(settings)
    metrics_process.keep_running()
    stopping = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stopping.set())
    signs = SignsOfLife(len(settings.listen_urls))
    listeners = [_Thread(secret.get_secret_value(), settings, stopping, signs) for secret in settings.listen_urls]
    for listener in listeners:
        listener.start()
    stopping.wait()
    for listener in listeners:
        listener.join(CLOSING_SECONDS)
    return int(any(listener.failed for listener in listeners))


class SignsOfLife:
    """Touches the file of `mezcal healthy` (WORKER_HEARTBEAT) while every thread shows that it lives."""

    def __init__(self, threads: int) -> None:
        self._file = os.environ.get("WORKER_HEARTBEAT")
        self._seen: dict[str, float] = {}
        self._threads = threads

    def note(self, name: str) -> None:
        """Note that the thread *name* lives."""
        now = time.monotonic()
        self._seen[name] = now
        if self._file and len(self._seen) == self._threads and now - min(self._seen.values()) < THREAD_SECONDS:
            Path(self._file).touch()


class _Thread(threading.Thread):
    """Listens to the queue at *url*. If that ends without a signal, the whole process ends."""

    def __init__(self, url: str, settings: Settings, stopping: threading.Event, signs: SignsOfLife) -> None:
        self.address = QueueAddress.parse(url)
        super().__init__(name=self.address.shown, daemon=True)
        self.failed = False
        self._settings, self._stopping = settings, stopping
        self._signs = signs

    def run(self) -> None:
        """Listen."""
        try:
            queue = open_queue(self.address, self._settings)
            QueueListener(queue, self.address, Jobs.of(self._settings), self._stopping, self._touch).run()
        except WrongSetting as error:
            log.critical("%s", error)
            self.failed = True
        except Exception:
            log.critical("%s failed in a way that is not provided for", self.address.shown, exc_info=True)
            self.failed = True
        self._stopping.set()

    def _touch(self) -> None:
        self._signs.note(str(self.ident))


if __name__ == "__main__":
    sys.exit(main())
