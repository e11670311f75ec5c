"""Keeps a store within its bounds, in turns: what was used least lately goes first.

Two walks, each holding some thousand numbers: one that counts when how many bytes were used last, and, where that is
too much, one that evicts all that was used before the time it comes to. What a turn does not finish the next one does,
in whichever process: the survey, and how far the walk has come, are noted in the store.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from mezcal.store.housekeeping.inventory import YOUNG
from mezcal.store.housekeeping.survey import A_DAY, Cut, Survey

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.settings import Settings
    from mezcal.store.housekeeping.inventory import Inventory
    from mezcal.store.local.walk import Found

TRIMMED_TO = 0.95  # of CACHE_MAX_BYTES: else every new image would cost a walk
REST_SECONDS = 600.0  # between two surveys
REST_OF_SURVEY = 4.0  # and at least so many times as long as the last one took
UNBOUND_REST_SECONDS = 6 * 3600.0  # where the survey is only for people to look at
CLOCK_EVERY = 64  # folders between two looks at the clock
CLEARED_MOST = 20_000  # files at a time
CLEARED_WITHIN = 60.0  # seconds past its time in which what was put aside is removed


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a store may hold: bytes, bytes to be left free on its disk, seconds without use; 0 is no bound."""

    max_bytes: int = 0
    min_free_bytes: int = 0
    max_age: float = 0
    trimmed_to: float = TRIMMED_TO

    @classmethod
    def of(cls, settings: Settings) -> Bounds:
        """The bounds of *settings*."""
        return cls(settings.cache_max_bytes, settings.cache_min_free_bytes, settings.cache_max_age)

    @property
    def any(self) -> bool:
        """Whether there is a bound at all."""
        return bool(self.max_bytes or self.min_free_bytes or self.max_age)


@dataclass(slots=True)
class TrimState:
    """How far trimming has come: *survey* is the last whole one, *counting* the one under way, *cut* what is going.

    *leaving* are bytes that were put aside and when they will be free; *took* is how many seconds the survey worked.
    """

    survey: Survey | None = None
    counting: Survey | None = None
    cut: Cut | None = None
    cursor: str = ""
    took: float = 0
    leaving: list[tuple[float, int]] = field(default_factory=list)
    evicted_files: int = 0  # since the store was first trimmed
    evicted_bytes: int = 0

    def as_bytes(self) -> bytes:
        """The state for the shelf's notes; `from_bytes` is its inverse."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, notes: bytes) -> TrimState:
        """The state of a shelf's notes; a new one if these cannot be read."""
        try:
            values: dict[str, Any] = json.loads(notes)
            for name in ("survey", "counting"):
                values[name] = values[name] and Survey.from_json(values[name])
            values["cut"] = values["cut"] and Cut(**values["cut"])
            return cls(**values)
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls()


@dataclass(frozen=True, slots=True)
class TrimResult:
    """What one turn did: images that were counted and evicted, bytes that this freed, and whether all is done."""

    counted: int = 0
    evicted: int = 0
    bytes: int = 0
    done: bool = True


