"""Every failure to return a derivative, with its HTTP status, its title, and how long it is remembered."""

from __future__ import annotations

import errno
import math
import re
from enum import StrEnum
from typing import Any, ClassVar

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)  # no space on the disk, or none left of the user's quota

SHORTAGES = (errno.ENOMEM, errno.EMFILE, errno.ENFILE)  # of memory or of descriptors, in this process or the system
SHORTAGE_TEXTS = re.compile(  # what decoders say, which have no numbers for it
    r"out of memory|(insufficient|not enough|no) memory|(unable|failed|cannot|can't)( to)? (re)?alloc"
    r"|memory alloc(?!ation error: security limit)"  # libheif's limit is for what the file claims
    r"|alloc(ation)? failed|bad_alloc|mem_error|too many open files|failed to map segment"
    r"|(can't start|creating)( new)? thread",
    re.IGNORECASE,
)


class Retention(StrEnum):
    """How long a failure is remembered; the settings FAILURE_..._SECONDS give the seconds."""

    NONE = "none"
    BRIEF = "brief"  # the origin may recover at any moment
    MISSING = "missing"  # the master may still be deposited
    LASTING = "lasting"  # the master is at fault


class Failure(Exception):
    """No derivative could be returned; *detail* is one sentence for the client."""

    slug: ClassVar[str] = "failure"
    title: ClassVar[str] = "The derivative could not be made"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    retention: ClassVar[Retention] = Retention.NONE
    blameless: ClassVar[bool] = False  # mezcal's own parts failed: the attempt of a bulk job does not count

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.job: str | None = None  # the key of the failed job, if there is one
        self.validators: tuple[str | None, str | None] = (None, None)  # ETag and Last-Modified of the failed master

    def as_record(self) -> dict[str, str]:
        """Return the failure as small JSON. `from_record` is the inverse."""
        return {"class": self.slug, "detail": self.detail}

    @staticmethod
    def from_record(record: dict[str, Any]) -> Failure:
        """Return the failure that *record* describes, a plain `Failure` if its class is unknown."""
        named = {kind.slug: kind for kind in kinds()}
        return named.get(record.get("class", ""), Failure)(record.get("detail", "no detail was recorded"))


def kinds(of: type[Failure] = Failure) -> list[type[Failure]]:
    """Return every class of failure, *of* itself first."""
    return [of, *(deeper for sub in of.__subclasses__() for deeper in kinds(sub))]


# --- the request ------------------------------------------------------------------------------------------


class BadRecipe(Failure):
    """The request is not a recipe: a path with `..`, a page that is not a number."""

    slug, title, status = "bad-recipe", "The request describes no image", 400


class Unauthorized(Failure):
    """The request needs a token, and has none or a wrong one."""

    slug, title, status = "unauthorized", "A valid token is needed", 401


class Forbidden(Failure):
    """No token allows this request."""

    slug, title, status = "forbidden", "This is closed", 403


class BadEvent(Failure):
    """The body of a webhook, or a list of masters, cannot be read."""

    slug, title, status = "bad-event", "The body cannot be understood", 400


class Denied(Failure):
    """Somebody has denied that this image is shown: RFC 7725."""

    slug, title, status = "denied", "This image may not be shown", 451


# --- the origin ---------------------------------------------------------------------------------------------


class MasterMissing(Failure):
    """The origin has no such master (404, 410)."""

    slug, title, status = "master-missing", "The repository has no such master", 404
    retention = Retention.MISSING


class MasterOutside(MasterMissing):
    """The path leads out of the folder that is the origin, by a link. The detail says where to."""

    slug, title = "master-outside", "The path leads out of the folder of masters"


class OriginUnknown(Failure):
    """None of several origins has masters at such a path."""

    slug, title, status = "origin-unknown", "No repository has masters at this path", 404


class MasterDenied(Failure):
    """The origin refuses the master (401, 403). The credential is mezcal's, so the status is 502."""

    slug, title, status = "master-denied", "This service may not read the master", 502
    retention = Retention.BRIEF


class MasterUnreadable(MasterDenied):
    """The user that mezcal runs as may not read the file in the folder that is the origin."""

    slug, title = "master-unreadable", "The master may not be read"


class MasterForbidden(Failure):
    """As `MasterDenied`, with the status 403, if ORIGIN_DENIED_STATUS says so."""

    slug, title, status = "master-forbidden", "The repository forbids this master", 403
    retention = Retention.BRIEF


class MasterArchived(Failure):
    """The master's object lies in an archive of the object store (Glacier) and has to be restored first."""

    slug, title, status = "master-archived", "The master is in an archive", 502
    retention = Retention.MISSING


class OriginKeyRefused(Failure):
    """The bucket of the masters refuses mezcal's key, or its name, region or clock is wrong: an operator has to act.

    No master is at fault, so nothing is remembered, and bulk jobs wait until it works again.
    """

    slug, title, status = "origin-key-refused", "The bucket refuses this service", 502
    retryable = True
    blameless = True


