"""One part's life: its process, how often it died, when it is started again."""

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

BACKOFF_FIRST, BACKOFF_MOST = 0.5, 10.0  # seconds from a death to the next start
STABLE = 60.0  # seconds after which earlier deaths are forgotten


class PartProcess:
    """The part, whether or not a process of it runs at the moment; it leads a process group of its own."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.pid: int | None = None
        self.deaths = 0  # in a row, none of them after a stable minute
        self.due: float | None = 0.0  # when it is to be started, by the monotonic clock; None while it runs
        self.stopping = False
        self._began = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def runs(self) -> bool:
        """Whether there is a process that has not been waited for."""
        return self.pid is not None

    def start(self, output: int, keep: tuple[int, ...]) -> None:
        """Start the process with its output to *output*, inheriting *keep*; OSError if that cannot be.

        It gets the signal `orphaned` when we end. That is tied to the thread that forks, and a fork beside
        other threads is unsafe: `up` has none.
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
                preexec_fn=_lifeline(self.part.orphaned),  # noqa: PLW1509
            )
        except subprocess.SubprocessError as error:
            raise OSError(str(error)) from error
        self.pid = self._process.pid

    def ask_to_stop(self) -> None:
        """Send the part's stop signal to its main process, which knows how to end the others."""
        self.stopping, self.due = True, None
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, self.part.stop)

    def kill(self) -> None:
        """End every process of the part at once."""
        if self.pid is not None:
            with suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
                os.killpg(self.pid, signal.SIGKILL)

    def ended(self, exit_code: int) -> None:
        """Its main process was waited for: what is left of its group must not live beside its successor."""
        self.kill()
        if self._process is not None:
            self._process.returncode = exit_code  # the reaper waited in its place
        self.pid = self._process = None
        self._tidy()

    def back_off(self) -> float:
        """Note a death and return the seconds until the next start, which is then due."""
        now = time.monotonic()
        self.deaths = 1 if now - self._began >= STABLE else self.deaths + 1
        delay = min(BACKOFF_MOST, BACKOFF_FIRST * 2.0 ** min(self.deaths - 1, 10))
        self.due = now + delay
        return delay

    def _tidy(self) -> None:
        for path in self.part.leftovers:
            path.unlink(missing_ok=True)


def _lifeline(signum: signal.Signals) -> partial[None] | None:
    """What ties a child to us between fork and exec; only Linux has something that survives the exec."""
    return partial(follow_parent, signum, os.getpid()) if sys.platform == "linux" else None


def cause(exit_code: int) -> str:
    """An exit code for people; negative ones are signals."""
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        return f"signal {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"signal {-exit_code}"
