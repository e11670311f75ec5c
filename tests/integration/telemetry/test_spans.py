"""One trace from the client through API, queue and worker to the origin, as an OTLP receiver gets it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections import defaultdict
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.installation import SAMPLES, running_installation
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.installation import Installation

protocol = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2", reason="needs mezcal[otel]")

TRACE, CLIENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
MASTER = (SAMPLES / "agave-p3.tif").read_bytes()


class Receiver(ThreadingHTTPServer):
    """Collects the spans that are sent to it, with the names of their services."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Received)
        self.spans: list[tuple[str, Any]] = []

    def of_trace(self, trace: str) -> dict[str, Any]:
        """Returns the spans of *trace* by their names."""
        return {span.name: span for _, span in self.spans if span.trace_id.hex() == trace}

    def trace_of(self, path: str) -> str | None:
        """Returns the trace of the request for the image of *path*, None if its span has not come."""
        for _, span in self.spans:
            if f"/images/{path}" in {attribute.value.string_value for attribute in span.attributes}:
                return str(span.trace_id.hex())
        return None


class _Received(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        message = protocol.ExportTraceServiceRequest()
        message.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
        for resource in message.resource_spans:
            service = next(a.value.string_value for a in resource.resource.attributes if a.key == "service.name")
            self.server.spans += [(service, span) for scope in resource.scope_spans for span in scope.spans]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


class Repository(ThreadingHTTPServer):
    """Serves one master at every path but /missing, and keeps the headers of the requests for each."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Master)
        self.asked: dict[str, list[dict[str, str]]] = defaultdict(list)


class _Master(BaseHTTPRequestHandler):
    server: Repository

    def do_GET(self) -> None:
        self.server.asked[self.path].append({name.lower(): value for name, value in self.headers.items()})
        found = "missing" not in self.path
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "image/tiff")
        self.send_header("Content-Length", str(len(MASTER) if found else 0))
        self.end_headers()
        if found and self.command == "GET":
            self.wfile.write(MASTER)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    yield from served(Receiver())


@pytest.fixture(scope="module")
def repository() -> Iterator[Repository]:
    yield from served(Repository())


def served(server: Any) -> Iterator[Any]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def installation(
    tmp_path_factory: pytest.TempPathFactory, receiver: Receiver, repository: Repository
) -> Iterator[Installation]:
    with traced(tmp_path_factory.mktemp("spans"), receiver, repository, every_ms=100) as up:
        yield up


@contextmanager
def traced(folder: Path, receiver: Receiver, repository: Repository, every_ms: int) -> Iterator[Installation]:
    """Runs an installation whose processes send their spans every *every_ms* milliseconds."""
    given = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.server_port}",
        "OTEL_BSP_SCHEDULE_DELAY": str(every_ms),
        "LOG_FORMAT": "json",
    }
    with running_installation(folder, f"http://127.0.0.1:{repository.server_port}/", **given) as up:
        yield up


def test_a_miss_is_one_trace_from_the_client_to_the_origin(
    installation: Installation, receiver: Receiver, repository: Repository
) -> None:
    answer = installation.ask("one.tif", headers={"traceparent": f"00-{TRACE}-{CLIENT}-01"})
    assert answer.status_code == 200
    parts = {"queued", "download", "convert", "store"}
    names = {"GET images.image", "make mezzanine", *parts}
    spans = until(lambda: names <= (found := receiver.of_trace(TRACE)).keys() and found, 20, "the spans")
    request, job = spans["GET images.image"], spans["make mezzanine"]
    assert request.parent_span_id.hex() == CLIENT
    assert job.parent_span_id == request.span_id
    assert {spans[part].parent_span_id for part in parts} == {job.span_id}
    assert request.start_time_unix_nano <= spans["queued"].start_time_unix_nano + 50_000_000
    assert spans["queued"].end_time_unix_nano <= job.start_time_unix_nano + 50_000_000
    assert spans["store"].end_time_unix_nano <= job.end_time_unix_nano <= request.end_time_unix_nano + 50_000_000
    (asked,) = [headers for headers in repository.asked["/one.tif"] if "traceparent" in headers][-1:]
    assert asked["traceparent"] == f"00-{TRACE}-{job.span_id.hex()}-01"


def test_a_failure_marks_the_spans_and_each_part_has_its_name(installation: Installation, receiver: Receiver) -> None:
    trace = TRACE[::-1]
    installation.ask("missing.tif", headers={"traceparent": f"00-{trace}-{CLIENT}-01"})
    spans = until(lambda: len(found := receiver.of_trace(trace)) >= 3 and found, 20, "the spans")
    assert spans["make mezzanine"].status.code == 2
    assert {a.key: a.value.string_value for a in spans["make mezzanine"].attributes}["error.type"] == "master-missing"
    assert spans["GET images.image"].status.code == 0, "404 is no failure of the server"
    assert {service for service, _ in receiver.spans} == {"mezcal-api", "mezcal-worker"}


def test_a_client_without_a_trace_gets_one_whose_id_is_in_the_logs(
    installation: Installation, receiver: Receiver
) -> None:
    installation.ask("two.tif")
    trace = until(lambda: receiver.trace_of("two.tif"), 20, "the span of the request")
    until(lambda: "make mezzanine" in receiver.of_trace(trace), 20, "the span of the job")
    lines = [json.loads(line) for line in installation.journal.read_text().splitlines()]
    assert {line["event"] for line in lines if line.get("trace_id") == trace} >= {"request", "job"}


def test_what_a_client_does_not_want_traced_is_not(installation: Installation, receiver: Receiver) -> None:
    unwanted = "f" * 32
    installation.ask("three.tif", headers={"traceparent": f"00-{unwanted}-{CLIENT}-00"})
    installation.ask("four.tif")
    until(lambda: receiver.trace_of("four.tif"), 20, "the span of the later request")
    assert receiver.of_trace(unwanted) == {}


def test_probes_are_no_spans(installation: Installation, receiver: Receiver) -> None:
    installation.request("/readyz")
    installation.ask("five.tif")
    until(lambda: receiver.trace_of("five.tif"), 20, "the span of the later request")
    assert not [span for _, span in receiver.spans if "health" in span.name]


@pytest.mark.slow
def test_processes_that_end_send_their_last_spans(tmp_path: Path, receiver: Receiver, repository: Repository) -> None:
    trace = "a" * 32
    with traced(tmp_path, receiver, repository, every_ms=600_000) as up:
        assert up.ask("six.tif", headers={"traceparent": f"00-{trace}-{CLIENT}-01"}).status_code == 200
        assert receiver.of_trace(trace) == {}
        assert up.stop() == 0
    assert {"GET images.image", "make mezzanine", "queued", "download", "convert", "store"} <= set(
        receiver.of_trace(trace)
    )


SILENT = """
import os, time
from mezcal.telemetry.spans import begin_job, flush
begin_job("make mezzanine", None).end({})
began = time.monotonic()
flush(0.2)
print(time.monotonic() - began, flush=True)
os._exit(0)
"""


def test_a_receiver_that_does_not_answer_holds_up_the_end_of_a_process_for_a_bounded_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        command = [sys.executable, "-c", SILENT]
        asked = subprocess.run(command, env=os.environ | endpoint, capture_output=True, text=True, check=True)
    assert 0.2 <= float(asked.stdout) < 5, "the SDK would wait for 10 s"
