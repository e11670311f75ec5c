"""Whether masters can be had: the repository with its credential, the archive."""

from __future__ import annotations

import time
from contextlib import closing
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING

import jwt

from mezcal.checks import Check, CheckFailed, Severity
from mezcal.errors import MasterDenied
from mezcal.http import Deadline, HttpClient, HttpRequest, RequestFailed
from mezcal.origin import FolderOrigin, open_origin
from mezcal.origin.client import OriginClient
from mezcal.origin.retries import RetryBudget
from mezcal.recipe import Mezzanine
from mezcal.settings import AuthType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mezcal.http import HttpResponse
    from mezcal.settings import Settings

REQUEST_SECONDS = 10.0  # for each request
ANY_STATUS = frozenset(range(100, 600))
CLOCKS = 30.0  # seconds by which two machines' clocks may differ: signed tokens and URLs are good for minutes
SOON = 86_400.0  # seconds
HINT = "see to REPO_BASE_URL, and whether this machine may reach it"


def origin(settings: Settings) -> Check:
    """That the repository answers, and does not refuse the credential."""
    return Check("origin", partial(_origin, settings), HINT)


def master(settings: Settings, path: str) -> Check:
    """That the master at *path* is given out."""
    return Check("master", partial(_master, settings, path), "see whether the path, and who may read it, are right")


def archive(settings: Settings) -> Check:
    """That the science archive answers."""
    return Check("archive", partial(_archive, settings), "see to ARCHIVE_API_URL")


def _origin(settings: Settings) -> str:
    if settings.repo_base_url is None:
        return "REPO_BASE_URL is unset, and no `mezcal up` runs here that has an --origin, or serves its samples"
    of = open_origin(settings)
    if isinstance(of, FolderOrigin):
        if not of.listing(1):
            raise CheckFailed(f"{of.base_url} shows no image", "see that its files may be read", Severity.WARNING)
        return f"{of.base_url} can be read"
    with closing(_request(settings, of.base_url)) as answer:
        _judge(answer.status, settings)
        _check_clock(answer.headers)
    _check_expiry(settings)
    known = "the credential is not refused" if settings.auth_type is not AuthType.NONE else "no credential is set"
    return f"{of.base_url} answers {answer.status}, {known}; name a master to be sure: mezcal check PATH"


def _request(settings: Settings, url: str) -> HttpResponse:
    budget = RetryBudget(0, REQUEST_SECONDS)
    return budget.run(lambda: OriginClient(url, settings).send(HttpRequest(url, "HEAD"), budget, ANY_STATUS))


def _judge(status: int, settings: Settings) -> None:
    if status in {401, 403}:
        raise CheckFailed(f"the repository answers {status}", _of_credential(settings))
    if status >= 500:
        raise CheckFailed(f"the repository answers {status}", "see to the repository")


def _of_credential(settings: Settings) -> str:
    given = settings.auth_type
    return "set AUTH_TYPE and what it needs" if given is AuthType.NONE else f"see to what AUTH_TYPE={given} sends"


def _check_clock(headers: Mapping[str, str]) -> None:
    try:
        ahead = time.time() - parsedate_to_datetime(headers["Date"]).timestamp()
    except (KeyError, ValueError):
        return
    if abs(ahead) > CLOCKS:
        differ = f"this machine's clock is {abs(ahead):,.0f} s {'ahead of' if ahead > 0 else 'behind'} the repository's"
        raise CheckFailed(differ, "let both follow NTP: tokens are good for minutes", Severity.WARNING)


def _check_expiry(settings: Settings) -> None:
    """A bearer token that says when it ends, as a JWT does, is not to end unseen."""
    if settings.auth_type is not AuthType.JWT_TOKEN or settings.jwt_token is None:
        return
    try:
        ends = jwt.decode(settings.jwt_token.get_secret_value(), options={"verify_signature": False})["exp"]
    except (jwt.PyJWTError, KeyError):
        return
    if (left := float(ends) - time.time()) < SOON:
        ended = f"JWT_TOKEN {'has expired' if left < 0 else f'expires in {left / 3600:.1f} hours'}"
        raise CheckFailed(ended, "set a new one, or JWT_SECRET", Severity.FAILED if left < 0 else Severity.WARNING)


def _master(settings: Settings, path: str) -> str:
    recipe = Mezzanine.parse(path)
    try:
        with open_origin(settings).open(recipe.path) as found:
            began = found.file.read(16)
            size = "of unknown size" if found.size is None else f"of {found.size:,} bytes"
    except MasterDenied as denied:
        raise CheckFailed(denied.detail, _of_credential(settings)) from denied
    if not began:
        raise CheckFailed(f"{path} is empty")
    return f"{path} is there, {size}, {found.content_type or 'of no declared type'}"


def _archive(settings: Settings) -> str:
    """Send one request without a credential, to see that the archive is there."""
    url = settings.archive_api_url or ""
    try:
        response = HttpClient(REQUEST_SECONDS, REQUEST_SECONDS).send(HttpRequest(url), Deadline.after(REQUEST_SECONDS))
    except RequestFailed as failed:
        raise CheckFailed(f"{url} {failed}") from failed
    response.close()
    if response.status >= 500:
        raise CheckFailed(f"{url} answers {response.status}", "see to the archive")
    return f"{url} answers {response.status}"
