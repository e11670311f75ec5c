"""The origins: the repository with its credential, one master, the science archive."""

from __future__ import annotations

import time
from contextlib import closing
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING

import jwt

from mezcal.checks import Check, CheckFailed, Severity
from mezcal.checks.bucket import check_bucket
from mezcal.errors import Failure, MasterDenied, MasterUnreadable, OriginRedirectRefused
from mezcal.http import Deadline, HttpClient, HttpRequest, RequestFailed
from mezcal.ingest.names import MasterNames
from mezcal.origin import FolderOrigin, foreign_urls, open_origin
from mezcal.origin.client import OriginClient
from mezcal.origin.repository import addresses_of, web_access
from mezcal.origin.retries import RetryBudget
from mezcal.recipe import Mezzanine
from mezcal.settings import AuthType, WrongSetting
from mezcal.settings.origins import REPOSITORY
from mezcal.settings.origins.tables import in_words_of_the_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mezcal.http import HttpResponse
    from mezcal.settings import Settings
    from mezcal.settings.origins import NamedOrigin

UNREADABLE_HINT = "let mezcal's user read the file (chmod o+r, or another owner) and enter its folders (chmod o+x)"
REQUEST_SECONDS = 10.0  # for each request
ANY_STATUS = frozenset(range(100, 600))
CLOCK_SECONDS = 30.0  # by which the clocks may differ: signed tokens and URLs are valid for minutes
EXPIRY_SECONDS = 86_400.0  # before a token's end from which its expiry is a warning


def origin_checks(settings: Settings) -> list[Check]:
    """Check that each repository answers and accepts its credential."""
    if not settings.origins:
        return [Check("origin", _no_origin, "")]
    return [_origin_check(named, foreign_urls(named, settings)) for named in settings.origins]


def _no_origin() -> str:
    return "REPO_BASE_URL is not set, and no `mezcal up` with an --origin or with its samples runs here"


def _origin_check(named: NamedOrigin, foreign: Sequence[str]) -> Check:
    hint = "check REPO_BASE_URL, and if this machine can reach that host"
    check = partial(_check_origin, named.settings, foreign)
    if named.name == REPOSITORY:
        return Check("origin", check, hint)
    return Check(
        f"origin {named.name}", partial(_in_its_words, check, named.name), in_words_of_the_file(hint, named.name)
    )


def _in_its_words(check: Callable[[], str], name: str) -> str:
    """Run *check*. What it raises names the fields of ORIGINS_FILE instead of the settings."""
    try:
        return check()
    except CheckFailed as failed:
        hint = failed.hint and in_words_of_the_file(failed.hint, name)
        raise CheckFailed(failed.detail, hint, failed.level) from failed
    except WrongSetting as wrong:
        raise WrongSetting(in_words_of_the_file(str(wrong), name)) from wrong


def master_check(settings: Settings, path: str) -> Check:
    """Check that the repository delivers the master at *path*."""
    return Check("master", partial(_check_master, settings, path), "check the path, and who may read it")


def archive_check(settings: Settings) -> Check:
    """Check that the science archive answers."""
    return Check("archive", partial(_check_archive, settings), "check ARCHIVE_API_URL")


def _check_origin(settings: Settings, foreign: Sequence[str]) -> str:
    origin = open_origin(settings)
    if isinstance(origin, FolderOrigin):
        return _check_folder(origin)
    if (settings.repo_base_url or "").startswith("s3://"):
        once = {"origin_retries": 0, "origin_total_timeout": REQUEST_SECONDS}
        return check_bucket(settings.model_copy(update=once))
    try:
        response = _request_head(settings, foreign)
    except Failure as failure:
        raise CheckFailed(failure.detail, _unreachable_hint(failure)) from failure
    with closing(response):
        _check_status(response.status, settings)
        _check_clock(response.headers)
    _check_token_expiry(settings)
    credential = "the credential is accepted" if settings.auth_type is not AuthType.NONE else "no credential is set"
    asked = addresses_of(settings).internal
    return f"{asked} answers {response.status}, {credential}; to be sure, name a master: mezcal check PATH"


def _unreachable_hint(failure: Failure) -> str:
    if "trusted TLS" in failure.detail:
        return "check the repository's certificate; name a private CA by REQUESTS_CA_BUNDLE=/path/to/ca.pem"
    if isinstance(failure, OriginRedirectRefused):
        return "if that host is right, add it to ORIGIN_REDIRECT_HOSTS"
    return ""


