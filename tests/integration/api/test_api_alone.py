"""The API without nginx: gunicorn's threads, and a WSGI function in front of Flask for plain hits."""

from __future__ import annotations

import json
import os
import select
import socket
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from mezcal.recipe import Mezzanine
from mezcal.store import open_store
from tests.integration.conftest import SECRET, TOKEN
from tests.support.installation import SAMPLES
from tests.support.proc import open_files
from tests.support.scrape import scraped, total
from tests.support.signed import event, signed
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.installation import Installation
    from tests.support.origin_server import OriginServer

WARM = "maps/valley.tif"
VALLEY = (SAMPLES / "maps" / "valley.tif").read_bytes()
WAITERS = 6  # WAITERS_MAX of the fixture
PROMPT = 5.0  # seconds, for a hit on a busy machine; a miss waits for a minute
NEAR, FAR = "127.0.0.1", "127.0.0.2"  # two clients
FORM = "application/x-www-form-urlencoded"
CHANGING = {"Date", "X-Request-ID"}


@pytest.fixture(scope="module", autouse=True)
def _warm(alone: Installation) -> None:
    alone.ask(WARM)


def connect(installation: Installation, client: str = NEAR) -> socket.socket:
    """Connect from the address *client*."""
    place = urlsplit(installation.url)
    return socket.create_connection((str(place.hostname), place.port), timeout=30, source_address=(client, 0))


def exchange(installation: Installation, request: bytes) -> bytes:
    """Send *request*. Returns all bytes until the server closes the connection."""
    with connect(installation) as line:
        line.sendall(request)
        return b"".join(iter(lambda: line.recv(1 << 20), b""))


def test_it_is_gunicorn_that_answers(alone: Installation) -> None:
    assert not alone.pids("nginx")
    assert alone.ask(WARM).headers["Server"] == "gunicorn"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("target", [f"/images/{WARM}", f"/mezzanine/{WARM}.jpg"])
def test_a_plain_hit_says_what_the_flask_route_says(alone: Installation, method: str, target: str) -> None:
    """Flask answers requests with an unknown query or a condition that does not hold."""
    plain = alone.request(target, method)
    by_flask = [
        alone.request(f"{target}?any=1", method),
        alone.request(target, method, headers={"If-None-Match": '"another"'}),
    ]
    for answer in by_flask:
        assert {name: value for name, value in plain.headers.items() if name not in CHANGING} == {
            name: value for name, value in answer.headers.items() if name not in CHANGING
        }
        assert plain.content == answer.content


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Range": "bytes=0-9"}, 206), ({"If-None-Match": "*"}, 304), ({"Range": "bytes=99999999-"}, 416)],
)
def test_conditions_and_ranges_are_answered_too(alone: Installation, headers: dict[str, str], status: int) -> None:
    assert alone.ask(WARM, headers=headers).status_code == status


def test_hits_misses_and_errors_share_one_connection(alone: Installation, master: str) -> None:
    place = urlsplit(alone.url)
    line = HTTPConnection(str(place.hostname), place.port, timeout=30)
    for target, status in [(WARM, 200), (master, 200), (WARM, 200), ("../x", 400), (WARM, 200), (master, 200)]:
        line.request("GET", f"/images/{target}")
        answer = line.getresponse()
        answer.read()
        assert answer.status == status
    line.close()


def test_a_hit_is_counted_and_has_its_line(alone: Installation, master: str) -> None:
    alone.ask(master)
    before = total(scraped(alone), "mezcal_requests_total", kind="mezzanine", outcome="hit", server="api")
    hit = alone.ask(master, headers={"X-Request-ID": "hit-of-the-api"})
    assert hit.headers["X-Request-ID"] == "hit-of-the-api"
    after = total(scraped(alone), "mezcal_requests_total", kind="mezzanine", outcome="hit", server="api")
    assert after == before + 1
    lines = until(lambda: [line for line in alone.journal.read_text().splitlines() if "hit-of-the-api" in line])
    line = json.loads(lines[0])
    assert (line["event"], line["outcome"], line["server"], line["status"]) == ("request", "hit", "api", 200)
    assert (line["path"], line["bytes"]) == (f"/images/{master}", len(hit.content))
    assert line["key"] == Mezzanine.parse(master).key


