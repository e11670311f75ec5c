"""Signs requests to the bucket: AWS Signature Version 4 in the header Authorization, by botocore."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from mezcal.errors import OriginKeyRefused
from mezcal.s3_session import DEFAULT_REGION, open_session, region_of
from mezcal.settings import WrongSetting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botocore.session import Session

    from mezcal.settings import Settings

NO_KEY = (
    "there is no key for the bucket: set REPO_USERNAME (access key id) and REPO_PASSWORD (secret), or the "
    "AWS_ACCESS_KEY_ID that the cache uses, too, or give this machine a role"
)


class RequestSigner:
    """Signs with REPO_USERNAME and REPO_PASSWORD, else the AWS settings, else the key that botocore finds.

    The key of a role, or of a web identity, is renewed in time. Threads may share a signer, and it may be created
    before a process forks. Raises `WrongSetting` if only half of a key is set.
    """

    def __init__(self, settings: Settings) -> None:
        if bool(settings.repo_username) != bool(settings.repo_password):
            missing = "REPO_PASSWORD" if settings.repo_username else "REPO_USERNAME"
            raise WrongSetting(f"{missing} is not set: REPO_USERNAME and REPO_PASSWORD are one key of the bucket")
        self._settings = settings
        self._own: tuple[int, Session] = os.getpid(), self._open_session()
        self.region = region_of(self._own[1])

    def sign(self, method: str, url: str, headers: Mapping[str, str]) -> dict[str, str]:
        """Return *headers* and those of the signature, for a request without a body, sent now.

        Raises `OriginKeyRefused` if there is no key.
        """
        request = AWSRequest(method, url, headers=dict(headers))
        S3SigV4Auth(self._credentials(), "s3", self.region).add_auth(request)
        return dict(request.headers.items())

    def _credentials(self) -> Any:
        """Return the key as it is now, all parts of one moment."""
        try:
            found = self._session().get_credentials()
            if found is not None:
                return found.get_frozen_credentials()
        except (BotoCoreError, ClientError, HTTPClientError) as error:
            raise OriginKeyRefused(f"no key could be had for the bucket ({type(error).__name__}): {error}") from error
        raise OriginKeyRefused(NO_KEY)

    def _session(self) -> Session:
        """Return the session of this process. A forked child must not use its parent's locks and connections."""
        pid, session = self._own
        if pid != os.getpid():
            session = self._open_session()
            self._own = os.getpid(), session
        return session

    def _open_session(self) -> Session:
        settings = self._settings
        region = settings.repo_region or settings.aws_default_region
        if settings.repo_username:
            return open_session(settings.repo_username, settings.repo_password, None, region, DEFAULT_REGION)
        key = settings.aws_access_key_id, settings.aws_secret_access_key, settings.aws_session_token
        return open_session(*key, region, DEFAULT_REGION)
