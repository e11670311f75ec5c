"""Clients that ask for images on several hosts, and what was answered."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import requests

from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.hosts.support.cluster import Cluster

CLIENTS = 6
PAUSE = 0.3  # seconds between the requests of a client that was refused
PATIENCE = 180.0  # seconds in which each image must come


@dataclass
class LoadResult:
    """What clients were answered."""

    answers: Counter[str] = field(default_factory=Counter)
    images: dict[str, bytes] = field(default_factory=dict)
    moments: dict[str, float] = field(default_factory=dict)  # when each image came, on the monotonic clock
    longest: float = 0  # seconds of one request

    def unpromised(self) -> list[str]:
        """Returns the answers that docs/http.md does not promise."""
        return [answer for answer in self.answers if answer not in {"200", "503"}]

    def gap(self, began: float) -> float:
        """Returns the longest time without an image after *began*."""
        moments = sorted(moment for moment in self.moments.values() if moment >= began)
        pairs = zip([began, *moments], moments, strict=False)  # the first has one more
        return max((after - before for before, after in pairs), default=0.0)


class ClientLoad:
    """Clients that ask for the masters *paths* one after the other, each until it comes, with *pause* seconds between.

    `asked` has the paths that were asked for.
    """

    def __init__(self, cluster: Cluster, paths: list[str], pause: float = 0) -> None:
        self.cluster, self.course, self._pause = cluster, LoadResult(), pause
        self._left = list(reversed(paths))
        self._lock = threading.Lock()
        self.asked: list[str] = []

    @contextmanager
    def running(self, clients: int = CLIENTS) -> Iterator[LoadResult]:
        """Ask during the block, and wait at its end until every image has come."""
        with ThreadPoolExecutor(clients) as pool:
            asked = [pool.submit(self._ask_all, number) for number in range(clients)]
            yield self.course
            for one in asked:
                one.result()

    def stop(self) -> None:
        """Ask for no more images than those that were asked for."""
        with self._lock:
            self._left.clear()

    def wait_for_images(self, number: int) -> None:
        """Wait until *number* images have come."""
        until(lambda: len(self.course.images) >= number, PATIENCE, f"{number} images")

    def _ask_all(self, client: int) -> None:
        while True:
            with self._lock:
                if not self._left:
                    return
                path = self._left.pop()
                self.asked.append(path)
            self._ask(client, path)
            time.sleep(self._pause)

    def _ask(self, client: int, path: str) -> None:
        ends = time.monotonic() + PATIENCE
        while True:
            fronts = self.cluster.fronts
            answer = self._request(fronts[client % len(fronts)], path)
            if answer is not None and answer.status_code == 200:
                self.course.images[path] = answer.content
                self.course.moments[path] = time.monotonic()
                return
            assert time.monotonic() < ends, f"{path} did not come: {self.course.answers}"
            time.sleep(PAUSE)

    def _request(self, front: str, path: str) -> requests.Response | None:
        began = time.monotonic()
        try:
            answer = self.cluster.request(front, f"/images/{path}")
        except requests.RequestException as error:
            self.course.answers[f"no answer {type(error).__name__}"] += 1
            return None
        self.course.longest = max(self.course.longest, time.monotonic() - began)
        self.course.answers[told(answer)] += 1
        return answer


def told(answer: requests.Response) -> str:
    """Returns the status of *answer*, with what is wrong about it."""
    if answer.status_code == 200:
        whole = answer.content[:2] == b"\xff\xd8" and answer.content[-2:] == b"\xff\xd9"
        return "200" if whole else "200, not whole"
    if answer.status_code == 503 and "Retry-After" in answer.headers and answer.headers["Cache-Control"] == "no-store":
        return "503"
    return f"{answer.status_code} {answer.text[:200]}"


def digest(image: bytes) -> str:
    return hashlib.sha256(image).hexdigest()