class OriginFailed(Failure):
    """The origin is not healthy: it answered 5xx or 429, refused or reset the connection."""

    slug, title, status = "origin-failed", "The repository could not deliver the master", 502
    retryable = True
    retention = Retention.BRIEF


class OriginTimeout(Failure):
    """The origin was too slow: to connect, between two reads, or in total."""

    slug, title, status = "origin-timeout", "The repository was too slow", 504
    retryable = True
    retention = Retention.BRIEF


class OriginRedirectRefused(Failure):
    """The origin redirected to a host that is neither its own nor allowed."""

    slug, title, status = "origin-redirect-refused", "The repository points to another host", 502
    retention = Retention.MISSING


class UnusableResponse(Failure):
    """The origin answers this request with what brings no master: another 4xx, a redirect loop, invalid HTTP.

    A client can cause it by an odd path, so it says nothing about the origin's health.
    """

    slug, title, status = "unusable-response", "The repository's response brings no master", 502
    retention = Retention.MISSING


class MasterIncomplete(Failure):
    """The master did not arrive whole: its body was cut, or it changed while it was read.

    One damaged master can cause it, so it says nothing about the origin's health.
    """

    slug, title, status = "master-incomplete", "The master did not arrive whole", 502
    retryable = True
    retention = Retention.BRIEF


class MasterDamaged(Failure):
    """The master is not what its origin declares it to be: its digest differs, also after another download.

    It is remembered briefly: who puts a good copy in its place need not tell mezcal.
    """

    slug, title, status = "master-damaged", "The master is damaged", 502
    retention = Retention.BRIEF


# --- the science archive -------------------------------------------------------------------------------------


class FrameUnfit(Failure):
    """No such thumbnail is made of frames of this kind."""

    slug, title, status = "frame-unfit", "No such thumbnail is made of this frame", 400


class NoSuchSection(Failure):
    """The frame does not show what a cutout asks for: it is elsewhere, or has no coordinates on the sky."""

    slug, title, status = "no-such-section", "The frame has no such section", 400
    retention = Retention.MISSING  # not for long: there are as many as there are positions


class NoSuchPicture(Failure):
    """The frame has no picture at the `hdu`, or no such `plane`. The detail says what it has, with an example."""

    slug, title, status = "no-such-picture", "The frame has no such picture", 400
    retention = Retention.MISSING


class FrameMissing(Failure):
    """The archive has no such frame for this client, or not the three that a colour composite needs."""

    slug, title, status = "frame-missing", "The archive has no such frame", 404


class ArchiveRefused(Failure):
    """The archive refuses the client. Its status is passed on."""

    slug, title, status = "archive-refused", "The archive refuses", 403

    def __init__(self, detail: str, status: int = 403) -> None:
        super().__init__(detail)
        self.status = status  # type: ignore[misc]  # only here another service chooses the status


class ArchiveFailed(Failure):
    """The archive's API answered 5xx or an invalid body, or could not be reached."""

    slug, title, status = "archive-failed", "The archive failed", 502
    retryable = True


class ArchiveTimeout(Failure):
    """The archive's API was too slow."""

    slug, title, status = "archive-timeout", "The archive was too slow", 504
    retryable = True


class TicketExpired(Failure):
    """The URL of a frame's file is refused; mostly it has expired. The next request brings a new one."""

    slug, title, status = "ticket-expired", "The frame's file is refused", 403


# --- the master ---------------------------------------------------------------------------------------------


class NotAnImage(Failure):
    """The master's content, or its media type, is not that of an image."""

    slug, title, status = "not-an-image", "The master is not an image", 415
    retention = Retention.LASTING


class PageInstead(NotAnImage):
    """The origin sent a web page or JSON, mostly for signing in or of an outage. It is not remembered for long."""

    slug, title, status = "page-instead", "The repository sent a page instead of the master", 415
    retryable = True
    retention = Retention.MISSING


class MasterEmpty(NotAnImage):
    """The origin sent no byte. A full disk or a broken upload may be the cause, so it is not remembered for long."""

    slug, title, status = "master-empty", "The master is empty", 415
    retryable = True
    retention = Retention.BRIEF


class Undecodable(Failure):
    """The master is an image that cannot be decoded completely; *detail* has the decoder's reason."""

    slug, title, status = "undecodable", "The master cannot be decoded", 422
    retention = Retention.LASTING


# What an origin answers while it, its sign-in or its credential is out of order; also for masters that it has.
ORIGIN_AWAY = (
    OriginFailed,
    OriginTimeout,
    OriginKeyRefused,
    OriginRedirectRefused,
    MasterDenied,
    MasterForbidden,
    UnusableResponse,
    PageInstead,
    MasterEmpty,
)


