"""Real message brokers of Debian, each in a folder of its own: ActiveMQ and RabbitMQ."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, Self

import stomp

from tests.support.proc import descendants
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ACTIVEMQ_JAR = Path("/usr/share/activemq/bin/activemq.jar")
RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
START_SECONDS = 120
ACTIVEMQ_XML = """\
<beans xmlns="http://www.springframework.org/schema/beans"
       xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
       xsi:schemaLocation="http://www.springframework.org/schema/beans
                           http://www.springframework.org/schema/beans/spring-beans.xsd
                           http://activemq.apache.org/schema/core
                           http://activemq.apache.org/schema/core/activemq-core.xsd">
  <broker xmlns="http://activemq.apache.org/schema/core" useJmx="false" brokerName="tests" dataDirectory="{folder}"
          useShutdownHook="true">
    <persistenceAdapter><kahaDB directory="{folder}/kahadb"/></persistenceAdapter>
    <transportConnectors><transportConnector name="stomp" uri="stomp://127.0.0.1:{port}"/></transportConnectors>
  </broker>
</beans>
"""


class QueueBroker:
    """A broker that can be killed and started again with the same folder and port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> tuple[list[str], Mapping[str, str]]:
        """Returns the command that starts it, and its variables."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        argv, env = self.command()
        with (self.folder / "broker.log").open("ab") as log:
            self.process = subprocess.Popen(
                argv, env={**os.environ, **env}, cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        until(self._accepts, START_SECONDS, f"the broker at {self.port}")

    def _accepts(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """Kill it with all its processes at once."""
        if self.process is not None:
            family = [*descendants(self.process.pid), self.process.pid]
            for pid in family:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait(30)
            until(lambda: not self._accepts(), 30, "the end of the broker")
            self.process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class ActiveMQ(QueueBroker):
    """ActiveMQ Classic with STOMP at `port`."""

    @staticmethod
    def installed() -> bool:
        """Returns True if this machine has it."""
        return ACTIVEMQ_JAR.is_file() and shutil.which("java") is not None

    def command(self) -> tuple[list[str], Mapping[str, str]]:
        """Returns the command that starts it, and its variables."""
        (self.folder / "activemq.xml").write_text(ACTIVEMQ_XML.format(folder=self.folder, port=self.port))
        home = ACTIVEMQ_JAR.parent.parent
        places = {"home": home, "base": self.folder, "conf": self.folder, "data": self.folder}
        properties = [f"-Dactivemq.{name}={place}" for name, place in places.items()]
        start = ["-jar", str(ACTIVEMQ_JAR), "start", f"xbean:file:{self.folder}/activemq.xml"]
        return ["java", "-Xmx256m", *properties, *start], {}


class RabbitMQ(QueueBroker):
    """RabbitMQ with AMQP at `port` and STOMP at `stomp_port`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.stomp_port, self.distribution_port = _free_port(), _free_port()

    @staticmethod
    def installed() -> bool:
        """Returns True if this machine has it."""
        return RABBITMQ.is_file()

    def command(self) -> tuple[list[str], Mapping[str, str]]:
        """Returns the command that starts it, and its variables."""
        (self.folder / "enabled_plugins").write_text("[rabbitmq_stomp].")
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\nstomp.listeners.tcp.1 = 127.0.0.1:{self.stomp_port}\n"
        )
        return [str(RABBITMQ)], {
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": f"tests{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self.distribution_port),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-start_epmd false -erl_epmd_port "
            f"{self.distribution_port} -kernel inet_dist_use_interface {{127,0,0,1}}",
        }

    def _accepts(self) -> bool:
        try:
            for port in (self.port, self.stomp_port):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def stomp_client(port: int) -> Iterator[Any]:
    """A connection of a producer, or of somebody who looks into the error queue."""
    connection = stomp.StompConnection12([("127.0.0.1", port)], try_loopback_connect=False, vhost="/")
    connection.connect("guest", "guest", wait=True)
    try:
        yield connection
    finally:
        connection.disconnect()


def send_by_stomp(port: int, destination: str, messages: Iterable[tuple[str, dict[str, str]]]) -> None:
    """Send *messages*, each a body with headers, and wait until the broker has written all of them."""
    with stomp_client(port) as connection:
        last = stomp.listener.WaitingListener("last")
        connection.set_listener("last", last)
        for body, headers in messages:
            connection.send(destination, body, headers={"persistent": "true", **headers})
        connection.send(destination, "", headers={"CamelFcrepoUri": "", "persistent": "true"}, receipt="last")
        last.wait_on_receipt()


def taken_by_stomp(port: int, destination: str, least: int) -> list[Any]:
    """Take the messages of *destination*, at least so many. Returns them as frames."""
    arrived: list[Any] = []

    class Taking(stomp.ConnectionListener):
        def on_message(self, frame: Any) -> None:
            arrived.append(frame)

    with stomp_client(port) as connection:
        connection.set_listener("taking", Taking())
        connection.subscribe(destination, id="taking", ack="auto")
        until(lambda: len(arrived) >= least, 30, f"{least} messages of {destination}")
        seen = -1
        while seen != len(arrived):  # nothing has come for a moment: there are no more
            seen = len(arrived)
            Event().wait(0.5)
    return arrived
