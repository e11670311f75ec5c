"""How long it takes from a message in a broker's queue to a job of the installation, by real brokers.

    python -m benchmarks.queues [MESSAGES]

One message follows the other, as from a repository at work. The time ends when the job is in Redis, whatever its state.
Needs Debian's activemq and rabbitmq-server; one that is missing is left out.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from mezcal.recipe import Mezzanine
from tests.support.installation import Installation, running_installation
from tests.support.origin_server import OriginServer
from tests.support.queue_brokers import ActiveMQ, QueueBroker, RabbitMQ, stomp_client
from tests.support.waiting import until

QUEUE = "/queue/images"
MOST_SECONDS = 20.0


def main() -> None:
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    for kind in ("activemq by stomp", "rabbitmq by stomp", "rabbitmq by amqp"):
        with tempfile.TemporaryDirectory() as folder:
            measure(kind, Path(folder), messages)


def measure(kind: str, folder: Path, messages: int) -> None:
    (folder / "broker").mkdir()
    broker = ActiveMQ(folder / "broker") if kind.startswith("activemq") else RabbitMQ(folder / "broker")
    if not broker.installed():
        print(f"{kind}: not installed here")
        return
    masters = folder / "masters"
    masters.mkdir()
    with (
        broker,
        OriginServer(masters) as origin,
        running_installation(folder, origin.url, "--listen", url_of(kind, broker)) as installation,
    ):
        until(lambda: b"listening to" in installation.journal.read_bytes(), 30, "the listener")
        took = [seconds * 1000 for seconds in times(installation, origin, stomp_port(broker), messages)]
    middle, late = statistics.median(took), statistics.quantiles(took, n=20)[-1]
    print(f"{kind}: {len(took)} messages, message to job: median {middle:.0f} ms, p95 {late:.0f} ms")


def url_of(kind: str, broker: QueueBroker) -> str:
    if kind.endswith("amqp"):
        return f"amqp://guest:guest@127.0.0.1:{broker.port}/?queue=images&errors=images.errors"
    return f"stomp://guest:guest@127.0.0.1:{stomp_port(broker)}{QUEUE}"


def stomp_port(broker: QueueBroker) -> int:
    return int(getattr(broker, "stomp_port", broker.port))


def times(installation: Installation, origin: OriginServer, port: int, messages: int) -> list[float]:
    found, table = [], installation.table
    with stomp_client(port) as producer:
        for number in range(messages):
            key = Mezzanine.parse(f"m{number}.png").key
            began = time.perf_counter()
            producer.send(QUEUE, "", headers={"CamelFcrepoUri": f"{origin.url}m{number}.png", "persistent": "true"})
            while table.read(key) is None and time.perf_counter() - began < MOST_SECONDS:
                time.sleep(0.001)
            found.append(time.perf_counter() - began)
    return found


if __name__ == "__main__":
    main()
