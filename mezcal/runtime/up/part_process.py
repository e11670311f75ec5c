"""The process of one part: how often it has ended, and when it is started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from mezcal.runtime.parent_death import follow_parent

if TYPE_CHECKING:
    from mezcal.runtime.up.parts import Part

BACKOFF_FIRST, BACKOFF_MOST = 0.5, 10.0  # seconds from the end of a process to the next start
STABLE = 60.0  # seconds that a process must live so that earlier ends are not counted


class PartProcess:
    """A part, with or without a running process. The process leads its own process group."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.pid: int | None = None
        self.deaths = 0  # in a row, none of them after STABLE seconds
        self.due: float | None = 0.0  # when it is started, by the monotonic clock; None while it runs
        self.stopping = False
        self._began = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def runs(self) -> bool:
        """True if there is a process that has not been waited for."""
        return self.pid is not None

    def start(self, output: int, keep: tuple[int, ...]) -> None:
        """Start the process with its output to *output*. It inherits the descriptors *keep*. Raises `OSError`.

        The kernel sends it the signal `orphan_signal` when the thread that forks ends. `mezcal up` has one thread only,
        so the fork is safe.
        """
        self._tidy()
        self._began, self.due = time.monotonic(), None
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own commands
                self.part.argv,
                env=dict(self.part.env),
                cwd=self.part.cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(*keep, *self.part.inherits),
                process_group=0,
                preexec_fn=_follow_us(self.part.orphan_signal),  # noqa: PLW1509
            )
        except subprocess.SubprocessError as error:
            raise OSError(str(error)) from error
        self.pid = self._process.pid

    def ask_to_stop(self) -> None:
        """Send the stop signal of the part to its main process, which ends the others."""
        self.stopping, self.due = True, None
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, self.part.stop)

    def kill(self) -> None:
        """Kill every process of the part."""
        if self.pid is not None:
            with suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
                os.killpg(self.pid, signal.SIGKILL)

    def ended(self, exit_code: int) -> None:
        """Record the end of the main process, and kill the remaining processes of its group."""
        self.kill()
        if self._process is not None:
            self._process.returncode = exit_code  # the supervisor has waited for it
        self.pid = self._process = None
        self._tidy()

    def back_off(self) -> float:
        """Record an unwanted end. Returns the seconds until the next start."""
        now = time.monotonic()
        self.deaths = 1 if now - self._began >= STABLE else self.deaths + 1
        delay = min(BACKOFF_MOST, BACKOFF_FIRST * 2.0 ** min(self.deaths - 1, 10))
        self.due = now + delay
        return delay

    def _tidy(self) -> None:
        for path in self.part.leftovers:
            path.unlink(missing_ok=True)


def _follow_us(signum: signal.Signals) -> partial[None] | None:
    """Returns a function for the child between fork and exec; only on Linux its effect survives the exec."""
    return partial(follow_parent, signum, os.getpid()) if sys.platform == "linux" else None


def cause(exit_code: int) -> str:
    """Returns *exit_code* as text; negative ones are signals."""
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        return f"signal {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"signal {-exit_code}"
