"""Masters that stay open after a job, so that one download serves the next jobs that are made from the same masters."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from mezcal.errors import NoSuchPicture, NoSuchSection, NotAnImage, TooLarge, Undecodable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from mezcal.origin import Master, MasterSource

    OpenMaster = Callable[[str], AbstractContextManager[Master]]

OF_THE_MASTER = (NoSuchPicture, NoSuchSection, NotAnImage, TooLarge, Undecodable)  # nothing against the download


class KeptMasters:
    """*origin*, whose masters are opened once and stay open until `close`. Each job reads them from their beginning.

    They are closed sooner after a failure, unless they have arrived whole and the failure is the master's: another job
    may make another page of it. Unless *keep*, no master stays open: those of a folder are not downloaded.
    """

    def __init__(self, origin: MasterSource, *, keep: bool) -> None:
        self._origin = origin
        self._keep = keep
        self._open = ExitStack()
        self._masters: dict[str, Master] = {}
        self._began = time.monotonic()

    @property
    def any_open(self) -> bool:
        """True if a job has opened masters that another job may read."""
        return bool(self._masters)

    @property
    def arrival(self) -> float:
        """The seconds in which the masters arrived, 0 if they have not."""
        moments = [master.completed_at() for master in self._masters.values()]
        return max((moment - self._began for moment in moments if moment is not None), default=0.0)

    def holds(self, path: str) -> bool:
        """Return True if opening and reading the master at *path* takes no further request: it is downloaded whole."""
        if path in self._masters:
            return not self._masters[path].in_parts
        shared: Callable[[str], bool] | None = getattr(self._origin, "holds", None)
        return shared is not None and shared(path)

    @contextmanager
    def open(self, path: str) -> Iterator[Master]:
        """Open the master at *path*, which may be open already. Raises the origin's failures."""
        with self._opened(self._origin.open, path) as master:
            yield master

    @contextmanager
    def open_parts(self, path: str) -> Iterator[Master]:
        """Do the same; only the parts that are read are requested, if the origin can bring parts.

        Jobs that read more of the master later request the rest of it in parts.
        """
        with self._opened(getattr(self._origin, "open_parts", self._origin.open), path) as master:
            yield master

    @contextmanager
    def _opened(self, open_master: OpenMaster, path: str) -> Iterator[Master]:
        if not self._keep:
            with open_master(path) as master:
                yield master
            return
        try:
            open_again = self._kept(open_master, path).open_again
            assert open_again is not None, "every downloaded master has it"
            with closing(open_again()) as file:  # what still reads when the job has ended, fails
                yield replace(self._masters[path], file=file)
        except BaseException as failure:
            if isinstance(failure, OF_THE_MASTER) and self._arrived():
                raise
            self._masters.clear()
            with self._open.pop_all():  # the origin may raise a failure that says more
                raise

    def _kept(self, open_master: OpenMaster, path: str) -> Master:
        if path not in self._masters:
            self._began = self._began if self._masters else time.monotonic()
            self._masters[path] = self._open.enter_context(open_master(path))
        return self._masters[path]

    def _arrived(self) -> bool:
        return all(master.completed_at() is not None for master in self._masters.values())

    def close(self) -> None:
        """Close all masters."""
        self._masters.clear()
        self._open.close()
