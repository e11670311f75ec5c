"""Reads ORIGINS_FILE (TOML): a table for each origin, by the name that metrics, logs and pages show.

    [maps]
    prefix = "maps/"
    url = "https://maps.example.edu/rest/"
    username = "mezcal"
    password_file = "/run/secrets/maps"

Each field stands for a setting. Limits and time-outs that a table leaves out are those of the settings; a credential,
an internal address or a host of redirects is never taken from them.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, create_model

from mezcal.settings.fields import SettingFields
from mezcal.settings.origin_identity import normal_address
from mezcal.settings.origins.rules import BUCKET, check_repository, implied_auth_type
from mezcal.settings.rules import NOT_SHOWN, reason_of, shown
from mezcal.settings.secret_files import secret_in

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,30}[a-z0-9])?")  # a value in metrics
RESERVED = frozenset({"repository", "archive"})  # the names of the others in metrics
ORIGINS_MAX = 50
UNUSABLE = re.compile(r"[\\%;\s\x00-\x1f\x7f]")  # in a prefix: a server may read it as two folders
SEGMENT = re.compile(r"(?!\.+$).+")  # no server may read it as `.` or `..`
WEB_ONLY = frozenset({"auth_type", "jwt_token", "jwt_secret", "redirect_hosts"})
BUCKET_ONLY = frozenset({"region", "requester_pays", "addressing", "machine_key", "event_buckets"})
REQUESTS = frozenset(
    {
        *("internal_url", "username", "password", "connect_timeout", "read_timeout", "total_timeout", "retries"),
        *("concurrency", "breaker_failures", "breaker_seconds"),
    }
)
MEANINGLESS = MappingProxyType(  # by what a URL begins with
    {"file:": WEB_ONLY | BUCKET_ONLY | REQUESTS, BUCKET: WEB_ONLY, "http": BUCKET_ONLY - {"event_buckets"}}
)
OWN: Mapping[str, str] = MappingProxyType(  # the settings that a table never takes from elsewhere
    {
        "url": "repo_base_url",
        "internal_url": "repo_internal_url",
        "auth_type": "auth_type",
        "username": "repo_username",
        "password": "repo_password",
        "jwt_token": "jwt_token",
        "jwt_secret": "jwt_secret",
        "redirect_hosts": "origin_redirect_hosts",
        "region": "repo_region",
        "requester_pays": "repo_requester_pays",
        "event_urls": "webhook_base_urls",
        "event_buckets": "webhook_buckets",
    }
)
INHERITED: Mapping[str, str] = MappingProxyType(
    {
        "addressing": "s3_addressing",
        "connect_timeout": "origin_connect_timeout",
        "read_timeout": "origin_read_timeout",
        "total_timeout": "origin_total_timeout",
        "max_bytes": "origin_max_bytes",
        "retries": "origin_retries",
        "denied_status": "origin_denied_status",
        "digests": "origin_digests",
        "digest_file": "origin_digest_file",
        "concurrency": "origin_concurrency",
        "breaker_failures": "breaker_failures",
        "breaker_seconds": "breaker_seconds",
        "revalidate_after": "revalidate_after",
    }
)
FIELDS = MappingProxyType({**OWN, **INHERITED})
KEY_OF_THE_MACHINE = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
NO_KEY = (
    "a bucket needs username and password, its key; or machine_key = true, for the key that this machine has: "
    "AWS_ACCESS_KEY_ID, shared files, a role"
)


@dataclass(frozen=True, slots=True)
class OriginTable:
    """One table of the file: *values* are the settings of this origin that differ from those of the installation."""

    name: str
    prefix: str
    values: Mapping[str, Any]

    @property
    def url(self) -> str:
        """The URL of its masters."""
        return str(self.values["repo_base_url"])


def read_origins(settings: SettingFields) -> tuple[OriginTable, ...]:
    """Returns the tables of ORIGINS_FILE, none if it is unset. Raises `ValueError` or `WrongSetting` with one line."""
    if settings.origins_file is None:
        return ()
    tables = tuple(_table(name, dict(table), settings) for name, table in _read(settings.origins_file).items())
    _check_hosts(tables, {"REPO_BASE_URL": settings.repo_base_url, "ARCHIVE_API_URL": settings.archive_api_url})
    prefixes = {"": "REPO_BASE_URL"} if settings.repo_base_url else {}
    addresses = {normal_address(settings.repo_base_url): "REPO_BASE_URL"} if settings.repo_base_url else {}
    for table in tables:
        address = normal_address(table.url)
        if address in addresses:
            raise ValueError(
                f"ORIGINS_FILE, [{table.name}]: its URL is that of {addresses[address]}: remove one of both"
            )
        addresses[address] = f"[{table.name}]"
        if table.prefix in prefixes:
            raise ValueError(
                f"ORIGINS_FILE, [{table.name}]: prefix is {table.prefix!r}, and that is the prefix of "
                f"{prefixes[table.prefix]}: give each origin its own"
            )
        prefixes[table.prefix] = f"[{table.name}]"
    return tables


def _check_hosts(tables: tuple[OriginTable, ...], urls: Mapping[str, str | None]) -> None:
    """Raise `ValueError` if a table has the name of a host of *urls*: both would have one circuit breaker."""
    for variable, url in urls.items():
        host = urlsplit(url or "").netloc.rpartition("@")[2]
        if host in {table.name for table in tables}:
            raise ValueError(f"ORIGINS_FILE, [{host}]: that is the host of {variable}: give the origin another name")


def files_with_secrets(file: Path) -> dict[str, str]:
    """Returns the files with secrets of the origins in *file*, by what names them; *file* itself if it has secrets.

    Raises `ValueError` if *file* cannot be used.
    """
    secrets = [field for field, setting in FIELDS.items() if SecretStr in get_args(_annotation(setting))]
    tables = _read(file)
    own = any(table.get(field) for table in tables.values() for field in secrets)
    named = {
        f"ORIGINS_FILE, [{name}]: {field}_file": str(table[f"{field}_file"])
        for name, table in tables.items()
        for field in secrets
        if table.get(f"{field}_file")
    }
    return ({"ORIGINS_FILE": str(file)} if own else {}) | named


def with_fields(text: str) -> str:
    """Returns *text* with the fields of a table instead of the settings that they stand for."""
    for field, setting in FIELDS.items():
        text = re.sub(rf"(?<![A-Z_]){setting.upper()}(_FILE)?(?![A-Z_])", rf"`{field}\1`", text)
    return re.sub(r"`(\w+)_FILE`", r"`\1_file`", text)


def in_words_of_the_file(text: str, name: str) -> str:
    """Returns *text* on the origin *name* as a fault of its table."""
    return f"ORIGINS_FILE, [{name}]: {with_fields(text)}"


def _read(file: Path) -> dict[str, Any]:
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"ORIGINS_FILE names {file}, which is not TOML: {error}") from None
    except OSError as error:
        raise ValueError(f"ORIGINS_FILE names {file}: {error.strerror}") from None
    if not 1 <= len(tables) <= ORIGINS_MAX:
        raise ValueError(f"ORIGINS_FILE has {len(tables)} origins: it may have 1 to {ORIGINS_MAX}, a table for each")
    _check_names(tables)
    return tables


def _check_names(tables: Mapping[str, Any]) -> None:
    for name, table in tables.items():
        if type(table) is not dict:
            outside = "put the name of an origin in single brackets above it"
            raise ValueError(f"ORIGINS_FILE has {name[:40]!r} outside a table: {outside}")
        if not NAME.fullmatch(name) or name in RESERVED:
            raise ValueError(
                f"ORIGINS_FILE has the origin {name[:40]!r}: a name is up to 32 lower-case letters, digits, '-' and "
                f"'_', and none of {', '.join(sorted(RESERVED))}"
            )


def _table(name: str, given: dict[str, Any], settings: SettingFields) -> OriginTable:
    names = set(given)
    prefix = _prefix(name, given.pop("prefix", ""))
    machine_key = given.pop("machine_key", False)
    values = _values(name, given)
    _check_meaning(name, names, str(values["repo_base_url"]))
    _check_rules(name, values, settings)
    if values["repo_base_url"].startswith(BUCKET) and machine_key is not True:
        if not (values["repo_username"] or values["repo_password"]):
            raise ValueError(f"ORIGINS_FILE, [{name}]: {NO_KEY}")
        values |= dict.fromkeys(KEY_OF_THE_MACHINE)
    return OriginTable(name, prefix, values)


def _prefix(name: str, prefix: Any) -> str:
    """Returns *prefix* with its final slash. Raises `ValueError` if no path can begin so."""
    plain = prefix.removesuffix("/") if isinstance(prefix, str) else "/"
    if wrong := UNUSABLE.search(plain):
        raise ValueError(
            f"ORIGINS_FILE, [{name}]: prefix is {prefix!r}, which has {wrong[0]!r}: it may have no space, control "
            f"character, %, \\ or ;. The origin never sees it, so choose another, as {UNUSABLE.sub('-', plain) + '/'!r}"
        )
    if plain and not all(map(SEGMENT.fullmatch, plain.split("/"))):
        raise ValueError(
            f"ORIGINS_FILE, [{name}]: prefix is {prefix!r}: must be the first folders of paths, as 'maps/', or '' for "
            "all other paths"
        )
    return f"{plain}/" if plain else ""


def _values(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Returns the settings that the fields *given* stand for. Those of `OWN` are all among them."""
    with_secrets = _with_secrets(name, given)
    if unknown := sorted(set(with_secrets) - set(FIELDS)):
        allowed = ", ".join(("prefix", *FIELDS, "machine_key"))
        raise ValueError(f"ORIGINS_FILE, [{name}]: {unknown[0][:40]} is no part of an origin; it may have {allowed}")
    if not with_secrets.get("url"):
        raise ValueError(f"ORIGINS_FILE, [{name}]: url is missing: http(s)://.., s3://bucket/prefix or file:///folder")
    try:
        checked = _model().model_validate(with_secrets)
    except ValidationError as error:
        raise ValueError(_explain(name, error.errors()[0])) from None
    values = {setting: getattr(checked, field) for field, setting in OWN.items()}
    values |= {setting: getattr(checked, field) for field, setting in INHERITED.items() if field in with_secrets}
    if "auth_type" not in with_secrets:
        values["auth_type"] = implied_auth_type(values) or values["auth_type"]
    return values


