"""Lines of the logs: their formats, and the secrets that are hidden in them."""

from __future__ import annotations

import json
import logging
import sys
import time

import pytest

from mezcal.settings import load
from mezcal.telemetry import tracing
from mezcal.telemetry.logs import LineFormatter, as_json, as_text, utc_time
from mezcal.telemetry.redaction import Redactor
from mezcal.telemetry.tracing import Trace

SIGNED = "https://s3/x.fits?X-Amz-Algorithm=AWS4&X-Amz-Credential=AKIA/eu&X-Amz-Signature=0a1b&partNumber=1"


def record(message: str, **fields: object) -> logging.LogRecord:
    return logging.makeLogRecord(
        {"name": "api.x", "levelname": "INFO", "msg": message, "created": 0.5, "fields": fields}
    )


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("Authorization: Bearer abc.def", "abc.def"),
        ("{'Authorization': 'Basic dXNlcjpw', 'Host': 'a'}", "dXNlcjpw"),
        ("curl -H 'authorization: token 0123abcd'", "0123abcd"),
        ("refused Bearer 0123456789abcdef", "0123456789abcdef"),
        ("Cookie: session=9f8e; other=77", "9f8e"),
        (SIGNED, "AKIA"),
        (SIGNED, "0a1b"),
        ("redis://:hunter2@redis:6379/0 is away", "hunter2"),
        ("http://user:pa55@host/path", "pa55"),
        ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl", "eyJzdWIiOiJ4In0"),
        ("password=hunter2", "hunter2"),
        ("/files/x.jpg?expires=1&signature=abc_def-1", "abc_def-1"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, hidden: str) -> None:
    assert hidden not in Redactor()(text)
    assert "***" in Redactor()(text)


@pytest.mark.parametrize(
    "text",
    [
        "the process that made 70d1d414bc4b8286c5abfffed1fc938e ended: signal 9",
        "a token is needed here and none came",
        "Connected to redis+socket:///tmp/run/broker.sock",
        "https://repository/fcrepo/rest/a:b@c/d?page=2",
        "GET /images/keys/secret-garden.tif 200 hit",
    ],
)
def test_what_is_none_stays(text: str) -> None:
    assert Redactor()(text) == text


@pytest.mark.parametrize(
    "piece",
    ["a://:", ":", "a.", "a.a-", "key", ";key", "sig.", "eyJ-", "eyJa.", "token ", "authorization ", "cookie=", "&"],
)
@pytest.mark.parametrize("head", ["", "a://", "?", "eyJ", "bearer "])
def test_no_text_takes_long_to_be_searched(head: str, piece: str) -> None:
    """Clients choose paths, paths are logged, and a search blocks all other threads."""
    text = head + piece * (40_000 // len(piece))
    began = time.thread_time()
    Redactor()(text)
    assert time.thread_time() - began < 1, "what goes over a text once for each of its letters takes ten"


def test_secrets_of_the_settings_are_hidden_in_every_form() -> None:
    given = load(
        _env_file=None,
        repo_username="reader",
        repo_password='pa"ss\\word/1',
        redis_url="redis://:of-the-broker@redis/0",
        api_tokens="first-token,second-token",
        archive_token="Token 0123abcd",
        notice_url="https://hooks.example/services/T0/B0/of-the-webhook",
        notice_secret="of-the-notices",
    )
    mask = Redactor.of(given)
    for shown in (
        'pa"ss\\word/1', "pa%22ss%5Cword%2F1", json.dumps('pa"ss\\word/1'), "of-the-broker", "second-token", "0123abcd",
        "services/T0/B0/of-the-webhook", "hooks.example/services/T0/B0/of-the-webhook", "of-the-notices",
        "cmVhZGVyOnBhInNzXHdvcmQvMQ==",
    ):  # fmt: skip
        assert mask.hide_known(f"before {shown} after") in {"before *** after", 'before "***" after'}
    assert mask.hide_known("redis") == "redis"


def test_json_is_one_object_for_any_text() -> None:
    text = LineFormatter(as_json, Redactor(), "api").format(record('a"\n\x1b\u2028b', path="x\ny", ms=1.5, none=None))
    assert "\n" not in text
    assert text.isascii()
    line = json.loads(text)
    assert line["event"] == 'a"\n\x1b\u2028b'
    assert (line["path"], line["ms"], line["part"], line["level"]) == ("x\ny", 1.5, "api", "INFO")
    assert line["time"] == "1970-01-01T00:00:00.500Z"
    assert "none" not in line


def test_people_get_one_line_for_any_text() -> None:
    text = LineFormatter(as_text, Redactor(), "api").format(record("a\r\nb\x1b[2J\u202e", path="x\ny"))
    assert text == "1970-01-01 00:00:00.500 INFO    api.x: a\\r\\nb\\x1b[2J\\u202e path=x\\ny"


def test_a_requests_line_for_people_is_short() -> None:
    fields = {"method": "GET", "path": "/images/a b", "status": 200, "ms": 12.6, "bytes": 77, "outcome": "miss"}
    text = LineFormatter(as_text, Redactor(), "api").format(
        record("request", **fields, kind="mezzanine", server="api", key="k")
    )
    assert text == "1970-01-01 00:00:00.500 INFO    GET /images/a b 200 miss 13 ms 77 B"


def test_a_traceback_is_set_in_and_hides_secrets_too() -> None:
    try:
        int("no\n2026-01-01 forged Authorization: Bearer abc-1")
    except ValueError:
        failure = logging.makeLogRecord({"name": "x", "msg": "failed", "exc_info": sys.exc_info()})
    head, *rest = LineFormatter(as_text, Redactor(), "api").format(failure).split("\n")
    assert head.endswith("x: failed")
    assert rest
    assert all(line.startswith("    ") for line in rest)
    assert "abc-1" not in "".join(rest)


def test_a_line_has_the_ids_of_the_request_that_its_thread_serves() -> None:
    tracing.set_current(Trace.of("client-1", None))
    try:
        line = json.loads(LineFormatter(as_json, Redactor(), "worker").format(record("x")))
        headers = tracing.message_headers()
    finally:
        tracing.set_current(None)
    assert line["request_id"] == "client-1"
    again = tracing.from_message(headers)
    assert again is not None
    assert (again.request_id, again.trace_id) == ("client-1", line["trace_id"])
    assert "request_id" not in json.loads(LineFormatter(as_json, Redactor(), "worker").format(record("x")))


@pytest.mark.parametrize("strange", ["a b", "x\n", "ü", "", "a" * 129, '"'])
def test_strange_ids_are_replaced(strange: str) -> None:
    assert Trace.of(strange, None).request_id != strange


@pytest.mark.parametrize(
    "parent",
    ["", "00-0-0-01", f"00-{'0' * 32}-{'b' * 16}-01", f"00-{'a' * 32}-{'0' * 16}-01", f"ff-{'a' * 32}-{'b' * 16}-01"],
)
def test_a_traceparent_that_is_none_is_replaced_by_one(parent: str) -> None:
    made = Trace.of(None, parent)
    assert made.parent != parent
    assert tracing.TRACEPARENT.fullmatch(made.parent)
    assert made.request_id == made.trace_id


def test_times_are_logged_to_the_millisecond() -> None:
    assert utc_time(1_700_000_000.1239) == "2023-11-14T22:13:20.123Z"
