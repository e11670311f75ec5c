"""Hooks that are notified over HTTP: Cantaloupe, and caches that know PURGE."""

from __future__ import annotations

import json
from base64 import b64encode
from functools import partial
from typing import TYPE_CHECKING

from mezcal.downstream.hooks import HookFailed
from mezcal.downstream.templates import filled
from mezcal.http import Deadline, HttpClient, HttpRequest, RequestFailed
from mezcal.recipe import Mezzanine

if TYPE_CHECKING:
    from mezcal.jobs.bulk.downstream import Change
    from mezcal.settings.downstream.address import HookAddress

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 10.0
GONE = 410  # by Standard Webhooks: send no more. A person has to say which of the two is wrong
GONE_SECONDS = 3600.0
RESTS = {401, 403, GONE, 429, 503}  # it would answer the same to every other delivery
NOT_CACHED = {404, 412}  # answers to PURGE by modules of nginx: it had no such entry
PURGE_VERB = "PurgeItemFromCache"  # of Cantaloupe's tasks API


class HttpHook:
    """Sends requests to one server. No redirect is followed."""

    most = 1

    def __init__(self, address: HookAddress) -> None:
        self._address = address
        self._client = HttpClient(CONNECT_SECONDS, ANSWER_SECONDS)

    def probe(self) -> str:
        """Try that the server answers: with OPTIONS, which nobody takes for a change."""
        return f"{self._address.shown} answers {self._send(HttpRequest(self._address.url, 'OPTIONS'))}"

    def _send(self, request: HttpRequest) -> int:
        """Send *request*. Returns the status. Raises `HookFailed` if there is no answer."""
        try:
            response = self._client.send(request, Deadline.after(ANSWER_SECONDS))
        except RequestFailed as error:
            raise HookFailed(f"{self._address.shown} {error}", unreachable=True) from error
        response.close()
        return response.status

    def _accept(self, status: int, *others: int) -> None:
        if not 200 <= status < 300 and status not in others:
            redirects = ", and redirects are not followed" if 300 <= status < 400 else ""
            reason = f"{self._address.shown} answered {status}{redirects}"
            raise HookFailed(reason, unreachable=status in RESTS, pause=GONE_SECONDS if status == GONE else 0)

    def _authorization(self) -> str | None:
        if self._address.user is None:
            return None
        login = f"{self._address.user}:{self._address.password or ''}"
        return f"Basic {b64encode(login.encode()).decode()}"


class CantaloupeHook(HttpHook):
    """Cantaloupe's tasks API: it drops all that its caches have of an image."""

    def notify(self, changes: list[Change]) -> None:
        """Tell it of each change with one task for each identifier."""
        templates = self._address.options.get("identifier", ("{path}",))
        for identifier in _texts(templates, changes, raw=True):
            body = json.dumps({"verb": PURGE_VERB, "identifier": identifier}).encode()
            headers = {"Content-Type": "application/json"}
            self._accept(
                self._send(HttpRequest(self._address.url, "POST", headers, self._authorization, body=body)),
            )


class PurgeHook(HttpHook):
    """A cache that drops an entry for a request with the method PURGE: Varnish, nginx with a module."""

    def notify(self, changes: list[Change]) -> None:
        """Send one request for each URL of each derivative, and for each of the names in `host=`."""
        method = self._address.one("method") or "PURGE"
        base = self._address.url.rstrip("/")
        hosts: tuple[str | None, ...] = self._address.options.get("host", (None,))
        for path in _texts(self._address.options.get("path", ("{url}",)), changes):
            for host in hosts:
                own = {"Host": host} if host else {}
                request = HttpRequest(f"{base}{path}", method, {}, self._authorization, own)
                self._accept(self._send(request), *NOT_CACHED)


def _texts(templates: tuple[str, ...], changes: list[Change], *, raw: bool = False) -> list[str]:
    """Return the filled *templates* of *changes*, each once."""
    fill = partial(filled, raw=raw)
    return list(
        dict.fromkeys(
            text
            for change in changes
            for template in templates
            if isinstance(change.recipe, Mezzanine)
            for text in fill(template, change.recipe)
        )
    )
