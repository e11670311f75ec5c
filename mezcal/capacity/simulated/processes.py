"""What the processes of a simulation do with the jobs.

A process takes a job, asks the repository, waits for memory, then downloads and converts at the same time. Cores are
shared by the conversions of one worker, the repository's bandwidth by all downloads.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from mezcal.capacity.simulated.workers import IdleProcesses, SimulatedWorker
from mezcal.jobs.origin_guard import DELAY_SECONDS
from mezcal.jobs.state.leases import BACK_OFF_MAX
from mezcal.jobs.state.policy import JobPolicy

if TYPE_CHECKING:
    from mezcal.capacity.simulated.clients import SimulatedClients
    from mezcal.capacity.simulated.context import SimulationContext
    from mezcal.capacity.simulated.work_queue import SimulatedJob

GIVEN_UP_SECONDS = 0.03  # of a process, for a job that it gives back at once: its message and three scripts
FAILURE_SECONDS = 10.0  # FAILURE_BRIEF_SECONDS
PROBE_SECONDS = 10.0  # between two requests of the chore that finds out whether the repository is back


class SimulatedProcesses:
    """All processes of all workers."""

    def __init__(self, context: SimulationContext, clients: SimulatedClients) -> None:
        self._context, self._clients = context, clients
        self._site, self._work, self._outcome = context.site, context.work, context.outcome
        self._jobs, self._repository, self._policy = context.jobs, context.repository, JobPolicy()
        self.workers = [SimulatedWorker(context.clock, context.site) for _ in range(context.site.workers)]
        self._idle = IdleProcesses(self.workers, context.site)
        self.running: Counter[str] = Counter()  # jobs of each client
        self._busy: dict[str, float] = defaultdict(float)  # seconds, by the lanes that the processes serve

    # --- which job is next

    def dispatch(self) -> None:
        """Let idle processes take jobs, as long as there are both."""
        while (job := self._next()) is not None:
            self._begin(job)
        self._outcome.longest_queue = max(self._outcome.longest_queue, self._jobs.queued)

    def busy_seconds(self) -> dict[str, float]:
        """Returns how long processes have had jobs until now, by the lanes that they serve."""
        found = dict(self._busy)
        for job in self._jobs.by_number.values():
            if job.place is not None:
                kind = job.place[1]
                found[kind] = found.get(kind, 0.0) + self._context.now - job.began
        return found

    def _next(self) -> SimulatedJob | None:
        job = None
        if self._jobs.queues.interactive_length and self._idle.for_lane("interactive"):
            job = self._jobs.take("interactive", self._at_limit())
        if job is None and self._jobs.queued_bulk and self._idle.for_lane("bulk"):
            job = self._jobs.take("bulk", set())
        return job

    def _at_limit(self) -> set[str]:
        """Returns the clients that have their share of their own and the free processes, while others ask, too."""
        every = self._site.workers * self._site.processes
        if self._site.share >= 1:
            return set()
        free = every - sum(self.running.values())
        return {
            client
            for client, count in self.running.items()
            if client and count + 1 > self._site.share * (count + free) and self._clients.present(client)
        }

    # --- one job

    def _begin(self, job: SimulatedJob) -> None:
        kind = self._idle.for_lane(job.lane)
        assert kind is not None
        job.place, job.state, job.began = (self._idle.take(kind), kind), "running", self._context.now
        self.running[job.client] += 1
        job.guarded = self._repository.is_guarded()
        if job.guarded:
            self._repository.enter(
                lambda: self._request(job),
                lambda seconds: self._context.clock.later(GIVEN_UP_SECONDS, lambda: self._pause(job, seconds)),
                lambda: self._delay(job, self._context.random.uniform(*DELAY_SECONDS)),
            )
        else:
            self._request(job)

    def _request(self, job: SimulatedJob) -> None:
        self._repository.request(lambda: self._latency(job), lambda: self._reserve_memory(job), lambda: self._fail(job))

    def _latency(self, job: SimulatedJob) -> float:
        known = self._jobs.latencies.get(job.image)
        return self._context.drawn(self._work.latency) if known is None else known

    def _reserve_memory(self, job: SimulatedJob) -> None:
        def give_up() -> None:
            self._leave(job)
            self._delay(job, self._context.random.uniform(*DELAY_SECONDS))

        assert job.place is not None
        job.place[0].reserve(job.lane, self._work.memory, lambda: self._make(job), give_up)

    def _make(self, job: SimulatedJob) -> None:
        """Download and convert at the same time."""
        assert job.place is not None
        worker, parts = job.place[0], 2

        def over() -> None:
            nonlocal parts
            parts -= 1
            if parts == 0:
                self._leave(job)
                if job.guarded and self._repository.circuit.report_health():
                    self._jobs.release()
                self._context.clock.later(self._work.overhead, lambda: self._finish(job))

        self._repository.usage.add(self._context.drawn(self._work.master), over)
        worker.cpu.add(self._context.drawn(self._work.cpu), over)

    # --- how it ends

    def _finish(self, job: SimulatedJob) -> None:
        assert job.place is not None
        worker = job.place[0]
        self._free_process(job)
        worker.give_back(self._work.memory)
        self._jobs.end(job)
        self._jobs.stored.add(job.image)
        self._outcome.made += 1
        self._outcome.made_bulk += job.lane == "bulk"
        ends = self._context.load.outage[1]
        if self._outcome.made_again is None and 0 < ends <= self._context.now:
            self._outcome.made_again = self._context.now - ends
        self._clients.answer(job)
        self.dispatch()

    def _fail(self, job: SimulatedJob) -> None:
        """End an attempt that the repository failed. A bulk job has more of them."""
        self._leave(job)
        self._repository.circuit.report_failure(self._context.now, job.number)
        self._free_process(job)
        job.attempts += 1
        if job.lane == "bulk" and job.attempts < self._policy.max_attempts:
            pause = min(self._policy.retry * 2.0 ** (job.attempts - 1), BACK_OFF_MAX)
            self._jobs.delay(job, pause * self._context.random.uniform(0.5, 1.5), stalled=True)
            self._repository.circuit.note_delayed()
        else:
            self._jobs.end(job)
            self._outcome.failed_bulk += job.lane == "bulk"
            self._jobs.refused_until[job.image] = self._context.now + FAILURE_SECONDS
            self._clients.answer_failed(job)
        self._context.clock.later(0, self.dispatch)

    def _pause(self, job: SimulatedJob, seconds: float) -> None:
        """Give *job* back: the repository gets no requests for so many seconds. Clients are told so at once."""
        if job.lane == "bulk":
            self._delay(job, seconds + self._context.random.uniform(0, 5 * DELAY_SECONDS[1]))
            return
        self._free_process(job)
        self._jobs.end(job)
        self._clients.answer_paused(job)
        self._context.clock.later(0, self.dispatch)

    def _delay(self, job: SimulatedJob, seconds: float) -> None:
        """Give *job* back: nothing was tried, and it comes again after *seconds*."""
        self._free_process(job)
        self._jobs.delay(job, seconds)
        self._context.clock.later(0, self.dispatch)

    def _leave(self, job: SimulatedJob) -> None:
        if job.guarded:
            self._repository.leave()

    def _free_process(self, job: SimulatedJob) -> None:
        assert job.place is not None
        worker, kind = job.place
        self._idle.give_back(kind, worker)
        self.running[job.client] -= 1
        if not self.running[job.client]:
            del self.running[job.client]
        self._busy[kind] += self._context.now - job.began
        job.place = None

    # --- what the workers do besides

    def probe(self) -> None:
        """Ask the repository whether it is back, if it failed jobs that are delayed now, and look again later."""
        circuit, now = self._repository.circuit, self._context.now
        if circuit.is_probe_due(now):
            if self._repository.fails():
                circuit.report_failed_probe(now)
            elif circuit.report_health():
                self._jobs.release()
        self._context.clock.later(PROBE_SECONDS, self.probe)