def _check_rules(name: str, values: Mapping[str, Any], settings: SettingFields) -> None:
    try:
        check_repository(settings.model_copy(update=values))
    except ValueError as error:
        raise ValueError(in_words_of_the_file(str(error), name)) from None


def _with_secrets(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns *given* with the secrets themselves instead of the names of their files. Raises `WrongSetting`."""
    found = dict(given)
    for field, setting in FIELDS.items():
        file = found.pop(f"{field}_file", None) if SecretStr in get_args(_annotation(setting)) else None
        if file is None:
            continue
        if field in found or not isinstance(file, str):
            raise ValueError(f"ORIGINS_FILE, [{name}]: set one of {field} and {field}_file, as text in quotes")
        found[field] = secret_in(f"ORIGINS_FILE, [{name}]: {field}_file", file)
    return found


def _check_meaning(name: str, given: set[str], url: str) -> None:
    """Raise `ValueError` if one of the fields *given* changes nothing for such a *url*."""
    begin = next(begin for begin in MEANINGLESS if url.startswith(begin))
    names = {field.removesuffix("_file") for field in given}
    if ignored := sorted(names & MEANINGLESS[begin]):
        raise ValueError(f"ORIGINS_FILE, [{name}]: {ignored[0]} has no meaning for a URL {begin}..: remove it")


def _annotation(setting: str) -> Any:
    return SettingFields.model_fields[setting].annotation


@cache
def _model() -> type[BaseModel]:
    """Returns the fields of a table with the types, limits and defaults of the settings that they stand for."""
    fields: dict[str, Any] = {
        field: (_annotation(setting), SettingFields.model_fields[setting]) for field, setting in FIELDS.items()
    }
    return create_model("OriginFields", __config__=ConfigDict(extra="forbid", frozen=True), **fields)


def _explain(name: str, problem: Any) -> str:
    """Returns what is wrong with the origin *name*, in one line."""
    field = str(problem["loc"][0])
    secret = SecretStr in get_args(_annotation(FIELDS[field]))
    holds = NOT_SHOWN if secret else shown(problem.get("input"))
    return f"ORIGINS_FILE, [{name}]: {field} is {holds}: {reason_of(problem)}"
