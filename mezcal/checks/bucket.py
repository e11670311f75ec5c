"""The bucket of the masters: whether its key is accepted, and whether it may list the objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mezcal.checks import CheckFailed, Severity
from mezcal.errors import Failure, MasterDenied, MasterForbidden

if TYPE_CHECKING:
    from mezcal.settings import Settings

NO_LIST_HINT = (
    "give it s3:ListBucket: without it S3 answers 403 for a missing master, too, so those are errors and no 404, a "
    "deleted master is not noticed, and `mezcal warm PREFIX/` finds nothing"
)


def check_bucket(settings: Settings) -> str:
    """List one object below REPO_BASE_URL. Returns what was found. Raises `CheckFailed`."""
    from mezcal.origin.bucket import BucketOrigin  # noqa: PLC0415 - botocore: 18 MB that only a bucket needs

    origin = BucketOrigin(settings)
    asked = f"{origin.base_url} at {origin.addresses.internal}"
    try:
        page = origin.listing.page("", most=1)
    except (MasterDenied, MasterForbidden) as denied:
        detail = f"{asked}: the key may not list the bucket"
        raise CheckFailed(detail, NO_LIST_HINT, Severity.WARNING) from denied
    except Failure as failure:
        raise CheckFailed(f"{asked}: {failure.detail}") from failure
    if not page.keys:
        raise CheckFailed(f"{asked} has no object", "check the prefix in REPO_BASE_URL", Severity.WARNING)
    return f"{asked} can be listed; to be sure that masters may be read, name one: mezcal check PATH"
