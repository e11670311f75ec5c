"""A load generator for HTTP hits: one thread, keep-alive connections, bodies read and thrown away.

It must cost less than what it measures: Linux discards the bodies in the kernel (MSG_TRUNC), and since every
answer for one target has the same length, only the first of a connection is read as HTTP; of each later one the
status is read and the bytes are counted.
"""

from __future__ import annotations

import select
import socket
import time
from dataclasses import dataclass

CHUNK = 1 << 22
GOOD = (b"HTTP/1.1 200", b"HTTP/1.1 302")
STUCK = 10.0  # seconds without any answer after which all open requests count as failed


@dataclass(frozen=True)
class Run:
    """Requests per second, and the 50th and 99th percentile of their times in milliseconds."""

    rate: float
    p50: float
    p99: float
    failed: int


class Line:
    """One connection that asks for the same target again and again."""

    def __init__(self, address: tuple[str, int], target: str, buffer: memoryview) -> None:
        self.socket = socket.create_connection(address, timeout=STUCK)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = buffer
        self._request = f"GET {target} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\n\r\n".encode()
        self.ask()
        self._length = self._first()
        self.socket.setblocking(False)

    def ask(self) -> None:
        self.began = time.perf_counter()
        self.left = 0
        self.socket.send(self._request)

    def _first(self) -> int:
        """Read one answer as HTTP; the length of it all."""
        received = b""
        while b"\r\n\r\n" not in received:
            piece = self.socket.recv(65536)
            if not piece:
                raise ConnectionError("the server closed the connection")
            received += piece
        head, _, _ = received.partition(b"\r\n\r\n")
        if not head.startswith(GOOD):
            raise ConnectionError(head[:40])
        fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:])
        length = len(head) + 4 + int(fields[b"content-length"])
        left = length - len(received)
        while left:
            left -= len(self.socket.recv(min(left, 1 << 20)))
        return length

    def take(self) -> float | None:
        """Read the available bytes. Returns the seconds since the request when the response is complete."""
        try:
            if not self.left:
                count = self.socket.recv_into(self._buffer, len(GOOD[0]))
                if bytes(self._buffer[:count]) not in GOOD:
                    raise ConnectionError(bytes(self._buffer[:40]))
                self.left = self._length - count
            while self.left:
                count = self.socket.recv_into(self._buffer, min(self.left, CHUNK), socket.MSG_TRUNC)
                if not count:
                    raise ConnectionError("the server closed the connection")
                self.left -= count
        except BlockingIOError:
            return None
        return time.perf_counter() - self.began


class Lines:
    """The connections to one target, and what became of their requests: seconds each took, and how many failed."""

    def __init__(self, address: tuple[str, int], target: str, connections: int) -> None:
        self._place = address, target, memoryview(bytearray(CHUNK))
        self._poll = select.epoll()
        self._lines: dict[int, Line] = {}
        self.times: list[float] = []
        self.failed = 0
        for _ in range(connections):
            self._connect()

    def _connect(self) -> None:
        line = Line(*self._place)
        self._lines[line.socket.fileno()] = line
        self._poll.register(line.socket, select.EPOLLIN)
        line.ask()

    def turn(self) -> None:
        """Take what has come, and ask again."""
        for number, _ in self._poll.poll(1):
            try:
                took = self._lines[number].take()
            except OSError:
                self.failed += 1
                self._lines.pop(number).socket.close()
                self._connect()
                continue
            if took is not None:
                self.times.append(took)
                self._lines[number].ask()

    def close(self) -> None:
        for line in self._lines.values():
            line.socket.close()
        self._poll.close()


def load(address: tuple[str, int], target: str, connections: int, seconds: float) -> Run:
    """Ask for *target* over *connections* at once for *seconds*, each as soon as it was answered."""
    lines = Lines(address, target, connections)
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        lines.turn()
    elapsed = time.perf_counter() - began
    lines.close()
    return run_of(lines.times, lines.failed, elapsed)


def steady(address: tuple[str, int], target: str, pause: float, seconds: float) -> Run:
    """Ask for *target* again and again for *seconds*, always *pause* seconds after an answer."""
    line = Line(address, target, memoryview(bytearray(CHUNK)))
    times: list[float] = []
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        time.sleep(pause)
        line.ask()
        while (took := line.take()) is None:
            select.select([line.socket], [], [], STUCK)
        times.append(took)
    line.socket.close()
    return run_of(times, 0, time.perf_counter() - began)


def run_of(times: list[float], failed: int, elapsed: float) -> Run:
    if not times:
        return Run(0, float("inf"), float("inf"), failed)
    times.sort()
    p50, p99 = (1000 * times[int(part * (len(times) - 1))] for part in (0.5, 0.99))
    return Run(len(times) / elapsed, p50, p99, failed)
