"""A network of its own for a server, whose packets can be dropped: a namespace behind a pair of virtual interfaces."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Network:
    """The namespace *name*. Programs in it are reached at *address*."""

    name: str
    address: str

    @property
    def inside(self) -> tuple[str, ...]:
        """Words that start a program in this network."""
        return "ip", "netns", "exec", self.name

    @contextmanager
    def packets_dropped(self) -> Iterator[None]:
        """Drop all packets in both directions: no connection is closed, and none is refused."""
        run(*self.inside, "ip", "link", "set", "inner", "down")
        try:
            yield
        finally:
            run(*self.inside, "ip", "link", "set", "inner", "up")


@contextmanager
def network() -> Iterator[Network]:
    """A network that ends with the block."""
    name = f"mezcal-{os.getpid()}"
    outer, third = f"mz{os.getpid()}", os.getpid() % 250
    run("ip", "netns", "add", name)
    try:
        run("ip", "link", "add", outer, "type", "veth", "peer", "name", "inner", "netns", name)
        run("ip", "address", "add", f"10.213.{third}.1/30", "dev", outer)
        run("ip", "link", "set", outer, "up")
        made = Network(name, f"10.213.{third}.2")
        run(*made.inside, "ip", "address", "add", f"{made.address}/30", "dev", "inner")
        run(*made.inside, "ip", "link", "set", "inner", "up")
        # Without this the kernel would find out that nobody answers there, and refuse.
        neighbour = ("ip", "neighbour", "replace", made.address, "dev", outer, "nud", "permanent")
        run(*neighbour, "lladdr", hardware_address(made))
        yield made
    finally:
        run("ip", "netns", "delete", name)  # the interfaces go with it


@cache
def networks_possible() -> bool:
    """Returns True if this process may make networks."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        return False
    try:
        with network():
            return True
    except subprocess.CalledProcessError:
        return False


def hardware_address(made: Network) -> str:
    return run(*made.inside, "cat", "/sys/class/net/inner/address").strip()


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout
