"""What the clients of object stores share of botocore: the key, the region and the form of the URLs."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from botocore.loaders import Loader, create_loader
from botocore.session import Session

if TYPE_CHECKING:
    from pydantic import SecretStr

DEFAULT_REGION = "us-east-1"


def open_session(
    key_id: str | None, secret: SecretStr | None, token: SecretStr | None, region: str | None, default: str
) -> Session:
    """Returns a session with this key; without one botocore looks for it where every AWS client does.

    The region is *region*, else what botocore's own settings name, else *default*. The session belongs to the process
    that opens it: keys of roles are renewed by requests on its connections.
    """
    session = Session()
    session.register_component("data_loader", _descriptions(session.get_config_variable("data_path")))
    if key_id and secret:
        session.set_credentials(key_id, secret.get_secret_value(), token.get_secret_value() if token else None)
    session.set_config_variable("region", region or session.get_config_variable("region") or default)
    return session


@cache
def _descriptions(folders: str | None) -> Loader:
    """Returns the reader of botocore's descriptions of services, with further *folders* of the environment.

    It keeps what it has read: most of the 0.15 s that each session and client would take.
    """
    return create_loader(folders)


def region_of(session: Any) -> str:
    """Returns the region of *session*."""
    return str(session.get_config_variable("region"))


def addressing_style(
    chosen: Literal["auto", "path", "virtual"], bucket: str, endpoint: str | None
) -> Literal["path", "virtual"]:
    """Returns the form of the URLs of *bucket*: `path` is `host/bucket`, `virtual` is `bucket.host`.

    *endpoint* is the URL of a server that is not AWS, None for AWS. A dot in the bucket's name does not match the
    certificate of `*.s3.amazonaws.com`.
    """
    if chosen != "auto":
        return chosen
    return "path" if endpoint or "." in bucket else "virtual"
