"""Real brokers and a listener that are killed while messages come: nothing is lost, and no master is made too often."""

from __future__ import annotations

import io
import json
import os
import random
import signal
from collections import Counter
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from kombu import Connection, Exchange
from PIL import Image

from tests import DATA
from tests.support.archive_server import OWNER, ArchiveServer
from tests.support.installation import Installation, running_installation
from tests.support.origin_server import OriginServer
from tests.support.queue_brokers import ActiveMQ, QueueBroker, RabbitMQ, send_by_stomp, taken_by_stomp
from tests.support.s3_server import KEYS
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.support.s3_server import S3Server

MESSAGES = int(os.environ.get("MESSAGES", "600"))
SECONDS = 1200 + MESSAGES // 4  # for all images, on a machine with much else to do

pytestmark = [pytest.mark.slow, pytest.mark.queues, pytest.mark.timeout(2 * SECONDS)]

POISON = MESSAGES // 10
KILLS = 5
FRAMES = 20
MONO = DATA / "fits" / "mono_f32_rice.fits.fz"
QUEUE = "/queue/images"
SQS_WAITING = 100


@pytest.fixture
def masters(tmp_path: Path) -> Path:
    folder = tmp_path / "masters"
    folder.mkdir()
    picture = io.BytesIO()
    Image.new("RGB", (16, 16), (90, 120, 200)).save(picture, "PNG")
    for number in range(MESSAGES):
        (folder / f"m{number:05}.png").write_bytes(picture.getvalue())
    return folder


