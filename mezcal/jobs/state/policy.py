"""How long leases, attempts and remembered failures last, and how many jobs may be queued or read from an origin."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mezcal.errors import Retention
from mezcal.recipe import Mezzanine, Thumbnail

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mezcal.errors import Failure
    from mezcal.settings import Settings
    from mezcal.settings.origins import NamedOrigin


@dataclass(frozen=True, slots=True)
class OriginLimits:
    """The limits of one origin. *name* is that in Redis and in metrics, "" for a folder, which has none.

    The paths of its masters begin with *prefix*. At most *places* jobs read from it at once; 0 is no bound.
    """

    name: str = ""
    prefix: str = ""
    places: int = 0
    breaker_failures: int = 5  # jobs that fail before it is paused
    breaker_pause: float = 15  # seconds of the first pause

    @classmethod
    def of(cls, origin: NamedOrigin) -> OriginLimits:
        """Return the limits of *origin*."""
        own = origin.settings
        return cls(origin.limits_name, origin.prefix, own.origin_concurrency, own.breaker_failures, own.breaker_seconds)


@dataclass(frozen=True, slots=True)
class JobPolicy:
    """The settings of the job table. Times are in seconds unless another unit is given."""

    lease: float = 6
    max_attempts: int = 3
    retry: float = 30  # from a bulk job's first failure to its second attempt
    queue_max: int = 2_000_000
    client_max: int = 2_000_000  # jobs that one client may have in the queue of the interactive lane
    client_share: float = 1  # of the processes, that one client may have while others ask, too
    retention: dict[Retention, int] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)  # a recipe's kind -> the host of its masters
    several: tuple[OriginLimits, ...] = ()  # of mezzanines, the longest prefix first, if they have several origins
    origin_places: int = 0  # jobs that may read from one origin at once; 0 is no bound
    breaker_failures: int = 5  # jobs that fail before an origin is paused
    breaker_pause: float = 15  # the first pause
    time_limit: float = 900  # of one job
    hooks: tuple[str, ...] = ()  # names of all that are notified of something
    changes_to: tuple[str, ...] = ()  # names of those that are notified of changed derivatives
    ends_to: str = ""  # those that are notified of ended jobs, for the scripts: a JSON list, "" if there are none

    @classmethod
    def of(cls, settings: Settings) -> JobPolicy:
        """Return the policy that *settings* describe."""
        return cls(
            lease=settings.lease_seconds,
            max_attempts=settings.max_attempts,
            retry=settings.retry_seconds,
            queue_max=settings.queue_max,
            client_share=settings.client_share,
            client_max=settings.client_places * settings.api_processes,
            retention={
                Retention.BRIEF: settings.failure_brief_seconds,
                Retention.MISSING: settings.failure_missing_seconds,
                Retention.LASTING: settings.failure_lasting_seconds,
            },
            origins={
                Mezzanine.kind: urlsplit(settings.repo_base_url or "").netloc.rpartition("@")[2],
                Thumbnail.kind: urlsplit(settings.archive_api_url or "").netloc.rpartition("@")[2],
            },
            several=tuple(map(OriginLimits.of, settings.origins)) if settings.origins_file else (),
            origin_places=settings.origin_concurrency,
            breaker_failures=settings.breaker_failures,
            breaker_pause=settings.breaker_seconds,
            time_limit=settings.job_time_limit,
            hooks=tuple(hook.name for hook in settings.hooks),
            changes_to=tuple(hook.name for hook in settings.hooks if hook.is_told_of_changes),
            ends_to=_ends_to(settings),
        )

    def limits_of(self, recipe: Mapping[str, Any]) -> OriginLimits | None:
        """Return the limits of the origin of *recipe*, given as JSON; None if no origin has its master."""
        if recipe["kind"] != Mezzanine.kind or not self.several:
            return self.limits_named(self.origins.get(recipe["kind"], ""))
        return next((limits for limits in self.several if recipe["path"].startswith(limits.prefix)), None)

    def turn_queue(self, recipe: Mapping[str, Any]) -> str:
        """Return the queue of turns for the origin of *recipe*, given as JSON; "" unless it is one of several.

        It is named by the prefix: the name of an origin may change while jobs are queued.
        """
        limits = self.limits_of(recipe)
        return f"origin={limits.prefix}" if limits in self.several and limits.name else ""

    @property
    def several_as_json(self) -> str:
        """Several origins for the scripts, the longest prefix first: each one's prefix, name and places."""
        return json.dumps([[limits.prefix, limits.name, limits.places] for limits in self.several])

    def limits_named(self, name: str) -> OriginLimits:
        """Return the limits of the origin *name*: its own, or those of all."""
        common = OriginLimits(name, "", self.origin_places, self.breaker_failures, self.breaker_pause)
        return next((limits for limits in self.several if limits.name == name), common)

    @property
    def limited(self) -> dict[str, str]:
        """The origins that have limits: what they are called for people, by their names in Redis and in metrics."""
        named = {limits.name: f"Origin {limits.name}" for limits in self.several}
        archive, repository = self.origins.get(Thumbnail.kind, ""), self.origins.get(Mezzanine.kind, "")
        others = {repository: "Repository"} | {archive: "Archive"}
        return {name: label for name, label in (named | others).items() if name}

    def listed_seconds(self, failure: Failure) -> int:
        """Return how long the *failure* of a bulk job stays listed: longer than clients are refused.

        No client has seen it yet.
        """
        return self.retention_seconds(Retention.LASTING if failure.retryable else failure.retention)

    def retention_seconds(self, retention: Retention) -> int:
        """Return how long failures of this class are remembered."""
        return self.retention.get(retention, 0)


def _ends_to(settings: Settings) -> str:
    told = [hook for hook in settings.hooks if hook.job_events]
    wanted = [
        {
            "hook": hook.name,
            "called": hook.called,
            "events": dict.fromkeys(hook.job_events, True),
            "profiles": hook.profiles,
            "prefixes": hook.prefixes,
        }
        for hook in told
    ]
    return json.dumps(wanted) if wanted else ""
