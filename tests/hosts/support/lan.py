"""Hosts as network namespaces on one switch, whose links can be cut, delayed and made lossy."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.hosts.support.switch import HARDWARE, INTERFACE, Way
from tests.support.network import run
from tests.support.roles import bare_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = "here"  # the host of the test itself: clients, and what is asked for the state
MTU = "9000"
NUMBERS = count()  # of the networks: one process may have several at the same time


class Lan:
    """A network of the hosts *names* and of this process. *folder* has a folder of each host with its logs."""

    def __init__(self, folder: Path, names: list[str], seed: int) -> None:
        self.folder = folder
        self.hosts = [HERE, *names]
        number = next(NUMBERS)
        self._third = (os.getpid() + number) % 250
        self._seed = seed
        self._namespaces = {name: f"mezcal-{os.getpid()}-{number}-{name}" for name in names}
        self._processes: list[tuple[str, subprocess.Popen[bytes]]] = []

    def __enter__(self) -> Self:
        for name, namespace in self._namespaces.items():
            (self.folder / name).mkdir(parents=True)
            run("ip", "netns", "add", namespace)
        words = [sys.executable, "-m", "tests.hosts.support.switch", str(self._seed), "", *self._namespaces.values()]
        self._switch = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._switch.stdout is not None
        _, mine = self._switch.stdout.readline().split()
        os.setpriority(os.PRIO_PROCESS, self._switch.pid, -5)  # busy tests on the machine are not the network's fault
        for name in self.hosts:
            self._configure(name, mine if name == HERE else INTERFACE)
        return self

    def __exit__(self, *_: object) -> None:
        for name in self._namespaces:
            self.kill(name)
        for _, process in self._processes:
            process.wait()
        self._switch.communicate()
        for namespace in self._namespaces.values():
            with suppress(subprocess.CalledProcessError):
                run("ip", "netns", "delete", namespace)

    def _configure(self, name: str, interface: str) -> None:
        """Give the host an address. No host asks for another's: a cut link is silent, as one behind a router is."""
        inside = self._inside(name)
        hardware = HARDWARE.format(self.hosts.index(name))
        run(*inside, "ip", "link", "set", interface, "address", hardware, "mtu", MTU, "up")
        run(*inside, "ip", "address", "add", f"{self.address(name)}/24", "dev", interface)
        if name != HERE:
            run(*inside, "ip", "link", "set", "lo", "up")
        for number, other in enumerate(self.hosts):
            if other != name:
                neighbour = (self.address(other), "lladdr", HARDWARE.format(number), "dev", interface)
                run(*inside, "ip", "neighbour", "replace", *neighbour, "nud", "permanent")

    def _inside(self, name: str) -> tuple[str, ...]:
        return () if name == HERE else ("ip", "netns", "exec", self._namespaces[name])

    def address(self, name: str) -> str:
        """Returns the address of the host *name*."""
        return f"10.213.{self._third}.{self.hosts.index(name) + 1}"

    # --- programs

    def start(self, name: str, program: str, *words: str, cwd: Path | None = None, **env: str) -> None:
        """Run *words* on the host *name*, under its host name. The log is `<folder>/<host>/<program>.log`."""
        named = ("unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', name)
        with (self.folder / name / f"{program}.log").open("ab") as log:
            environment = bare_environment() | {"TMPDIR": str(self.folder / name)} | env
            process = subprocess.Popen(
                [*self._inside(name), *named, *words],
                env=environment, cwd=cwd or self.folder / name, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self._processes.append((f"{name}/{program}", process))

    def stop(self, name: str, program: str) -> None:
        """End *program* as an engine does, and wait until it has ended."""
        for named, process in self._processes:
            if named == f"{name}/{program}" and process.poll() is None:
                process.terminate()
                process.wait(60)

    def log(self, name: str) -> str:
        """Returns all that the programs of the host *name* have logged."""
        return "".join(log.read_text(errors="replace") for log in sorted((self.folder / name).glob("*.log")))

    def pids(self, name: str) -> list[int]:
        """Returns the processes of the host *name*."""
        return [int(pid) for pid in run("ip", "netns", "pids", self._namespaces[name]).split()]

    def kill(self, name: str) -> None:
        """Have the host *name* lose power."""
        while pids := self.pids(name):
            self._signal(pids, signal.SIGKILL)
            for _, process in self._processes:
                process.poll()

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Stop all processes of the host *name* for the block."""
        stopped: list[int] = []
        while added := [pid for pid in self.pids(name) if pid not in stopped]:
            self._signal(added, signal.SIGSTOP)
            stopped += added
        try:
            yield
        finally:
            self._signal(stopped, signal.SIGCONT)

    def _signal(self, pids: list[int], number: signal.Signals) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    # --- links

    def change(
        self, name: str, way: Way, *, others: list[str] | None = None, to: bool = True, back: bool = True
    ) -> None:
        """Make the ways between the host *name* and *others* (all, but not this process) as *way* says.

        *to* is the way from the host, *back* that to it.
        """
        peers = others or [other for other in self.hosts if other not in {name, HERE}]
        for other in peers:
            pair = self.hosts.index(name), self.hosts.index(other)
            for source, target in ([pair] if to else []) + ([pair[::-1]] if back else []):
                self._tell(f"{source} {target} {way.delay} {way.loss} {int(way.cut)}")

    @contextmanager
    def cut(self, name: str, *, others: list[str] | None = None, to: bool = True, back: bool = True) -> Iterator[None]:
        """Lose all frames between the host *name* and *others* for the block: nothing is closed, nothing refused."""
        self.change(name, Way(cut=True), others=others, to=to, back=back)
        try:
            yield
        finally:
            self.change(name, Way(), others=others, to=to, back=back)

    def _tell(self, line: str) -> None:
        assert self._switch.stdin is not None
        self._switch.stdin.write(line + "\n")
        self._switch.stdin.flush()


@cache
def lans_possible() -> bool:
    """Returns True if this process may make such networks."""
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        return False
    try:
        run("ip", "netns", "list")
    except (OSError, subprocess.CalledProcessError):
        return False
    return True
