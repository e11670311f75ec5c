"""What the views work with: one ApiContext per application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from flask import current_app

from api.freshness import Freshness
from api.image_urls import ImageUrls
from api.readiness import Readiness
from api.security.rate_limit import TokenAttempts
from api.security.signed_urls import Signer, load_secret
from api.security.waiting_places import WaitingPlaces
from mezcal.derive import recipe_versions
from mezcal.ingest.denial import Denier
from mezcal.jobs import Jobs
from mezcal.origin import open_origin
from mezcal.origin.archive import ArchiveClient
from mezcal.runtime.host_names import AllowedHosts
from mezcal.store import DerivativeStore, open_store
from mezcal.store.origin_note import OriginNote
from mezcal.telemetry import tracing
from mezcal.telemetry.gauges import Gauges

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from mezcal.origin import Origin
    from mezcal.settings import Settings

EXTENSION = "mezcal"


@dataclass(frozen=True, slots=True)
class ApiContext:
    """The settings and the parts that the views use."""

    settings: Settings
    store: DerivativeStore
    jobs: Jobs
    origin: Origin
    readiness: Readiness
    freshness: Freshness
    archive: ArchiveClient
    signer: Signer | None
    gauges: Gauges
    token_attempts: TokenAttempts
    detail_attempts: TokenAttempts  # those at what only operators see
    hosts: AllowedHosts
    image_urls: ImageUrls
    waiting_places: WaitingPlaces
    denier: Denier

    @classmethod
    def of(cls, settings: Settings) -> ApiContext:
        """Build the context for *settings*. It connects to nothing until a request needs it."""
        store, jobs = open_store(settings), Jobs.of(settings, tracing.message_headers)
        origin = open_origin(settings)
        return cls(
            settings=settings,
            store=store,
            jobs=jobs,
            origin=origin,
            readiness=Readiness(jobs, store, OriginNote(settings, store)),
            freshness=Freshness(_fresh_seconds(settings), jobs, store, origin, recipe_versions(settings)),
            archive=ArchiveClient(settings),
            signer=Signer(load_secret(settings)) if settings.archive_api_url else None,
            gauges=Gauges(jobs, store, settings.data_dir, settings.hooks),
            token_attempts=TokenAttempts(),
            detail_attempts=TokenAttempts(),
            hosts=AllowedHosts(settings),
            image_urls=ImageUrls.of(settings),
            waiting_places=WaitingPlaces(settings.waiters_max, settings.client_share),
            denier=Denier(store, settings.denied_status),
        )


def _fresh_seconds(settings: Settings) -> Callable[[str], float]:
    """Return a function that returns for how long the image of a master counts as fresh, by the master's path."""
    windows = tuple((origin.prefix, origin.settings.hit_fresh_seconds) for origin in settings.origins)
    return lambda path: next((seconds for prefix, seconds in windows if path.startswith(prefix)), 0)


def set_context(app: Flask, api_context: ApiContext) -> None:
    """Give *api_context* to the views of *app*."""
    app.extensions[EXTENSION] = api_context


def context() -> ApiContext:
    """Return the context of the application that handles this request."""
    return cast("ApiContext", current_app.extensions[EXTENSION])
