"""Every way in which asking for a derivative can end without one, and what the asker is told."""

from __future__ import annotations

import errno
from enum import StrEnum
from typing import Any, ClassVar

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)  # no space on the disk, or none left of the user's quota


class Memory(StrEnum):
    """How long a failure is remembered; `settings.Settings` gives each its seconds."""

    NONE = "none"
    BRIEF = "brief"  # the origin may be back at any moment
    MISSING = "missing"  # somebody may still deposit it
    LASTING = "lasting"  # the master itself is the fault: until it changes or an operator retries


class Failure(Exception):
    """A derivative could not be given; *detail* is one sentence for whoever asked."""

    slug: ClassVar[str] = "failure"
    title: ClassVar[str] = "The derivative could not be made"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    memory: ClassVar[Memory] = Memory.NONE

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.job: str | None = None  # the key of the job that ended so, where there is one

    def as_record(self) -> dict[str, str]:
        """The failure as small JSON; `from_record` is its inverse."""
        return {"class": self.slug, "detail": self.detail}

    @staticmethod
    def from_record(record: dict[str, Any]) -> Failure:
        """The failure that *record* describes; one of an unknown class comes back as `Failure`."""
        named = {kind.slug: kind for kind in kinds()}
        return named.get(record.get("class", ""), Failure)(record.get("detail", "no detail was recorded"))


def kinds(of: type[Failure] = Failure) -> list[type[Failure]]:
    """Every class of failure there is, *of* itself first."""
    return [of, *(deeper for sub in of.__subclasses__() for deeper in kinds(sub))]


# --- what was asked for -------------------------------------------------------------------------------------


class BadRecipe(Failure):
    """What was asked for is no recipe: a path that climbs, a page that is no number."""

    slug, title, status = "bad-recipe", "The request describes no image", 400


class Unauthorized(Failure):
    """A token is needed here and none, or a wrong one, came with the request."""

    slug, title, status = "unauthorized", "A valid token is needed", 401


class Forbidden(Failure):
    """What was asked for is closed, whatever the token."""

    slug, title, status = "forbidden", "This is closed", 403


class BadEvent(Failure):
    """What a webhook was sent, or a list of jobs, cannot be understood."""

    slug, title, status = "bad-event", "The body cannot be understood", 400


# --- the origin ---------------------------------------------------------------------------------------------


class MasterMissing(Failure):
    """The origin has no such master (404, 410)."""

    slug, title, status = "master-missing", "The repository has no such master", 404
    memory = Memory.MISSING


class MasterDenied(Failure):
    """The origin does not let us have the master (401, 403): ours is the credential, so 502."""

    slug, title, status = "master-denied", "The repository refused our credential", 502
    memory = Memory.BRIEF


class MasterForbidden(Failure):
    """As `MasterDenied`, told as 403 where ORIGIN_DENIED_STATUS says so."""

    slug, title, status = "master-forbidden", "The repository forbids this master", 403
    memory = Memory.BRIEF


class OriginFailed(Failure):
    """The origin answered 5xx or nonsense, broke off, or could not be reached."""

    slug, title, status = "origin-failed", "The repository could not deliver the master", 502
    retryable = True
    memory = Memory.BRIEF


class OriginTimeout(Failure):
    """The origin was too slow, to connect, between two reads or altogether."""

    slug, title, status = "origin-timeout", "The repository was too slow", 504
    retryable = True
    memory = Memory.BRIEF


class OriginAstray(Failure):
    """The origin redirected to a host that is neither its own nor on the allow-list."""

    slug, title, status = "origin-astray", "The repository points to another host", 502
    memory = Memory.BRIEF


# --- the science archive -------------------------------------------------------------------------------------


class FrameUnfit(Failure):
    """The archive's frame is of a kind of which no such thumbnail is made."""

    slug, title, status = "frame-unfit", "No such thumbnail is made of this frame", 400


class FrameMissing(Failure):
    """The archive has no such frame for whoever asks, or not the three that a composite needs."""

    slug, title, status = "frame-missing", "The archive has no such frame", 404


