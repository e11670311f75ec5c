"""Keeps a store within its bounds, in short runs: the least recently used derivatives are evicted first.

There are two walks, each holding a few thousand numbers. The first is a survey, which counts how many bytes were last
used in each minute, hour or day. If the store holds too much, the second evicts everything last used before a cutoff
time computed from the survey. The next run, in any process, continues what one did not finish: the survey and the
position of the walk are saved in the store.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from mezcal.store.housekeeping.survey import DAY, Cutoff, Survey
from mezcal.store.inventory import YOUNG_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.settings import Settings
    from mezcal.store.inventory import Inventory, InventoryItem
    from mezcal.store.usage import Usage

TRIM_TO = 0.95  # of CACHE_MAX_BYTES: else every new image would cost a walk
SURVEY_SECONDS = 600.0  # between two surveys
SURVEY_SHARE = 4.0  # and at least so many times as long as the last survey took
UNBOUNDED_SURVEY_SECONDS = 6 * 3600.0  # without bounds the survey is for people only
CLOCK_EVERY = 64  # items between two looks at the clock
TRASH_FILES_MAX = 20_000  # files removed from the trash at a time
TRASH_DELAY = 60.0  # seconds after PIN_SECONDS within which the trash is emptied


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a store may hold: bytes, bytes left free on its disk, seconds without use; 0 is no bound."""

    max_bytes: int = 0
    min_free_bytes: int = 0
    max_age: float = 0
    trim_to: float = TRIM_TO

    @classmethod
    def of(cls, settings: Settings) -> Bounds:
        """Returns the bounds of *settings*."""
        return cls(settings.cache_max_bytes, settings.cache_min_free_bytes, settings.cache_max_age)

    @property
    def any(self) -> bool:
        """True if there is a bound."""
        return bool(self.max_bytes or self.min_free_bytes or self.max_age)


