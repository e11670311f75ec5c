"""Throws damaged requests, and whatever the description allows, at a running mezcal.

    make fuzz-http SECONDS=600 SEED=1

One thread mutates whole requests, byte for byte, and sends them over raw sockets. Meanwhile schemathesis goes through
/openapi.json, seed after seed. Nothing may answer 500, print a traceback, end or replace a process, or keep an image
from being served meanwhile. What does is kept in `build/fuzz`, and the end is 1.
"""

from __future__ import annotations

import argparse
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.installation import SAMPLES, Installation, running_installation

FINDINGS = Path("build/fuzz")
TOKEN = "fuzz-token"
SAMPLE = "agave-p3.tif"
PATIENCE = 3.0  # seconds for an answer to a damaged request; one that waits for more is left alone
ROUTES = (
    *(f"/images/{SAMPLE}", f"/mezzanine/{SAMPLE}.jpg", "/images/no-such.tif", "/images/a%2Fb%00c?page=2"),
    *("/", f"/?url=file:///{SAMPLE}", "/jobs?state=failed", f"/jobs/{'0' * 32}", f"/jobs/{'0' * 32}/retry", "/jobs"),
    *("/healthz", "/readyz", "/metrics", "/openapi.json", "/ops", "/ops/retry", "/problems/busy"),
    *("/webhooks/standard", "/webhooks/fedora", "/webhooks/s3", "/webhooks/cloudevents", f"/files/{'a' * 32}.jpg"),
)
FIELDS = (
    *(
        "Range: bytes=0-99",
        "Range: bytes=-1,5-",
        "Range: bytes=0-0, 5-9,",
        "If-None-Match: *",
        'If-Range: "x"',
        "Prefer: respond-async",
    ),
    *("If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT", "Expect: 100-continue", "Transfer-Encoding: chunked"),
    *("Content-Length: 5", "Content-Length: -1", "Content-Encoding: gzip", "Connection: close", "Upgrade: h2c"),
    *(f"Authorization: Bearer {TOKEN}", "Authorization: Basic Og==", "Cookie: ops=1", "X-Forwarded-For: 127.0.0.1"),
    *("Content-Type: application/json", "Content-Type: multipart/form-data; boundary=x", "Accept: text/html"),
    *("traceparent: 00-0-0-0", "X-Request-ID: a\tb", "webhook-id: 1", "webhook-signature: v1,AAAA", "Host: other"),
)
BODIES = (
    b"",
    b"hello",
    b"{}",
    b'["a.tif", 1, null]',
    b"[" * 2000,
    b"5\r\nhello\r\n0\r\n\r\n",
    b"a.tif\nb.tif\n",
    b"\xff\x00" * 50,
)
PIECES = (
    b"\r\n",
    b"\n",
    b"\0",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b"%",
    b"%2e%2e/",
    b"../",
    b"\xc0\xaf",
    b"\xff",
    b":",
    b"A" * 9000,
)
STATUS = re.compile(rb"^HTTP/1\.[01] (\d{3})", re.MULTILINE)


def main() -> int:
    """Fuzz for as long as was asked; 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_installation(Path(folder), SAMPLES.as_uri(), API_TOKENS=TOKEN) as installation,
    ):
        hunt = Hunt(installation, given.seed, time.monotonic() + given.seconds)
        hunt.run()
    print(f"seed {given.seed}: {hunt.sent:,} damaged requests, {hunt.described} rounds through the description")
    print("  answers:", ", ".join(f"{status} {count:,}" for status, count in sorted(hunt.answers.items())))
    for found in hunt.findings:
        print(f"FOUND: {found}")
    return 1 if hunt.findings else 0


@dataclass(slots=True)
class Hunt:
    """The options and findings of a run."""

    installation: Installation
    seed: int
    deadline: float
    sent: int = 0
    described: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Both at once, and a look at the installation every second."""
        wanted = self.installation.ask(SAMPLE).content
        processes = self._processes()
        threads = [threading.Thread(target=work) for work in (self._damage, self._describe)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            threads[0].join(1)
            if self.installation.ask(SAMPLE).content != wanted:
                self.findings.append(f"{SAMPLE} was not served")
        if self._processes() != processes:
            self.findings.append(f"processes were {processes}, are {self._processes()}")
        journal = self.installation.journal.read_text(errors="replace")
        if "Traceback" in journal:
            self.findings.append("a traceback:\n" + journal[journal.index("Traceback") :][:2000])

    def _processes(self) -> set[int]:
        """Returns all processes except pool processes, which are replaced after a thousand jobs."""
        return set(self.installation.pids("")) - set(self.installation.pool())

    def _damage(self) -> None:
        dice = random.Random(self.seed)
        while time.monotonic() < self.deadline:
            request = damaged(dice)
            self.sent += 1
            statuses = answered(self.installation.url, request)
            self.answers.update(statuses or ["none"])
            if "500" in statuses:
                self._keep(request)

    def _keep(self, request: bytes) -> None:
        FINDINGS.mkdir(parents=True, exist_ok=True)
        path = FINDINGS / f"http-{self.seed}-{self.sent}"
        path.write_bytes(request)
        self.findings.append(f"500 for {path}")

    def _describe(self) -> None:
        program = Path(sys.executable).with_name("schemathesis")
        while (left := self.deadline - time.monotonic()) > 0:
            command = [program, "run", self.installation.url + "/openapi.json", "--checks", "not_a_server_error"]
            command += ["-H", f"Authorization: Bearer {TOKEN}", "--seed", str(self.seed + self.described)]
            command += ["--max-examples", "40", "--request-timeout", "60"]
            try:
                ended = subprocess.run(
                    command, cwd=self.installation.folder, capture_output=True, text=True, timeout=left, check=False
                )
            except subprocess.TimeoutExpired:
                return
            self.described += 1
            if ended.returncode:
                self.findings.append(ended.stdout[-3000:])


def damaged(dice: random.Random) -> bytes:
    """Returns a valid request with up to five defects."""
    request = bytearray(sound(dice))
    for _ in range(dice.randrange(6)):
        at = dice.randrange(len(request) + 1)
        match dice.randrange(5):
            case 0:
                request[at : at + dice.randrange(9)] = b""
            case 1:
                request[at:at] = dice.choice(PIECES)
            case 2:
                request[at : at + 1] = bytes([dice.randrange(256)])
            case 3:
                request[at:at] = request[max(0, at - dice.randrange(200)) : at]
            case _:
                request += sound(dice) if dice.randrange(3) else b""
    return bytes(request)


def sound(dice: random.Random) -> bytes:
    """Returns a request as a client might send it."""
    method = dice.choice(["GET", "GET", "HEAD", "POST", "DELETE", "PUT", "OPTIONS", "TRACE", "PATCH"])
    fields = dice.sample(FIELDS, dice.randrange(5))
    head = "\r\n".join([f"{method} {dice.choice(ROUTES)} HTTP/1.1", "Host: localhost", *fields])
    return head.encode() + b"\r\n\r\n" + dice.choice(BODIES)


def answered(url: str, request: bytes) -> list[str]:
    """Send *request*. Returns the statuses of the answers."""
    parts = urlsplit(url)
    received = b""
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 80), PATIENCE) as client:
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
            while len(received) < 1 << 20 and (piece := client.recv(1 << 16)):
                received += piece
    except OSError:
        pass
    return [status.decode() for status in STATUS.findall(received)]


if __name__ == "__main__":
    sys.exit(main())
