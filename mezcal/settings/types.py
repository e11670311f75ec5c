"""The types of settings: how the text of a variable becomes a value, and which values are refused."""

from __future__ import annotations

import json
import re
import shlex
from base64 import b64decode
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

from mezcal.errors import WrongSetting
from mezcal.settings.downstream.address import HookAddress
from mezcal.settings.queue_address import QueueAddress
from mezcal.settings.units import bytes_of, seconds_of

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_MAX_PIXELS = 2_000_000_000  # MAX_IMAGE_PIXELS=0; larger than any master that was seen in practice
HOST_NAME = re.compile(r"[A-Za-z0-9._-]+(:[0-9]+)?|\[[0-9A-Fa-f:.]+\](:[0-9]+)?|[0-9A-Fa-f:.]+")

BUCKET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")

DIGEST_PATTERN = re.compile(r"(?!/|.*//)(?!(?:.*/)?\.{1,2}/).+\.(?:sha512|sha256|sha1|md5)", re.IGNORECASE)

THIS_MACHINE = {"localhost", "127.0.0.1", "::1"}


class AuthType(StrEnum):
    """How mezcal authenticates to the repository; the names are those of umd-lib/mezcal."""

    NONE = "NONE"
    BASIC = "BASIC"
    JWT_TOKEN = "JWT_TOKEN"  # noqa: S105 - the name of a scheme
    JWT_SECRET = "JWT_SECRET"  # noqa: S105


class Layout(StrEnum):
    """The folder of a mezzanine in the store; the names are those of umd-lib/mezcal."""

    BASIC = "basic"
    MD5_ENCODED = "md5_encoded"
    MD5_ENCODED_PAIRTREE = "md5_encoded_pairtree"


def signing_key(secret: str) -> bytes:
    """Returns the key in one of WEBHOOK_SECRETS: Base64 after `whsec_`, else the text itself. Raises `ValueError`."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    return b64decode(secret.removeprefix("whsec_"), validate=True)


def filter_sets(text: str) -> list[list[list[str]]]:
    """Parse THUMBNAIL_FILTERS. Returns a list of sets; each has the filters of red, visual and blue."""
    return [[colour.split(",") for colour in each.split("/")] for each in text.replace(" ", "").split(";")]


def split_command(text: str) -> list[str]:
    """Returns the words of a command, which a shell's quotes may hold together. Raises `ValueError`."""
    return shlex.split(text)


# --- before validation


def _parsed(parse: Callable[[str], object]) -> BeforeValidator:
    """Returns a validator that parses text. A value that is not text comes from code and stays as it is."""
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _host_names(value: tuple[str, ...]) -> tuple[str, ...]:
    if not all(name == "*" or HOST_NAME.fullmatch(name) for name in value):
        raise ValueError("must be host names or addresses, as images.example.org,192.0.2.7")
    return value


def _networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    if text.strip().lower() == "none":
        return ()
    try:
        return tuple(ip_network(part, strict=False) for part in _split(text))
    except ValueError:
        raise ValueError("must be addresses or networks, as 192.0.2.7,2001:db8::/64") from None


def _auto_or_seconds(text: str) -> float | None:
    return None if text.strip().lower() == "auto" else seconds_of(text)


def _auto_or_bytes(text: str) -> int:
    return 0 if text.strip().lower() == "auto" else bytes_of(text)


# --- after validation: rules that the type cannot express


def _sets_of_three(value: str) -> str:
    if any(len(colours) != 3 or not all(map(all, colours)) for colours in filter_sets(value)):
        raise ValueError("must be sets of red/visual/blue, as R,rp/V/B;ip/rp/gp")
    return value


def _named_sizes(value: str) -> str:
    pairs = [pair.partition(":") for pair in value.split(",")]
    if not all(name.isidentifier() and size.isdecimal() and int(size) for name, _, size in pairs):
        raise ValueError("must be names with pixels, as small:200,large:1200")
    return value


def _json_object(value: str) -> str:
    try:
        is_object = isinstance(json.loads(value), dict)
    except ValueError:
        is_object = False
    if not is_object:
        raise ValueError('must be a JSON object, as {"source": "mezcal"}')
    return value


