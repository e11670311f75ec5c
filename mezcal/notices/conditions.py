"""What needs a person now: the conditions behind the notices and behind the first section of `/ops`."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mezcal.errors import Failure, MasterDamaged
from mezcal.explanations import explanation_of, filled
from mezcal.notices.failure_growth import growing, in_last_hour
from mezcal.telemetry import DAMAGED_STATE_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.jobs import Jobs
    from mezcal.settings import Settings
    from mezcal.store import DerivativeStore

ORIGIN_GRACE = 300.0
DOWNSTREAM_GRACE = 300.0
WORKERS_GRACE = 120.0  # an installation starts its roles one after the other
EVICTION_GRACE = 1800.0  # within which evicted derivatives make room
LOW_BYTES = 10 * 10**9  # free bytes, or LOW_SHARE of a smaller disk
LOW_SHARE = 0.05
OVER_LIMIT = 1.1  # times CACHE_MAX_BYTES
WORKERS_SILENT = "workers-silent"
OUTAGES = "docs/operations-queue.md"
CACHE = "docs/operations-cache.md"
ALARMS = "docs/operating.md#alarms"
DOWNSTREAM = "docs/downstream.md"
FIXITY = "docs/fixity.md"
THUMBNAILS = "docs/thumbnails.md"


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that needs a person. *name* identifies it; *sentence* and *step*, what to do, are for an operator.

    *section* is that of `/ops` which shows it, *page* a page of the documentation. It needs a person once it has lasted
    for *grace* seconds. A text has nothing that a stranger wrote, and no secret.
    """

    name: str
    sentence: str
    step: str
    section: str
    page: str
    grace: float = 0


def present(jobs: Jobs, store: DerivativeStore, settings: Settings, known: set[str]) -> list[Condition]:
    """Return the conditions that hold now. *known* are the names of those that held before.

    Raises `BrokerDown`: without Redis most of them are unknown.
    """
    return [
        *_of_workers(jobs),
        *_of_origins(jobs),
        *_of_store(store),
        *_of_space(store, settings, known),
        *_of_failures(jobs, known),
        *_of_damage(jobs),
        *(_of_registrations(jobs) if settings.archive_bucket else ()),
        *_of_downstream(jobs, settings),
        *_of_broker_state(settings),
    ]


def without_broker(store: DerivativeStore, settings: Settings) -> list[Condition]:
    """Return the conditions that are known while Redis does not answer. Only the operator's page can show them."""
    sentence = "Redis does not answer or must not be used. Cached images are served, nothing new is made."
    down = Condition("broker-down", sentence, "Run: mezcal check", "components", ALARMS)
    return [down, *_of_store(store), *_of_space(store, settings, set()), *_of_broker_state(settings)]


def _of_workers(jobs: Jobs) -> Iterator[Condition]:
    takers = [status for status in jobs.workers.statuses() if status.worker.queues]
    if all(status.silent for status in takers):
        yield Condition(
            WORKERS_SILENT,
            "All workers are silent: nothing new is made." if takers else "No worker runs: nothing new is made.",
            "Start a worker, or read its log: systemctl status mezcal, or docker compose logs worker",
            "components",
            ALARMS,
            WORKERS_GRACE,
        )


def _of_origins(jobs: Jobs) -> Iterator[Condition]:
    for host, label in jobs.limited_origins.items():
        if jobs.circuit(host).state != "closed":
            name = label.partition(" ")[0].lower()
            yield Condition(
                f"origin-away:{host}",
                f"The {name} {host} fails job after job. Images that are not cached cannot be made.",
                f"Look at the {name}, and test it with: mezcal check",
                "components",
                OUTAGES,
                ORIGIN_GRACE,
            )


def _of_store(store: DerivativeStore) -> Iterator[Condition]:
    try:
        store.check()
    except Failure:
        yield Condition(
            "store-refuses",
            "The cache cannot be read or written: nothing new is made.",
            "Run: mezcal check. It names the fault: a full disk, a read-only or missing mount, a refused key.",
            "components",
            ALARMS,
        )


def _of_space(store: DerivativeStore, settings: Settings, known: set[str]) -> Iterator[Condition]:
    with suppress(Failure, OSError):
        usage, free, limit = store.usage(), store.free_bytes(), settings.cache_max_bytes
        if free is not None and free < _least_free(settings, lasts="disk-nearly-full" in known):
            yield _nearly_full(free, evicts=bool(settings.cache_min_free_bytes and usage and usage.bytes))
        if usage is not None and limit and usage.bytes > OVER_LIMIT * limit:
            yield Condition(
                "cache-over-limit",
                f"The cache has {_gigabytes(usage.bytes)}, and CACHE_MAX_BYTES is {_gigabytes(limit)}: "
                "evicting makes no progress.",
                "Run: mezcal cache trim. Then look for `trim` in the log of the workers.",
                "cache",
                CACHE,
                EVICTION_GRACE,
            )