class Trim:
    """The trimming of one store; *pin_seconds* is for how long what was evicted still takes its room.

    `turn` is for periodic work. *tell* is given each turn's figures so far, now and then.
    """

    def __init__(
        self, shelf: Inventory, bounds: Bounds, pin_seconds: float = 0, tell: Callable[[TrimResult], None] | None = None
    ) -> None:
        self._shelf = shelf
        self._bounds = bounds
        self._pin_seconds = pin_seconds
        self._tell = tell

    def turn(self, seconds: float, *, now: bool = False) -> TrimResult:
        """Work for *seconds*, unless somebody else does; *now* begins with a survey, however new the last one is."""
        with self._shelf.alone(wait=now) as alone:
            if not alone:
                return TrimResult()
            self._state = TrimState.from_bytes(self._shelf.notes())
            if now:
                self._state.survey = self._state.counting = self._state.cut = None
            self._ends = time.monotonic() + seconds
            self._counted = self._evicted = self._bytes = self._steps = self._unnoted = 0
            while self._shelf.clear(CLEARED_MOST) == CLEARED_MOST and time.monotonic() < self._ends:
                pass
            while self._next():
                pass
            self._note_leaving()
            self._shelf.note(self._state.as_bytes())
            return self._figures(done=not (self._state.counting or self._state.cut))

    def _figures(self, *, done: bool = False) -> TrimResult:
        return TrimResult(self._counted, self._evicted, self._bytes, done)

    def _next(self) -> bool:
        """Do the next thing; whether there may be another one, and time for it."""
        state = self._state
        if state.cut is not None:
            return self._walk(self._evict) and self._end_of_cut(state.cut)
        if state.counting is not None:
            return self._walk(self._count) and self._end_of_survey(state.counting)
        if state.survey is not None:
            state.cut = self._cut(state.survey)
        if state.cut is None and self._due():
            state.counting, state.took = Survey(time.time()), 0
        state.cursor = ""
        return state.cut is not None or state.counting is not None

    # --- when, and what

    def _due(self) -> bool:
        """Whether it is time for another survey."""
        survey = self._state.survey
        if survey is None:
            return True
        least = REST_SECONDS if self._bounds.any else UNBOUND_REST_SECONDS
        return time.time() - survey.ended > max(least, REST_OF_SURVEY * self._state.took)

    def _cut(self, survey: Survey) -> Cut | None:
        now = time.time()
        aged = survey.began - self._bounds.max_age - A_DAY if self._bounds.max_age else 0  # use is known to a day
        return survey.cut(self._needed(survey), aged, min(survey.began, now - YOUNG))

    def _needed(self, survey: Survey) -> int:
        """Bytes that must go for the bounds to hold."""
        over = short = 0
        if self._bounds.max_bytes and survey.bytes > self._bounds.max_bytes:
            over = survey.bytes - int(self._bounds.trimmed_to * self._bounds.max_bytes)
        free = self._shelf.free_bytes() if self._bounds.min_free_bytes else None
        if free is not None:
            short = self._bounds.min_free_bytes - free - self._leaving()
        return max(over, short, 0)

    def _note_leaving(self) -> None:
        if self._unnoted and self._pin_seconds:
            self._state.leaving.append((time.time() + 1.5 * self._pin_seconds + CLEARED_WITHIN, self._unnoted))
        self._unnoted = 0

    def _leaving(self) -> int:
        """Bytes that were put aside, and will be free without our doing."""
        self._state.leaving = [(end, size) for end, size in self._state.leaving if end > time.time()]
        return sum(size for _, size in self._state.leaving)

    # --- walking

    def _walk(self, work: Callable[[Found], None]) -> bool:
        """Do *work* for each folder behind the cursor; whether these were all, before the turn was over."""
        began = time.monotonic()
        walk = self._shelf.walk(self._state.cursor)
        ended = True
        for found in walk:
            work(found)
            self._steps += 1
            if self._steps % CLOCK_EVERY == 0 and self._over():
                ended = False
                break
        self._state.cursor = walk.cursor
        self._state.took += time.monotonic() - began
        return ended or not walk.cursor

    def _over(self) -> bool:
        if self._tell is not None:
            self._tell(self._figures())
        return time.monotonic() >= self._ends

    def _count(self, found: Found) -> None:
        if found.empty:
            self._shelf.tidy(found.folder)
        elif self._state.counting is not None:
            self._state.counting.count(found)
            self._counted += bool(found.size)

    def _evict(self, found: Found) -> None:
        cut, survey = self._state.cut, self._state.survey
        if cut is None or survey is None or not found.size:
            return
        edge = found.used >= cut.before
        if edge and (found.used >= cut.edge or cut.edge_bytes <= 0):
            return
        freed = self._shelf.evict(found, cut.edge if edge else cut.before)
        if not freed:
            return
        survey.count(found, -1)
        self._evicted += 1
        self._bytes += freed
        self._unnoted += freed
        self._state.evicted_files += 1
        self._state.evicted_bytes += freed
        if edge:
            self._state.cut = Cut(cut.before, cut.edge, cut.edge_bytes - freed)

    # --- ends

    def _end_of_survey(self, counted: Survey) -> bool:
        counted.ended = time.time()
        self._state.survey, self._state.counting = counted, None
        return True

    def _end_of_cut(self, cut: Cut) -> bool:
        """What was found used since it was counted stays for the next survey to count."""
        self._note_leaving()
        if self._state.survey is not None:
            self._state.survey.forget(cut)
        self._state.cut = None
        return True
