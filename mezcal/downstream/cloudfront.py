"""CloudFront, with botocore: invalidations of many paths at once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from mezcal.downstream.hooks import HookFailed
from mezcal.downstream.templates import filled
from mezcal.recipe import Mezzanine

if TYPE_CHECKING:
    from mezcal.jobs.bulk.downstream import Change
    from mezcal.settings import Settings
    from mezcal.settings.downstream.address import HookAddress

PATHS_MAX = 3000  # of one invalidation, and of all that a distribution has in progress
URLS_MAX = 6  # of one derivative, by `url_paths`
REGION = "us-east-1"  # the one region of CloudFront's API


class CloudFrontHook:
    """A distribution. The order of invalidations does not matter to it: each means `fetch it again`."""

    def __init__(self, address: HookAddress, settings: Settings) -> None:
        self._address, self._settings = address, settings
        templates = len(address.options.get("path", ("{url}",)))
        self.most = PATHS_MAX // (templates * URLS_MAX)
        self._client: Any = None

    def notify(self, changes: list[Change]) -> None:
        """Create one invalidation. The same changes make the same one: a repeated call is the first one's."""
        templates = self._address.options.get("path", ("{url}",))
        recipes = [change.recipe for change in changes if isinstance(change.recipe, Mezzanine)]
        texts = (text for recipe in recipes for template in templates for text in filled(template, recipe))
        paths = list(dict.fromkeys(texts))
        reference = hashlib.sha256("\n".join(change.name + change.version for change in changes).encode()).hexdigest()
        batch = {"Paths": {"Quantity": len(paths), "Items": paths}, "CallerReference": f"mezcal-{reference[:32]}"}
        self._call("create_invalidation", DistributionId=self._address.url, InvalidationBatch=batch)

    def probe(self) -> str:
        """Ask for the last invalidation: it needs the credential, and the right to read."""
        self._call("list_invalidations", DistributionId=self._address.url, MaxItems="1")
        return f"{self._address.shown} answers"

    def _call(self, name: str, **arguments: Any) -> Any:
        try:
            return getattr(self._connected(), name)(**arguments)
        except ClientError as error:
            fault = error.response.get("Error", {})
            raise HookFailed(f"{self._address.shown} answered {fault.get('Code')}", unreachable=True) from error
        except BotoCoreError as error:
            raise HookFailed(
                f"{self._address.shown} cannot be asked: {type(error).__name__}", unreachable=True
            ) from error

    def _connected(self) -> Any:
        """Return the client, made when first needed: its model takes a moment to read."""
        if self._client is None:
            settings, secret = self._settings, self._settings.aws_secret_access_key
            token = settings.aws_session_token
            self._client = botocore.session.get_session().create_client(
                "cloudfront",
                region_name=self._address.one("region") or REGION,
                endpoint_url=self._address.one("endpoint"),
                aws_access_key_id=settings.aws_access_key_id,
                aws_secret_access_key=secret.get_secret_value() if secret else None,
                aws_session_token=token.get_secret_value() if token else None,
                config=Config(connect_timeout=5, read_timeout=15, retries={"total_max_attempts": 1}),
            )
        return self._client
