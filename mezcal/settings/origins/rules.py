"""The rules between the settings of one origin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mezcal.settings.types import AuthType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mezcal.settings.fields import SettingFields

BUCKET = "s3://"


def implied_auth_type(values: Mapping[str, Any]) -> AuthType | None:
    """Returns the AUTH_TYPE that the credential among *values* implies, None without one or for a bucket.

    Of several credentials, the order is that of umd-lib/mezcal.
    """
    if str(values.get("repo_base_url")).startswith(BUCKET):
        return None
    if values.get("jwt_secret"):
        return AuthType.JWT_SECRET
    if values.get("jwt_token"):
        return AuthType.JWT_TOKEN
    return AuthType.BASIC if values.get("repo_username") and values.get("repo_password") else None


def check_repository(settings: SettingFields) -> None:
    """Raise `ValueError` with one line if the settings of the repository contradict each other."""
    base = settings.repo_base_url or ""
    if settings.repo_internal_url and not base.startswith(("http", BUCKET)):
        raise ValueError(
            "REPO_INTERNAL_URL needs REPO_BASE_URL, the http(s):// or s3:// URL by which others name the masters"
        )
    if base.startswith(BUCKET):
        _check_bucket(base, settings)
    elif settings.repo_requester_pays:
        raise ValueError("REPO_REQUESTER_PAYS needs a bucket: REPO_BASE_URL=s3://bucket/prefix")


def _check_bucket(base: str, settings: SettingFields) -> None:
    if "@" in base.removeprefix(BUCKET).partition("/")[0]:
        raise ValueError("REPO_BASE_URL contains a key: set REPO_USERNAME and REPO_PASSWORD instead")
    if "?" in base or "#" in base:
        raise ValueError(f"REPO_BASE_URL is {base!r}: must be s3://bucket/prefix, with ? and # as %3F and %23")
    if settings.auth_type is not AuthType.NONE:
        raise ValueError(
            f"AUTH_TYPE is {settings.auth_type}: requests to a bucket are signed, so remove it, and set the key by "
            "REPO_USERNAME and REPO_PASSWORD"
        )
