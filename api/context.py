"""What every view works with: one desk per application, given to it when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from flask import current_app

from api.freshness import Freshness
from api.readiness import Readiness
from api.security.rate_limit import SignInLimit
from api.security.signed_urls import Signer, secret_of
from mezcal.jobs import Jobs
from mezcal.origin import open_origin
from mezcal.origin.archive import Archive
from mezcal.store import Store, open_store
from mezcal.telemetry.gauges import Gauges

if TYPE_CHECKING:
    from flask import Flask

    from mezcal.origin import Origin
    from mezcal.settings import Settings

EXTENSION = "mezcal"


@dataclass(frozen=True, slots=True)
class ApiContext:
    """The parts that answer requests."""

    settings: Settings
    store: Store
    jobs: Jobs
    origin: Origin
    health: Readiness
    freshness: Freshness
    archive: Archive
    signer: Signer | None
    house: Gauges
    guesses: SignInLimit

    @classmethod
    def of(cls, settings: Settings) -> ApiContext:
        """The desk that *settings* describe."""
        store, jobs = open_store(settings), Jobs.of(settings)
        freshness = Freshness(settings.revalidate_after, jobs)
        signer = Signer(secret_of(settings)) if settings.archive_api_url else None
        health, archive = Readiness(jobs, store), Archive(settings)
        house, origin = Gauges(jobs.table, store), open_origin(settings)
        return cls(settings, store, jobs, origin, health, freshness, archive, signer, house, SignInLimit())


def place(app: Flask, desk: ApiContext) -> None:
    """Give *desk* to *app*'s views."""
    app.extensions[EXTENSION] = desk


def context() -> ApiContext:
    """The desk of the application that handles this request."""
    return cast("ApiContext", current_app.extensions[EXTENSION])
