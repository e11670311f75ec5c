"""Housekeeping over a link on which every request takes long."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from worker.celery_hooks import housekeeping
from worker.celery_hooks.housekeeping import SWEEP_SECONDS, HousekeepingStep

if TYPE_CHECKING:
    import pytest

LEASE = 6.0


def test_lost_jobs_are_queued_again_although_each_sweep_takes_longer_than_the_pauses_between_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, reaped = [1000.0], []

    def slow(*_: Any) -> list[Any]:
        clock[0] += 0.4
        return []

    def reap() -> list[Any]:
        reaped.append(clock[0])
        return slow()

    table = SimpleNamespace(reap=reap, policy=SimpleNamespace(lease=LEASE))
    workers, broker = SimpleNamespace(heartbeat=slow), SimpleNamespace(ping=slow)
    jobs = SimpleNamespace(table=table, workers=workers, broker=broker, chunks=SimpleNamespace(due=slow))
    context = SimpleNamespace(jobs=jobs, store=SimpleNamespace(sweep=slow))
    monkeypatch.setattr(housekeeping, "context", lambda: context)
    monkeypatch.setattr(housekeeping, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    for name, result in {"describe": None, "claim_due": [], "has_partner": True, "serve_metrics": None}.items():
        monkeypatch.setattr(housekeeping, name, lambda *_, result=result: result)
    step = HousekeepingStep(None)
    monkeypatch.setattr(step, "_send_event", slow)
    for _ in range(6):
        step._sweep()
        clock[0] += SWEEP_SECONDS
    assert len(reaped) > 2, "a slow sweep is no outage of Redis"