def test_waiting_misses_never_take_the_last_threads(alone: Installation, repository: OriginServer) -> None:
    """The most misses that may wait do; hits are answered promptly, by the WSGI function and by Flask."""
    with ExitStack() as waiting:
        scripts = []
        for _ in range(WAITERS):
            path = f"{uuid4().hex}.tif"
            scripts.append(repository.script(path, body=VALLEY, hold_at=1000))
            line = waiting.enter_context(connect(alone))
            line.sendall(f"GET /images/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        until(lambda: total(scraped(alone), "mezcal_active_requests") > WAITERS, what="all places taken")
        assert alone.ask("one-more.tif").status_code == 503
        for headers in ({}, {"If-None-Match": '"another"'}) * 5:
            began = time.monotonic()
            assert alone.ask(WARM, headers=headers).status_code == 200
            assert time.monotonic() - began < PROMPT
        for script in scripts:
            script.go.set()


def test_a_client_that_leaves_while_it_takes_an_image_leaves_no_file_open(alone: Installation) -> None:
    name = f"{uuid4().hex}.tif"
    place = open_store(alone.settings).path(Mezzanine.parse(name))
    place.parent.mkdir(parents=True)
    place.write_bytes(os.urandom(8 << 20))
    _, serving = alone.pids("gunicorn")

    def held() -> int:
        return list(open_files(serving).values()).count(place)

    with connect(alone) as line:
        line.sendall(f"GET /images/{name} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        line.recv(1000)
        until(lambda: held() == 1, what="the image being sent")
    until(lambda: held() == 0, what="the end of it")


def test_a_malformed_chunked_body_is_the_senders_fault(alone: Installation) -> None:
    fields = f"Host: [::1]\r\nAuthorization: Bearer {TOKEN}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    answer = exchange(alone, f"POST /jobs HTTP/1.1\r\n{fields}".encode() + b'["a.tif"]\r\n\r\n')
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert b"does not match its headers" in answer
    assert "Traceback" not in alone.journal.read_text()


@contextmanager
def dripping(installation: Installation, client: str, number: int) -> Iterator[None]:
    """Send *number* signed events and as many sign-ins that never end, a byte at a time."""
    made_up = "Webhook-Id: x\r\nWebhook-Timestamp: 1\r\nWebhook-Signature: v1,x\r\nContent-Type: application/json\r\n"
    form = "Content-Type: application/x-www-form-urlencoded\r\n"
    over = threading.Event()
    with ExitStack() as open_:
        lines = []
        for target, fields in [("/webhooks/standard", made_up), ("/ops/sign-in", form)] * number:
            line = open_.enter_context(connect(installation, client))
            line.sendall(f"POST {target} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: 9999\r\n\r\n".encode())
            lines.append(line)

        def drip() -> None:
            while not over.wait(0.1):
                for line in lines:
                    with suppress(OSError):  # the API has ended it
                        line.send(b" ")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            until(lambda: total(scraped(installation), "mezcal_active_requests") >= 12, what="the bodies")
            yield
        finally:
            over.set()
            thread.join()


def post(installation: Installation, target: str, body: bytes, headers: dict[str, str]) -> int:
    return installation.request(target, "POST", data=body, headers=headers).status_code


def statuses(installation: Installation) -> set[tuple[int, int]]:
    """Sign in and send a signed event, 15 times each."""
    answers = set()
    for number in range(15):
        body = event("updated", f"{uuid4().hex}-{number}.tif")
        sign_in = post(installation, "/ops/sign-in", f"token={TOKEN}".encode(), {"Content-Type": FORM})
        answers.add((sign_in, post(installation, "/webhooks/standard", body, signed(body, SECRET))))
    return answers


def test_bodies_that_drip_keep_out_no_others(alone: Installation) -> None:
    with dripping(alone, FAR, 33):
        assert statuses(alone) == {(303, 202)}


def test_bodies_that_drip_keep_out_no_others_of_their_own_address(alone: Installation) -> None:
    """Clients behind one proxy may share an address."""
    with dripping(alone, NEAR, 33):
        until(lambda: statuses(alone) == {(303, 202)}, what="bodies that are old enough to lose their places")


def test_what_follows_a_body_that_was_ended_is_no_request(alone: Installation) -> None:
    """A client could otherwise hide a request in a slow body, behind a proxy that uses the connection again."""
    made_up = "Webhook-Id: x\r\nWebhook-Timestamp: 1\r\nWebhook-Signature: v1,x\r\nContent-Type: application/json\r\n"
    head = f"POST /webhooks/standard HTTP/1.1\r\nHost: localhost\r\n{made_up}Content-Length: 9999\r\n\r\n".encode()
    hidden = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with ExitStack() as others, connect(alone, "127.0.0.3") as line:
        line.sendall(head)

        def ended() -> bool:
            others.enter_context(connect(alone, "127.0.0.3")).sendall(head)
            return bool(select.select([line], [], [], 0.1)[0])

        until(ended, what="the end of the oldest body")
        with suppress(OSError):
            line.sendall(hidden)
        answer = b""
        with suppress(ConnectionResetError):
            while piece := line.recv(4096):
                answer += piece
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_clients_that_keep_a_closed_connection_delay_no_others(alone: Installation) -> None:
    """Gunicorn would wait two seconds for each of them, and accept no connection in that time."""
    with ExitStack() as held:
        for _ in range(30):
            line = held.enter_context(connect(alone, FAR))
            line.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            line.recv(4096)
        began = time.monotonic()
        assert alone.ask(WARM).status_code == 200
        assert time.monotonic() - began < 20  # not 60


def test_a_body_that_nobody_reads_holds_no_thread_for_long(alone: Installation) -> None:
    """There are more such clients than threads."""
    with ExitStack() as held:
        for _ in range(60):
            line = held.enter_context(connect(alone, FAR))
            line.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n")
        began = time.monotonic()
        assert alone.ask(WARM).status_code == 200
        assert time.monotonic() - began < 10  # not 60 / 22 * 5


def test_one_client_leaves_places_to_others_and_hears_when_to_come_back(
    alone: Installation, repository: OriginServer, master: str
) -> None:
    """A proxy on this machine tells the clients apart. One may have four of the six places, and four queued jobs."""
    until(lambda: total(scraped(alone), "mezcal_waiting_requests") == 0, what="the end of the waits before")
    greedy, other = ({"X-Forwarded-For": address} for address in ("192.0.2.1", "192.0.2.2"))
    with ExitStack() as waiting:
        scripts = []
        for _ in range(4):
            path = f"{uuid4().hex}.tif"
            scripts.append(repository.script(path, body=VALLEY, hold_at=1000))
            line = waiting.enter_context(connect(alone))
            line.sendall(
                f"GET /images/{path} HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n".encode()
            )
        until(lambda: total(scraped(alone), "mezcal_waiting_requests") == 4, what="four of the places taken")
        refused = alone.ask(master, headers=greedy)
        assert (refused.status_code, refused.json()["type"]) == (429, "/problems/share-exceeded")
        assert refused.headers["Cache-Control"] == "no-store"
        assert 0 < int(refused.headers["Retry-After"]) <= 60
        assert alone.job(master) is None, "a refused request queues nothing"
        assert alone.ask(WARM, headers=greedy).status_code == 200, "hits are not counted"
        late = greedy | {"Prefer": "respond-async"}
        asked = [alone.ask(f"{uuid4().hex}.tif", headers=late).status_code for _ in range(5)]
        assert asked in ([202, 429, 429, 429, 429], [202, 202, 429, 429, 429]), "one or two of its jobs run"
        answer = alone.ask(master, headers=other | {"Prefer": "wait=0"})
        assert answer.json()["type"] == "/problems/still-working"
        for script in scripts:
            script.go.set()
    until(lambda: alone.ask(master, headers=greedy).status_code == 200, what="a free place")
    assert total(scraped(alone), "mezcal_requests_total", outcome="over-share", status="429") >= 4


def test_a_process_stays_free_while_another_client_asks(alone: Installation, repository: OriginServer) -> None:
    """Of two processes one client gets one, until the other has asked for nothing for five seconds."""
    greedy, other = ({"X-Forwarded-For": address} for address in ("192.0.2.3", "192.0.2.4"))
    until(lambda: alone.table.depths()["running"] == 0, what="the end of the jobs before")

    def new() -> str:
        repository.script(path := f"{uuid4().hex}.tif", body=VALLEY)
        return path

    assert alone.ask(new(), headers=other).status_code == 200
    slow = {path: repository.script(path, body=VALLEY, hold_at=1000) for path in (new(), new())}
    for path in slow:
        assert alone.ask(path, headers=greedy | {"Prefer": "respond-async"}).status_code == 202
    until(lambda: alone.table.depths()["running"] == 1, what="the first of them")
    for _ in range(3):
        assert alone.ask(new(), headers=other).status_code == 200
    assert alone.table.depths()["interactive"] == 1
    until(lambda: alone.table.depths()["running"] == 2, what="the second, when the other is gone")
    for script in slow.values():
        script.go.set()
    until(lambda: alone.table.depths()["running"] == 0, what="their end")