@dataclass(slots=True)
class TrimState:
    """The progress of trimming: *survey* is the last complete one, *counting* the current one. *cutoff*: what to evict.

    *pending* are the bytes in the trash with the times at which they will be free. *survey_seconds* is how long the
    survey has worked.
    """

    survey: Survey | None = None
    counting: Survey | None = None
    cutoff: Cutoff | None = None
    cursor: str = ""
    survey_seconds: float = 0
    pending: list[tuple[float, int]] = field(default_factory=list)
    evicted_files: int = 0  # since the store was first trimmed
    evicted_bytes: int = 0

    def as_bytes(self) -> bytes:
        """Returns the state as the store saves it; `from_bytes` is the inverse."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, saved: bytes) -> TrimState:
        """Returns a saved state, a new one if it cannot be read."""
        try:
            values: dict[str, Any] = json.loads(saved)
            for name in ("survey", "counting"):
                values[name] = values[name] and Survey.from_json(values[name])
            values["cutoff"] = values["cutoff"] and Cutoff(**values["cutoff"])
            return cls(**values)
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls()


@dataclass(frozen=True, slots=True)
class TrimResult:
    """The result of one run: images counted, images evicted, their bytes, and if nothing is left to do."""

    counted: int = 0
    evicted: int = 0
    bytes: int = 0
    done: bool = True


class Trim:
    """The trimming of one store. *pin_seconds* is how long evicted derivatives still take space.

    *report* is called now and then with what the run has done so far.
    """

    def __init__(
        self,
        inventory: Inventory,
        bounds: Bounds,
        pin_seconds: float = 0,
        report: Callable[[TrimResult], None] | None = None,
    ) -> None:
        self._inventory = inventory
        self._bounds = bounds
        self._pin_seconds = pin_seconds
        self._report = report

    def run(self, seconds: float, *, now: bool = False) -> TrimResult:
        """Work for *seconds*, unless another process trims. With *now*, wait for that process, and survey first."""
        with self._inventory.exclusive(wait=now) as exclusive:
            if not exclusive:
                return TrimResult()
            self._state = TrimState.from_bytes(self._inventory.load_state())
            if now:
                self._state.survey = self._state.counting = self._state.cutoff = None
            self._deadline = time.monotonic() + seconds
            self._counted = self._evicted = self._bytes = self._steps = self._unrecorded = 0
            while self._inventory.empty_trash(TRASH_FILES_MAX) == TRASH_FILES_MAX and time.monotonic() < self._deadline:
                pass
            while self._do_next():
                pass
            self._record_pending()
            self._inventory.save_state(self._state.as_bytes())
            return self._result(done=not (self._state.counting or self._state.cutoff))

    def _result(self, *, done: bool = False) -> TrimResult:
        return TrimResult(self._counted, self._evicted, self._bytes, done)

    def _do_next(self) -> bool:
        """Do the next step. Returns False if none is left, or no time for it."""
        state = self._state
        if state.cutoff is not None:
            return self._walk(self._evict) and self._end_eviction(state.cutoff)
        if state.counting is not None:
            return self._walk(self._count) and self._end_survey(state.counting)
        if state.survey is not None:
            state.cutoff = self._cutoff(state.survey)
        if state.cutoff is None and self._is_survey_due():
            state.counting, state.survey_seconds = Survey(time.time()), 0
        state.cursor = ""
        return state.cutoff is not None or state.counting is not None

    # --- when, and what

    def _is_survey_due(self) -> bool:
        survey = self._state.survey
        if survey is None:
            return True
        least = SURVEY_SECONDS if self._bounds.any else UNBOUNDED_SURVEY_SECONDS
        return time.time() - survey.ended > max(least, SURVEY_SHARE * self._state.survey_seconds)

    def _cutoff(self, survey: Survey) -> Cutoff | None:
        now = time.time()
        aged = survey.began - self._bounds.max_age - DAY if self._bounds.max_age else 0  # use is known to a day
        return survey.cutoff(self._excess(survey), aged, min(survey.began, now - YOUNG_SECONDS))

    def _excess(self, survey: Survey) -> int:
        """Returns how many bytes must be evicted for the bounds to hold."""
        over = short = 0
        if self._bounds.max_bytes and survey.bytes > self._bounds.max_bytes:
            over = survey.bytes - int(self._bounds.trim_to * self._bounds.max_bytes)
        free = self._inventory.free_bytes() if self._bounds.min_free_bytes else None
        if free is not None:
            short = self._bounds.min_free_bytes - free - self._pending()
        return max(over, short, 0)

    def _record_pending(self) -> None:
        if self._unrecorded and self._pin_seconds:
            self._state.pending.append((time.time() + 1.5 * self._pin_seconds + TRASH_DELAY, self._unrecorded))
        self._unrecorded = 0

    def _pending(self) -> int:
        """Returns the bytes in the trash, which become free when it is emptied."""
        self._state.pending = [(end, size) for end, size in self._state.pending if end > time.time()]
        return sum(size for _, size in self._state.pending)

    # --- walking

    def _walk(self, work: Callable[[InventoryItem], None]) -> bool:
        """Do *work* for each item after the cursor. Returns True if the walk ended before the time was over."""
        began = time.monotonic()
        walk = self._inventory.walk(self._state.cursor)
        ended = True
        for item in walk:
            work(item)
            self._steps += 1
            if self._steps % CLOCK_EVERY == 0 and self._is_time_over():
                ended = False
                break
        self._state.cursor = walk.cursor
        self._state.survey_seconds += time.monotonic() - began
        return ended or not walk.cursor

    def _is_time_over(self) -> bool:
        if self._report is not None:
            self._report(self._result())
        return time.monotonic() >= self._deadline

    def _count(self, item: InventoryItem) -> None:
        if item.empty:
            self._inventory.remove_empty_folder(item.folder)
        elif self._state.counting is not None:
            self._state.counting.count(item)
            self._counted += bool(item.size)

    def _evict(self, item: InventoryItem) -> None:
        cutoff, survey = self._state.cutoff, self._state.survey
        if cutoff is None or survey is None or not item.size:
            return
        in_last_span = item.last_used >= cutoff.before
        if in_last_span and (item.last_used >= cutoff.span_end or cutoff.span_bytes <= 0):
            return
        freed = self._inventory.evict(item, cutoff.span_end if in_last_span else cutoff.before)
        if not freed:
            return
        survey.count(item, -1)
        self._evicted += 1
        self._bytes += freed
        self._unrecorded += freed
        self._state.evicted_files += 1
        self._state.evicted_bytes += freed
        if in_last_span:
            self._state.cutoff = Cutoff(cutoff.before, cutoff.span_end, cutoff.span_bytes - freed)

    # --- ends

    def _end_survey(self, counted: Survey) -> bool:
        counted.ended = time.time()
        self._state.survey, self._state.counting = counted, None
        return True

    def _end_eviction(self, cutoff: Cutoff) -> bool:
        """End the walk. Derivatives that were used since the survey stay; the next survey counts them."""
        self._record_pending()
        if self._state.survey is not None:
            self._state.survey.forget(cutoff)
        self._state.cutoff = None
        return True


def surveyed_usage(saved: bytes) -> Usage | None:
    """Returns the usage that the last survey of a saved state counted, None if there was no survey."""
    survey = TrimState.from_bytes(saved).survey
    return survey.usage() if survey else None
