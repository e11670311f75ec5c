"""The URLs of queues: what they say, and what cannot be."""

from __future__ import annotations

import pytest

from mezcal.settings import WrongSetting
from mezcal.settings.queue_address import QueueAddress


def test_a_stomp_url_names_broker_destination_and_form() -> None:
    url = "stomp://fcrepo:p%40ss@activemq:61613/queue/images?form=fcrepo-uri&errors=/queue/images.errors"
    address = QueueAddress.parse(url)
    assert (address.protocol, address.tls, address.host, address.port) == ("stomp", False, "activemq", 61613)
    assert (address.user, address.password) == ("fcrepo", "p@ss")
    assert (address.destination, address.form) == ("/queue/images", "fcrepo-uri")
    assert "p@ss" not in repr(address) + address.shown


def test_the_errors_of_a_topic_go_to_a_queue_where_they_stay() -> None:
    assert QueueAddress.parse("stomp://activemq/queue/images").errors == "/queue/images.errors"
    assert QueueAddress.parse("stomp://activemq/topic/fedora?client-id=mezcal").errors == "/queue/fedora.errors"
    assert QueueAddress.parse("stomp://activemq/exchange/x?errors=/queue/y").errors == "/queue/y"


def test_ports_and_forms_have_defaults() -> None:
    assert QueueAddress.parse("stomp+ssl://activemq/topic/fedora").port == 61614
    exchange = QueueAddress.parse("amqps://rabbitmq/archive?exchange=archived_fits")
    assert (exchange.port, exchange.tls, exchange.form) == (5671, True, "auto")
    assert exchange.shown == "amqp://rabbitmq:5671/archive (archived_fits)"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("activemq:61613/queue/images", "begins with activemq"),
        ("http://activemq/queue/images", "begins with http"),
        ("stomp://activemq:port/queue/images", "its port must be a number"),
        ("stomp://activemq:61613", "names no destination"),
        ("amqp://rabbitmq/", "names neither queue nor exchange"),
        ("stomp://user:?secret@activemq/queue/images", "write ? # @ and , in a password as"),
        ("stomp://activemq/exchange/masters", "/exchange/masters has no error queue of its own"),
        ("sqs://sqs.eu-west-1.amazonaws.com/masters", "must be as SQS shows it"),
        ("stomp://activemq/queue/images?from=x", "has the option from: it may have"),
        ("stomp://activemq/queue/images?form=xml", "form=xml is not a form of messages: it may be auto, fcrepo-uri"),
        ("stomp+ssl://activemq/queue/images?ca=/nowhere.pem", "ca=/nowhere.pem of the URL of a queue is not a file"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_in_one_line(url: str, reason: str) -> None:
    with pytest.raises(WrongSetting) as caught:
        QueueAddress.parse(url)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
