"""The broker, its clock, and the workers that report to it."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from mezcal.checks import SETTING_HINT, Check, CheckFailed, Severity

if TYPE_CHECKING:
    from mezcal.errors import BrokerDown
    from mezcal.jobs import BrokerProbe, FormerQueue, WorkerRegistry
    from mezcal.settings import Settings

MEMORY_FRACTION = 0.9  # of maxmemory; with more in use the broker soon refuses jobs
CLOCK_SECONDS = 5.0  # by which the clocks may differ
HINT = "start `mezcal up`, or check the server that REDIS_URL names"


def broker_check(probe: BrokerProbe) -> Check:
    """Check that the broker answers, and that mezcal can work with it."""
    return Check("broker", partial(_check_broker, probe), HINT)


def thorough_broker_check(probe: BrokerProbe) -> Check:
    """Check the same as `broker_check`, and the memory, and if the queue survives a restart."""
    return Check("broker", partial(_check_broker_thoroughly, probe), HINT)


def missing_broker_check(settings: Settings) -> Check:
    """Return a check that fails: no broker is configured."""
    hint = "start `mezcal up`, name its folder with --data-dir, or set REDIS_URL"
    return Check("broker", partial(_report_missing_broker, settings), hint)


def unusable_broker_check(error: BrokerDown) -> Check:
    """Return a check that fails with *error*: REDIS_URL cannot be read."""
    return Check("broker", partial(_report, error), SETTING_HINT)


def clock_check(probe: BrokerProbe) -> Check:
    """Check that the clocks of this machine and the broker agree."""
    return Check("clock", partial(_check_clock, probe), "synchronise both machines by NTP")


def workers_check(registry: WorkerRegistry) -> Check:
    """Check that there are workers, and that all of them report."""
    return Check("workers", partial(_check_workers, registry), "start a worker: `mezcal up` starts one")


def former_queue_check(queue: FormerQueue) -> Check:
    """Check that no job is left in the queue of a former version, which only workers of that version see."""
    hint = "keep a worker of that version running until they are made: docs/several-hosts.md"
    return Check("former queue", partial(_check_former_queue, queue), hint)


def _check_broker(probe: BrokerProbe) -> str:
    probe.check_usable()
    return "ok"


def _check_broker_thoroughly(probe: BrokerProbe) -> str:
    probe.check_usable()
    info = probe.info()
    product = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version") or info.get("redis_version") or "0")
    detail = f"{product} {version}, evicts nothing (noeviction)"
    if info.get("maxmemory") and info["used_memory"] > MEMORY_FRACTION * info["maxmemory"]:
        raise CheckFailed(f"{detail}, but its memory is nearly full", "raise its maxmemory", Severity.WARNING)
    if not info.get("aof_enabled"):
        raise CheckFailed(f"{detail}, but loses the queue when it restarts", "set appendonly yes", Severity.WARNING)
    return f"{detail}, append-only"


def _report_missing_broker(settings: Settings) -> str:
    raise CheckFailed(f"REDIS_URL is not set, and no `mezcal up` runs in {settings.data_dir.absolute()}")


def _report(error: BrokerDown) -> str:
    raise error


def _check_clock(probe: BrokerProbe) -> str:
    began = time.time()
    broker_time = probe.clock()
    ahead = (began + time.time()) / 2 - broker_time
    if abs(ahead) > CLOCK_SECONDS:
        direction = "ahead of" if ahead > 0 else "behind"
        raise CheckFailed(f"this machine's clock is {abs(ahead):,.1f} s {direction} the broker's")
    return f"{abs(ahead) * 1000:.0f} ms from the broker's clock"


def _check_workers(registry: WorkerRegistry) -> str:
    statuses = registry.statuses()
    silent = [status.worker.name for status in statuses if status.silent]
    present = [status.worker for status in statuses if not status.silent]
    if not present:
        raise CheckFailed("there is none: no new image can be made", level=Severity.WARNING)
    processes = sum(worker.processes for worker in present)
    names = ", ".join(worker.name for worker in present[:3])
    detail = f"{len(present)} with {processes} processes: {names}"
    if silent:
        hint = "check the hosts of the workers that do not report"
        raise CheckFailed(f"{detail}; not reporting: {', '.join(silent[:3])}", hint, Severity.WARNING)
    return detail


def _check_former_queue(queue: FormerQueue) -> str:
    unfinished = queue.unfinished()
    if unfinished:
        raise CheckFailed(f"{unfinished} jobs of a former version are not made yet", level=Severity.WARNING)
    return "empty"
