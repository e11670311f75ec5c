"""The interface of the job table for the API, the commands and the workers."""

from __future__ import annotations

import hashlib
import json
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from mezcal.errors import BrokerDown, Busy, OriginUnknown, ShareExceeded
from mezcal.jobs.bulk.batches import Batches, Posted
from mezcal.jobs.bulk.chunks import Chunks
from mezcal.jobs.bulk.denials import DenialCopy
from mezcal.jobs.bulk.downstream import Downstream
from mezcal.jobs.bulk.registrations import Registrations
from mezcal.jobs.chores import ChoreState
from mezcal.jobs.job import Job, of_job
from mezcal.jobs.notices import NoticeState
from mezcal.jobs.origin_guard import Circuit, OriginGuard, origin_paused
from mezcal.jobs.outages import raises_broker_down
from mezcal.jobs.queue_status import QueueStatus, queue_status
from mezcal.jobs.recent import RecentDerivatives
from mezcal.jobs.state import known_derivatives, progress
from mezcal.jobs.state.days import DayCounts
from mezcal.jobs.state.keys import JobState, Keys, Lane
from mezcal.jobs.state.minutes import MinuteCounts
from mezcal.jobs.state.policy import JobPolicy
from mezcal.jobs.state.records import Message, QueueRequest, QueueResult, Verdict
from mezcal.jobs.state.table import JobTable, ticket_text
from mezcal.jobs.transport.celery_pipe import CLIENT_SECONDS, CeleryPipe, celery_app, connect
from mezcal.jobs.transport.listener import Listener
from mezcal.jobs.transport.probe import BrokerProbe
from mezcal.jobs.workers import WorkerRegistry
from mezcal.recipe import Mezzanine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mezcal.errors import Failure
    from mezcal.jobs.state.records import Record
    from mezcal.progress import Stage
    from mezcal.recipe import Recipe
    from mezcal.settings import Settings

log = logging.getLogger(__name__)

