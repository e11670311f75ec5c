"""An Ethernet switch as a program: each host has one port, and each way between two ports has its own faults.

    python -m tests.hosts.support.switch SEED [NAMESPACE ..]

It makes an interface `lan` in each network namespace (an empty name is the namespace that it was started in), and
prints `ready`. Lines of standard input change the ways: `FROM TO DELAY LOSS CUT`, with ports counted from 0, seconds,
the part of the frames that is lost, and 1 if all are. Delays and losses by tc need a module that kernels may lack; this
needs /dev/net/tun only. It ends with its standard input.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import itertools
import os
import random
import selectors
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
CLONE_NEWNET = 0x40000000
FRAME_MAX = 65_600
INTERFACE = "lan"
HARDWARE = "02:4d:7a:00:00:{:02x}"  # of a port; the last byte is its number


@dataclass(frozen=True, slots=True)
class Way:
    """How frames get from one port to another."""

    delay: float = 0
    loss: float = 0
    cut: bool = False


def open_port(namespace: str) -> int:
    """Make the interface in *namespace*. Returns the descriptor of its frames."""
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        if namespace:
            enter(os.open(f"/run/netns/{namespace}", os.O_RDONLY))
        port = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        name = INTERFACE if namespace else f"mz{os.getpid()}"
        fcntl.ioctl(port, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI))
        enter(here)
        return port
    finally:
        os.close(here)


def enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class Switch:
    """Copies frames between *ports* until its standard input ends."""

    def __init__(self, ports: list[int], seed: int) -> None:
        self.ports = ports
        self.ways: dict[tuple[int, int], Way] = {}
        self._chance = random.Random(seed)
        self._due: list[tuple[float, int, int, bytes]] = []  # when, a number that keeps their order, to where, what
        self._numbers = itertools.count()
        self._unfinished = b""

    def run(self) -> None:
        """Copy frames."""
        selector = selectors.DefaultSelector()
        for number, port in enumerate(self.ports):
            selector.register(port, selectors.EVENT_READ, number)
        selector.register(0, selectors.EVENT_READ, -1)
        while True:
            for key, _ in selector.select(self._pause()):
                if key.data >= 0:
                    self._receive(key.data)
                elif not self._read_changes():
                    return
            self._send_due()

    def _pause(self) -> float | None:
        return max(0.0, self._due[0][0] - time.monotonic()) if self._due else None

    def _read_changes(self) -> bool:
        """Read from the standard input what has changed. Returns False at its end."""
        arrived = os.read(0, FRAME_MAX)
        *lines, self._unfinished = (self._unfinished + arrived).split(b"\n")
        for line in lines:
            source, target, delay, loss, cut = line.split()
            self.ways[int(source), int(target)] = Way(float(delay), float(loss), cut == b"1")
        return bool(arrived)

    def _receive(self, source: int) -> None:
        for _ in range(64):  # then the others have their turn
            try:
                frame = os.read(self.ports[source], FRAME_MAX)
            except BlockingIOError:
                return
            everyone = frame[0] & 1
            targets = range(len(self.ports)) if everyone else [frame[5]] if frame[5] < len(self.ports) else []
            for target in targets:
                if target != source:
                    self._forward(source, target, frame)

    def _forward(self, source: int, target: int, frame: bytes) -> None:
        way = self.ways.get((source, target), Way())
        if way.cut or (way.loss and self._chance.random() < way.loss):
            return
        if way.delay:
            heapq.heappush(self._due, (time.monotonic() + way.delay, next(self._numbers), target, frame))
        else:
            self._write(target, frame)

    def _send_due(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic():
            *_, target, frame = heapq.heappop(self._due)
            self._write(target, frame)

    def _write(self, target: int, frame: bytes) -> None:
        try:
            os.write(self.ports[target], frame)
        except OSError:  # the queue of the interface is full, or it is down: the frame is lost
            return


def main() -> None:
    seed, *namespaces = sys.argv[1:]
    ports = [open_port(namespace) for namespace in namespaces]
    print(f"ready mz{os.getpid()}", flush=True)
    Switch(ports, int(seed)).run()


if __name__ == "__main__":
    assert Path("/dev/net/tun").exists()
    main()
