"""Every Redis key of mezcal, built and explained in one place."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

HOOK_PARTS = ("due", "failed", "lost", "holder", "fault")  # of the keys of a hook


class Lane(StrEnum):
    """Which jobs come first: `interactive` ones, for which a client waits, before `bulk` ones."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


class JobState(StrEnum):
    """The state of a job. A job that is not in the table has none."""

    QUEUED = "queued"
    DELAYED = "delayed"  # waits for its next attempt
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one installation; *prefix* is its KEY_PREFIX with the mark of its origin.

    Times are milliseconds of Redis' clock.

    `<prefix>interactive`, `<prefix>bulk` and `<prefix>chores` are Celery's lists of messages; the scripts only read
    their lengths.
    """

    prefix: str

    # --- jobs

    def job(self, key: str) -> str:
        """Hash: one job. Fields: state, lane, recipe (JSON), attempts, token, message (the id of its task), remake
        ('1' if the stored derivative is outdated), asked, queued, started, ended, worker, failure (JSON),
        refused_until (when clients may start a failed job again; it may be listed for longer), history (JSON list of
        how attempts ended), batches (names of those that wait for it), expired_token (of a lease that ran out), client
        (that it was queued for, as in `clients`), headers (JSON: the ids of the client's request), source (as in
        `source`), companion ('1' if it shares its task with other jobs), alone ('1' if it must not), origin (the queue
        of its origin's turns, if there are several), turns (the queue of its turn, if that is not in `turns` itself).
        """
        return f"{self.prefix}job:{key}"

    def queued(self, lane: Lane) -> str:
        """Sorted set: the jobs queued in *lane*, by when."""
        return f"{self.prefix}queued:{lane}"

    @property
    def turns(self) -> str:
        """Sorted set: the jobs queued in the interactive lane, by their turns. Those that may have to wait for the same
        thing are in a queue of their own (`lua/turns.lua`): under the same name and `:<queue>`.
        """
        return f"{self.prefix}turns"

    @property
    def turn_queues(self) -> str:
        """Sorted set: the names of those queues, by turns not after those of their first jobs. Under the same name and
        `:<queue>`: the queues in one of them.
        """
        return f"{self.prefix}turns:queues"

    @property
    def clients(self) -> str:
        """Sorted set: the clients with queued jobs (by a digest of their names), by the turn of the last one."""
        return f"{self.prefix}clients"

    @property
    def askers(self) -> str:
        """Sorted set: the clients that asked for jobs a moment ago, by when; `-` stands for all without a share."""
        return f"{self.prefix}askers"

    @property
    def round(self) -> str:
        """Hash: the turn of the job begun last. Fields: turn, since (when it came), ms (how long turns last)."""
        return f"{self.prefix}round"

    @property
    def begun_bulk(self) -> str:
        """String: when the bulk job begun last was queued. An older one that is still queued lost its message."""
        return f"{self.prefix}begun:bulk"

    def messages(self, lane: Lane) -> str:
        """List: Celery's messages of *lane*."""
        return f"{self.prefix}{lane}"

    @property
    def running(self) -> str:
        """Sorted set: the running jobs, by the end of their leases."""
        return f"{self.prefix}running"

    @property
    def delayed(self) -> str:
        """Sorted set: the delayed jobs, by when they are due."""
        return f"{self.prefix}delayed"

    @property
    def failed(self) -> str:
        """Sorted set: the failed and quarantined jobs, by when they are forgotten."""
        return f"{self.prefix}failed"

    @property
    def fence(self) -> str:
        """String: the last fencing token. Tokens grow even if Redis loses this: they are at least its clock in
        microseconds.
        """
        return f"{self.prefix}fence"

    @property
    def clock(self) -> str:
        """String: the clock of Redis, in milliseconds, at the last reaping. It shows that the clock stepped back."""
        return f"{self.prefix}clock"

    @property
    def ended(self) -> str:
        """Channel: the key of each job that ended or was forgotten."""
        return f"{self.prefix}ended"

    def progress(self, key: str) -> str:
        """String: the progress of the running job *key* (JSON); expires."""
        return f"{self.prefix}progress:{key}"

    def ticket(self, key: str) -> str:
        """String: the signed URLs (JSON, by frame id) with which a thumbnail's frames may be fetched; deleted when the
        job ends, and expires.
        """
        return f"{self.prefix}ticket:{key}"

    def others(self, key: str) -> str:
        """Set: the pages, and the files of profiles, that were asked for of the master whose mezzanine is *key*;
        expires.
        """
        return f"{self.prefix}others:{key}"

    # --- one download for several jobs

    def source(self, source: str) -> str:
        """Sorted set: the queued jobs that are made from the same masters (`masters_key` of their recipes): interactive
        ones by their turns, bulk ones by when they were queued.
        """
        return f"{self.prefix}source:{source}"

    @property
    def held_back(self) -> str:
        """Sorted set: the queued jobs whose messages were used up while they were held back for a process with their
        masters open, by when the reaper looked at them last; expires.
        """
        return f"{self.prefix}held"

    @property
    def passed_over(self) -> str:
        """String: how many of the interactive lane's jobs the reaper has passed over, because they are held back, when
        there were more of them than it looks at in one sweep; expires. The next sweep goes on behind them.
        """
        return f"{self.prefix}passed"

    def reading(self, source: str) -> str:
        """Hash: the processes that have the masters of *source* open, and begin its queued jobs one after the other;
        expires. Fields: chain:<token of the first job> (when that began) for each, and of the newest: chain, key and
        token (of its running job), since, window (milliseconds for which it holds back jobs with a waiting client; set
        with its second job), bulk ('1' if it serves that lane), ended (when its last job did). Of frames also: changed
        (when they did last: files that were downloaded before are not used).
        """
        return f"{self.prefix}reading:{source}"

    # --- origins

    def circuit(self, host: str) -> str:
        """Hash: the open or half-open circuit breaker of the origin *host*; a closed one has no key. Fields:
        paused_at, paused_until, pauses (how many in a row), probe_at, probe_until (when another job may probe it).
        """
        return f"{self.prefix}circuit:{host}"

    def failing(self, host: str) -> str:
        """Set: the jobs that *host* failed since its last good answer; expires."""
        return f"{self.prefix}failing:{host}"

    def places(self, host: str) -> str:
        """Sorted set: the tokens of the jobs that have a place at *host*, by the end of their leases."""
        return f"{self.prefix}places:{host}"

    def stalled(self, host: str) -> str:
        """Set: the delayed jobs that *host* failed; expires."""
        return f"{self.prefix}stalled:{host}"

    def outage(self, host: str) -> str:
        """Hash: *host* failed a job that is delayed now, and has not answered well since; expires. Field: failed, the
        failed probes of a master that was read before.
        """
        return f"{self.prefix}outage:{host}"

    # --- bulk requests

    def batch(self, name: str) -> str:
        """Hash: one batch; expires. Fields: items, callback (a hook's name), asked, last (its last change), done,
        failed, forgotten, deleted, ignored, repeated, entered (jobs that are or were open), extra (items that came from
        another: a frame stands for several thumbnails). More under the same name: `:taken`, bits of the items that were
        taken; `:open`, the jobs that have not ended; `:failed`, jobs; `:notes`, what was ignored and why.
        """
        return f"{self.prefix}batch:{name}"

    @property
    def items(self) -> str:
        """Hash: the items of all batches by outcome, for metrics; expires. Fields: the counts of a batch."""
        return f"{self.prefix}items"

    def deliveries(self, part: str) -> str:
        """Hash: the batches that events opened, by digests of the events' ids; one for each quarter of a day and
        bucket (*part*), small enough for Redis to pack it; expires.
        """
        return f"{self.prefix}deliveries:{part}"

    def chunk(self, name: str) -> str:
        """String: items of a batch (JSON) that are not queued yet."""
        return f"{self.prefix}chunk:{name}"

    def held(self, name: str) -> str:
        """String: a worker queues the items of the chunk *name* now; expires."""
        return f"{self.prefix}chunk:{name}:held"

    @property
    def chunks(self) -> str:
        """Sorted set: the names of the chunks, by when they may be taken."""
        return f"{self.prefix}chunks"

    # --- chores

    def chore(self, name: str) -> str:
        """String: the worker that does the chore *name* in this interval; expires with it."""
        return f"{self.prefix}chore:{name}"

    def moved_message(self, digest: str) -> str:
        """String: a message of a queue was moved to its error queue lately; expires."""
        return f"{self.prefix}moved:{digest}"

    def revalidating(self, key: str) -> str:
        """String: the revalidation of the derivative *key* was requested lately; expires."""
        return f"{self.prefix}revalidating:{key}"

    @property
    def cursor(self) -> str:
        """String: the folder or object up to which the walk through the store has come; expires."""
        return f"{self.prefix}cursor"

    @property
    def registrations(self) -> str:
        """Hash: the thumbnails to register with the science archive, by their keys: recipe and failed attempts (JSON).
        With `:due`, a sorted set of them by when they are due, in seconds; with `:refused`, a list of those that are
        tried no more (JSON), which expires.
        """
        return f"{self.prefix}registrations"

    @property
    def registrations_due(self) -> str:
        """See `registrations`."""
        return f"{self.registrations}:due"

    @property
    def registrations_refused(self) -> str:
        """See `registrations`."""
        return f"{self.registrations}:refused"

    # --- caches downstream

    def downstream(self, hook: str) -> str:
        """Hash: the changed derivatives of which *hook* is to be sent, by their keys (JSON), and the ended jobs, by
        their keys and `:job`; expires. With `:due`, a sorted set of them by when they are due; with `:failed`, a list
        of those that were given up (JSON); with `:lost`, a string, how many ended jobs were not kept; with `:holder`, a
        string, the process that notifies it now; with `:fault`, a hash about the failures since the last delivery that
        was accepted: reason, since, count, until (when it is tried again).
        """
        return f"{self.prefix}downstream:{hook}"

    @property
    def downstream_sent(self) -> str:
        """String: the chore that tells hooks of changes was sent and has not begun; expires."""
        return f"{self.prefix}downstream:sent"

    # --- denials

    @property
    def denials(self) -> str:
        """String: a copy of the store's file of denials; expires."""
        return f"{self.prefix}denials"

    @property
    def denials_removal(self) -> str:
        """String: what is denied is to be removed from the store; expires."""
        return f"{self.prefix}denials:removal"

    # --- for people

    @property
    def workers(self) -> str:
        """Sorted set: the workers (JSON), by their last heartbeats, in seconds."""
        return f"{self.prefix}workers"

    def minute(self, number: int) -> str:
        """Hash: what the installation counted in one minute (its number since 1970), for the operator's page; expires.
        Fields: requests:<outcome>, jobs:<outcome>, failure:<class>, wait_ms, work_ms, and wait_below:<s>,
        work_below:<s> for how many took no longer than so many seconds, and longer than the next smaller one says.
        """
        return f"{self.prefix}minute:{number}"

    def days(self, number: int) -> str:
        """Hash: what the installation counted on each of 32 days (days since 1970, divided by 32); expires. Fields:
        <day in the hash>:hits, :misses, :failures, and :images, :bytes of the cache.
        """
        return f"{self.prefix}days:{number}"

    @property
    def counted_minutes(self) -> str:
        """String: the minutes before this one (since 1970) are added to their days."""
        return f"{self.prefix}days:counted"

    @property
    def notices(self) -> str:
        """Hash: what needs a person, by its name (JSON: since when, and the notices that were delivered)."""
        return f"{self.prefix}notices"

    @property
    def recent(self) -> str:
        """List: the recipes (JSON) made last, the newest first; a hundred at most."""
        return f"{self.prefix}recent"

    @property
    def largest(self) -> str:
        """Sorted set: the recipes (JSON) of the largest derivatives, by their bytes; a hundred at most."""
        return f"{self.prefix}largest"

    def preview(self, key: str) -> str:
        """String: the preview of the derivative *key* (JPEG in Base64), empty while it is made; expires."""
        return f"{self.prefix}preview:{key}"

    # --- by the names that the scripts give them

    def of_job(self, key: str, host: str) -> dict[str, str]:
        """Returns the keys of the scripts in `lua/jobs`, for the job *key* with the origin *host*."""
        return {
            "job": self.job(key),
            "circuit": self.circuit(host),
            "stalled": self.stalled(host),
            "outage": self.outage(host),
            **{f"queued_{lane}": self.queued(lane) for lane in Lane},
            **{f"messages_{lane}": self.messages(lane) for lane in Lane},
            **self._prefixes(),
            "begun_bulk": self.begun_bulk,
            "turns": self.turns,
            "turn_queues": self.turn_queues,
            "clients": self.clients,
            "askers": self.askers,
            "workers": self.workers,
            "round": self.round,
            "running": self.running,
            "delayed": self.delayed,
            "failed": self.failed,
            "fence": self.fence,
            "clock": self.clock,
            "chunks": self.chunks,
            "ended": self.ended,
            "recent": self.recent,
            "items": self.items,
            "held_back": self.held_back,
            "passed_over": self.passed_over,
        }

    def _prefixes(self) -> dict[str, str]:
        """Returns the prefixes of those keys that the scripts in `lua/jobs` complete themselves."""
        return {
            "job_prefix": self.job(""),
            "circuit_prefix": self.circuit(""),
            "failing_prefix": self.failing(""),
            "batch_prefix": self.batch(""),
            "ticket_prefix": self.ticket(""),
            "source_prefix": self.source(""),
            "reading_prefix": self.reading(""),
            "progress_prefix": self.progress(""),
            "hook_prefix": self.downstream(""),
        }

    def of_origin(self, host: str) -> dict[str, str]:
        """Returns the keys of the scripts in `lua/origin`."""
        return {
            "circuit": self.circuit(host),
            "failing": self.failing(host),
            "places": self.places(host),
            "stalled": self.stalled(host),
            "outage": self.outage(host),
            "delayed": self.delayed,
            "job_prefix": self.job(""),
        }

    def of_batch(self, name: str) -> dict[str, str]:
        """Returns the keys of the scripts of batches in `lua/bulk`."""
        return {
            "batch": self.batch(name),
            "batch_prefix": self.batch(""),
            "items": self.items,
            "running": self.running,
            "delayed": self.delayed,
            "chunks": self.chunks,
            "delivery_prefix": self.deliveries(""),
        }

    def of_hook(self, hook: str) -> dict[str, str]:
        """Returns the keys of the scripts in `lua/downstream`."""
        changes = self.downstream(hook)
        return {"changes": changes, **{name: f"{changes}:{name}" for name in HOOK_PARTS}}

    def of_chunk(self, name: str) -> dict[str, str]:
        """Returns the keys of the scripts of chunks in `lua/bulk`."""
        return {
            "chunk": self.chunk(name),
            "held": self.held(name),
            "chunks": self.chunks,
            "queued_bulk": self.queued(Lane.BULK),
            "delayed": self.delayed,
        }
