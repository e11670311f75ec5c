"""The commands of `mezcal cache`: each prints its result and returns the exit code."""

from __future__ import annotations

import json
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mezcal.commands.terminal.progress_bar import progress_bar
from mezcal.errors import StoreDown
from mezcal.settings import WrongSetting
from mezcal.settings.units import format_bytes, format_count, format_seconds
from mezcal.store import LocalStore
from mezcal.store.housekeeping.dry_run import DryRunInventory
from mezcal.store.housekeeping.hand_back import HandBack
from mezcal.store.housekeeping.trim import Bounds, Trim, TrimResult, TrimState
from mezcal.store.origin_note import own_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mezcal.settings import Settings
    from mezcal.store.housekeeping.survey import Survey
    from mezcal.store.inventory import Inventory

FOREVER = float("inf")
FRESH_SECONDS = 60.0
JUST_NOW = 1.0  # seconds: the figures are of this very command
COUNTED_AT_ONCE = 20_000  # derivatives; to count as many takes about a second on a local disk
LISTED_MAX = 1000  # defects listed in JSON: more are only counted
BUCKET_NEEDS_NOTHING = (
    "the cache is a bucket: umd-lib/mezcal reads and deletes its images as they are, so nothing has to be removed"
)
NO_CACHE_HINT = "name it by STORAGE_DIR, or run the command in the folder of mezcal's .env"
VERIFY_COUNTS = ("verified", "without_sidecar", "defects", "mended")


class CacheReport:
    """Reports on the store of *settings*, as text or *as_json*."""

    def __init__(self, settings: Settings, *, as_json: bool = False) -> None:
        self._settings = settings
        self._store = own_store(settings)
        self._json = as_json

    def stats(self, *, count: bool = False) -> int:
        """Print how much is stored. Uses the last survey, unless it is old and small, or *count* asks for a new one."""
        inventory = self._store.inventory
        survey = _last_survey(inventory)
        if count or survey is None or _is_outdated(survey):
            with _progress("counting", survey) as report:
                Trim(inventory, Bounds(), report=report).run(FOREVER, now=True)
            survey = _last_survey(inventory)
        if survey is None:
            raise StoreDown("the cache folder cannot be written: the survey cannot be saved")
        self._print(self._figures(survey), _stats_lines)
        return 0

    def _figures(self, survey: Survey) -> dict[str, Any]:
        bounds = Bounds.of(self._settings)
        state = TrimState.from_bytes(self._store.inventory.load_state())
        return {
            "derivatives": survey.derivatives,
            "bytes": survey.bytes,
            "by_path": survey.by_path,
            "by_key": survey.by_key,
            "by_file": {name: dict(zip(("images", "bytes"), found, strict=True)) for name, found in _by_file(survey)},
            "without_sidecar": survey.without_sidecar,
            "least_recent_use": survey.oldest or None,
            "counted": survey.ended,
            "free_bytes": self._store.free_bytes(),
            "cache_max_bytes": bounds.max_bytes,
            "cache_min_free_bytes": bounds.min_free_bytes,
            "cache_max_age": bounds.max_age,
            "evicted": state.evicted_files,
            "evicted_bytes": state.evicted_bytes,
            "last_use_source": self._store.last_use_source(use_log=self._settings.cache_use_log is not None),
        }

    def trim(self, to: int | None, *, dry_run: bool = False) -> int:
        """Trim to *to* bytes, else to the bounds of the settings. Returns 1 if the store still holds more."""
        bounds = Bounds.of(self._settings) if to is None else Bounds(max_bytes=max(to, 1), trim_to=1)
        if not bounds.any:
            raise StoreDown(
                "there is no bound: set CACHE_MAX_BYTES, CACHE_MIN_FREE_BYTES or CACHE_MAX_AGE, or use --to"
            )
        inventory = DryRunInventory(self._store.inventory) if dry_run else self._store.inventory
        with _progress("trimming", _last_survey(inventory)) as report:
            result = Trim(inventory, bounds, self._settings.pin_seconds, report).run(FOREVER, now=True)
        survey = _last_survey(inventory)
        size = survey.bytes if survey else 0
        kept = not bounds.max_bytes or size <= bounds.max_bytes
        figures = {"evicted": result.evicted, "evicted_bytes": result.bytes, "bytes": size}
        self._print(figures | {"dry_run": dry_run, "kept": kept}, _trim_lines)
        return 0 if kept else 1

    def verify(self, sample: int | None, *, mend: bool = False) -> int:
        """Verify all derivatives, or *sample* of them. Returns 1 if a defect is left."""
        counts: Counter[str] = Counter()
        listed: list[dict[str, Any]] = []
        survey = _last_survey(self._store.inventory)
        with progress_bar("verifying", sample or (survey.derivatives if survey else None)) as progress:
            for item in self._store.verify(sample, mend=mend):
                counts["verified"] += 1
                counts["without_sidecar"] += item.without_sidecar
                if item.defect is not None:
                    counts["defects"] += 1
                    counts["mended"] += item.mended
                    if len(listed) < LISTED_MAX:
                        listed.append({"folder": item.folder, "defect": item.defect, "mended": item.mended})
                    if not self._json:
                        progress.print_line(f"{item.folder}: {item.defect}{' (mended)' if item.mended else ''}")
                progress.show(counts["verified"], defects=counts["defects"])
        self._print({name: counts[name] for name in VERIFY_COUNTS} | {"found": listed}, _verify_lines)
        return 1 if counts["defects"] > counts["mended"] else 0

    def hand_back(self, *, dry_run: bool = False) -> int:
        """Remove what only mezcal reads. Returns 1 if files are left that umd-lib/mezcal will fail at."""
        if not isinstance(self._store, LocalStore):
            raise WrongSetting(BUCKET_NEEDS_NOTHING)
        folder = self._store.root
        if not folder.is_dir():
            raise WrongSetting(f"there is no cache at {folder}", NO_CACHE_HINT)
        survey = _last_survey(self._store.inventory)
        with progress_bar("removing", survey.derivatives if survey else None) as progress:
            result = HandBack(self._store, lambda so_far: progress.show(so_far.images), dry_run=dry_run).run()
        if not (result.images or result.sidecars or result.foreign or result.own_folder):
            raise WrongSetting(f"{folder} has no image and no folder .mezcal: it is no cache", NO_CACHE_HINT)
        self._print({"folder": str(folder)} | asdict(result) | {"dry_run": dry_run}, _hand_back_lines)
        return 1 if result.foreign else 0

    def _print(self, figures: dict[str, Any], lines: Callable[[dict[str, Any]], list[str]]) -> None:
        print(json.dumps(figures, indent=1) if self._json else "\n".join(lines(figures)))


