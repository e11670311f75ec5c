"""Metrics that nobody counts: how the queue, the origins, the store and the processes are, looked up when asked."""

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
from mezcal.telemetry import multiprocess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from mezcal.jobs import Jobs, QueueStatus
    from mezcal.store import Store

FRESH_SECONDS = 1.0  # who asks more often gets the same again
STATES = ("closed", "open", "half-open")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Gauged:
    """One of these metrics: its name, what it says, its labels; *grows* if it is a counter, which Redis keeps."""

    name: str
    text: str
    labels: tuple[str, ...] = ()
    grows: bool = False

    def family(self) -> GaugeMetricFamily | CounterMetricFamily:
        """It, without values."""
        return (CounterMetricFamily if self.grows else GaugeMetricFamily)(self.name, self.text, labels=self.labels)


QUEUED = Gauged("mezcal_queued_jobs", "Jobs that are queued.", ("lane",))
AGE = Gauged("mezcal_queue_age_seconds", "Seconds for which the oldest queued job has been; 0 without any.", ("lane",))
RUNNING = Gauged("mezcal_running_jobs", "Jobs that workers hold.")
DELAYED = Gauged("mezcal_delayed_jobs", "Jobs that wait for their next attempt.")
FAILED = Gauged("mezcal_failed_jobs", "Jobs remembered as failed, those in quarantine included.")
QUARANTINE = Gauged("mezcal_quarantined_jobs", "Jobs in quarantine: they ended their workers, time after time.")
CHUNKS = Gauged(
    "mezcal_waiting_chunks",
    "Parts of lists and events, a thousand images each (ten where frames are among them), that are not queued yet.",
)
ITEMS = Gauged(
    "mezcal_batch_items",
    "Items of lists and events, by how they ended: done, failed, forgotten (purged meanwhile), deleted, ignored, "
    "repeated. Kept in Redis: every target says the same.",
    ("outcome",),
    grows=True,
)
CIRCUIT = Gauged(
    "mezcal_origin_circuit", "1 for the state that the origin's breaker is in, 0 for the others.", ("origin", "state")
)
TAKEN = Gauged(
    "mezcal_origin_places_taken", "Jobs that hold a place at the origin, where their number is bounded.", ("origin",)
)
REACHED = Gauged("mezcal_broker_up", "Whether Redis answers: 1 or 0. At 0 what Redis knows is missing here.")
FILES = Gauged("mezcal_store_derivatives", "Derivatives in the store; missing where counting takes too long.")
BYTES = Gauged("mezcal_store_bytes", "Bytes of derivatives in the store; missing where counting takes too long.")
FREE = Gauged("mezcal_store_free_bytes", "Bytes that can still be stored.")
USABLE = Gauged("mezcal_store_up", "Whether the store can be written: 1 or 0.")
MEMORY = Gauged(
    "mezcal_memory_bytes", "Resident memory of all processes of a part, what they share counted in each.", ("part",)
)
LARGEST = Gauged("mezcal_largest_process_bytes", "Resident memory of the largest process of a part.", ("part",))
COUNT = Gauged("mezcal_processes", "Processes of a part, its main process and its pool.", ("part",))
BUILD = Gauged("mezcal_build_info", "Always 1; the label tells the version.", ("version",))
GAUGES = tuple(one for one in list(globals().values()) if isinstance(one, Gauged))


class Gauges:
    """Looks all of them up, once a second at most however many ask. What cannot be reached is left out."""

    def __init__(self, jobs: Jobs, store: Store) -> None:
        self._jobs, self._store = jobs, store
        self._lock = threading.Lock()
        self._seen: list[Metric] = []
        self._until = 0.0

    def collect(self) -> list[Metric]:
        """The metrics as they are, or were a second ago."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._seen = [*self._of_broker(), *self._of_store(), *_of_processes()]
                self._until = time.monotonic() + FRESH_SECONDS
            return self._seen

    def _of_broker(self) -> Iterator[Metric]:
        try:
            told = [*_of_queue(self._jobs.status()), self._of_batches(), *self._of_origins()]
        except BrokerDown:
            told = []
        yield _single(REACHED, 1 if told else 0)
        yield from told

    def _of_batches(self) -> Metric:
        ended = ITEMS.family()
        for end, count in self._jobs.batches.totals().items():
            ended.add_metric([end], count)
        return ended

    def _of_origins(self) -> Iterator[Metric]:
        state, taken = CIRCUIT.family(), TAKEN.family()
        for host in sorted(set(self._jobs.origins.values()) - {""}):
            circuit = self._jobs.circuit(host)
            taken.add_metric([host], circuit.places_taken)
            for name in STATES:
                state.add_metric([host, name], circuit.state == name)
        yield from (state, taken)

    def _of_store(self) -> Iterator[Metric]:
        with suppress(Failure, OSError):
            if use := self._store.usage():
                yield _single(FILES, use.derivatives)
                yield _single(BYTES, use.bytes)
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
    known = multiprocess.parts()
    for pid in multiprocess.processes():
        with suppress(OSError):  # it has just ended, or this system has no /proc
            parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
            sizes.setdefault(known.get(pid) or known.get(parent) or "other", []).append(resident)
    memory, largest, count, build = MEMORY.family(), LARGEST.family(), COUNT.family(), BUILD.family()
    for part, found in sorted(sizes.items()):
        memory.add_metric([part], sum(found))
        largest.add_metric([part], max(found))
        count.add_metric([part], len(found))
    build.add_metric([version("mezcal")], 1)
    yield from (memory, largest, count, build)


def _single(gauge: Gauged, value: float) -> Metric:
    family = gauge.family()
    family.add_metric([], value)
    return family
