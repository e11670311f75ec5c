"""The circuit breaker of a simulated repository, by the rules of `origin/admit.lua` and `origin/report.lua`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mezcal.jobs.origin_guard import PAUSE_MAX_SECONDS, PROBE_SECONDS, WINDOW_SECONDS

if TYPE_CHECKING:
    from mezcal.jobs.state.policy import JobPolicy


class SimulatedCircuit:
    """Pauses the repository after several jobs in a row that it failed, then lets one job at a time try it.

    Times are in seconds of the simulation.
    """

    def __init__(self, policy: JobPolicy) -> None:
        self._failures_most, self._first_pause = policy.breaker_failures, policy.breaker_pause
        self._failing: set[int] = set()
        self._failing_until = 0.0
        self._paused_until: float | None = None
        self._pauses = 0
        self._probe_until = 0.0
        self._failed_probes: int | None = None  # of the chore; None: no job was delayed because of the repository

    def is_suspect(self, now: float) -> bool:
        """Returns True if the repository has failed a job lately: jobs that begin now ask before they read from it."""
        return self._paused_until is not None or self._failing_until > now

    def pause(self, now: float) -> float:
        """Returns the seconds for which clients are refused at once."""
        return max((self._paused_until or 0.0) - now, 0.0)

    def admission_pause(self, now: float) -> float:
        """Returns the seconds until a job may read, 0 if it may now. While one probes, the others wait."""
        if self._paused_until is None:
            return 0.0
        return max(self._paused_until - now, self._probe_until - now, 0.0)

    def note_admitted(self, now: float) -> None:
        """Note that a job reads now: the first one after a pause is a probe."""
        if self._paused_until is not None:
            self._probe_until = now + PROBE_SECONDS

    def note_delayed(self) -> None:
        """Note that a bulk job waits for its next attempt because the repository failed it."""
        self._failed_probes = self._failed_probes or 0

    def is_probe_due(self, now: float) -> bool:
        """Returns True if the chore is to probe the repository."""
        is_closed = self._paused_until is None
        return self._failed_probes is not None if is_closed else self.pause(now) == 0

    def report_health(self) -> bool:
        """Close the circuit. Returns True if the delayed jobs are to be tried again soon."""
        release = self._pauses > 1 or bool(self._failed_probes)
        self._paused_until, self._pauses, self._probe_until, self._failing_until = None, 0, 0.0, 0.0
        self._failing.clear()
        self._failed_probes = None
        return release

    def report_failed_probe(self, now: float) -> None:
        """Pause again after a probe of the chore, if requests were paused before."""
        self._failed_probes = (self._failed_probes or 0) + 1
        if self._paused_until is not None and self.pause(now) == 0:
            self._begin_pause(now)

    def report_failure(self, now: float, job: int) -> None:
        """Count that the repository failed *job*. Enough jobs, or a probe, begin a pause."""
        if self.pause(now) > 0:
            return
        if self._paused_until is None:
            if self._failing_until <= now:
                self._failing.clear()
            self._failing.add(job)
            self._failing_until = now + WINDOW_SECONDS
            if len(self._failing) < self._failures_most:
                return
        self._begin_pause(now)

    def _begin_pause(self, now: float) -> None:
        longest = max(PAUSE_MAX_SECONDS, self._first_pause)
        self._paused_until = now + min(self._first_pause * 2**self._pauses, longest)
        self._pauses += 1
        self._probe_until = self._failing_until = 0.0
        self._failing.clear()
