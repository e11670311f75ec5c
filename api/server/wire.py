"""What is sent to a client, and when: nobody waits for one that does not take it."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gunicorn.workers.gthread import TConn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from mezcal.store import Opened

TURN = 1 << 20  # bytes of a file that one client gets before the others have their turn
BODY_SECONDS = 30.0  # for which a thread waits for more of a request's body
BODY_RATE = 8192  # bytes a second that a body has to come with, past its first BODY_SECONDS: it keeps a thread
HEAD_SECONDS = 10.0  # from a request's first byte, or from the connection on, to the end of its head
TAKING_SECONDS = 30.0  # in which a client takes at least something of its answer
PARTING_SECONDS = 2.0  # for which what a client still sends is read after its last answer
STALLED_SECONDS = 5.0  # after which a client that takes nothing has to go, if others want to come


class Answer:
    """Bytes on their way to a client, and behind them perhaps a part of a file."""

    __slots__ = ("_at", "_bytes", "_end", "_file")

    def __init__(self, first: bytes, file: BinaryIO | None = None, at: int = 0, end: int = 0) -> None:
        self._bytes = first
        self._file = file
        self._at = at
        self._end = end

    @classmethod
    def of_hit(cls, head: bytes, opened: Opened | None) -> Answer:
        """*head*, and behind it the whole of *opened*."""
        return cls(head, opened.file, 0, opened.stored.size) if opened else cls(head)

    def add(self, more: bytes) -> None:
        """Send *more*, too; never after a file, whose length the head has told."""
        assert self._file is None
        self._bytes += more

    def add_file(self, file: BinaryIO, at: int, end: int) -> None:
        """Send the bytes of *file* from *at* to *end* behind the rest; the file is the answer's from now on."""
        assert self._file is None
        self._file, self._at, self._end = file, at, end

    def send(self, client: socket.socket) -> bool:
        """Send what *client* takes now, at most `TURN` bytes of a file; whether that was all."""
        turn = TURN
        with suppress(BlockingIOError):
            if self._bytes:
                self._bytes = self._bytes[client.send(self._bytes) :]
            while self._file and self._at < self._end and not self._bytes and turn > 0:
                sent = os.sendfile(client.fileno(), self._file.fileno(), self._at, min(turn, self._end - self._at))
                if not sent:
                    raise ConnectionError("the file was cut while it was sent")
                self._at += sent
                turn -= sent
        return not self._bytes and self._at == self._end

    def close(self) -> None:
        """Let go of the file."""
        if self._file:
            self._file.close()


class Wire(socket.socket):
    """A client's socket as threads see it: they never wait for the client to take something.

    What it does not take at once is `left` for the event loop to send. Blocking means `BODY_SECONDS` at most.
    """

    left: Answer | None = None
    _until: float | None = None  # the body's next piece has to come; None before its first

    def setblocking(self, flag: bool, /) -> None:
        """Block for so long only, or not at all; a request begins, or is over."""
        self.settimeout(BODY_SECONDS if flag else 0.0)
        self._until = None

    def recv(self, *given: Any) -> bytes:
        """Receive; a client that is silent for too long, or drips, has left."""
        patience = self.gettimeout()
        if not patience:
            return super().recv(*given)
        now = time.monotonic()
        self._until = self._until or now + BODY_SECONDS
        self.settimeout(max(min(patience, self._until - now), 0.001))
        try:
            piece = super().recv(*given)
        except TimeoutError as error:
            raise ConnectionResetError(errno.ECONNRESET, "the client sends no more, or too slowly") from error
        finally:
            self.settimeout(patience)
        self._until += len(piece) / BODY_RATE
        return piece

    def sendall(self, data: Any, _flags: int = 0, /) -> None:
        """Send what the client takes now, and leave the rest; a time-out makes even `send` wait, `write` never."""
        rest = bytes(data)
        if self.left is None:
            with suppress(BlockingIOError):
                rest = rest[os.write(self.fileno(), rest) :]
            self.left = Answer(rest) if rest else None
        else:
            self.left.add(rest)

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Leave all of it: the caller closes its file, so this holds it open once more."""
        held = os.fdopen(os.dup(file.fileno()), "rb", buffering=0)
        end = os.fstat(held.fileno()).st_size if count is None else offset + count
        self.left = self.left or Answer(b"")
        self.left.add_file(held, offset, end)
        return end - offset


class Connection(TConn):  # type: ignore[misc]  # gunicorn ships no types
    """A client's connection: what was read of its next request, and what it still gets of its last answer."""

    def __init__(self, cfg: Any, sock: Wire, client: Any, server: Any) -> None:
        super().__init__(cfg, sock, client, server)
        self.read = b""
        self.answer: Answer | None = None
        self.then: Any = None  # what to do when the answer is sent, if it is not to wait for the next request
        self.sending = False
        self.patience = HEAD_SECONDS

    def set_timeout(self) -> None:
        """Time out when the client does nothing of what is waited for."""
        self.timeout = time.monotonic() + self.patience

    def waits(self) -> float:
        """Seconds for which it has been waited for."""
        return float(time.monotonic() - (self.timeout - self.patience))

    def close(self, graceful: bool = False) -> None:
        """Close the socket, and the files of answers that nobody takes any more."""
        for answer in (self.answer, self.sock.left):
            if answer is not None:
                answer.close()
        super().close(graceful)


class Waiting:
    """Connections that are waited for, the one that times out first first; leaving from the middle costs nothing."""

    def __init__(self) -> None:
        self._lines: dict[float, OrderedDict[Connection, None]] = {}  # by patience: each is in order by itself
        self._line_of: dict[Connection, OrderedDict[Connection, None]] = {}

    def append(self, conn: Connection) -> None:
        """Add *conn*, or move it, to the end of those that are waited for as long."""
        if conn in self._line_of:
            self.remove(conn)
        line = self._line_of[conn] = self._lines.setdefault(conn.patience, OrderedDict())
        line[conn] = None

    def remove(self, conn: Connection) -> None:
        """Take *conn* out."""
        del self._line_of.pop(conn)[conn]

    def popleft(self) -> Connection:
        """Take the first one out."""
        first = self[0]
        self.remove(first)
        return first

    def expendable(self) -> Connection | None:
        """The one that has been waited for longest and gets nothing meanwhile, if others want to come."""
        firsts = [next(iter(line)) for line in self._lines.values() if line]
        idle = [conn for conn in firsts if conn.answer is None or conn.waits() > STALLED_SECONDS]
        return max(idle, key=Connection.waits, default=None)

    def __getitem__(self, _first: int) -> Connection:
        return min((next(iter(line)) for line in self._lines.values() if line), key=lambda conn: conn.timeout)

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._line_of)

    def __len__(self) -> int:
        return len(self._line_of)