TICKET_SECONDS = 47 * 3600  # the same as TICKET_KEPT of the scripts
SENT_AT_ONCE = 20  # chunks whose message is sent with the request; the workers send the others as the bulk lane empties
MOVED_SECONDS = 86_400  # for which a message that was moved to an error queue is known if it comes again
REVALIDATED_ONCE_IN = 300  # seconds for which a second request for the same revalidation is ignored
NOTIFY_DOWNSTREAM = "notify_downstream"  # the name of the chore
LOOKED_AT_ONCE_IN = 45  # seconds for which a failed master is not looked at again


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A running job and its progress, None if its worker has not reported yet."""

    record: Record
    stage: Stage | None


def _no_headers() -> Mapping[str, str]:
    return {}


class Jobs:
    """Start, join, look up, repeat and forget jobs. Every method raises `BrokerDown` if Redis cannot be reached.

    *table* is for workers alone.
    """

    def __init__(self, table: JobTable, pipe: CeleryPipe) -> None:
        redis, keys = table.redis, table.keys
        self.table = table
        self.pipe = pipe
        self.listener = Listener(table)
        self.chunks = Chunks(table)
        self.batches = Batches(table, self.chunks)
        self.origin_guard = OriginGuard(table)
        self.workers = WorkerRegistry(redis, keys)
        self.recent = RecentDerivatives(redis, keys)
        self.minutes = MinuteCounts(redis, keys)
        self.days = DayCounts(redis, keys)
        self.notices = NoticeState(redis, keys)
        self.chores = ChoreState(redis, keys)
        self.registrations = Registrations(redis, keys)
        self.downstream = Downstream(table)
        self.denials = DenialCopy(redis, keys)
        self.broker = BrokerProbe(redis)

    @classmethod
    def of(cls, settings: Settings, headers: Callable[[], Mapping[str, str]] = _no_headers) -> Jobs:
        """The jobs of the installation that *settings* describe. Connects when first used.

        *headers* returns what each message carries besides its task, such as the request's trace.
        """
        table = JobTable(connect(settings), Keys(settings.redis_prefix), JobPolicy.of(settings))
        pipe = CeleryPipe(celery_app(settings, CLIENT_SECONDS), headers)
        return cls(table, pipe)

    # --- one derivative

    def ask(
        self,
        recipe: Recipe,
        lane: Lane = Lane.INTERACTIVE,
        urls: Mapping[str, str] | None = None,
        client: str = "",
    ) -> Job:
        """Start *recipe*'s job or join it. Raises the remembered failure if it has failed lately.

        *client* asks for it; "" is none, or one without limits. Raises `ShareExceeded` if it has too many jobs queued.
        *urls* are the signed URLs, by frame id, with which a worker may fetch a thumbnail's frames. They are in no
        message, log or job record, and are deleted when the job ends.
        """
        self._check_origin(recipe)
        with raises_broker_down("the queue cannot be reached, and the derivative is not cached"):
            result = self.table.ensure(recipe, lane, urls=urls, client=client, headers=self.pipe.headers())
        if result.verdict is Verdict.FAILED:
            self._look_again(recipe, result.failure)
            raise of_job(result.failure, recipe)
        if result.verdict is Verdict.ORIGIN_PAUSED:
            raise origin_paused(result.pause or 0)
        if result.verdict is Verdict.OVER_SHARE:
            raise ShareExceeded.of(f"{self.table.policy.client_max:,} of your images are queued already", result.pause)
        self._send(recipe, result)
        return Job(self, recipe, result.verdict is Verdict.JOINED, urls, client)

    def _check_origin(self, recipe: Recipe) -> None:
        """Raise `OriginUnknown` if no origin has the master of *recipe*: nothing is queued then."""
        if self.table.policy.limits_of(recipe.as_json()) is None:
            raise OriginUnknown("no origin has masters at this path: it begins with none of their prefixes")

    def changed(self, recipe: Recipe, lane: Lane = Lane.BULK) -> None:
        """Queue *recipe* to be made again from its changed master. The old derivative is served until then.

        A worker that runs the job loses its lease, so the stored derivative is not older than this call.
        Raises `Busy` if too many jobs are queued; nothing has changed then.
        """
        with raises_broker_down("the queue cannot be reached, so the change is not recorded"):
            result = self.table.change(recipe, lane)
        self._send(recipe, result)

    def _send(self, recipe: Recipe, result: QueueResult) -> None:
        if result.verdict is Verdict.FULL:
            raise Busy(f"{self.table.policy.queue_max:,} jobs are queued already")
        if result.verdict is Verdict.PUBLISH:
            self.pipe.send(Message(result.lane, recipe.as_json()))

    def _look_again(self, recipe: Recipe, failure: Failure | None) -> None:
        """Have a worker ask the origin if a master that failed has changed: then it is tried again."""
        if isinstance(recipe, Mezzanine) and failure is not None and any(failure.validators):
            with suppress(BrokerDown):
                self.request_revalidation(recipe, LOOKED_AT_ONCE_IN)

    def request_revalidation(self, recipe: Recipe, once_in: int = REVALIDATED_ONCE_IN, lane: Lane = Lane.BULK) -> bool:
        """Queue the revalidation of *recipe*: a worker asks the origin if the master has changed.

        If it has, the derivative is made again in *lane*. Returns False if that was requested in the last *once_in*
        seconds: nothing is sent then.
        """
        with raises_broker_down():
            key = self.table.keys.revalidating(recipe.key)
            if not self.table.redis.set(key, "1", nx=True, ex=once_in):
                return False
        self.pipe.revalidate(recipe.as_json(), recipe.label, lane)
        return True

    def request_preview(self, recipe: Recipe) -> None:
        """Queue a preview of *recipe*'s derivative, unless that was done a moment ago."""
        if self.recent.request_preview(recipe):
            self.pipe.preview(recipe.as_json(), recipe.label)

    @raises_broker_down("the queue cannot be reached, so a running job could not be stopped")
    def forget(self, recipe: Recipe) -> None:
        """Delete *recipe*'s job and its remembered failure: the caller deletes its derivative.

        A worker that runs the job will publish nothing.
        """
        self.table.forget(recipe.key, self.table.source_of(recipe), recipe.kind)
        self.recent.remove([recipe])

    @raises_broker_down("the queue cannot be reached, and the derivative is not cached")
    def save_ticket(self, recipe: Recipe, urls: Mapping[str, str]) -> None:
        """Save the signed *urls* of *recipe*'s frames, by frame id, for a job that is queued later, in bulk.

        They are deleted when the job ends, or after `TICKET_SECONDS`.
        """
        self.table.redis.set(self.table.keys.ticket(recipe.key), ticket_text(urls), ex=TICKET_SECONDS)

    @raises_broker_down()
    def ticket(self, recipe: Recipe) -> dict[str, str]:
        """Return the signed URLs saved for *recipe*, by frame id; empty if there are none."""
        text = cast("str | None", self.table.redis.get(self.table.keys.ticket(recipe.key)))
        return cast("dict[str, str]", json.loads(text or "{}"))

    def others(self, recipe: Mezzanine) -> list[Mezzanine]:
        """Return the other derivatives of *recipe*'s master, pages and profiles, that may have a job or a failure."""
        return self.others_of_each([recipe])[0]

    @raises_broker_down()
    def others_of_each(self, masters: list[Mezzanine]) -> list[list[Mezzanine]]:
        """Return for each of *masters* what `others` returns, in one round trip."""
        return known_derivatives.known(masters, self.table.keys, self.table.redis)

    def notify_downstream(self, recipes: Iterable[Recipe]) -> None:
        """Have the hooks downstream notified that the derivatives of *recipes* were replaced or deleted."""
        self.downstream.add(recipes)
        if self.downstream.send_once():
            with suppress(BrokerDown):  # housekeeping sends it within seconds
                self.pipe.chore(NOTIFY_DOWNSTREAM)

    # --- many

    def spread(self, recipes: Iterable[Recipe], *, changed: bool = False) -> int:
        """Queue *recipes* in bulk; with *changed*, stored derivatives are made again. Returns the number of recipes."""
        kind = "changed" if changed else "wanted"
        return self.post((kind, "recipe", recipe.as_json()) for recipe in recipes).items

    def post(self, items: Iterable[Any], delivery: str | None = None, callback: str = "") -> Posted:
        """Save *items* (`events.Event`) as a batch for the workers. A *delivery* repeated within a day adds nothing.

        The hook that is called *callback* is notified of the ends of the jobs.
        """
        with raises_broker_down("the queue cannot be reached, so nothing was recorded"):
            posted = self.batches.post(items, delivery, callback)
        with suppress(BrokerDown):  # the workers look for chunks whose messages are missing
            self.pipe.spread_all(posted.chunks[:SENT_AT_ONCE])
        return posted

    def queue(self, requests: list[QueueRequest], batch: str = "", lane: Lane = Lane.BULK) -> list[QueueResult]:
        """Queue *requests* as parts of *batch*, and send their messages. Returns the result of each.

        Those with the verdict `FULL` are not queued. The workers send messages that cannot be sent now.
        """
        results = self.enter(requests, batch, lane)
        self.send(requests, results)
        return results

    @raises_broker_down()
    def enter(self, requests: list[QueueRequest], batch: str = "", lane: Lane = Lane.BULK) -> list[QueueResult]:
        """Do the same without the messages: bulk jobs begin only after `send`, or later if the caller dies before."""
        return self.table.queue(requests, lane, batch)

    def send(self, requests: list[QueueRequest], results: list[QueueResult]) -> None:
        """Send the messages of the jobs that `enter` has queued."""
        pairs = zip(requests, results, strict=True)
        due = [(request.recipe, result.lane) for request, result in pairs if result.verdict is Verdict.PUBLISH]
        try:
            self.pipe.send_all([Message(lane, recipe.as_json()) for recipe, lane in due])
        except BrokerDown as error:
            log.warning("some messages are sent later: %s", error)

    # --- messages of queues

    @raises_broker_down()
    def note_moved(self, message: str) -> None:
        """Remember for a day that *message* was moved to its error queue."""
        self.table.redis.set(self._moved_key(message), "1", ex=MOVED_SECONDS)

    @raises_broker_down()
    def was_moved(self, message: str) -> bool:
        """Return True if `note_moved` was called for *message* in the last day."""
        return bool(self.table.redis.exists(self._moved_key(message)))

    def _moved_key(self, message: str) -> str:
        return self.table.keys.moved_message(hashlib.sha256(message.encode()).hexdigest()[:20])

    # --- failures

    def retry(self, key: str, lane: Lane = Lane.BULK, urls: Mapping[str, str] | None = None) -> bool:
        """Queue a failed, quarantined or delayed job again. Returns False if there is no such job.

        A thumbnail needs new signed *urls* of its frames: those that it had were deleted when it failed.
        """
        with raises_broker_down():
            message = self.table.retry(key, lane, urls)
        if message is not None:
            self.pipe.send(message)
        return message is not None

    @raises_broker_down()
    def forget_failure(self, key: str) -> bool:
        """Delete a failed or quarantined job: the next request starts it again. Returns False if there is none."""
        record = self.table.read(key)
        failed = record is not None and record.state in {JobState.FAILED, JobState.QUARANTINED}
        return failed and self.table.forget(key)

    @raises_broker_down()
    def failures(self, most: int = 100, skipped: int = 0) -> list[Record]:
        """Return the failed and quarantined jobs after *skipped* others; those remembered longest come first."""
        return self.table.failures(most, skipped)

    def listed_seconds(self, failure: Failure) -> int:
        """Return for how long `failures` has the *failure* of a bulk job."""
        return self.table.policy.listed_seconds(failure)

    @raises_broker_down()
    def delayed(self, most: int = 100) -> list[Record]:
        """Return the jobs that have failed and wait for their next attempt, at most so many."""
        return self.table.delayed(most)

    @raises_broker_down()
    def remembered_until(self, key: str) -> float | None:
        """Return when the failure of the job *key* is forgotten, in seconds since 1970; None if none is remembered."""
        return self.table.remembered_until(key)

    # --- look-ups

    @raises_broker_down()
    def read(self, key: str) -> Record | None:
        """Return the job *key*, None if it is not known."""
        return self.table.read(key)

    @raises_broker_down()
    def records(self, keys: list[str]) -> list[Record]:
        """Return those of the jobs *keys* that are known, in one round trip."""
        return self.table.records(keys)

    @raises_broker_down()
    def states(self, keys: list[str]) -> list[JobState | None]:
        """Return the state of each of the jobs *keys*, in one round trip."""
        return self.table.states(keys)

    @raises_broker_down()
    def depths(self) -> dict[str, int]:
        """Return how many jobs are queued (by lane), `running`, `delayed` and `failed`."""
        return self.table.depths()

    @raises_broker_down()
    def status(self) -> QueueStatus:
        """Return the numbers of jobs and the ages of the queues."""
        return queue_status(self.table)

    @raises_broker_down()
    def running(self, most: int) -> list[RunningJob]:
        """Return at most so many of the running jobs."""
        records = [record for record in self.table.running(most) if record.state is JobState.RUNNING]
        stages = progress.read_all(self.table, [record.key for record in records])
        return [RunningJob(record, stage) for record, stage in zip(records, stages, strict=True)]

    @raises_broker_down()
    def stage(self, key: str) -> Stage | None:
        """Return the progress of the running job *key*, None if its worker has not reported yet."""
        return progress.read_all(self.table, [key])[0]

    @raises_broker_down()
    def place(self, key: str) -> int | None:
        """Return the place of the job *key* among the queued ones, from 1; None if it is not queued."""
        return progress.place(self.table, key)

    @property
    def limited_origins(self) -> dict[str, str]:
        """The origins with limits: what they are called for people, by their names in Redis and in metrics."""
        return self.table.policy.limited

    @raises_broker_down()
    def circuit(self, host: str) -> Circuit:
        """Return the state of the origin *host*'s circuit breaker."""
        return self.origin_guard.circuit(host)
