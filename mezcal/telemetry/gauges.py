"""Metrics that are read when somebody asks for them: the state of queue, origins, store and processes."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

from mezcal.errors import BrokerDown, Failure
from mezcal.jobs import Lane
from mezcal.telemetry import DAMAGED_STATE_PREFIX, multiprocess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from mezcal.jobs import Jobs, QueueStatus
    from mezcal.settings.downstream.address import HookAddress
    from mezcal.store import DerivativeStore
    from mezcal.store.usage import Usage

FRESH_SECONDS = 1.0  # within it, everyone gets the same values
CIRCUIT_STATES = ("closed", "open", "half-open")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class GaugeDefinition:
    """The definition of a metric; *is_counter* if it only grows, because Redis keeps the count."""

    name: str
    text: str
    labels: tuple[str, ...] = ()
    is_counter: bool = False

    def family(self) -> GaugeMetricFamily | CounterMetricFamily:
        """Returns the metric without values."""
        return (CounterMetricFamily if self.is_counter else GaugeMetricFamily)(self.name, self.text, labels=self.labels)


QUEUED = GaugeDefinition("mezcal_queued_jobs", "Jobs that are queued.", ("lane",))
AGE = GaugeDefinition(
    "mezcal_queue_age_seconds", "Seconds that the oldest queued job has been queued, 0 if there is none.", ("lane",)
)
RUNNING = GaugeDefinition("mezcal_running_jobs", "Jobs that are running.")
DELAYED = GaugeDefinition("mezcal_delayed_jobs", "Delayed jobs: they wait for their next attempt.")
FAILED = GaugeDefinition("mezcal_failed_jobs", "Failed jobs that are remembered, including quarantined ones.")
QUARANTINE = GaugeDefinition("mezcal_quarantined_jobs", "Quarantined jobs: each ended its worker several times.")
CHUNKS = GaugeDefinition(
    "mezcal_waiting_chunks",
    "Chunks of lists and events that are not queued yet: up to 1,000 images each, up to 10 if there are frames.",
)
REGISTRATIONS = GaugeDefinition(
    "mezcal_waiting_registrations", "Thumbnails that wait to be registered with the science archive."
)
REFUSED = GaugeDefinition(
    "mezcal_refused_registrations",
    "Thumbnails that were refused by the archive in the last day: 100 are counted at most.",
)
REGISTRATION_UP = GaugeDefinition(
    "mezcal_registration_up",
    "0 while attempts to register thumbnails with the science archive have failed for five minutes, else 1.",
)
DOWNSTREAM = GaugeDefinition(
    "mezcal_waiting_changes",
    "Changed derivatives and ended jobs of which a hook downstream is still to be sent.",
    ("hook",),
)
GIVEN_UP = GaugeDefinition(
    "mezcal_undelivered_changes",
    "Changed derivatives and ended jobs of which a hook downstream was not notified within a day, 1,000 at most, and "
    "ended jobs that were not kept, because too many waited.",
    ("hook",),
)
DOWNSTREAM_UP = GaugeDefinition(
    "mezcal_downstream_up", "0 while deliveries to a hook downstream fail, else 1.", ("hook",)
)
ITEMS = GaugeDefinition(
    "mezcal_batch_items",
    "Items of lists and events, by how they ended: done, failed, forgotten (purged meanwhile), deleted, ignored, "
    "repeated. Kept in Redis: every target says the same.",
    ("outcome",),
    is_counter=True,
)
CIRCUIT = GaugeDefinition(
    "mezcal_origin_circuit",
    "1 for the state of the origin's circuit breaker, 0 for its other states.",
    ("origin", "state"),
)
ACTIVE = GaugeDefinition(
    "mezcal_origin_active_jobs", "Jobs that read from the origin now, if ORIGIN_CONCURRENCY limits them.", ("origin",)
)
REACHED = GaugeDefinition(
    "mezcal_broker_up", "1 if Redis answers, else 0. At 0, the metrics that are read from Redis are missing."
)
DAMAGED = GaugeDefinition(
    "mezcal_broker_damaged_states",
    "Folders broker.damaged-TIME in the data folder: states that the broker could not read at a start.",
)
FILES = GaugeDefinition("mezcal_store_derivatives", "Derivatives in the store; missing if counting takes too long.")
BYTES = GaugeDefinition("mezcal_store_bytes", "Bytes of derivatives in the store; missing if counting takes too long.")
FILES_BY_NAME = GaugeDefinition(
    "mezcal_store_files",
    "Derivatives in the store by the names of their files, which tell the profile: image.jpg are mezzanines and "
    "thumbnails, pyramid.tif are pyramids.",
    ("file",),
)
BYTES_BY_NAME = GaugeDefinition(
    "mezcal_store_file_bytes", "Bytes of derivatives by the names of their files.", ("file",)
)
FREE = GaugeDefinition("mezcal_store_free_bytes", "Free bytes on the disk of the store.")
USABLE = GaugeDefinition("mezcal_store_up", "1 if the store can be written, else 0.")
MEMORY = GaugeDefinition(
    "mezcal_memory_bytes", "Resident memory of all processes of a part; shared memory is counted in each.", ("part",)
)
LARGEST = GaugeDefinition(
    "mezcal_largest_process_bytes", "Resident memory of the largest process of a part.", ("part",)
)
COUNT = GaugeDefinition("mezcal_processes", "Processes of a part, its main process included.", ("part",))
BUILD = GaugeDefinition("mezcal_build_info", "Always 1; the label has the version.", ("version",))
GAUGES = tuple(value for value in list(globals().values()) if isinstance(value, GaugeDefinition))


class Gauges:
    """Reads all of them, at most once a second. Metrics whose source cannot be reached are left out."""

    def __init__(
        self, jobs: Jobs, store: DerivativeStore, data_folder: Path, hooks: tuple[HookAddress, ...] = ()
    ) -> None:
        self._jobs, self._store, self._data_folder, self._hooks = jobs, store, data_folder, hooks
        self._lock = threading.Lock()
        self._metrics: list[Metric] = []
        self._fresh_until = 0.0

    def collect(self) -> list[Metric]:
        """Returns the metrics, at most a second old."""
        with self._lock:
            if time.monotonic() >= self._fresh_until:
                self._metrics = [*self._of_broker(), *self._of_store(), *_of_processes()]
                self._fresh_until = time.monotonic() + FRESH_SECONDS
            return self._metrics

    def _of_broker(self) -> Iterator[Metric]:
        try:
            queue = _of_queue(self._jobs.status())
            found = [*queue, self._of_batches(), *self._of_registrations(), *self._of_downstream(), *self._of_origins()]
        except BrokerDown:
            found = []
        yield _single(REACHED, 1 if found else 0)
        yield _single(DAMAGED, len(list(self._data_folder.glob(f"{DAMAGED_STATE_PREFIX}*"))))
        yield from found

    def _of_batches(self) -> Metric:
        items = ITEMS.family()
        for outcome, count in self._jobs.batches.totals().items():
            items.add_metric([outcome], count)
        return items

    def _of_registrations(self) -> Iterator[Metric]:
        status = self._jobs.registrations.status()
        yield _single(REGISTRATIONS, status.waiting)
        yield _single(REFUSED, status.refused)
        yield _single(REGISTRATION_UP, not status.stuck)

    def _of_downstream(self) -> Iterator[Metric]:
        if not self._hooks:
            return
        waiting, given_up, usable = DOWNSTREAM.family(), GIVEN_UP.family(), DOWNSTREAM_UP.family()
        for shown in dict.fromkeys(hook.shown for hook in self._hooks):  # several may be at one host
            found = [self._jobs.downstream.status(hook.name) for hook in self._hooks if hook.shown == shown]
            waiting.add_metric([shown], sum(status.waiting for status in found))
            given_up.add_metric([shown], sum(status.failed + status.lost for status in found))
            usable.add_metric([shown], all(status.fault is None for status in found))
        yield from (waiting, given_up, usable)

    def _of_origins(self) -> Iterator[Metric]:
        state, active = CIRCUIT.family(), ACTIVE.family()
        for host in sorted(self._jobs.limited_origins):
            circuit = self._jobs.circuit(host)
            active.add_metric([host], circuit.places_taken)
            for name in CIRCUIT_STATES:
                state.add_metric([host, name], circuit.state == name)
        yield from (state, active)

    def _of_store(self) -> Iterator[Metric]:
        with suppress(Failure, OSError):
            if use := self._store.usage():
                yield _single(FILES, use.derivatives)
                yield _single(BYTES, use.bytes)
                yield from _by_name(use)
            if (free := self._store.free_bytes()) is not None:
                yield _single(FREE, free)
        usable = False
        with suppress(Failure):
            self._store.check()
            usable = True
        yield _single(USABLE, usable)


def _of_queue(queue: QueueStatus) -> Iterator[Metric]:
    depth, age = QUEUED.family(), AGE.family()
    for lane in Lane:
        depth.add_metric([lane], queue.queued[lane])
        age.add_metric([lane], queue.ages[lane])
    yield from (depth, age, _single(RUNNING, queue.running), _single(DELAYED, queue.delayed))
    yield from (_single(FAILED, queue.failed), _single(QUARANTINE, queue.quarantined), _single(CHUNKS, queue.chunks))


def _of_processes() -> Iterator[Metric]:
    sizes: dict[str, list[int]] = {}
    parts = multiprocess.process_parts()
    for pid in multiprocess.live_processes():
        with suppress(OSError):  # it has just ended, or this system has no /proc
            parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            resident_bytes = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
            sizes.setdefault(parts.get(pid) or parts.get(parent) or "other", []).append(resident_bytes)
    memory, largest, count, build = MEMORY.family(), LARGEST.family(), COUNT.family(), BUILD.family()
    for part, residents in sorted(sizes.items()):
        memory.add_metric([part], sum(residents))
        largest.add_metric([part], max(residents))
        count.add_metric([part], len(residents))
    build.add_metric([version("mezcal")], 1)
    yield from (memory, largest, count, build)


def _by_name(use: Usage) -> Iterator[Metric]:
    numbers, sizes = FILES_BY_NAME.family(), BYTES_BY_NAME.family()
    for name, number, size in use.by_file:
        numbers.add_metric([name], number)
        sizes.add_metric([name], size)
    yield from (numbers, sizes)


def _single(gauge: GaugeDefinition, value: float) -> Metric:
    family = gauge.family()
    family.add_metric([], value)
    return family
