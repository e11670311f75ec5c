"""What `mezcal cache` does: each wish prints its answer and gives the exit code."""

from __future__ import annotations

import json
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from mezcal.commands.terminal.progress_bar import progress_bar
from mezcal.errors import StoreDown
from mezcal.settings.units import format_bytes, format_seconds
from mezcal.store import LocalStore, open_store
from mezcal.store.housekeeping.inventory import Rehearsed
from mezcal.store.housekeeping.trim import Bounds, Trim, TrimResult, TrimState
from mezcal.store.housekeeping.verify import Verify
from mezcal.store.local.last_use import noted_by_reading
from mezcal.store.local.layout import OURS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mezcal.settings import Settings
    from mezcal.store.housekeeping.survey import Survey
    from mezcal.store.housekeeping.verify import Judged
    from mezcal.store.s3 import S3Store

FOREVER = float("inf")
FAULTS_TOLD = 1000  # paths in the JSON answer: more are only counted


class CacheReport:
    """The store of *settings*, and whether to answer in JSON."""

    def __init__(self, settings: Settings, *, as_json: bool = False) -> None:
        self._settings = settings
        self._store = open_store(settings)
        self._json = as_json

    def stats(self, *, count: bool = False) -> int:
        """Say what there is."""
        survey = TrimState.from_bytes(self._store.shelf.notes()).survey
        if count or survey is None:
            with _told("counting", survey) as tell:
                Trim(self._store.shelf, Bounds(), tell=tell).turn(FOREVER, now=True)
            survey = TrimState.from_bytes(self._store.shelf.notes()).survey
        if survey is None:
            raise StoreDown("the cache folder cannot be written: what it holds cannot be noted")
        self._answer(self._figures(survey), _as_lines)
        return 0

    def _figures(self, survey: Survey) -> dict[str, Any]:
        bounds = Bounds.of(self._settings)
        state = TrimState.from_bytes(self._store.shelf.notes())
        return {
            "derivatives": survey.derivatives,
            "bytes": survey.bytes,
            "by_path": survey.by_path,
            "by_key": survey.by_key,
            "without_sidecar": survey.bare,
            "used_longest_ago": survey.oldest or None,
            "counted": survey.ended,
            "free_bytes": self._store.shelf.free_bytes(),
            "cache_max_bytes": bounds.max_bytes,
            "cache_min_free_bytes": bounds.min_free_bytes,
            "cache_max_age": bounds.max_age,
            "evicted": state.evicted_files,
            "evicted_bytes": state.evicted_bytes,
            "use_is_known_by": self._use_known_by(),
        }

    def _use_known_by(self) -> str:
        if not isinstance(self._store, LocalStore):
            return "when it was made"
        try:
            noted = noted_by_reading(self._store.root / OURS)
        except OSError:
            return "nothing: it cannot be written"
        return "reading" if noted else "marks" if self._settings.cache_use_log else "marks of the API alone"

    def trim(self, to: int | None, *, dry_run: bool = False) -> int:
        """Trim to *to* bytes, else to the bounds of the settings; 1 if they cannot be kept."""
        bounds = Bounds.of(self._settings) if to is None else Bounds(max_bytes=max(to, 1), trimmed_to=1)
        if not bounds.any:
            raise StoreDown(
                "there is no bound: set CACHE_MAX_BYTES, CACHE_MIN_FREE_BYTES or CACHE_MAX_AGE, or use --to"
            )
        shelf = Rehearsed(self._store.shelf) if dry_run else self._store.shelf
        before = TrimState.from_bytes(shelf.notes()).survey
        with _told("trimming", before) as tell:
            did = Trim(shelf, bounds, self._settings.pin_seconds, tell).turn(FOREVER, now=True)
        left = TrimState.from_bytes(shelf.notes()).survey
        size = left.bytes if left else 0
        kept = not bounds.max_bytes or size <= bounds.max_bytes
        answer = {"evicted": did.evicted, "evicted_bytes": did.bytes, "bytes": size, "dry_run": dry_run, "kept": kept}
        self._answer(answer, _trimmed)
        return 0 if kept else 1

    def verify(self, sample: int | None, *, mend: bool = False) -> int:
        """Look at all, or at *sample*; 1 if a fault is left."""
        counts: Counter[str] = Counter()
        faults: list[dict[str, Any]] = []
        survey = TrimState.from_bytes(self._store.shelf.notes()).survey
        with progress_bar("verifying", sample or (survey.derivatives if survey else None)) as running:
            for judged in self._judged(sample, mend=mend):
                counts["looked at"] += 1
                counts["without sidecar"] += judged.bare
                if judged.fault is not None:
                    counts["faults"] += 1
                    counts["mended"] += judged.mended
                    if len(faults) < FAULTS_TOLD:
                        faults.append({"folder": judged.folder, "fault": judged.fault, "mended": judged.mended})
                    if not self._json:
                        running.print_line(f"{judged.folder}: {judged.fault}{' (mended)' if judged.mended else ''}")
                running.show(counts["looked at"], faults=counts["faults"])
        self._answer({name: counts[name] for name in VERIFIED} | {"found": faults}, _verified)
        return 1 if counts["faults"] > counts["mended"] else 0

    def _judged(self, sample: int | None, *, mend: bool) -> Iterator[Judged]:
        if isinstance(self._store, LocalStore):
            return Verify(self._store, mend=mend).all(sample)
        from mezcal.store.s3.verify import VerifyBucket  # noqa: PLC0415 - whoever keeps files needs none of it

        return VerifyBucket(cast("S3Store", self._store), mend=mend).all(sample)

    def _answer(self, answer: dict[str, Any], lines: Callable[[dict[str, Any]], list[str]]) -> None:
        print(json.dumps(answer, indent=1) if self._json else "\n".join(lines(answer)))