def _check_folder(origin: FolderOrigin) -> str:
    if not origin.list_paths(1):
        raise CheckFailed(f"no image found in {origin.base_url}", "check that its files may be read", Severity.WARNING)
    return f"{origin.base_url} can be read"


def _request_head(settings: Settings, foreign: Sequence[str] = ()) -> HttpResponse:
    access, budget = web_access(settings), RetryBudget(0, REQUEST_SECONDS)
    head = HttpRequest(access.addresses.internal, "HEAD")
    return budget.run(lambda: OriginClient(access, settings, foreign=foreign).send(head, budget, ANY_STATUS))


def _check_status(status: int, settings: Settings) -> None:
    if status in {401, 403}:
        raise CheckFailed(f"the repository answers {status}", _credential_hint(settings))
    if status >= 500:
        raise CheckFailed(f"the repository answers {status}", "check the repository itself")


def _credential_hint(settings: Settings) -> str:
    if (settings.repo_base_url or "").startswith("s3://"):
        return "give the key of the bucket s3:GetObject on its objects, and s3:ListBucket: docs/origins.md"
    if settings.auth_type is AuthType.NONE:
        return "set AUTH_TYPE and the settings that it needs"
    return f"check the credential that AUTH_TYPE={settings.auth_type} sends"


def _check_clock(headers: Mapping[str, str]) -> None:
    try:
        ahead = time.time() - parsedate_to_datetime(headers["Date"]).timestamp()
    except (KeyError, ValueError):
        return
    if abs(ahead) > CLOCK_SECONDS:
        direction = "ahead of" if ahead > 0 else "behind"
        detail = f"this machine's clock is {abs(ahead):,.0f} s {direction} the repository's"
        raise CheckFailed(detail, "synchronise both by NTP: tokens are valid for minutes", Severity.WARNING)


def _check_token_expiry(settings: Settings) -> None:
    """Warn of a bearer token that is a JWT and expires soon."""
    if settings.auth_type is not AuthType.JWT_TOKEN or settings.jwt_token is None:
        return
    try:
        expiry = jwt.decode(settings.jwt_token.get_secret_value(), options={"verify_signature": False})["exp"]
    except (jwt.PyJWTError, KeyError):
        return
    left = float(expiry) - time.time()
    hint = "set a new token, or let mezcal sign its own: JWT_SECRET"
    if left < 0:
        raise CheckFailed("JWT_TOKEN has expired", hint)
    if left < EXPIRY_SECONDS:
        raise CheckFailed(f"JWT_TOKEN expires in {left / 3600:.1f} hours", hint, Severity.WARNING)


def _check_master(settings: Settings, path: str) -> str:
    origin = open_origin(settings).impatient()
    recipe = MasterNames(origin).parse(path)
    if not isinstance(recipe, Mezzanine):
        raise CheckFailed(f"{path} names a folder or a pattern", "name one master")
    try:
        with origin.open(recipe.path) as master:
            first_bytes = master.file.read(16)
    except MasterUnreadable as unreadable:
        raise CheckFailed(unreadable.detail, UNREADABLE_HINT) from unreadable
    except MasterDenied as denied:
        named = settings.origin_of(recipe.path)
        raise CheckFailed(denied.detail, _credential_hint(named.settings if named else settings)) from denied
    if not first_bytes:
        raise CheckFailed(f"{recipe.path} is empty")
    size = "unknown size" if master.size is None else f"{master.size:,} bytes"
    return f"{recipe.path} is there, {size}, {master.content_type or 'no declared type'}"


def _check_archive(settings: Settings) -> str:
    """Send one request without a credential, to see that the archive is there."""
    url = settings.archive_api_url or ""
    try:
        response = HttpClient(REQUEST_SECONDS, REQUEST_SECONDS).send(HttpRequest(url), Deadline.after(REQUEST_SECONDS))
    except RequestFailed as failed:
        raise CheckFailed(f"{url} {failed}") from failed
    response.close()
    if response.status >= 500:
        raise CheckFailed(f"{url} answers {response.status}", "check the archive itself")
    return f"{url} answers {response.status}"
