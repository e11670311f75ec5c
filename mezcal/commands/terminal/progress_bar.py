"""The progress of a command that takes long: a live bar on a terminal, else a plain line every few seconds.

    with progress_bar("warm", total) as bar:
        for ended in ...:
            bar.show(ended, failed=3)      # a bar with its rate, the time left, and "failed 3" if that is not 0

It is written to stderr, so that stdout has the results only and can be piped.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE_SECONDS = 5.0  # between two plain lines: 720 of them in a log of one hour
FIGURES = "{n_fmt}/{total_fmt} [{rate_noinv_fmt}, " + (LEFT := "{remaining} left") + "{postfix}]"
LIVE_FORMAT = "{desc}: {percentage:3.0f}%|{bar}| " + FIGURES
LINE_FORMAT = "{desc}: {percentage:.0f}% " + FIGURES
OPEN_FORMAT = "{desc}: {n_fmt} [{rate_noinv_fmt}{postfix}]"  # while the total is not known
DEFAULT_COLUMNS = 80  # of a terminal that does not report its width, as that of a container


class ProgressBar:
    """The bar that `progress_bar` opens. It is not safe for several threads."""

    def __init__(self, bar: Any, *, live: bool, line_seconds: float) -> None:
        self._bar = bar
        self._live = live
        self._line_seconds = line_seconds
        self._line_printed = time.monotonic()

    def show(self, done: int, total: int | None = None, *, left: str = LEFT, **counts: int) -> None:
        """Show that *done* of *total* are finished. *counts* above 0 are shown with their names.

        *left* is shown in place of the time that is left.
        """
        if total is not None:
            self._bar.total = total
            self._bar.bar_format = (LIVE_FORMAT if self._live else LINE_FORMAT).replace(LEFT, left)
        if self._bar.total is not None and done > self._bar.total:
            self._bar.total = done  # it was counted some time ago
        named = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
        self._bar.set_postfix_str(named, refresh=False)
        self._bar.update(done - self._bar.n)
        if not self._live and time.monotonic() - self._line_printed >= self._line_seconds:
            self._print_progress()

    def print_line(self, line: str) -> None:
        """Print *line* on stdout; a live bar stays below it."""
        with self._bar.external_write_mode(file=sys.stdout):
            print(line, flush=True)

    def end(self) -> None:
        """Show the last figures and leave them there."""
        if self._live:
            self._bar.refresh()
        else:
            self._print_progress()
        self._bar.close()

    def _print_progress(self) -> None:
        self._line_printed = time.monotonic()
        print(self._bar, file=sys.stderr, flush=True)


@contextmanager
def progress_bar(
    name: str, total: int | None = None, *, unit: str = " images", line_seconds: float = LINE_SECONDS
) -> Iterator[ProgressBar]:
    """Open a bar called *name* for *total* things, None or 0 if their number is not known. It ends with the block."""
    total = total or None
    live = sys.stderr.isatty()
    width_known = live and os.get_terminal_size(sys.stderr.fileno()).columns > 0
    tqdm.monitor_interval = 0  # no thread that redraws
    tqdm.set_lock(threading.RLock())  # tqdm's own lock is for several processes and leaves a semaphore behind
    bar_format = OPEN_FORMAT if total is None else LIVE_FORMAT if live else LINE_FORMAT
    with Path(os.devnull).open("w") as nowhere:
        bar = tqdm(
            total=total,
            desc=name,
            unit=unit,
            bar_format=bar_format,
            file=sys.stderr if live else nowhere,
            ncols=None if width_known else DEFAULT_COLUMNS,
            dynamic_ncols=width_known,
            smoothing=0.1,
            mininterval=0.1,
        )
        shown = ProgressBar(bar, live=live, line_seconds=line_seconds)
        try:
            yield shown
        finally:
            shown.end()
