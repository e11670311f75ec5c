"""The registration of thumbnails with the science archive."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mezcal.checks import Check, CheckFailed, Severity

if TYPE_CHECKING:
    from mezcal.jobs.bulk.registrations import Registrations
    from mezcal.settings import Settings

MANY = 1000  # that wait: some minutes of work


def registration_check(registrations: Registrations, settings: Settings) -> Check:
    """Check that there is a token, that few thumbnails wait to be registered, and that none was refused."""
    hint = "docs/thumbnails.md says what is sent; the logs of the workers say why a registration is delayed"
    return Check("register", partial(_check, registrations, settings), hint)


def _check(registrations: Registrations, settings: Settings) -> str:
    if settings.archive_token is None:  # the API may do without
        raise CheckFailed("ARCHIVE_TOKEN is not set here", "workers need an administrator's token", Severity.WARNING)
    waiting, refused = registrations.waiting(), registrations.refused()
    detail = f"{waiting:,} thumbnails wait to be registered with the archive"
    if refused:
        last = f"the last: {refused[0]['about']}: {refused[0]['reason']}"
        raise CheckFailed(f"{detail}, {len(refused)} were refused lately; {last}", level=Severity.WARNING)
    if waiting > MANY:
        raise CheckFailed(detail, level=Severity.WARNING)
    return detail
