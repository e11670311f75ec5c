"""Writes the logs of all parts to one stream: whole lines, each with the name of its part, without secrets."""

from __future__ import annotations

import os
import time
from collections import deque
from typing import TYPE_CHECKING

from mezcal.telemetry.logs import as_json, utc_time
from mezcal.telemetry.redaction import Redactor

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable

KEPT_LINES = 10  # of each part, repeated if it does not become ready
LINE_MAX = 64 * 1024  # bytes; a longer line is split, so that no output fills the memory
NAME_WIDTH = 11
REDACTED_PARTS = {"api", "worker", "interactive"}  # they redact their lines themselves, and write many


class Journal:
    """Writes lines to the descriptor *sink*, and keeps the last lines of each part. If *sink* is closed, nothing stops.

    With *json* each line is one JSON object; a line that is none becomes the `event` of one.
    """

    def __init__(self, sink: int, redact: Redactor | None = None, *, json: bool = False, own_name: str = "up") -> None:
        self._sink, self._redact, self._json, self._own_name = sink, redact or Redactor(), json, own_name
        self._last: dict[str, deque[bytes]] = {}

    def write_own(self, *lines: str) -> None:
        """Write lines of the supervisor itself, under *own_name*."""
        self.write(self._own_name, [line.encode(errors="replace") for line in lines])

    def write(self, name: str, lines: Iterable[bytes]) -> None:
        """Write *lines* of the part *name*; they come without line ends."""
        lines = [line if name in REDACTED_PARTS else self._redacted(line) for line in lines]
        self._last.setdefault(name, deque(maxlen=KEPT_LINES)).extend(lines)
        self._emit(b"".join(self._formatted(name, line) for line in lines))

    def begin(self, name: str) -> None:
        """Forget the last lines of the part *name*: its next process starts."""
        self._last.pop(name, None)

    def last_of(self, name: str) -> list[str]:
        """Returns the last lines of the part *name*, oldest first."""
        return [line.decode(errors="replace") for line in self._last.get(name, ())]

    def _redacted(self, line: bytes) -> bytes:
        """Nginx logs whole requests with their queries; the logs of Flower and the broker are not redacted either."""
        return self._redact(line.decode(errors="surrogateescape")).encode(errors="surrogateescape")

    def _formatted(self, name: str, line: bytes) -> bytes:
        if not self._json:
            return b"%s | %s\n" % (name.ljust(NAME_WIDTH).encode(), line)
        if line.startswith(b'{"'):
            return line + b"\n"
        fields = {"time": utc_time(time.time()), "level": "INFO", "event": line.decode(errors="replace"), "part": name}
        return as_json(fields).encode() + b"\n" if line.strip() else b""

    def _emit(self, text: bytes) -> None:
        try:
            while text:
                text = text[os.write(self._sink, text) :]
        except OSError:  # the reader of the logs has ended: the parts go on
            self._sink = os.open(os.devnull, os.O_WRONLY)


class Relay:
    """Passes the output of one part to the journal, until every process that holds the pipe has ended.

    Lines that contain *not_logged* are left out, and empty ones.
    """

    def __init__(self, name: str, pipe: int, journal: Journal, not_logged: re.Pattern[bytes] | None = None) -> None:
        self.pipe = pipe
        self._name, self._journal, self._not_logged, self._rest = name, journal, not_logged, b""
        os.set_blocking(pipe, False)

    def pass_on(self) -> bool:
        """Pass on what can be read now. Returns False at the end of the output."""
        try:
            read = os.read(self.pipe, LINE_MAX)
        except BlockingIOError:
            return True
        *lines, self._rest = (self._rest + read).split(b"\n")
        if self._rest and (not read or len(self._rest) >= LINE_MAX):
            lines, self._rest = [*lines, self._rest], b""
        self._journal.write(self._name, [line for line in lines if self._is_logged(line)])
        return bool(read)

    def _is_logged(self, line: bytes) -> bool:
        return bool(line.strip()) and not (self._not_logged and self._not_logged.search(line))
