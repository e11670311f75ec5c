"""Parts started in order, watched, restarted, ended in the opposite order; one thread, no polling."""

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

READY_WITHIN = 60.0  # seconds for each rank
LOOK_EVERY = 0.05  # seconds between two looks at parts that are not ready; later nothing is looked at
DEATHS_AT_START = 3  # a part that dies so often before it was ever ready is misconfigured
HURRIED_GRACE = 1.0  # seconds, once a second signal came
SAME_WISH = 0.3  # seconds: `timeout` and process managers signal both us and our group
GONE_WITHIN = 2.0  # seconds for killed grandchildren to vanish
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class NotReady(Exception):
    """A part did not become ready."""


class Supervisor:
    """Keeps *parts* running until a signal; their output goes to *journal*, their children inherit *keep*."""

    def __init__(self, parts: Sequence[Part], journal: Journal, keep: tuple[int, ...] = ()) -> None:
        self._lives = [PartProcess(part) for part in parts]
        self._journal, self._keep = journal, keep
        self._up: list[PartProcess] = []  # those that were told to start
        self._asked: float | None = None
        self._hurried = False
        self._selector = selectors.DefaultSelector()

    def run(self, on_ready: Callable[[], None]) -> int:
        """Run until told to stop: 0; or 1 if a part did not become ready. Nothing is left either way."""
        adopt_orphans()
        with self._hearing_signals(), self._selector:
            try:
                self._bring_up()
                if self._asked is None:
                    on_ready()
                while self._asked is None:
                    self._turn()
            except NotReady:
                self._hurried = True
                return 1
            finally:
                self._wind_down()
        return 0

    # --- the loop

    def _turn(self, until: float | None = None) -> None:
        """Handle what happened, or wait for it: a signal, output, the moment *until*, a start that is due."""
        moments = [moment for moment in (until, *(life.due for life in self._up)) if moment is not None]
        timeout = max(0.0, min(moments) - time.monotonic()) if moments else None
        self._handle(timeout)
        self._reap()
        for life in self._up:
            if life.due is not None and life.due <= time.monotonic():
                self._start(life)

    def _handle(self, timeout: float | None) -> bool:
        events = self._selector.select(timeout)
        for key, _ in events:
            key.data()
        return bool(events)

    @contextmanager
    def _hearing_signals(self) -> Iterator[None]:
        """Signals become bytes in a socket: handled in the loop, never in the middle of something."""
        ear, mouth = socket.socketpair()
        ear.setblocking(False)
        mouth.setblocking(False)
        # nohup's SIGHUP stays ignored; a background shell's SIGINT does not matter
        heard = [s for s in STOPS if s != signal.SIGHUP or signal.getsignal(s) != signal.SIG_IGN]
        for signum in (*heard, signal.SIGCHLD):
            signal.signal(signum, lambda *_: None)
        signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
        self._selector.register(ear, selectors.EVENT_READ, lambda: self._hear(ear.recv(256)))
        try:
            yield
        finally:
            for signum in STOPS:
                signal.signal(signum, signal.SIG_IGN)  # all is done but the exit: impatience must not spoil it
            signal.set_wakeup_fd(-1)
            ear.close()
            mouth.close()

    def _hear(self, signals: bytes) -> None:
        if not set(signals) & set(STOPS):
            return  # SIGCHLD: whatever ended is reaped in every turn
        now = time.monotonic()
        if self._asked is None:
            self._asked = now
            self._journal.say("stopping; once more to hurry")
        elif now - self._asked >= SAME_WISH:
            self._hurried = True

    # --- lives

    def _start(self, life: PartProcess) -> None:
        pipe, output = os.pipe()
        relay = Relay(life.part.name, pipe, self._journal)
        self._selector.register(pipe, selectors.EVENT_READ, lambda: self._relay(relay))
        try:
            life.start(output, self._keep)
        except OSError as error:
            self._journal.say(f"{life.part.name} cannot be started: {error}; again in {life.back_off():g} s")
        finally:
            os.close(output)

    def _relay(self, relay: Relay) -> None:
        if not relay.pass_on():
            self._selector.unregister(relay.pipe)
            os.close(relay.pipe)

    def _reap(self) -> bool:
        """Wait for every process that has ended, adopted ones too; False if no child is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            for life in self._up:
                if life.pid == pid:
                    self._mourn(life, os.waitstatus_to_exitcode(status))

    def _mourn(self, life: PartProcess, exit_code: int) -> None:
        life.ended(exit_code)
        if not life.stopping:
            name, delay = life.part.name, life.back_off()
            self._journal.say(f"{name} ended with {cause(exit_code)}; starting it again in {delay:g} s")

    # --- up and down

    def _bring_up(self) -> None:
        for rank in sorted({life.part.rank for life in self._lives}):
            if self._asked is not None:
                return
            mine = [life for life in self._lives if life.part.rank == rank]
            self._up += mine
            self._await_ready(mine)

    def _await_ready(self, lives: list[PartProcess]) -> None:
        end = time.monotonic() + READY_WITHIN
        while self._asked is None:
            lives = [life for life in lives if not (life.runs and life.part.ready())]
            if not lives:
                return
            for life in lives:
                if life.deaths >= DEATHS_AT_START or time.monotonic() >= end:
                    self._give_up(life)
            self._turn(time.monotonic() + LOOK_EVERY)

    def _give_up(self, life: PartProcess) -> None:
        name = life.part.name
        why = f"ended {life.deaths} times" if life.deaths else f"did not become ready in {READY_WITHIN:g} s"
        told = [f"    {line}" for line in self._journal.last_of(name)]
        self._journal.say(f"{name} {why}; " + ("its last lines:" if told else "it said nothing"), *told)
        raise NotReady

    def _wind_down(self) -> None:
        for rank in sorted({life.part.rank for life in self._up}, reverse=True):
            self._end([life for life in self._up if life.part.rank == rank])
        end = time.monotonic() + GONE_WITHIN
        while self._reap() and time.monotonic() < end:
            self._handle(LOOK_EVERY)
        while self._handle(0):
            pass

    def _end(self, lives: list[PartProcess]) -> None:
        began = time.monotonic()
        for life in lives:
            life.ask_to_stop()
        while alive := [life for life in lives if life.runs]:
            ends = {life: began + self._grace(life) for life in alive}
            for life in alive:
                if time.monotonic() >= ends[life]:
                    life.kill()
            self._turn(max(min(ends.values()), time.monotonic() + LOOK_EVERY))

    def _grace(self, life: PartProcess) -> float:
        return min(life.part.grace, HURRIED_GRACE) if self._hurried else life.part.grace
