"""What mezcal reads of gunicorn: the connection in a request's environment, and the class of malformed requests."""

from __future__ import annotations

import socket
import time

from gunicorn.config import Config
from gunicorn.http import errors
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import IterUnreader
from gunicorn.http.wsgi import default_environ


def test_the_connection_of_a_request_is_in_its_environment() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        cfg = Config()
        request = Request(cfg, IterUnreader([b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"]), ("127.0.0.1", 1))
        assert default_environ(request, ours, cfg)["gunicorn.socket"] is ours


def test_a_connection_whose_body_is_marked_as_failed_is_not_used_again() -> None:
    parser = RequestParser(Config(), iter([b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", b"x"]), ("a", 1))
    request = next(parser)
    assert request.body.failed is False
    request.body.failed = True
    assert parser.finish_body(deadline=time.monotonic() + 1) is False


def test_a_malformed_chunk_is_a_parse_exception() -> None:
    assert issubclass(errors.InvalidChunkSize, errors.ParseException)
