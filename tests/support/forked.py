"""Tests, or parts of them, in a forked process: limits that they set there concern no server of other tests."""

from __future__ import annotations

import functools
import os
import sys
import traceback
import warnings
from typing import TYPE_CHECKING, NoReturn, ParamSpec

if TYPE_CHECKING:
    from collections.abc import Callable

Given = ParamSpec("Given")


def fork(run: Callable[[], object]) -> int:
    """Start *run* in a forked process. Returns the process's number, which `exit_code` takes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: other threads may hold locks
        child = os.fork()
    if child == 0:
        _run_and_exit(run)
    return child


def exit_code(child: int) -> int:
    """Wait for the end of a process of `fork`. Returns 0 if nothing failed in it, minus a signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def in_forked_process(run: Callable[[], object]) -> None:
    """Run *run* in a forked process. Fails if it fails there; the captured output has the reason."""
    assert exit_code(fork(run)) == 0, "failed in the forked process"


def forked(test: Callable[Given, None]) -> Callable[Given, None]:
    """Decorate a test that changes limits of its process: it runs in a forked one."""

    @functools.wraps(test)
    def run(*args: Given.args, **kwargs: Given.kwargs) -> None:
        in_forked_process(lambda: test(*args, **kwargs))

    return run


def _run_and_exit(run: Callable[[], object]) -> NoReturn:
    """Run *run* and exit, also if it fails: this process must not go on with the tests of its parent."""
    code = 1
    try:
        run()
        code = 0
    finally:
        try:
            if code:
                traceback.print_exc()
                sys.stderr.flush()
        finally:
            os._exit(code)