VERIFIED = ("looked at", "without sidecar", "faults", "mended")


@contextmanager
def _told(doing: str, before: Survey | None) -> Iterator[Callable[[TrimResult], None]]:
    """A bar of the images counted, of as many as there were *before*, and how many were evicted."""
    with progress_bar(doing, before.derivatives if before else None) as running:
        last = TrimResult()

        def tell(turn: TrimResult) -> None:
            nonlocal last
            last = turn
            running.show(turn.counted, evicted=turn.evicted)

        yield tell


def _as_lines(figures: dict[str, Any]) -> list[str]:
    now = time.time()
    oldest, free = figures["used_longest_ago"], figures["free_bytes"]
    bounds = [
        figures["cache_max_bytes"] and f"at most {format_bytes(figures['cache_max_bytes'])}",
        figures["cache_min_free_bytes"] and f"{format_bytes(figures['cache_min_free_bytes'])} left free",
        figures["cache_max_age"] and f"used within {format_seconds(figures['cache_max_age'])}",
    ]
    counted = f"counted {format_seconds(now - figures['counted'])} ago"
    used = f"{format_seconds(now - oldest)} ago" if oldest else "nothing"
    lines = {
        "derivatives": f"{figures['derivatives']:,} ({format_bytes(figures['bytes'])}), {counted}",
        "  by path": f"{figures['by_path']:,}",
        "  by key": f"{figures['by_key']:,} (thumbnails, pages)",
        "  bare": f"{figures['without_sidecar']:,} (without a sidecar)",
        "least used": f"{used}; use is known by {figures['use_is_known_by']}",
        "free": "nobody knows" if free is None else format_bytes(free),
        "bounds": ", ".join(filter(None, bounds)) or "none",
        "evicted so far": f"{figures['evicted']:,} ({format_bytes(figures['evicted_bytes'])})",
    }
    return [f"{name:<16} {value}" for name, value in lines.items()]


def _trimmed(answer: dict[str, Any]) -> list[str]:
    would = "would be evicted" if answer["dry_run"] else "evicted"
    evicted, left = format_bytes(answer["evicted_bytes"]), format_bytes(answer["bytes"])
    lines = [f"{answer['evicted']:,} derivatives ({evicted}) {would}, {left} left"]
    return (
        lines
        if answer["kept"]
        else [*lines, "what was used within the last minute is never evicted: the bound is not kept"]
    )


def _verified(answer: dict[str, Any]) -> list[str]:
    return [", ".join(f"{answer[name]:,} {name}" for name in VERIFIED)]