def _least_free(settings: Settings, *, lasts: bool) -> float:
    """Return the free bytes below which the disk is nearly full. What has begun ends only with a tenth more."""
    total = shutil.disk_usage(settings.cache_dir).total
    least = settings.cache_min_free_bytes or min(LOW_BYTES, LOW_SHARE * total)
    return least * 1.1 if lasts else least


def _nearly_full(free: int, *, evicts: bool) -> Condition:
    why = "less than CACHE_MIN_FREE_BYTES: evicting does not free enough" if evicts else "and nothing is evicted for it"
    return Condition(
        "disk-nearly-full",
        f"The disk of the cache has {_gigabytes(free)} free, {why}.",
        "Find out what else fills the disk, delete it, or use a larger disk."
        if evicts
        else "Set CACHE_MIN_FREE_BYTES or CACHE_MAX_BYTES, so that old images are evicted; or use a larger disk.",
        "cache",
        CACHE,
        EVICTION_GRACE if evicts else 0,
    )


def _of_failures(jobs: Jobs, known: set[str]) -> Iterator[Condition]:
    if quarantined := jobs.status().quarantined:
        yield Condition(
            "quarantine",
            f"Quarantined jobs: {quarantined:,}. Each ended its worker several times, mostly because memory ran out.",
            "Read their reasons: mezcal failures --full. Then retry or forget them.",
            "failures",
            OUTAGES,
        )
    lasting = {name.partition(":")[2] for name in known if name.startswith("failures-grow:")}
    for growth in growing(jobs.minutes, lasting):
        known_class = explanation_of(growth.failure)
        yield Condition(
            f"failures-grow:{growth.failure}",
            f"{growth.count:,} attempts ended as {growth.failure} in the last hour, {growth.before:,} in the hour "
            f"before. {filled(known_class.operator)}",
            f"Read the reasons under {growth.failure}. {filled(known_class.step)}",
            "failures",
            known_class.page,
        )


def _of_damage(jobs: Jobs) -> Iterator[Condition]:
    if count := in_last_hour(jobs.minutes, MasterDamaged.slug):
        yield Condition(
            "masters-damaged",
            f"{count:,} attempts in the last hour found a damaged master: it has another digest than is declared.",
            "Search the log of the workers for master-damaged: it names them. Restore them from good copies.",
            "failures",
            FIXITY,
        )


def _of_registrations(jobs: Jobs) -> Iterator[Condition]:
    status = jobs.registrations.status()
    if status.stuck:
        yield Condition(
            "registrations-wait",
            f"{status.waiting:,} thumbnails wait to be registered with the archive, and attempts fail.",
            "Search the log of the workers for `is registered later`: it says why. Then look at the archive, its "
            "bucket, or ARCHIVE_TOKEN.",
            "components",
            THUMBNAILS,
        )
    if status.refused:
        yield Condition(
            "registrations-refused",
            f"{status.refused} thumbnails were refused by the archive in the last day: its client does not show them.",
            "Run: mezcal check. Its line `register` has the archive's own words.",
            "components",
            THUMBNAILS,
        )


def _of_downstream(jobs: Jobs, settings: Settings) -> Iterator[Condition]:
    for hook in settings.hooks:
        status = jobs.downstream.status(hook.name)
        if status.fault:
            yield Condition(
                f"downstream-away:{hook.name}",
                f"{hook.shown} is not notified, and may show what is old: {status.fault}.",
                f"Repair it, and test it: mezcal check. What waits ({status.waiting:,}) is sent by itself.",
                "downstream",
                DOWNSTREAM,
                DOWNSTREAM_GRACE,
            )
        if status.failed:
            yield Condition(
                f"downstream-failed:{hook.name}",
                f"{hook.shown} was not notified of {status.failed:,} changes within a day. It may show old images.",
                "Run: mezcal downstream. It lists them with their reasons. Then: mezcal downstream --retry",
                "downstream",
                DOWNSTREAM,
            )
        if status.lost:
            yield Condition(
                f"downstream-lost:{hook.name}",
                f"{hook.shown} was not notified of {status.lost:,} ended jobs: too many waited for it.",
                "Repair it, and compare its records with the cache. Then: mezcal downstream --retry",
                "downstream",
                DOWNSTREAM,
            )


def _of_broker_state(settings: Settings) -> Iterator[Condition]:
    if folders := len(list(settings.data_dir.glob(f"{DAMAGED_STATE_PREFIX}*"))):
        yield Condition(
            "broker-state-damaged",
            f"The broker could not read its state at a start, and began empty ({folders} kept in DATA_DIR).",
            f"Send the lists and events of the hours before again, then delete the folders {DAMAGED_STATE_PREFIX}*.",
            "components",
            ALARMS,
        )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.1f} GB"