def _signing_keys(value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    for secret in value:
        try:
            signing_key(secret.get_secret_value())
        except ValueError:
            raise ValueError("after whsec_ there must be Base64") from None
    return value


def _queue_urls(value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    for url in value:
        QueueAddress.parse(url.get_secret_value())
    return value


def _downstream_urls(value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    try:
        addresses = [HookAddress.parse(url.get_secret_value()) for url in value]
    except WrongSetting as wrong:
        raise ValueError(str(wrong)) from None
    if len({address.name for address in addresses}) < len(addresses):
        raise ValueError("must name each hook once")
    return value


def _logins(value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if not all(all(login.get_secret_value().partition(":")) for login in value):
        raise ValueError("must be user:password")
    return value


def _notice_url(value: SecretStr | None) -> SecretStr | None:
    address = urlsplit(value.get_secret_value()) if value is not None else None
    if address is None:
        return None
    if address.scheme != "https" and not (address.scheme == "http" and address.hostname in THIS_MACHINE):
        raise ValueError("must begin with https://, or be http:// on this machine")
    if address.username is not None or not address.hostname:
        raise ValueError("must have a host, and no user name")
    return value


def _command(value: str | None) -> str | None:
    if value is not None and not split_command(value):
        raise ValueError("must name a program")
    return value


def _web_address(value: str | None) -> str | None:
    if value is not None and not value.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    return value


def _digest_pattern(value: str | None) -> str | None:
    if value is None:
        return None
    if value.count("{path}") != 1 or not DIGEST_PATTERN.fullmatch(value.replace("{path}", "x")):
        raise ValueError("must have {path} once and end with .sha512, .sha256, .sha1 or .md5, as {path}.sha256")
    return value


def _repository(value: str | None) -> str | None:
    if value is None or value.startswith(("http://", "https://", "file:///")):
        return value
    if not value.startswith("s3://"):
        hint = f"; for this folder, write file://{value}" if value.startswith("/") else ""
        raise ValueError(f"must begin with http://, https://, s3:// or file:///{hint}")
    bucket = value.removeprefix("s3://").partition("/")[0]
    if "@" not in bucket and not BUCKET_NAME.fullmatch(bucket):  # a key in it is refused without showing the value
        raise ValueError("must name a bucket, as s3://bucket/prefix")
    return value


UPPER, LOWER = _parsed(str.upper), _parsed(str.lower)  # the value in any case

Names = Annotated[tuple[str, ...], NoDecode, _parsed(_split)]
HostNames = Annotated[Names, AfterValidator(_host_names)]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, _parsed(_networks)]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode, _parsed(_split)]
SigningKeys = Annotated[Secrets, AfterValidator(_signing_keys)]
DownstreamUrls = Annotated[Secrets, AfterValidator(_downstream_urls)]
QueueUrls = Annotated[Secrets, AfterValidator(_queue_urls)]
Logins = Annotated[Secrets, AfterValidator(_logins)]
Bytes = Annotated[int, _parsed(bytes_of)]
MemoryBytes = Annotated[int, _parsed(_auto_or_bytes)]
Seconds = Annotated[float, _parsed(seconds_of)]
OptionalSeconds = Annotated[float | None, _parsed(_auto_or_seconds)]
FilterSets = Annotated[str, AfterValidator(_sets_of_three)]
DigestPattern = Annotated[str | None, AfterValidator(_digest_pattern)]
JsonObject = Annotated[str, AfterValidator(_json_object)]
NamedSizes = Annotated[str, AfterValidator(_named_sizes)]
SigningKey = Annotated[SecretStr | None, AfterValidator(lambda value: _signing_keys((value,))[0] if value else None)]
NoticeUrl = Annotated[SecretStr | None, AfterValidator(_notice_url)]
CommandLine = Annotated[str | None, AfterValidator(_command)]
WebAddress = Annotated[str | None, AfterValidator(_web_address)]
Repository = Annotated[str | None, AfterValidator(_repository)]
