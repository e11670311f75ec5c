"""One request to the origin: connection, credential, redirects, and every fault of the network given its name.

The transport adapter of `requests` is used without its Session: a session reads ~/.netrc and proxy variables,
keeps cookies, and reads the whole body of a redirect. None of that may happen with a repository's credential.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from requests import Request
from requests.adapters import HTTPAdapter
from requests.exceptions import ConnectionError as ConnectFailed
from requests.exceptions import ConnectTimeout, ReadTimeout, RequestException, SSLError
from urllib3.exceptions import HTTPError, ReadTimeoutError

from mezcal.errors import OriginAstray, OriginFailed, OriginTimeout
from mezcal.origin import urls
from mezcal.origin.auth import authorization
from mezcal.origin.responses import judge_status
from mezcal.origin.retries import Again
from mezcal.settings import WrongSetting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mezcal.origin.retries import Retries
    from mezcal.settings import Settings

PIECE = 256 * 1024  # bytes at most that are in memory between socket and scratch file
REDIRECTS_MAX = 5
REDIRECTS = {301, 302, 303, 307, 308}
ASKED = {"User-Agent": "mezcal/2", "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "keep-alive"}


def unheard(_status: str) -> None:
    """Nobody wants to know how the origin answers."""


@dataclass(frozen=True, slots=True)
class OriginResponse:
    """An answer whose body is still on the wire."""

    status: int
    headers: Mapping[str, str]
    raw: Any  # urllib3's response: requests declares no narrower type

    def pieces(self, tries: Retries) -> Iterator[bytes]:
        """The body as it arrives, a content coding undone; `Again` if it breaks off, stalls or ends early."""
        while piece := self._piece():
            yield piece
            tries.time_left()

    def _piece(self) -> bytes | None:
        try:
            return self.raw.read1(PIECE, decode_content=True)  # type: ignore[no-any-return]
        except ReadTimeoutError:
            raise Again(OriginTimeout("the repository stopped sending in the middle of the master")) from None
        except (HTTPError, OSError, ValueError) as error:  # ValueError: hung up in mid-read
            raise Again(OriginFailed("the repository broke off in the middle of the master")) from error

    def hang_up(self) -> None:
        """End a read that is under way in another thread."""
        with suppress(ValueError, RuntimeError, OSError):  # the body was read to its end: nothing to end
            self.raw.shutdown()

    def close(self) -> None:
        """Drop the connection unless the body was read to its end, then it went back to the pool."""
        self.raw.close()


class OriginClient:
    """Asks the origin; safe to share between threads, and to make before a process forks.

    *heard* is told how each request was answered: by its HTTP status, `timeout` or `unreachable`.
    """

    def __init__(self, base_url: str, settings: Settings, heard: Callable[[str], None] = unheard) -> None:
        self._heard = heard
        self._home = urls.server(base_url)
        self._allowed = frozenset(host.lower() for host in settings.origin_redirect_hosts)
        self._authorization = authorization(settings)
        self._connect, self._read = settings.origin_connect_timeout, settings.origin_read_timeout
        self._denied = settings.origin_denied_status
        self._trust = trusted_authorities()
        self._kept: tuple[int, HTTPAdapter] | None = None

    def get(self, url: str, tries: Retries, headers: Mapping[str, str] | None = None) -> OriginResponse:
        """The answer that brings the master at *url*; raises `Again` or the failure that its status means."""
        answer = self._follow(url, tries, headers or {})
        try:
            ranged = "Range" in (headers or {})
            judge_status(answer.status, answer.headers, ranged=ranged, denied=self._denied)
        except Exception:
            answer.close()
            raise
        return answer

    def look(
        self,
        url: str,
        tries: Retries,
        headers: Mapping[str, str],
        *,
        method: str = "HEAD",
        passed: frozenset[int] = frozenset(),
    ) -> OriginResponse:
        """As `get`, for the answer's head alone; 304 and the statuses in *passed* are answers too."""
        answer = self._follow(url, tries, headers, method)
        try:
            if answer.status not in {304, 204} | passed:
                judge_status(answer.status, answer.headers, ranged=False, denied=self._denied)
        except Exception:
            answer.close()
            raise
        return answer

    def _follow(self, url: str, tries: Retries, headers: Mapping[str, str], method: str = "GET") -> OriginResponse:
        for _ in range(REDIRECTS_MAX + 1):
            answer = self._ask(url, tries, headers, method)
            if answer.status not in REDIRECTS:
                return answer
            answer.close()
            url = self._next(url, answer.headers.get("Location", ""))
        raise OriginFailed(f"the repository redirects more than {REDIRECTS_MAX} times")

    def _next(self, url: str, location: str) -> str:
        target = urls.redirected(url, location) if location else None
        if target is None:
            raise OriginFailed("the repository redirects to what is no HTTP URL")
        if not urls.may_follow(self._home, url, target, self._allowed):
            scheme, host, port = urls.server(target)
            raise OriginAstray(
                f"the repository redirects to {scheme}://{host}:{port}, which is neither its own nor allowed"
            )
        return target

    def _ask(self, url: str, tries: Retries, headers: Mapping[str, str], method: str) -> OriginResponse:
        request = Request(method, url, headers={**ASKED, **headers}).prepare()
        credential = self._authorization() if urls.server(str(request.url)) == self._home else None
        if credential:
            request.headers["Authorization"] = credential
        left = tries.time_left()
        timeout = min(self._connect, left), min(self._read, left)
        try:
            response = self._adapter().send(request, stream=True, timeout=timeout, verify=self._trust)
        except (RequestException, HTTPError, OSError) as error:
            again = self._unreached(error)
            self._heard("timeout" if isinstance(again.failure, OriginTimeout) else "unreachable")
            raise again from error
        self._heard(str(response.status_code))
        return OriginResponse(response.status_code, response.headers, response.raw)

    def _unreached(self, error: Exception) -> Again:
        match error:
            case ConnectTimeout():
                return Again(OriginTimeout(f"the repository took no connection within {self._connect:g} s"))
            case ReadTimeout():
                return Again(OriginTimeout(f"the repository did not answer within {self._read:g} s"))
            case SSLError():
                return Again(OriginFailed("no trusted connection to the repository could be made"))
            case ConnectFailed():
                return Again(OriginFailed("the repository cannot be reached, or hung up without an answer"))
            case _:
                return Again(OriginFailed("the repository's answer is no HTTP"))

    def _adapter(self) -> HTTPAdapter:
        """The connections of one process: a fork must not go on speaking on its parent's."""
        if self._kept is None or self._kept[0] != os.getpid():
            self._kept = os.getpid(), HTTPAdapter()
        return self._kept[1]


def trusted_authorities() -> str | bool:
    """A private CA's certificates: of what `requests` reads from the environment, the one thing kept."""
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if named := os.environ.get(variable):
            if not Path(named).exists():
                raise WrongSetting(f"{variable} names {named}, which does not exist")
            return named
    return True