class TooLarge(Failure):
    """The master has more pixels or bytes than the settings allow."""

    slug, title, status = "too-large", "The master is too large", 413
    retention = Retention.LASTING


# --- mezcal --------------------------------------------------------------------------------------------------


class TimedOut(Failure):
    """A conversion took longer than JOB_TIME_LIMIT and was stopped."""

    slug, title, status = "timed-out", "The conversion took too long", 504
    retention = Retention.MISSING  # not for long: a slow origin or a busy machine may be the cause


class Quarantined(Failure):
    """The job ended its worker MAX_ATTEMPTS times. Only an operator's retry, a DELETE or an event lifts it."""

    slug, title, status = "quarantined", "The master is in quarantine", 422
    retention = Retention.LASTING


class Unforeseen(Failure):
    """A fault in mezcal without a specific class; the log has the details."""

    slug = "unforeseen"
    retryable = True  # a bulk job gets other attempts; a client gets the failure at once
    retention = Retention.BRIEF


class Unavailable(Failure):
    """The request is right: repeat it in `retry_after` seconds."""

    slug, title, status = "unavailable", "Not now", 503
    retryable = True
    retry_after: int = 5


class StillWorking(Unavailable):
    """The request has waited as long as it may. The job continues, and the next request joins it."""

    slug, title = "still-working", "The derivative is being made"
    retry_after = 2


class Busy(Unavailable):
    """Too many requests wait, or too many jobs are queued."""

    slug, title = "busy", "Too many are waiting"


class ShareExceeded(Unavailable):
    """The client has its share of the places for requests that wait, or of the queue. Others are answered meanwhile."""

    slug, title, status = "share-exceeded", "Too many of your requests wait", 429

    @classmethod
    def of(cls, detail: str, seconds: float | None) -> ShareExceeded:
        """Return the failure with *seconds* until the client has a free place, None if that is not known."""
        failure = cls(detail)
        if seconds is not None:
            failure.retry_after = max(1, math.ceil(seconds))
        return failure


class OriginPaused(Unavailable):
    """The origin failed several jobs in a row, and gets no requests for a while."""

    slug, title = "origin-paused", "The repository is failing"
    retry_after = 15


class BrokerDown(Unavailable):
    """Redis cannot be reached, so only stored derivatives are served."""

    slug, title = "broker-down", "The queue cannot be reached"

    def __init__(self, detail: str, hint: str = "") -> None:
        super().__init__(detail)
        self.hint = hint  # what an operator can do


class StoreDown(Unavailable):
    """The store cannot be read or written: it is full, read-only or missing. No master and no job is at fault.

    *hint* says what an operator can do. If the failure *may_pass* within minutes, a finished picture waits for that.
    *pause* is the time in seconds that the store asked for, None if it asked for none. *after_reading* is set if a
    master was read before: each further attempt reads it again.
    """

    slug, title = "store-down", "The store cannot be used"
    blameless = True

    def __init__(self, detail: str, hint: str = "", *, may_pass: bool = False, pause: float | None = None) -> None:
        super().__init__(f"{detail}: {hint}" if hint else detail)
        self.reason, self.hint = detail, hint
        self.may_pass, self.pause = may_pass, pause
        self.after_reading = False
        if pause is not None:
            self.retry_after = max(1, math.ceil(pause))


class OutOfMemory(Unavailable):
    """Memory, threads or descriptors did not suffice for the conversion or the request. The master may be all right."""

    slug, title = "out-of-memory", "There is not enough memory"
    retention = Retention.BRIEF
    retry_after = 15


class ProfileMissing(Unavailable):
    """The worker's PROFILES_FILE lacks the profile, or gives it another format: it is not that of the API."""

    slug, title = "profile-missing", "The worker does not have the profile"
    retention = Retention.BRIEF  # another worker may have it
    retry_after = 15


class Superseded(Failure):
    """The worker lost its lease on the job: another worker has it, or an event changed or deleted the job."""

    slug, title, status = "superseded", "The job was given to another worker", 503
    retryable = True


def is_disk_full(error: BaseException | None) -> bool:
    """Returns True if *error*, or an error that caused it, says that a disk or a quota is used up."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            return True
        error = error.__cause__
    return False


def is_out_of_memory(error: BaseException | None) -> bool:
    """Returns True if *error*, or an error that caused it, says that memory, threads or descriptors are used up."""
    while error is not None:
        short = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in SHORTAGES)
        if short or SHORTAGE_TEXTS.search(str(error)):
            return True
        error = error.__cause__
    return False


# --- not about a derivative: mezcal itself cannot start -----------------------------------------------------


class WrongSetting(Exception):
    """A setting cannot be used. The message names the variable, what it holds and what it may hold.

    *hint* says what to do, where the message does not.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class CannotStart(Exception):
    """`mezcal up` has started nothing. The message is one line that says why."""
