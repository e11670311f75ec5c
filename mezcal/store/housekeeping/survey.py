"""What a store holds and when it was used: some thousand numbers, however many files there are."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from mezcal.store.local.layout import BY_KEY, OURS

if TYPE_CHECKING:
    from mezcal.store.local.walk import Found

A_DAY = 86_400
KEYED = f"{OURS}/{BY_KEY}/"


@dataclass(frozen=True, slots=True)
class Cut:
    """What shall go: all that was used before *before*, and *edge_bytes* of what was used between that and *edge*."""

    before: float
    edge: float = 0
    edge_bytes: int = 0


@dataclass(slots=True)
class Survey:
    """The totals, and how many bytes were used last in each minute, hour or day.

    *by_path* are mezzanines where their paths say; *by_key* thumbnails, pages and what may not lie under its path;
    *bare* those without a sidecar. Each file counts with its sidecar's bytes. Times are seconds since 1970.
    """

    began: float
    ended: float = 0
    bytes: int = 0
    image_bytes: int = 0
    by_path: int = 0
    by_key: int = 0
    bare: int = 0
    folders: int = 0
    oldest: float = 0
    used: dict[int, int] = field(default_factory=dict)  # the beginning of a time, and the bytes used last in it

    @property
    def derivatives(self) -> int:
        """How many images there are."""
        return self.by_path + self.by_key

    def count(self, found: Found, sign: int = 1) -> None:
        """Count *found*, or with *sign* -1 that it has gone."""
        self.folders += sign
        if not found.size:
            return
        if found.folder.startswith(KEYED):
            self.by_key += sign
        else:
            self.by_path += sign
        self.bare += sign * (found.noted is None)
        self.bytes += sign * found.bytes
        self.image_bytes += sign * found.size
        time = self.time_of(found.used)
        self.used[time] = max(0, self.used.get(time, 0) + sign * found.bytes)
        self.oldest = min(self.oldest or found.used, found.used)

    def time_of(self, used: float) -> int:
        """The beginning of the minute, hour or day (the longer ago, the coarser) to which *used* belongs."""
        return int(used) // width(self.began - used) * width(self.began - used)

    def cut(self, needed: int, aged: float, youngest: float) -> Cut | None:
        """What to give up for *needed* bytes, and all that was used before *aged*; None if that is nothing.

        Nothing that was used since *youngest* is given up.
        """
        times = sorted(time for time in self.used if time < youngest)
        aged_times = [time for time in times if self._end(time) <= min(aged, youngest)]
        before = self._end(aged_times[-1]) if aged_times else 0
        left = needed - sum(self.used[time] for time in aged_times)
        for time in times[len(aged_times) :]:
            if left <= 0:
                break
            if self._end(time) > youngest or self.used[time] > left:
                return Cut(before, min(self._end(time), youngest), left)
            left, before = left - self.used[time], self._end(time)
        return Cut(before) if before else None

    def _end(self, time: int) -> int:
        return time + width(self.began - time)

    def forget(self, cut: Cut) -> None:
        """Take what *cut* gave up for gone: what was not evicted has been used since, or is another's."""
        gone = cut.edge if cut.edge_bytes > 0 else cut.before
        self.used = {time: size for time, size in self.used.items() if time >= gone}
        self.oldest = max(self.oldest, cut.before)

    def as_json(self) -> dict[str, Any]:
        """The survey for its file; `from_json` is its inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Survey:
        """The survey of a file."""
        return cls(**{**values, "used": {int(time): size for time, size in values["used"].items()}})


def width(age: float) -> int:
    """Seconds that are told apart *age* seconds ago: a minute of today, an hour of this month, else a day."""
    return 60 if age < A_DAY else 3600 if age < 30 * A_DAY else A_DAY
