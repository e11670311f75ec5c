"""nginx in front and the API alone, with the same cache and the same queue, answer every request alike."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from dataclasses import dataclass
from email import message_from_bytes
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from mezcal.runtime.nginx import nginx
from tests.support.installation import MEZCAL, SAMPLES
from tests.support.roles import free_port
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.installation import Installation
    from tests.support.origin_server import OriginServer

VALLEY = (SAMPLES / "maps" / "valley.tif").read_bytes()
WARM = "maps/valley.tif"
PLAIN, NAMED = f"/images/{WARM}", f"/images/{WARM}?any=1"  # nginx finds the file by its path; the API names it
PYRAMID = f"/derivatives/pyramid/{WARM}.tif"
PROBLEM = "application/problem+json"
OLD, NEW = "Fri, 01 Jan 1990 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"
PAST_END = "bytes=99999999-"
BOUNDARY = re.compile("(?<=boundary=)[0-9]{20}$")
Fields = dict[str, str]


@dataclass(frozen=True)
class Answer:
    """One response. *fields* have names in lower case; those that were sent twice are joined, as caches do."""

    status: int
    fields: Fields
    body: bytes


@dataclass(frozen=True)
class Both:
    """The ports of nginx and of the API alone, and the values that the tables name in capitals."""

    nginx: int
    api: int
    values: Fields

    def ask(self, target: str, fields: Fields, method: str = "GET") -> tuple[Answer, Answer]:
        given = {name: self._filled(value) for name, value in fields.items()}
        return exchange(self.nginx, target, given, method), exchange(self.api, target, given, method)

    def _filled(self, text: str) -> str:
        for name, value in self.values.items():
            text = text.replace(name, value)
        return text


@pytest.fixture(scope="module")
def both(installation: Installation) -> Iterator[Both]:
    if nginx() is None:
        assert "CI" not in os.environ, "nginx is missing"
        pytest.skip("there is no nginx here")
    port = free_port()
    redis = {"REDIS_URL": f"unix://{installation.folder}/data/run/broker.sock", "API_PROCESSES": "1"}
    with (installation.folder / "api-alone.log").open("wb") as log:
        command = [MEZCAL, "api", "--port", str(port)]
        alone = subprocess.Popen(command, env=installation.environment | redis, cwd=installation.folder, stderr=log)
    try:
        until(lambda: listens(port), 60, "the API alone")
        known = installation.ask(WARM)
        values = {
            "TAG": known.headers["ETag"],
            "DATE": known.headers["Last-Modified"],
            "LAST": str(len(known.content) - 1),
            "SIZE": str(len(known.content)),
            "MORE": str(len(known.content) + 5),
        }
        yield Both(urlsplit(installation.url).port or 0, port, values)
    finally:
        alone.terminate()
        alone.wait(20)


def listens(port: int) -> bool:
    with socket.socket() as line:
        return line.connect_ex(("127.0.0.1", port)) == 0


def exchange(
    port: int, target: str, fields: Fields, method: str = "GET", version: str = "1.1", host: str | None = "localhost"
) -> Answer:
    """Send the request byte by byte as it is given, on a connection of its own."""
    given = ({} if host is None else {"Host": host}) | fields | {"Connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    with socket.create_connection(("127.0.0.1", port), timeout=30) as line:
        line.sendall(f"{method} {target} HTTP/{version}\r\n{head}\r\n".encode("latin-1"))
        received = b"".join(iter(lambda: line.recv(1 << 20), b""))
    top, _, body = received.partition(b"\r\n\r\n")
    first, *lines = top.decode("latin-1").split("\r\n")
    assert first.startswith(("HTTP/1.1 ", "HTTP/1.0 ") if version == "1.0" else "HTTP/1.1 "), first
    sent: dict[str, list[str]] = {}
    for name, value in (line.split(": ", 1) for line in lines):
        sent.setdefault(name.lower(), []).append(value)
    joined = {name: ", ".join(values) for name, values in sent.items()}
    return without_boundary(Answer(int(first.split(" ")[1]), joined, body))


def without_boundary(answer: Answer) -> Answer:
    """Replace the boundary of several parts, which is another one in each response."""
    kind = answer.fields.get("content-type", "")
    if not (found := BOUNDARY.search(kind)):
        return answer
    fields = answer.fields | {"content-type": BOUNDARY.sub("-" * 20, kind)}
    return Answer(answer.status, fields, answer.body.replace(found[0].encode(), b"-" * 20))


def same(answers: tuple[Answer, Answer], status: int, *names: str, head: bool = False) -> None:
    """Check that both answers have this status and these fields, and that no cache may keep an error."""
    by_nginx, by_api = answers
    assert (by_nginx.status, by_api.status) == (status, status)
    if status >= 400:
        for answer in answers:
            is_problem(answer, head=head)
        assert by_nginx.fields.get("content-range") == by_api.fields.get("content-range")
        return
    for name in names:
        assert by_nginx.fields.get(name) == by_api.fields.get(name), name
    assert by_nginx.body == by_api.body


def is_problem(answer: Answer, *, head: bool = False) -> None:
    assert answer.fields["content-type"] == PROBLEM
    assert "no-store" in answer.fields["cache-control"]
    if not head:
        assert json.loads(answer.body)["status"] == answer.status
    if answer.status in {502, 503, 504}:
        assert answer.fields["retry-after"]


def many(count: int) -> str:
    """So many ranges of one byte each."""
    return "bytes=" + ",".join(f"{at}-{at}" for at in range(0, 2 * count, 2))


CONDITIONS: list[tuple[Fields, int]] = [
    ({}, 200),
    ({"If-Match": "TAG"}, 200),
    ({"If-Match": "*"}, 200),
    ({"If-Match": '"other", TAG'}, 200),
    ({"If-Match": '"other"'}, 412),
    ({"If-Match": "W/TAG"}, 412),
    ({"If-None-Match": "TAG"}, 304),
    ({"If-None-Match": "W/TAG"}, 304),
    ({"If-None-Match": "*"}, 304),
    ({"If-None-Match": '"other",TAG'}, 304),
    ({"If-None-Match": '"other"'}, 200),
    ({"If-None-Match": "no-quotes"}, 200),
    ({"If-Modified-Since": "DATE"}, 304),
    ({"If-Modified-Since": NEW}, 304),
    ({"If-Modified-Since": "Fri Jan  1 00:00:00 2100"}, 304),
    ({"If-Modified-Since": OLD}, 200),
    ({"If-Modified-Since": "yesterday"}, 200),
    ({"If-Unmodified-Since": "DATE"}, 200),
    ({"If-Unmodified-Since": NEW}, 200),
    ({"If-Unmodified-Since": "yesterday"}, 200),
    ({"If-Unmodified-Since": OLD}, 412),
    ({"If-None-Match": "TAG", "If-Modified-Since": OLD}, 304),
    ({"If-None-Match": '"other"', "If-Modified-Since": NEW}, 200),
    ({"If-Match": "TAG", "If-Unmodified-Since": OLD}, 200),
    ({"If-Match": '"other"', "If-Unmodified-Since": NEW}, 412),
    ({"If-Match": '"other"', "If-None-Match": "TAG"}, 412),
    ({"If-Match": "TAG", "If-None-Match": "TAG"}, 304),
    ({"If-Unmodified-Since": OLD, "If-None-Match": "TAG"}, 412),
    ({"Range": "bytes=0-31"}, 206),
    ({"Range": "bytes=5-"}, 206),
    ({"Range": "bytes=-10"}, 206),
    ({"Range": "bytes=-MORE"}, 206),
    ({"Range": "bytes=LAST-MORE"}, 206),
    ({"Range": "bytes=00-05"}, 206),
    ({"Range": "bytes=SIZE-"}, 416),
    ({"Range": PAST_END}, 416),
    ({"Range": "bytes=5-2"}, 416),
    ({"Range": "bytes=-0"}, 416),
    ({"Range": "bytes=0-0,5-9"}, 206),
    ({"Range": "bytes=0-0, 5-9, -3"}, 206),
    ({"Range": "bytes=0-0 ,5-9"}, 206),
    ({"Range": "bytes=0-0,\t5-9"}, 206),
    ({"Range": "bytes=,0-0,,5-9,"}, 206),
    ({"Range": "bytes=50-59,5-9,5-9,0-,"}, 200),
    ({"Range": "bytes=50-59,5-9,5-9,0-"}, 200),
    ({"Range": "bytes=50-59,5-9,5-9"}, 206),
    ({"Range": "bytes=0-LAST,-1"}, 200),
    ({"Range": "bytes=0-99,100-"}, 206),
    ({"Range": "bytes=0-0,99999999-"}, 206),
    ({"Range": "bytes=0-0,5-2,-0"}, 206),
    ({"Range": "bytes=99999999-,-0"}, 416),
    ({"Range": "bytes=5-2, 99999999-"}, 416),
    ({"Range": "bytes=0-0,x"}, 200),
    ({"Range": "bytes=0-0,5--9"}, 200),
    ({"Range": "bytes=0-0;5-9"}, 200),
    ({"Range": "bytes=0-0 5-9"}, 200),
    ({"Range": "bytes=0-0,99999999999999999999-"}, 200),
    ({"Range": "bytes=,"}, 200),
    ({"Range": many(100)}, 206),
    ({"Range": many(101)}, 200),
    ({"Range": many(100) + PAST_END.replace("bytes=", ",")}, 206),
    ({"Range": many(700)}, 200),
    ({"Range": "bytes=" + "0-," * 1000 + "0-"}, 200),
    ({"Range": "bytes=0-0,5-9", "If-Range": "TAG"}, 206),
    ({"Range": "bytes=0-0,5-9", "If-Range": "DATE"}, 206),
    ({"Range": "bytes=0-0,5-9", "If-Range": '"other"'}, 200),
    ({"Range": "bytes=0-0,5-9", "If-Range": "W/TAG"}, 200),
    ({"Range": "bytes=0-0,5-9", "If-None-Match": "TAG"}, 304),
    ({"Range": "bytes=0-0,5-9", "If-Match": "TAG"}, 206),
    ({"Range": "bytes=0-0,5-9", "If-Match": '"other"'}, 412),
    ({"Range": "bytes=0-0,5-9", "If-Unmodified-Since": NEW}, 206),
    ({"Range": "bytes=0-99999999999999999999"}, 200),
    ({"Range": "bytes=99999999999999999999-"}, 200),
    ({"Range": "pages=1-2"}, 200),
    ({"Range": "bytes=a-b"}, 200),
    ({"Range": "bytes=-"}, 200),
    ({"Range": "bytes"}, 200),
    ({"Range": "bytes=0-31", "If-Range": "TAG"}, 206),
    ({"Range": "bytes=0-31", "If-Range": "DATE"}, 206),
    ({"Range": "bytes=0-31", "If-Range": '"other"'}, 200),
    ({"Range": "bytes=0-31", "If-Range": "W/TAG"}, 200),
    ({"Range": "bytes=0-31", "If-Range": OLD}, 200),
    ({"Range": "bytes=0-31", "If-Range": NEW}, 200),
    ({"Range": PAST_END, "If-Range": "TAG"}, 416),
    ({"Range": PAST_END, "If-Range": '"other"'}, 200),
    ({"Range": "bytes=0-31", "If-None-Match": "TAG"}, 304),
    ({"Range": PAST_END, "If-None-Match": "TAG"}, 304),
    ({"Range": "bytes=0-31", "If-Modified-Since": "DATE"}, 304),
    ({"Range": "bytes=0-31", "If-Match": "TAG"}, 206),
    ({"Range": "bytes=0-31", "If-Match": '"other"'}, 412),
    ({"Range": PAST_END, "If-Match": '"other"'}, 412),
    ({"Range": "bytes=0-31", "If-Unmodified-Since": NEW}, 206),
    ({"Range": "bytes=0-31", "If-Unmodified-Since": OLD}, 412),
]


@pytest.mark.parametrize("target", [PLAIN, NAMED])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_conditions_and_ranges_of_a_stored_image(both: Both, method: str, target: str) -> None:
    for fields, status in CONDITIONS:
        names = ["cache-control", "etag", "content-range", "cache-status"]
        names += ["content-length", "content-type", "last-modified"] if status != 304 else []
        try:
            same(both.ask(target, fields, method), status, *names, head=method == "HEAD")
        except AssertionError as error:
            error.add_note(f"{method} {target} {fields}")
            raise


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_conditions_and_ranges_of_another_profile(both: Both, installation: Installation, method: str) -> None:
    made = installation.request(PYRAMID)
    values = {"TAG": made.headers["ETag"], "DATE": made.headers["Last-Modified"], "LAST": str(len(made.content) - 1)}
    values |= {"SIZE": str(len(made.content)), "MORE": str(len(made.content) + 5)}
    pyramid = Both(both.nginx, both.api, values)
    names = ["cache-control", "etag", "content-range", "cache-status"]
    for fields, status in CONDITIONS:
        more = ["content-length", "content-type", "last-modified"] if status != 304 else []
        for target in (PYRAMID, f"{PYRAMID}?any=1"):
            same(pyramid.ask(target, fields, method), status, *names, *more, head=method == "HEAD")


@pytest.mark.parametrize("target", [PLAIN, NAMED])
def test_several_ranges_are_parts_that_a_mime_parser_reads(both: Both, installation: Installation, target: str) -> None:
    """RFC 9110, 14.6 and 15.3.7.2."""
    whole = installation.ask(WARM).content
    for answer in both.ask(target, {"Range": "bytes=-3,5-9,0-0"}):
        assert "content-range" not in answer.fields
        assert answer.fields["content-length"] == str(len(answer.body))
        message = message_from_bytes(f"Content-Type: {answer.fields['content-type']}\r\n".encode() + answer.body)
        assert message.get_content_type() == "multipart/byteranges"
        parts = list(message.walk())[1:]
        assert [part["Content-Type"] for part in parts] == ["image/jpeg"] * 3
        last = len(whole) - 1
        spans = [f"bytes {last - 2}-{last}/{last + 1}", f"bytes 5-9/{last + 1}", f"bytes 0-0/{last + 1}"]
        assert [part["Content-Range"] for part in parts] == spans
        for content in (whole[-3:], whole[5:10], whole[:1]):
            assert content + b"\r\n--" in answer.body


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 200),
        ({"If-None-Match": "*"}, 304),
        ({"If-Match": '"other"'}, 412),
        ({"If-Unmodified-Since": OLD}, 412),
        ({"Range": "bytes=0-31"}, 206),
        ({"Range": PAST_END}, 416),
        ({"Range": "bytes=0-0,5-9"}, 206),
        ({"Range": "bytes=0-31", "If-Range": '"other"'}, 200),
    ],
)
def test_conditions_and_ranges_of_an_image_that_is_made_first(
    both: Both, repository: OriginServer, fields: Fields, status: int
) -> None:
    answers = []
    for port in (both.nginx, both.api):
        path = f"{uuid4().hex}.tif"
        repository.script(path, body=VALLEY)
        answers.append(exchange(port, f"/images/{path}", fields))
        assert repository.count(path) == 1
    names = ["cache-control", "content-range", "cache-status"]
    same((answers[0], answers[1]), status, *names, *(["content-length", "content-type"] if status != 304 else []))


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/images/100%", 400),
        ("/images/100%zz", 400),
        (f"{PLAIN}%", 400),
        (f"{PLAIN}%0a", 400),
        ("/mezzanine/100%.jpg", 400),
        ("/images/%zz?any=1", 400),
        (f"{PLAIN}?%zz", 200),
        (f"{PLAIN}?", 200),
        (f"{PLAIN}#fragment", 200),
        ("/images/a%00b", 400),
        ("/images/%e9", 400),
        ("/images/\xe9", 400),
        ("/images/a b", 400),
        ("/images/\x01", 400),
        ("/images/../../x", 400),
        (f"/.{PLAIN}", 404),
        (f"/x/..{PLAIN}", 404),
        ("images/x", 400),
        ("*", 400),
        ("/images/", 400),
        ("/images/no-such.tif", 404),
        (f"/derivatives/mezzanine/{WARM}.jpg", 200),
        (f"/derivatives/mezzanine/{WARM}.tif", 404),
        (f"/derivatives/pyramid/{WARM}.jpg", 404),
        (f"/derivatives/pyramid/{WARM}", 404),
        ("/derivatives/pyramid/.tif", 400),
        ("/derivatives/pyramid/a/...tif", 400),
        ("/derivatives/no-such/a.tif", 404),
        ("/derivatives/pyramid", 404),
        ("/derivatives/", 404),
        ("/nothing", 404),
        ("/.stored/", 404),
        ("/.stored/x", 404),
        (f"/.stored/{WARM}/image.jpg", 404),
        (f"/%2estored/{WARM}/image.jpg", 404),
        ("/.problem", 404),
        (f"http://localhost{PLAIN}", 200),
    ],
)
def test_odd_targets(both: Both, target: str, status: int) -> None:
    same(both.ask(target, {}), status, "content-type", "etag", "content-length", "cache-control")


def test_a_folder_in_the_place_of_an_image(both: Both, installation: Installation, repository: OriginServer) -> None:
    """By itself, nginx redirects to the path with a slash, which caches keep. umd-lib/mezcal has such folders."""
    name = f"{uuid4().hex}.tif"
    repository.script(name, body=VALLEY)
    (installation.settings.cache_dir / name / "image.jpg" / "x").mkdir(parents=True)
    same(both.ask(f"/images/{name}", {}), 503)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "TRACE", "PROPFIND", "get"])
def test_other_methods(both: Both, method: str) -> None:
    same(both.ask(PLAIN, {"Content-Length": "0"}, method), 400 if method == "get" else 405)
    for field in ("If-Match", "Range"):
        same(both.ask(PLAIN, {field: "bytes=0-1"}, method), 400 if method == "get" else 405)


@pytest.mark.parametrize("target", [PLAIN, "/nothing"])
@pytest.mark.parametrize("host", ["", "a/b", "a b", "a..b", ".", ":80", "a\x7f", None])
def test_a_malformed_host_is_refused(both: Both, host: str | None, target: str) -> None:
    for port in (both.nginx, both.api):
        answer = exchange(port, target, {}, host=host)
        assert answer.status == 400
        is_problem(answer)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *((host, 200) for host in ("localhost:8080", "LOCALHOST.", "127.0.0.1", "127.3.2.1:80", "[::1]", "[::1]:80")),
        *((host, 421) for host in ("a.b.", "_x", "203.0.113.1", "[2001:db8::1]", "x.localhost", "127.0.0.1.a.b")),
    ],
)
def test_a_host_of_this_machine_is_taken_and_of_another_site_is_not(both: Both, host: str, status: int) -> None:
    for port in (both.nginx, both.api):
        for target in (PLAIN, NAMED, "/nothing"):
            answer = exchange(port, target, {}, host=host)
            assert answer.status == (404 if status == 200 and target == "/nothing" else status)
            if status == 421:
                is_problem(answer)


def test_a_client_of_http_1_0_may_name_no_host(both: Both) -> None:
    for port in (both.nginx, both.api):
        assert exchange(port, PLAIN, {}, version="1.0", host=None).status == 200
        assert exchange(port, NAMED, {}, version="1.0", host=None).status == 200


@pytest.mark.parametrize("version", ["1.2", "1.9"])
def test_a_later_version_of_http_1_is_answered_as_http_1_1(both: Both, version: str) -> None:
    for port in (both.nginx, both.api):
        assert exchange(port, PLAIN, {}, version=version).status == 200
        assert exchange(port, NAMED, {}, version=version).status == 200


@pytest.mark.parametrize(
    ("target", "fields", "version", "status"),
    [
        ("/images/" + "a" * 20_000, {}, "1.1", {414}),
        ("/jobs", {"X": "a" * 20_000}, "1.1", {431}),
        ("/jobs", {"Transfer-Encoding": "strange"}, "1.1", {501}),
        ("/jobs", {"Content-Length": "many"}, "1.1", {400}),
        ("/jobs", {}, "2.0", {400, 505}),
    ],
)
def test_what_is_no_valid_http_is_refused(
    both: Both, target: str, fields: Fields, version: str, status: set[int]
) -> None:
    for port in (both.nginx, both.api):
        answer = exchange(port, target, fields, "POST", version=version)
        assert answer.status in status
        is_problem(answer)
