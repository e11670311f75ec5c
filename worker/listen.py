"""The program of `mezcal listen`: one thread for each queue in LISTEN_URLS."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from pathlib import Path

from mezcal.ingest.queues import QueueAddress, QueueListener, open_queue
from mezcal.jobs import Jobs
from mezcal.settings import Settings, WrongSetting, load
from mezcal.telemetry.logs import set_up_logs
from mezcal.telemetry.multiprocess import start_sharing
from worker.metrics.server import MetricsProcess

log = logging.getLogger(__name__)

NOISY_LOGGERS = ("stomp.py", "amqp", "botocore")
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
    listeners = [_Thread(secret.get_secret_value(), settings, stopping) for secret in settings.listen_urls]
    for listener in listeners:
        listener.start()
    stopping.wait()
    for listener in listeners:
        listener.join(CLOSING_SECONDS)
    return int(any(listener.failed for listener in listeners))


class _Thread(threading.Thread):
    """Listens to the queue at *url*. If that ends without a signal, the whole process ends."""

    def __init__(self, url: str, settings: Settings, stopping: threading.Event) -> None:
        self.address = QueueAddress.parse(url)
        super().__init__(name=self.address.shown, daemon=True)
        self.failed = False
        self._settings, self._stopping = settings, stopping
        self._alive = Path(os.environ.get("WORKER_HEARTBEAT", os.devnull))

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
        if self._alive != Path(os.devnull):
            self._alive.touch()


if __name__ == "__main__":
    sys.exit(main())
