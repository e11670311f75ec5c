"""Starts parts in order, restarts those that end, and stops all in the opposite order. One thread, no polling."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mezcal.runtime.parent_death import adopt_orphans
from mezcal.runtime.up.log_relay import Journal, Relay
from mezcal.runtime.up.part_process import PartProcess, cause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mezcal.runtime.up.parts import Part

READY_SECONDS = 60.0  # that the parts of one rank may take to become ready
POLL_SECONDS = 0.05  # while parts are not ready yet, or are being stopped
DEATHS_AT_START = 3  # a part that ends so often before it is ready has a wrong configuration
HURRIED_GRACE = 1.0  # seconds that a part may take to end after a second signal
SAME_SIGNAL = 0.3  # seconds: `timeout` and process managers signal this process and its group
GONE_SECONDS = 2.0  # that killed grandchildren may take to vanish
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class NotReady(Exception):
    """A part did not become ready."""


class Supervisor:
    """Keeps *parts* running until a signal. Their output goes to *journal*, their processes inherit *keep*."""

    def __init__(self, parts: Sequence[Part], journal: Journal, keep: tuple[int, ...] = ()) -> None:
        self._processes = [PartProcess(part) for part in parts]
        self._journal, self._keep = journal, keep
        self._started: list[PartProcess] = []
        self._stop_asked: float | None = None  # when the first signal came
        self._hurried = False
        self._selector = selectors.DefaultSelector()

    def run(self, on_ready: Callable[[], None]) -> int:
        """Run until a signal. Returns 0, or 1 if a part did not become ready; no process is left in both cases."""
        adopt_orphans()
        with self._receiving_signals(), self._selector:
            try:
                self._start_all()
                if self._stop_asked is None:
                    on_ready()
                while self._stop_asked is None:
                    self._wait()
            except NotReady:
                self._hurried = True
                return 1
            finally:
                self._stop_all()
        return 0

    # --- the loop

    def _wait(self, until: float | None = None) -> None:
        """Wait for a signal, output, the time *until* or a start that is due, and handle it."""
        times = [moment for moment in (until, *(process.due for process in self._started)) if moment is not None]
        timeout = max(0.0, min(times) - time.monotonic()) if times else None
        self._handle(timeout)
        self._reap()
        for process in self._started:
            if process.due is not None and process.due <= time.monotonic():
                self._start(process)

    def _handle(self, timeout: float | None) -> bool:
        events = self._selector.select(timeout)
        for key, _ in events:
            key.data()
        return bool(events)

    @contextmanager
    def _receiving_signals(self) -> Iterator[None]:
        """Turn signals into bytes in a socket, so that they are handled in the loop only."""
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        # SIGHUP stays ignored under nohup
        received = [s for s in STOPS if s != signal.SIGHUP or signal.getsignal(s) != signal.SIG_IGN]
        for signum in (*received, signal.SIGCHLD):
            signal.signal(signum, lambda *_: None)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        self._selector.register(reader, selectors.EVENT_READ, lambda: self._receive(reader.recv(256)))
        try:
            yield
        finally:
            for signum in STOPS:
                signal.signal(signum, signal.SIG_IGN)  # only the exit is left: a further signal must not disturb it
            signal.set_wakeup_fd(-1)
            reader.close()
            writer.close()

    def _receive(self, signals: bytes) -> None:
        if not set(signals) & set(STOPS):
            return  # SIGCHLD: ended processes are reaped in every round of the loop
        now = time.monotonic()
        if self._stop_asked is None:
            self._stop_asked = now
            self._journal.write_own("stopping; send the signal again to stop at once")
        elif now - self._stop_asked >= SAME_SIGNAL:
            self._hurried = True

    # --- processes

    def _start(self, process: PartProcess) -> None:
        self._journal.begin(process.part.name)
        pipe, output = os.pipe()
        relay = Relay(process.part.name, pipe, self._journal, process.part.not_logged)
        self._selector.register(pipe, selectors.EVENT_READ, lambda: self._relay(relay))
        try:
            process.start(output, self._keep)
        except OSError as error:
            self._journal.write_own(
                f"{process.part.name} cannot be started: {error}; again in {process.back_off():g} s"
            )
        finally:
            os.close(output)

    def _relay(self, relay: Relay) -> None:
        if not relay.pass_on():
            self._selector.unregister(relay.pipe)
            os.close(relay.pipe)

    def _reap(self) -> bool:
        """Wait for every process that has ended, adopted ones included. Returns False if no child is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            for process in self._started:
                if process.pid == pid:
                    self._restart_later(process, os.waitstatus_to_exitcode(status))

    def _restart_later(self, process: PartProcess, exit_code: int) -> None:
        process.ended(exit_code)
        if not process.stopping:
            name, delay = process.part.name, process.back_off()
            self._journal.write_own(f"{name} ended with {cause(exit_code)}; starting it again in {delay:g} s")
            repaired = process.part.repair(self._journal.last_of(name)) if exit_code > 0 else None
            if repaired is not None:
                self._journal.write_own(repaired)

    # --- start and stop

    def _start_all(self) -> None:
        for rank in sorted({process.part.rank for process in self._processes}):
            if self._stop_asked is not None:
                return
            parts = [process for process in self._processes if process.part.rank == rank]
            self._started += parts
            self._await_ready(parts)

    def _await_ready(self, processes: list[PartProcess]) -> None:
        end = time.monotonic() + READY_SECONDS
        while self._stop_asked is None:
            processes = [process for process in processes if not (process.runs and process.part.ready())]
            if not processes:
                return
            for process in processes:
                if process.deaths >= DEATHS_AT_START or time.monotonic() >= end:
                    self._give_up(process)
            self._wait(time.monotonic() + POLL_SECONDS)

    def _give_up(self, process: PartProcess) -> None:
        name = process.part.name
        reason = f"ended {process.deaths} times" if process.deaths else f"did not become ready in {READY_SECONDS:g} s"
        lines = [f"    {line}" for line in self._journal.last_of(name)]
        self._journal.write_own(f"{name} {reason}; " + ("its last lines:" if lines else "it wrote nothing"), *lines)
        raise NotReady

    def _stop_all(self) -> None:
        for rank in sorted({process.part.rank for process in self._started}, reverse=True):
            self._end([process for process in self._started if process.part.rank == rank])
        end = time.monotonic() + GONE_SECONDS
        while self._reap() and time.monotonic() < end:
            self._handle(POLL_SECONDS)
        while self._handle(0):
            pass

    def _end(self, processes: list[PartProcess]) -> None:
        began = time.monotonic()
        for process in processes:
            process.ask_to_stop()
        while alive := [process for process in processes if process.runs]:
            ends = {process: began + self._grace(process) for process in alive}
            for process in alive:
                if time.monotonic() >= ends[process]:
                    process.kill()
            self._wait(max(min(ends.values()), time.monotonic() + POLL_SECONDS))

    def _grace(self, process: PartProcess) -> float:
        return min(process.part.grace, HURRIED_GRACE) if self._hurried else process.part.grace
