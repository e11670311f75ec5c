"""The logs of all parts on one stream: each line under its part's name, whole, without what looks like a secret."""

from __future__ import annotations

import os
import time
from collections import deque
from typing import TYPE_CHECKING

from mezcal.telemetry.logs import as_json, utc_time
from mezcal.telemetry.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterable

KEPT_LINES = 10  # per part, told again when it does not become ready
LINE_MAX = 64 * 1024  # bytes; a longer line is broken, so that nobody's output fills our memory
NAME_WIDTH = 11
OURS = {"api", "worker", "interactive"}  # they have masked their lines themselves, and there are many


class Journal:
    """Writes lines to the descriptor *sink*, and keeps each part's last; a sink that is gone stops nobody.

    With *json* each line is one object: a part's own as it stands, what is none as the `event` of one.
    """

    def __init__(self, sink: int, mask: Redactor | None = None, *, json: bool = False, own_name: str = "up") -> None:
        self._sink, self._mask, self._json, self._own_name = sink, mask or Redactor(), json, own_name
        self._last: dict[str, deque[bytes]] = {}

    def say(self, *lines: str) -> None:
        """Write lines of the supervisor itself, under *own_name*."""
        self.write(self._own_name, [line.encode(errors="replace") for line in lines])

    def write(self, name: str, lines: Iterable[bytes]) -> None:
        """*lines* of the part *name*, without their ends."""
        lines = [line if name in OURS else self._hidden(line) for line in lines]
        self._last.setdefault(name, deque(maxlen=KEPT_LINES)).extend(lines)
        self._emit(b"".join(self._formed(name, line) for line in lines))

    def last_of(self, name: str) -> list[str]:
        """The last lines of the part *name*, oldest first."""
        return [line.decode(errors="replace") for line in self._last.get(name, ())]

    def _hidden(self, line: bytes) -> bytes:
        """Nginx shows whole requests, queries included; Flower and the broker are not ours either."""
        return self._mask(line.decode(errors="surrogateescape")).encode(errors="surrogateescape")

    def _formed(self, name: str, line: bytes) -> bytes:
        if not self._json:
            return b"%s | %s\n" % (name.ljust(NAME_WIDTH).encode(), line)
        if line.startswith(b'{"'):
            return line + b"\n"
        told = {"time": utc_time(time.time()), "level": "INFO", "event": line.decode(errors="replace"), "part": name}
        return as_json(told).encode() + b"\n" if line.strip() else b""

    def _emit(self, text: bytes) -> None:
        try:
            while text:
                text = text[os.write(self._sink, text) :]
        except OSError:  # whoever read along has left: the parts go on
            self._sink = os.open(os.devnull, os.O_WRONLY)


class Relay:
    """One process's output on its way into the journal, until every process that holds the pipe has ended."""

    def __init__(self, name: str, pipe: int, journal: Journal) -> None:
        self.pipe = pipe
        self._name, self._journal, self._rest = name, journal, b""
        os.set_blocking(pipe, False)

    def pass_on(self) -> bool:
        """Pass on what is there; False at the end of the output."""
        try:
            read = os.read(self.pipe, LINE_MAX)
        except BlockingIOError:
            return True
        *lines, self._rest = (self._rest + read).split(b"\n")
        if self._rest and (not read or len(self._rest) >= LINE_MAX):
            lines, self._rest = [*lines, self._rest], b""
        self._journal.write(self._name, lines)
        return bool(read)
