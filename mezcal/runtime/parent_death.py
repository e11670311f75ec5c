"""Processes that end when the one that started them does, even when that one is killed with -9."""

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
LOOK_EVERY = 1.0  # seconds, where the kernel offers no signal


def follow_parent(signum: signal.Signals = signal.SIGKILL, parent: int | None = None) -> None:
    """Let *signum* reach this process as soon as its parent ends.

    Call it in the child, once, early: before an exec (it survives one), after a fork (which clears it).
    *parent* is the parent's pid as known before the fork; with it a parent that ended meanwhile is noticed,
    too. On Linux the kernel sends the signal, when the *thread* that forked ends (prctl(2),
    PR_SET_PDEATHSIG): fork from the main thread. Elsewhere a daemon thread looks once a second, and does not
    survive an exec.
    """
    if not HAS_PRCTL:
        threading.Thread(target=_watch, args=(os.getppid(), signum), daemon=True).start()
        return
    libc().prctl(SET_PDEATHSIG, int(signum), 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), signum)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends, so that they can be waited for; Linux only."""
    if HAS_PRCTL:
        libc().prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@cache
def libc() -> Any:
    """The C library; loaded before a fork, it is there after it without a lock being taken."""
    return ctypes.CDLL(None, use_errno=True)


def _watch(parent: int, signum: signal.Signals) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY)
    os.kill(os.getpid(), signum)
