"""How long a producer waits for its answer: one event, and 10,000 items, signed, to a real broker.

    python -m benchmarks.events [ROUNDS]

The application is called as gunicorn calls it, less the sockets.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from uuid import uuid4

from api import create_app
from mezcal.settings import load
from tests.support.broker import running_broker
from tests.support.signed import signed

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BASE = "https://repository.example.edu/rest/"


def body(by: str, items: int) -> bytes:
    path = f"books/{uuid4().hex}/page"
    named = [{by: f"{BASE if by == 'url' else ''}{path}{number}.tif"} for number in range(items)]
    return json.dumps({"type": "master.updated", "data": {"items": named}}).encode()


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    with tempfile.TemporaryDirectory() as folder, running_broker(Path(folder)) as broker:
        given = {"storage_dir": Path(folder, "cache"), "redis_url": broker.url, "repo_base_url": BASE}
        client = create_app(load(_env_file=None, webhook_secrets=SECRET, api_tokens="token", **given)).test_client()
        for by, items in [("path", 1), ("path", 10_000), ("url", 10_000)]:
            took, own = [], []
            for _ in range(rounds):
                sent = body(by, items)
                headers = signed(sent, SECRET)
                began, spent = time.perf_counter(), time.process_time()
                answer = client.post("/webhooks/standard", data=sent, headers=headers)
                took.append((time.perf_counter() - began) * 1000)
                own.append((time.process_time() - spent) * 1000)
                assert answer.status_code == 202, answer.text
            middle, longest = statistics.median(took), max(took)
            print(f"{items:6,} by {by}: median {middle:.1f} ms, longest {longest:.1f} ms;", end=" ")
            print(f"{statistics.median(own):.1f} ms of them its own")
        began = time.perf_counter()
        client.get(answer.headers["Location"])
        print(f"GET of the batch: {(time.perf_counter() - began) * 1000:.1f} ms")


if __name__ == "__main__":
    main()