def _by_file(survey: Survey) -> list[tuple[str, list[int]]]:
    """Returns the images and bytes by the names of the files, the most bytes first."""
    return sorted(((name, found) for name, found in survey.by_file.items() if found[0]), key=lambda each: -each[1][1])


def _is_outdated(survey: Survey) -> bool:
    """Returns True if *survey* is older than a minute, and counting again takes a moment only."""
    return survey.derivatives <= COUNTED_AT_ONCE and time.time() - survey.ended > FRESH_SECONDS


def _last_survey(inventory: Inventory) -> Survey | None:
    return TrimState.from_bytes(inventory.load_state()).survey


@contextmanager
def _progress(doing: str, before: Survey | None) -> Iterator[Callable[[TrimResult], None]]:
    """Show a progress bar of the images counted, out of as many as there were *before*, and how many were evicted."""
    with progress_bar(doing, before.derivatives if before else None) as progress:
        yield lambda result: progress.show(result.counted, evicted=result.evicted)


def _stats_lines(figures: dict[str, Any]) -> list[str]:
    now = time.time()
    least_recent, free = figures["least_recent_use"], figures["free_bytes"]
    bounds = [
        figures["cache_max_bytes"] and f"at most {format_bytes(figures['cache_max_bytes'])}",
        figures["cache_min_free_bytes"] and f"{format_bytes(figures['cache_min_free_bytes'])} left free",
        figures["cache_max_age"] and f"used within {format_seconds(figures['cache_max_age'])}",
    ]
    age = now - figures["counted"]
    counted = f"counted {format_seconds(age)} ago" + ("; --count counts now" if age > JUST_NOW else "")
    used = f"{format_seconds(now - least_recent)} ago" if least_recent else "never"
    lines = {
        "derivatives": f"{figures['derivatives']:,} ({format_bytes(figures['bytes'])}), {counted}",
        "  by path": f"{figures['by_path']:,}",
        "  by key": f"{figures['by_key']:,} (thumbnails, pages)",
        **{
            f"  {name}": f"{found['images']:,} ({format_bytes(found['bytes'])})"
            for name, found in figures["by_file"].items()
        },
        "  no sidecar": f"{figures['without_sidecar']:,}",
        "oldest use": f"{used}; last use is known by {figures['last_use_source']}",
        "free": "no limit" if free is None else format_bytes(free),
        "bounds": ", ".join(filter(None, bounds)) or "none",
        "evicted so far": f"{figures['evicted']:,} ({format_bytes(figures['evicted_bytes'])})",
    }
    return [f"{name:<16} {value}" for name, value in lines.items()]


def _trim_lines(figures: dict[str, Any]) -> list[str]:
    verb = "would be evicted" if figures["dry_run"] else "evicted"
    evicted, left = format_bytes(figures["evicted_bytes"]), format_bytes(figures["bytes"])
    lines = [f"{format_count(figures['evicted'], 'image')} ({evicted}) {verb}, {left} left"]
    if not figures["kept"]:
        lines.append("the bound is not reached: what was used within the last minute is never evicted")
    return lines


def _hand_back_lines(figures: dict[str, Any]) -> list[str]:
    verb = "would be removed" if figures["dry_run"] else "removed"
    images = format_count(figures["own_images"], "image")
    own = f", and the folder .mezcal with {images}" if figures["own_folder"] else ""
    lines = [
        f"{figures['folder']}: {figures['sidecars']:,} image.json{own} {verb}",
        f"{format_count(figures['images'], 'image')} stay{'s' if figures['images'] == 1 else ''}",
    ]
    if figures["foreign"]:
        lines.append(f"{figures['foreign']:,} image.json stay: they are next to no image, and not mezcal's")
    return lines


def _verify_lines(figures: dict[str, Any]) -> list[str]:
    defects = format_count(figures["defects"], "defect")
    rest = f"{defects}, {figures['mended']:,} mended"
    return [f"{figures['verified']:,} verified, {figures['without_sidecar']:,} without sidecar, {rest}"]
