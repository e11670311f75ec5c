"""What every hook can do, and how a delivery fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mezcal.jobs.bulk.downstream import Change


class HookFailed(Exception):
    """A hook did not accept a delivery. The text says why, for operators, and has no secret.

    *unreachable* means that it would not accept another one now either, nor for *pause* seconds.
    """

    def __init__(self, reason: str, *, unreachable: bool = False, pause: float = 0) -> None:
        super().__init__(reason)
        self.reason, self.unreachable, self.pause = reason, unreachable, pause


class Hook(Protocol):
    """A cache, or a receiver of calls."""

    @property
    def most(self) -> int:
        """Returns how many changes it is notified of at once."""

    def notify(self, changes: list[Change]) -> None:
        """Tell it of *changes*, at most `most`. Raises `HookFailed`; all of them are sent again then."""

    def probe(self) -> str:
        """Try that it can be reached, without any effect. Returns what was found. Raises `HookFailed`."""