@pytest.mark.parametrize("kind", ["activemq", "rabbitmq", "rabbitmq by amqp"])
def test_no_message_is_lost_when_broker_and_listener_are_killed(kind: str, masters: Path, tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    broker = ActiveMQ(tmp_path / "broker") if kind == "activemq" else RabbitMQ(tmp_path / "broker")
    if not broker.installed():
        pytest.skip(f"{kind} is not installed")
    stomp_port = getattr(broker, "stomp_port", broker.port)
    url = f"stomp://guest:guest@127.0.0.1:{stomp_port}{QUEUE}"
    if kind.endswith("amqp"):
        url = f"amqp://guest:guest@127.0.0.1:{broker.port}/?queue=images&errors=images.errors"
    with broker, OriginServer(masters) as origin:
        send_by_stomp(stomp_port, QUEUE, messages(origin))
        with running_installation(tmp_path, origin.url, "--listen", url) as installation:
            kill_at_random(broker, installation)
            until(lambda: len(made(installation)) == MESSAGES, SECONDS, "all images")
            errors = taken_by_stomp(stomp_port, f"{QUEUE}.errors", POISON)
        bodies = [frame.body for frame in errors if frame.body]
        assert sorted(bodies) == sorted(f"poison {number}" for number in range(POISON)), "each is there, once"
        assert {frame.headers["original-destination"] for frame in errors} <= {QUEUE, "images"}
        downloads = Counter(request.path for request in origin.seen() if request.method == "GET")
        assert len(downloads) == MESSAGES
        # Without an id that the message keeps, the one that was in hand at a kill may be made once more.
        assert sum(downloads.values()) - MESSAGES <= (0 if kind == "activemq" else KILLS)


def test_no_message_of_sqs_is_lost_when_the_listener_is_killed(masters: Path, s3: S3Server, tmp_path: Path) -> None:
    """Moto keeps its queues in memory, so it is not killed; messages in hand at a kill come again after 5 s."""
    client = sqs_client(s3)
    attributes = {"VisibilityTimeout": "5"}
    queue = client.create_queue(QueueName="images", Attributes=attributes)["QueueUrl"]
    errors = client.create_queue(QueueName="images-errors")["QueueUrl"]
    sender = Thread(target=send_by_sqs, args=(sqs_client(s3), queue), daemon=True)
    path = queue.partition("://")[2].partition("/")[2]
    url = f"sqs+http://127.0.0.1:{s3.port}/{path}?region=us-east-1&errors=images-errors"
    given = {**KEYS, "WEBHOOK_BUCKETS": "masters"}
    with (
        OriginServer(masters) as origin,
        running_installation(tmp_path, origin.url, "--listen", url, **given) as installation,
    ):
        sender.start()
        kill_at_random(None, installation)
        until(lambda: len(made(installation)) == MESSAGES, SECONDS, "all images")
        until(lambda: waiting_at(client, queue) == 0, 60, "an empty queue")
        downloads = Counter(request.path for request in origin.seen() if request.method == "GET")
    assert sorted(taken_by_sqs(client, errors)) == sorted(f"poison {number}" for number in range(POISON))
    assert len(downloads) == sum(downloads.values()) == MESSAGES


def sqs_client(s3: S3Server) -> Any:
    keys = {name.lower(): value for name, value in KEYS.items()}
    return botocore.session.get_session().create_client("sqs", "us-east-1", endpoint_url=s3.url, **keys)


def send_by_sqs(client: Any, queue: str) -> None:
    """Send all messages, a few at a time: moto looks at each one that waits for each that it gives."""
    bodies = [f"poison {number}" for number in range(POISON)]
    for number in range(MESSAGES):
        place = {"bucket": {"name": "masters"}, "object": {"key": f"m{number:05}.png", "versionId": str(number)}}
        record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": place}
        bodies.append(json.dumps({"Records": [record]}))
    random.Random(1).shuffle(bodies)
    for start in range(0, len(bodies), 10):
        until(lambda: waiting_at(client, queue) < SQS_WAITING, 300, "room in the queue")
        entries = [{"Id": str(place), "MessageBody": body} for place, body in enumerate(bodies[start : start + 10])]
        client.send_message_batch(QueueUrl=queue, Entries=entries)


def waiting_at(client: Any, queue: str) -> int:
    counts = client.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    return int(counts["ApproximateNumberOfMessages"]) + int(counts["ApproximateNumberOfMessagesNotVisible"])


def taken_by_sqs(client: Any, queue: str) -> list[str]:
    """Returns the bodies of all messages at *queue*."""
    bodies = []
    while found := client.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        bodies += [message["Body"] for message in found]
    return bodies


def test_every_announced_frame_is_made_and_registered(tmp_path: Path, s3: S3Server) -> None:
    """The listener is killed, the archive refuses registrations for a time, and shows its frames late."""
    (tmp_path / "broker").mkdir()
    broker = RabbitMQ(tmp_path / "broker")
    if not broker.installed():
        pytest.skip("rabbitmq is not installed")
    with broker, OriginServer(tmp_path) as origin, ArchiveServer() as archive:
        own = {"ARCHIVE_API_URL": archive.url, "ARCHIVE_TOKEN": OWNER, "ARCHIVE_BUCKET": s3.bucket()}
        url = f"amqp://guest:guest@127.0.0.1:{broker.port}/?exchange=archived_fits"
        given = s3.environment(s3.bucket(), LISTEN_URLS=url, **own)
        with running_installation(tmp_path, origin.url, **given) as installation:
            until(lambda: "listening to" in installation.journal.read_text(), 60, "the listener")
            archive.script("/thumbnails/", 503)
            announce(broker, range(1000, 1000 + FRAMES))
            for pid in installation.pids("worker.listen"):
                os.kill(pid, signal.SIGKILL)
            for _ in range(FRAMES):
                archive.add(MONO, site_id="tst", instrument_id="fa01", observation_day="2026-11-29")
            until(lambda: archive.count("POST /thumbnails/"), 120, "the first refused registration")
            archive.script("/thumbnails/", 200)
            until(lambda: len(archive.thumbnails) >= 3 * FRAMES, 600, "all registrations")
    known = {(record["frame_basename"], record["size"]) for record in archive.thumbnails}
    assert known == {(f"frame{1000 + i}", size) for i in range(FRAMES) for size in ("small", "medium", "large")}


def announce(broker: RabbitMQ, numbers: Iterable[int]) -> None:
    """Publish frames as the science archive does."""
    with Connection(f"amqp://guest:guest@127.0.0.1:{broker.port}//") as connection:
        producer = connection.Producer(exchange=Exchange("archived_fits", type="fanout"))
        for number in numbers:
            versions = [{"md5": f"md5-{number}", "key": "k", "extension": ".fits.fz"}]
            body = {"frameid": number, "basename": f"frame{number}", "version_set": versions, "area": None}
            producer.publish(body, delivery_mode="persistent", retry=True)


def messages(origin: OriginServer) -> list[tuple[str, dict[str, str]]]:
    named = [("", {"CamelFcrepoUri": f"{origin.url}m{number:05}.png"}) for number in range(MESSAGES)]
    mixed = named + [(f"poison {number}", {}) for number in range(POISON)]
    random.Random(1).shuffle(mixed)
    return mixed


def made(installation: Installation) -> list[Path]:
    return list(installation.settings.cache_dir.glob("*/image.jpg"))


def kill_at_random(broker: QueueBroker | None, installation: Installation) -> None:
    """Kill the listener and the broker, if any, in turns, each when some more images were made."""
    random_steps = random.Random(2)
    for number in range(KILLS):
        wanted = min(len(made(installation)) + random_steps.randint(1, MESSAGES // KILLS // 2), MESSAGES)
        until(lambda least=wanted: len(made(installation)) >= least, 300, f"{wanted} images")  # type: ignore[misc]
        if broker is not None and number % 2:
            broker.kill()
            broker.start()
            continue
        for pid in installation.pids("worker.listen"):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
