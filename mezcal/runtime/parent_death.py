"""Ends a process when the process that started it ends, even if that is killed with -9."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from functools import cache
from typing import Any

HAS_PRCTL = sys.platform == "linux"
SET_PDEATHSIG, SET_CHILD_SUBREAPER = 1, 36  # <linux/prctl.h>
POLL_SECONDS = 1.0  # on systems without such a signal


def follow_parent(signum: signal.Signals = signal.SIGKILL, parent: int | None = None) -> None:
    """Send *signum* to this process as soon as its parent ends.

    Call it once and early in the child: before an exec (which keeps it), after a fork (which clears it). *parent* is
    the pid of the parent as it was before the fork; with it, a parent that ended in between is noticed too. On Linux
    the kernel sends the signal when the *thread* that forked ends (prctl(2), PR_SET_PDEATHSIG), so fork from the main
    thread. On other systems a daemon thread checks once a second; it does not survive an exec.
    """
    if not HAS_PRCTL:
        threading.Thread(target=_watch, args=(os.getppid(), signum), daemon=True).start()
        return
    libc().prctl(SET_PDEATHSIG, int(signum), 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), signum)


def adopt_orphans() -> None:
    """Become the parent of descendants whose parent ends, so that they can be waited for. Linux only."""
    if HAS_PRCTL:
        libc().prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@cache
def libc() -> Any:
    """Returns the C library. Load it before a fork: loading takes a lock that another thread may hold."""
    return ctypes.CDLL(None, use_errno=True)


def _watch(parent: int, signum: signal.Signals) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os.kill(os.getpid(), signum)
