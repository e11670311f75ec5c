"""A resource that jobs share evenly, such as the cores of a machine or the bandwidth of a repository."""

from __future__ import annotations

import heapq


class Shared:
    """*capacity* units a second, divided evenly among those who use it; each can take *most* at the most.

    All users get the same rate, so it is enough to count what one gets that is here from the beginning.
    """

    def __init__(self, capacity: float, most: float) -> None:
        self._capacity, self._most = capacity, most
        self._given = self._taken = self._at = 0.0
        self._users: list[tuple[float, int]] = []  # when each has enough, and which one it is

    @property
    def rate(self) -> float:
        """What each user gets now, in units a second."""
        return min(self._most, self._capacity / max(len(self._users), 1))

    def add(self, now: float, user: int, amount: float) -> None:
        """Let *user* take *amount* units from *now* on."""
        self._advance(now)
        heapq.heappush(self._users, (self._given + amount, user))

    def next_end(self) -> float | None:
        """Returns when the next user has enough, None if there are none."""
        return self._at + max(self._users[0][0] - self._given, 0.0) / self.rate if self._users else None

    def pop(self, now: float) -> int:
        """Returns the user that has enough at *now*, and takes it out."""
        self._advance(now)
        return heapq.heappop(self._users)[1]

    def taken(self, now: float) -> float:
        """Returns how many units all users have taken until *now*."""
        self._advance(now)
        return self._taken

    def _advance(self, now: float) -> None:
        given = self.rate * (now - self._at)
        self._given += given
        self._taken += given * len(self._users)
        self._at = now
