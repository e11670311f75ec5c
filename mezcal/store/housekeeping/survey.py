"""The survey: how much a store holds and when it was last used, in a few thousand numbers for any number of files."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from mezcal.store.local.layout import BY_KEY, IMAGE, OURS
from mezcal.store.usage import Usage

if TYPE_CHECKING:
    from mezcal.store.inventory import InventoryItem

DAY = 86_400
KEPT_BY_KEY = f"{OURS}/{BY_KEY}/"


@dataclass(frozen=True, slots=True)
class Cutoff:
    """Which derivatives a walk evicts; times are seconds since 1970.

    All that were last used before the time *before*, and *span_bytes* bytes of those last used from then until
    *span_end*: evicting that last span (a minute, hour or day of the survey) completely would evict too much.
    """

    before: float
    span_end: float = 0
    span_bytes: int = 0


@dataclass(slots=True)
class Survey:
    """The totals, and how many bytes were last used in each minute, hour or day. Times are seconds since 1970.

    *by_path* counts mezzanines kept under their paths; *by_key* counts thumbnails, pages and paths that would collide.
    *bytes* includes the sidecars, *image_bytes* does not. *by_file* has the number of images and
    their bytes by the names of the files, which tell the profile.
    """

    began: float
    ended: float = 0
    bytes: int = 0
    image_bytes: int = 0
    by_path: int = 0
    by_key: int = 0
    without_sidecar: int = 0
    folders: int = 0
    oldest: float = 0
    by_file: dict[str, list[int]] = field(default_factory=dict)
    bytes_by_use: dict[int, int] = field(default_factory=dict)  # the start of a span, and the bytes last used in it

    @property
    def derivatives(self) -> int:
        """The number of images."""
        return self.by_path + self.by_key

    def usage(self) -> Usage:
        """Returns the totals."""
        by_file = ((name, images, size) for name, (images, size) in sorted(self.by_file.items()) if images)
        return Usage(self.derivatives, self.image_bytes, tuple(by_file))

    def count(self, item: InventoryItem, sign: int = 1) -> None:
        """Add *item* to the totals, or with *sign* -1 subtract it."""
        self.folders += sign * (item.name == IMAGE)
        if not item.size:
            return
        if item.folder.startswith(KEPT_BY_KEY):
            self.by_key += sign
        else:
            self.by_path += sign
        self.without_sidecar += sign * (item.sidecar_modified is None)
        self.bytes += sign * item.total_bytes
        self.image_bytes += sign * item.size
        images, size = self.by_file.get(item.name, (0, 0))
        self.by_file[item.name] = [images + sign, size + sign * item.size]
        start = self.span_of(item.last_used)
        self.bytes_by_use[start] = max(0, self.bytes_by_use.get(start, 0) + sign * item.total_bytes)
        self.oldest = min(self.oldest or item.last_used, item.last_used)

    def span_of(self, last_used: float) -> int:
        """Returns the start of the minute, hour or day (the longer ago, the coarser) that *last_used* is in."""
        width = span_width(self.began - last_used)
        return int(last_used) // width * width

    def cutoff(self, needed: int, aged: float, youngest: float) -> Cutoff | None:
        """Returns the cutoff for *needed* bytes and all last used before *aged*, None if nothing must be evicted.

        Nothing used since *youngest* is evicted.
        """
        starts = sorted(start for start in self.bytes_by_use if start < youngest)
        aged_starts = [start for start in starts if self._end(start) <= min(aged, youngest)]
        before = self._end(aged_starts[-1]) if aged_starts else 0
        missing = needed - sum(self.bytes_by_use[start] for start in aged_starts)
        for start in starts[len(aged_starts) :]:
            if missing <= 0:
                break
            if self._end(start) > youngest or self.bytes_by_use[start] > missing:
                return Cutoff(before, min(self._end(start), youngest), missing)
            missing, before = missing - self.bytes_by_use[start], self._end(start)
        return Cutoff(before) if before else None

    def _end(self, start: int) -> int:
        return start + span_width(self.began - start)

    def forget(self, cutoff: Cutoff) -> None:
        """Remove the part that *cutoff* covers. The next survey counts the derivatives that stayed because of a use."""
        end = cutoff.span_end if cutoff.span_bytes > 0 else cutoff.before
        self.bytes_by_use = {start: size for start, size in self.bytes_by_use.items() if start >= end}
        self.oldest = max(self.oldest, cutoff.before)

    def as_json(self) -> dict[str, Any]:
        """Returns the survey for the trim state; `from_json` is the inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Survey:
        """Returns the survey in a trim state."""
        return cls(**{**values, "bytes_by_use": {int(start): size for start, size in values["bytes_by_use"].items()}})


def span_width(age: float) -> int:
    """Returns the seconds of a span that lies *age* seconds ago: a minute today, an hour this month, else a day."""
    return 60 if age < DAY else 3600 if age < 30 * DAY else DAY