class ArchiveRefused(Failure):
    """The archive refuses whoever asks, with a status of its own, which is passed on."""

    slug, title, status = "archive-refused", "The archive refuses", 403

    def __init__(self, detail: str, status: int = 403) -> None:
        super().__init__(detail)
        self.status = status  # type: ignore[misc]  # the one failure whose status another service chooses


class ArchiveFailed(Failure):
    """The archive's API answered 5xx or nonsense, or cannot be reached."""

    slug, title, status = "archive-failed", "The archive failed", 502
    retryable = True


class ArchiveTimeout(Failure):
    """The archive's API took too long."""

    slug, title, status = "archive-timeout", "The archive was too slow", 504
    retryable = True


class TicketExpired(Failure):
    """The signed URL of a frame's file is not, or no longer, good: whoever asks again brings a new one."""

    slug, title, status = "ticket-expired", "The frame's file is no longer given out", 403


# --- the master ---------------------------------------------------------------------------------------------


class NotAnImage(Failure):
    """The master's content, or its declared type, is not that of an image."""

    slug, title, status = "not-an-image", "The master is not an image", 415
    memory = Memory.LASTING


class Undecodable(Failure):
    """The master is an image that cannot be decoded whole; *detail* has the decoder's reason."""

    slug, title, status = "undecodable", "The master cannot be decoded", 422
    memory = Memory.LASTING


class TooLarge(Failure):
    """The master has more pixels or bytes than the settings allow."""

    slug, title, status = "too-large", "The master is too large", 413
    memory = Memory.LASTING


# --- ourselves ----------------------------------------------------------------------------------------------


class TimedOut(Failure):
    """A conversion ran past JOB_TIME_LIMIT and its process was ended."""

    slug, title, status = "timed-out", "The conversion took too long", 504
    memory = Memory.MISSING  # a slow origin or a busy machine may be the cause: not for long


class Quarantined(Failure):
    """The job ended its worker MAX_ATTEMPTS times; only an operator's retry, DELETE or an event lifts it."""

    slug, title, status = "quarantined", "The master is in quarantine", 422
    memory = Memory.LASTING


class Unforeseen(Failure):
    """A fault of ours, for which no better name was thought of; the log has it."""

    slug = "unforeseen"
    retryable = True  # a bulk job is tried again, then listed; an asker is told at once
    memory = Memory.BRIEF


class Unavailable(Failure):
    """Nothing is wrong with the request: ask again in `retry_after` seconds."""

    slug, title, status = "unavailable", "Not now", 503
    retryable = True
    retry_after: int = 5


class StillWorking(Unavailable):
    """The job goes on, but the asker's patience is over; the next one joins it."""

    slug, title = "still-working", "The derivative is being made"
    retry_after = 2


class Busy(Unavailable):
    """As many wait, or are queued, as may be."""

    slug, title = "busy", "Too many are waiting"


class OriginResting(Unavailable):
    """The origin failed many jobs in a row: nobody asks it anything until it has had a rest."""

    slug, title = "origin-resting", "The repository is not well"
    retry_after = 15


class BrokerDown(Unavailable):
    """Redis cannot be reached, so nothing that is not in the store can be had."""

    slug, title = "broker-down", "The queue cannot be reached"


class StoreDown(Unavailable):
    """The store cannot be written or read: full, read-only or gone."""

    slug, title = "store-down", "The store cannot be used"


class Superseded(Failure):
    """Whoever runs this job no longer holds it: the lease went to another, or an event came between."""

    slug, title, status = "superseded", "The job was given to another worker", 503
    retryable = True


def is_disk_full(error: BaseException | None) -> bool:
    """Returns True if *error*, or an error that caused it, says that a disk or a quota is used up."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            return True
        error = error.__cause__
    return False


# --- not about a derivative: mezcal itself cannot start -----------------------------------------------------


class WrongSetting(Exception):
    """A setting cannot be used. The message names the variable, what it holds and what it may hold."""


class CannotStart(Exception):
    """`mezcal up` has started nothing. The message is one line that says why."""
