"""A load generator for HTTP hits: one thread, keep-alive connections, bodies read and thrown away."""

from __future__ import annotations

import selectors
import socket
import time
from dataclasses import dataclass

CHUNK = 1 << 20


@dataclass(frozen=True)
class Run:
    """Requests per second, and the 50th and 99th percentile of their times in milliseconds."""

    rate: float
    p50: float
    p99: float
    failed: int


class Line:
    """One connection that asks for the same target again and again."""

    def __init__(self, address: tuple[str, int], target: str) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = f"GET {target} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\n\r\n".encode()
        self._buffer = memoryview(bytearray(CHUNK))

    def ask(self) -> None:
        self._began = time.perf_counter()
        self._left = -1
        self.socket.sendall(self._request)

    def take(self) -> float | None:
        """Read what is there; the seconds since it was asked for once the whole answer is."""
        discard = socket.MSG_TRUNC if self._left > 0 else 0  # Linux drops the bytes uncopied: the load costs less
        count = self.socket.recv_into(self._buffer, 0, discard)
        if not count:
            raise ConnectionError("the server hung up")
        if self._left < 0:
            count = self._head(bytes(self._buffer[:count]))
        self._left -= count
        return time.perf_counter() - self._began if self._left == 0 else None

    def _head(self, data: bytes) -> int:
        """Read status and length; how much of *data* is body. Heads are far shorter than one read."""
        head, found, body = data.partition(b"\r\n\r\n")
        if not found or not head.startswith(b"HTTP/1.1 200"):
            raise ConnectionError(data[:40])
        fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:])
        self._left = int(fields[b"content-length"])
        return len(body)


def load(address: tuple[str, int], target: str, connections: int, seconds: float) -> Run:
    """Ask for *target* over *connections* at once for *seconds*."""
    times: list[float] = []
    failed = 0
    with selectors.DefaultSelector() as selector:
        for _ in range(connections):
            line = Line(address, target)
            selector.register(line.socket, selectors.EVENT_READ, line)
            line.ask()
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            for key, _ in selector.select(1):
                try:
                    took = key.data.take()
                except (ConnectionError, KeyError):
                    failed += 1
                    selector.unregister(key.fileobj)
                    again = Line(address, target)
                    selector.register(again.socket, selectors.EVENT_READ, again)
                    again.ask()
                    continue
                if took is not None:
                    times.append(took)
                    key.data.ask()
        elapsed = time.perf_counter() - began
        for key in list(selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
    times.sort()
    if not times:
        return Run(0, float("inf"), float("inf"), failed)
    return Run(len(times) / elapsed, *(1000 * times[int(part * (len(times) - 1))] for part in (0.5, 0.99)), failed)
