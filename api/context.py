"""What every view works with: one desk per application, given to it when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from flask import current_app

from api.freshness import Freshness
from api.readiness import Health
from api.security.rate_limit import Guesses
from api.security.signed_urls import Signer, secret_of
from mezcal.jobs import Jobs
from mezcal.origin import open_origin
from mezcal.origin.archive import Archive
from mezcal.store import Store, open_store
from mezcal.telemetry.gauges import House

if TYPE_CHECKING:
    from flask import Flask

    from mezcal.origin import Origin
    from mezcal.settings import Settings

EXTENSION = "mezcal"


@dataclass(frozen=True, slots=True)
class Desk:
    """The parts that answer requests."""

    settings: Settings
    store: Store
    jobs: Jobs
    origin: Origin
    health: Health
    freshness: Freshness
    archive: Archive
    signer: Signer | None
    house: House
    guesses: Guesses

    @classmethod
    def of(cls, settings: Settings) -> Desk:
        """The desk that *settings* describe."""
        store, jobs = open_store(settings), Jobs.of(settings)
        freshness = Freshness(settings.revalidate_after, jobs)
        signer = Signer(secret_of(settings)) if settings.archive_api_url else None
        health, archive = Health(jobs, store), Archive(settings)
        house, origin = House(jobs.table, store), open_origin(settings)
        return cls(settings, store, jobs, origin, health, freshness, archive, signer, house, Guesses())


def place(app: Flask, desk: Desk) -> None:
    """Give *desk* to *app*'s views."""
    app.extensions[EXTENSION] = desk


def here() -> Desk:
    """The desk of the application that handles this request."""
    return cast("Desk", current_app.extensions[EXTENSION])
