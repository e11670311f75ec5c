"""How far a command that takes long has come: a live bar on a terminal, else a plain line every few seconds.

    with shown("warming", total) as bar:
        for settled in ...:
            bar.show(settled, failed=3)      # a bar, its rate, the time left, and "failed 3" while that is not 0

On stderr, so that stdout has only what the command answers, and can be piped.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE_SECONDS = 5.0  # between two plain lines: a log of an hour has 720
FIGURES = "{n_fmt}/{total_fmt} [{rate_fmt}, {remaining} left{postfix}]"
BAR = "{desc}: {percentage:3.0f}%|{bar}| " + FIGURES
LINE = "{desc}: {percentage:.0f}% " + FIGURES
UNSIZED = 80  # columns of a terminal that does not tell, as a container's
OPEN = "{desc}: {n_fmt} [{rate_fmt}{postfix}]"  # the total is not known


class Bar:
    """What `shown` gives; not for several threads."""

    def __init__(self, drawn: Any, *, live: bool, every: float) -> None:
        self._drawn = drawn
        self._live = live
        self._every = every
        self._told = time.monotonic()

    def show(self, done: int, total: int | None = None, **counts: int) -> None:
        """Say that *done* are behind us, of *total* where that has changed; *counts* are named beside the rate."""
        if total is not None and total != self._drawn.total:
            self._drawn.total = total
            self._drawn.bar_format = BAR if self._live else LINE
        noted = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
        self._drawn.set_postfix_str(noted, refresh=False)
        self._drawn.update(done - self._drawn.n)
        if not self._live and time.monotonic() - self._told >= self._every:
            self._tell()

    def say(self, line: str) -> None:
        """Print *line* on stdout; a live bar stays below it."""
        with self._drawn.external_write_mode(file=sys.stdout):
            print(line, flush=True)

    def end(self) -> None:
        """Leave the last figures to be read."""
        if self._live:
            self._drawn.refresh()
        else:
            self._tell()
        self._drawn.close()

    def _tell(self) -> None:
        self._told = time.monotonic()
        print(self._drawn, file=sys.stderr, flush=True)


@contextmanager
def shown(doing: str, total: int | None = None, *, unit: str = " images", every: float = LINE_SECONDS) -> Iterator[Bar]:
    """A bar with the name *doing*, of *total* things, or of as many as there will be; ended with the block."""
    live = sys.stderr.isatty()
    sized = live and os.get_terminal_size(sys.stderr.fileno()).columns > 0
    tqdm.monitor_interval = 0  # no thread that redraws
    tqdm.set_lock(threading.RLock())  # its own is one for processes, and leaves a semaphore to be cleaned up
    form = OPEN if total is None else BAR if live else LINE
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - a device
        drawn = tqdm(
            total=total,
            desc=doing,
            unit=unit,
            bar_format=form,
            file=sys.stderr if live else nowhere,
            ncols=None if sized else UNSIZED,
            dynamic_ncols=sized,
            smoothing=0.1,
            mininterval=0.1,
        )
        bar = Bar(drawn, live=live, every=every)
        try:
            yield bar
        finally:
            bar.end()
