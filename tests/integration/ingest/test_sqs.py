"""A queue of SQS, with moto's server: events of a bucket become jobs, and what is no event goes to the error queue."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest

from mezcal.checks import Severity
from mezcal.checks.queues import queue_check
from mezcal.ingest.queues import QueueAddress, QueueListener, open_queue
from mezcal.jobs import Jobs
from mezcal.settings import WrongSetting, load
from tests.support.s3_server import KEYS, running_s3
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.broker import Broker
    from tests.support.s3_server import S3Server

EVENT = {
    "eventSource": "aws:s3",
    "eventName": "ObjectCreated:Put",
    "s3": {"bucket": {"name": "masters"}, "object": {"key": "books/1.tif", "versionId": "1"}},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_s3(tmp_path_factory.mktemp("sqs")) as running:
        yield running


@pytest.fixture
def sqs(server: S3Server) -> Any:
    session = botocore.session.get_session()
    return session.create_client(
        "sqs",
        "us-east-1",
        endpoint_url=server.url,
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
    )


@pytest.fixture
def settings(broker: Broker, tmp_path: Path) -> Any:
    keys = {name.lower(): value for name, value in KEYS.items()}
    prefix = f"sqs{os.getpid()}:{tmp_path.name}:"
    return load(_env_file=None, redis_url=broker.url, key_prefix=prefix, data_dir=tmp_path, **keys)


def address(server: S3Server, name: str, options: str) -> QueueAddress:
    return QueueAddress.parse(f"sqs+http://127.0.0.1:{server.port}/123456789012/{name}?region=us-east-1{options}")


def test_events_become_jobs_and_what_is_none_goes_to_the_error_queue(server: S3Server, sqs: Any, settings: Any) -> None:
    queue_url = sqs.create_queue(QueueName="masters")["QueueUrl"]
    errors_url = sqs.create_queue(QueueName="masters-errors")["QueueUrl"]
    for body in (json.dumps({"Records": [EVENT]}), "no event"):
        sqs.send_message(QueueUrl=queue_url, MessageBody=body)
    where, jobs, stopping = address(server, "masters", "&errors=masters-errors"), Jobs.of(settings), threading.Event()
    queue = open_queue(where, settings)
    thread = threading.Thread(target=QueueListener(queue, where, jobs, stopping, lambda: None).run)
    thread.start()
    try:
        until(lambda: jobs.table.redis.zcard(jobs.table.keys.chunks) == 1, what="the batch of the event")
        [moved] = until(lambda: sqs.receive_message(QueueUrl=errors_url, MessageAttributeNames=["All"]).get("Messages"))
    finally:
        stopping.set()
        thread.join(30)
    assert moved["Body"] == "no event"
    assert moved["MessageAttributes"]["Error"]["StringValue"].startswith("the body is no JSON")
    assert moved["MessageAttributes"]["original-destination"]["StringValue"].endswith("/masters")
    counts = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["All"])["Attributes"]
    assert counts["ApproximateNumberOfMessages"] == counts["ApproximateNumberOfMessagesNotVisible"] == "0"


def test_a_queue_without_a_way_out_for_errors_is_refused(server: S3Server, sqs: Any, settings: Any) -> None:
    sqs.create_queue(QueueName="alone")
    with pytest.raises(WrongSetting, match="has no redrive policy: give it one, or add"):
        next(iter(open_queue(address(server, "alone", ""), settings).messages()))


def test_the_check_connects_and_says_what_is_wrong(server: S3Server, sqs: Any, settings: Any) -> None:
    sqs.create_queue(QueueName="well")
    sqs.create_queue(QueueName="well-errors")
    url = f"sqs+http://127.0.0.1:{server.port}/123456789012/{{}}?region=us-east-1&errors=well-errors"
    assert queue_check(settings, url.format("well")).run().level is Severity.OK
    missing = queue_check(settings, url.format("nowhere")).run()
    assert missing.level is Severity.FAILED
    assert "NonExistentQueue" in missing.detail
    unreachable = queue_check(settings, "stomp://127.0.0.1:1/queue/images").run()
    assert unreachable.detail == "stomp://127.0.0.1:1/queue/images: cannot be reached (ConnectFailedException)"
    assert unreachable.hint.startswith("check its URL in LISTEN_URLS")
