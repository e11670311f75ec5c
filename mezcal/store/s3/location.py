"""Where a bucket is, and who we are there."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mezcal.errors import StoreDown
from mezcal.store.s3.signing import Key

if TYPE_CHECKING:
    from mezcal.settings import Settings

PLAIN = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")  # a bucket that can be part of a host's name under TLS
HOME = "us-east-1"


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket: the server's *base* URL, as `https://host:port`, and the *path* that its objects' paths begin with."""

    base: str
    path: str
    region: str
    bucket: str

    @classmethod
    def of(cls, settings: Settings, url: str | None = None) -> Place:
        """The bucket that *settings* name, at *url* if given."""
        region, bucket = settings.aws_default_region or HOME, settings.aws_bucket or ""
        end = ".cn" if region.startswith("cn-") else ""
        at = urlsplit(url or settings.storage_url or f"https://s3.{region}.amazonaws.com{end}")
        addressing = settings.s3_addressing
        if addressing == "auto":
            addressing = "virtual" if not settings.storage_url and PLAIN.fullmatch(bucket) else "path"
        beneath = at.path.rstrip("/")
        if addressing == "virtual":
            return cls(f"{at.scheme}://{bucket}.{at.netloc}", f"{beneath}/", region, bucket)
        return cls(f"{at.scheme}://{at.netloc}", f"{beneath}/{bucket}/", region, bucket)

    @property
    def host(self) -> str:
        """The host as requests name it: without the port that is understood."""
        scheme, _, netloc = self.base.partition("://")
        return netloc.removesuffix({"http": ":80", "https": ":443"}[scheme])


class Credentials:
    """The access key: of the settings, else found where every AWS client looks for one.

    That is botocore's chain: the environment, shared files, web identity, the container's or instance's role. It is
    loaded only where it is needed: 24 MB and a quarter of a second for each process.
    """

    def __init__(self, settings: Settings) -> None:
        self._found: Any = None
        self._lock = threading.Lock()
        self._key: Key | None = None
        if settings.aws_access_key_id and settings.aws_secret_access_key:
            token = settings.aws_session_token.get_secret_value() if settings.aws_session_token else None
            self._key = Key(settings.aws_access_key_id, settings.aws_secret_access_key.get_secret_value(), token)

    def key(self) -> Key:
        """The key to sign with at this moment; those that are lent are renewed in time."""
        if self._key is not None:
            return self._key
        with self._lock:
            if self._found is None:
                self._found = _chain()
        if self._found is None:
            raise StoreDown("no credentials for the object store: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        frozen = self._found.get_frozen_credentials()
        return Key(frozen.access_key, frozen.secret_key, frozen.token)


def _chain() -> Any:
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - see the class
    from botocore.session import get_session  # noqa: PLC0415

    try:
        return get_session().get_credentials()
    except BotoCoreError as error:
        raise StoreDown(f"the credentials for the object store cannot be had: {error}") from error
