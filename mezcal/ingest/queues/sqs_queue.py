"""SQS, with botocore: a queue that gets the events of a bucket, directly, through SNS or through EventBridge."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from mezcal.errors import WrongSetting
from mezcal.ingest.queues.message import QueueMessage, QueueUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.settings import Settings
    from mezcal.settings.queue_address import QueueAddress

WAIT_SECONDS = 2  # for which one request waits for a message, and a stopping listener for the request
MOST = 10  # messages of one response; SQS gives no more
REGION = re.compile(r"sqs[.-]([a-z0-9-]+)\.(?:vpce\.)?amazonaws\.com")
ERRORS = (BotoCoreError, ClientError)


class SqsQueue:
    """A queue of SQS. What cannot be understood goes to `errors=`, or is left to the queue's own redrive policy."""

    def __init__(self, address: QueueAddress, settings: Settings) -> None:
        scheme = "https" if address.tls else "http"
        port = "" if address.port in {80, 443} else f":{address.port}"
        self._endpoint = f"{scheme}://{address.host}{port}"
        self._url = f"{self._endpoint}{address.path}"
        errors = address.options.get("errors")
        self._errors_url = f"{self._url.rpartition('/')[0]}/{errors}" if errors else None
        self._client = self._new_client(address, settings)
        self._checked = False

    def _new_client(self, address: QueueAddress, settings: Settings) -> Any:
        named = REGION.search(address.host)
        region = address.options.get("region") or (named[1] if named else settings.aws_default_region)
        if not region:
            raise WrongSetting("the region of the queue is not known: add ?region= to its URL")
        secret, token = settings.aws_secret_access_key, settings.aws_session_token
        return botocore.session.get_session().create_client(
            "sqs",
            region_name=region,
            endpoint_url=self._endpoint,
            aws_access_key_id=settings.aws_access_key_id,
            aws_secret_access_key=secret.get_secret_value() if secret else None,
            aws_session_token=token.get_secret_value() if token else None,
            config=Config(connect_timeout=5, read_timeout=WAIT_SECONDS + 10, retries={"total_max_attempts": 1}),
        )

    def probe(self) -> None:
        """Ask for the attributes of the queue; see `MessageQueue`."""
        self._call("get_queue_attributes", AttributeNames=["All"])
        self._check_redrive()

    def messages(self) -> Iterator[QueueMessage | None]:
        """Ask for messages again and again; see `MessageQueue`."""
        self._check_redrive()
        while True:
            response = self._call(
                "receive_message",
                MaxNumberOfMessages=MOST,
                WaitTimeSeconds=WAIT_SECONDS,
                MessageAttributeNames=["All"],
            )
            found = response.get("Messages", [])
            for raw in found:
                attributes = raw.get("MessageAttributes", {})
                headers = {name.lower(): str(value.get("StringValue", "")) for name, value in attributes.items()}
                yield QueueMessage(raw["Body"].encode(), headers, raw["MessageId"], settled_by=raw)
            if not found:
                yield None

    def _check_redrive(self) -> None:
        """Raise `WrongSetting` if a message that cannot be understood would come again for ever."""
        if self._checked or self._errors_url is not None:
            return
        response = self._call("get_queue_attributes", AttributeNames=["All"])
        if "RedrivePolicy" not in response.get("Attributes", {}):
            raise WrongSetting(f"{self._url} has no redrive policy: give it one, or add ?errors=QUEUE to its URL")
        self._checked = True

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        try:
            return dict(getattr(self._client, operation)(QueueUrl=parameters.pop("QueueUrl", self._url), **parameters))
        except ERRORS as error:
            raise QueueUnreachable(str(error)) from error

    def acknowledge(self, message: QueueMessage) -> None:
        """Delete *message*."""
        self._call("delete_message", ReceiptHandle=message.settled_by["ReceiptHandle"])

    def reject(self, message: QueueMessage, reason: str) -> None:
        """Send *message* to the error queue and delete it; without one, leave it to the redrive policy."""
        if self._errors_url is None:
            return
        marks = {"Error": reason, "original-destination": self._url}
        attributes = {name: {"DataType": "String", "StringValue": text} for name, text in marks.items()}
        self._call(
            "send_message",
            QueueUrl=self._errors_url,
            MessageBody=message.settled_by["Body"],
            MessageAttributes=attributes,
        )
        self.acknowledge(message)

    def keep_alive(self) -> None:
        """Do nothing: a message that waits for too long is delivered again, which adds nothing."""

    def close(self) -> None:
        """Do nothing: each request stands for itself."""
