"""Signed calls to a receiver: of changed derivatives, and of ended jobs."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mezcal.downstream.http_hooks import HttpHook
from mezcal.downstream.templates import url_paths
from mezcal.http import HttpRequest
from mezcal.notices.delivery import signed_headers
from mezcal.recipe import Mezzanine

if TYPE_CHECKING:
    from pydantic import SecretStr

    from mezcal.jobs.bulk.downstream import Change, JobEnd
    from mezcal.recipe import Recipe
    from mezcal.settings.downstream.address import HookAddress
    from mezcal.store import Store


class WebhookHook(HttpHook):
    """A receiver of calls that are signed as Standard Webhooks asks.

    A call about a derivative says what is so now in the *store*: a late one says nothing false.
    """

    def __init__(self, address: HookAddress, secret: SecretStr, store: Store) -> None:
        super().__init__(address)
        self._secret, self._store = secret, store

    def notify(self, changes: list[Change]) -> None:
        """Send one call for each change. A repeated call has the id of the first. Raises `StoreDown`."""
        for change in changes:
            call = self._end(change, change.ended) if change.ended else self._change(change)
            if call["type"].rpartition(".")[2] not in self._address.events:
                continue
            message = f"{'job' if change.ended else 'change'}_{change.recipe.key}_{change.version}"
            body = json.dumps(call).encode()
            signed = signed_headers(self._secret, message, body, time.time())
            headers = {"Content-Type": "application/json", **signed}
            request = HttpRequest(self._address.url, "POST", {}, self._authorization, headers, body=body)
            self._accept(self._send(request))

    def _change(self, change: Change) -> dict[str, Any]:
        what = "replaced" if self._store.find(change.recipe) is not None else "deleted"
        return _call(f"mezcal.derivative.{what}", change.since, _named(change.recipe))

    def _end(self, change: Change, ended: JobEnd) -> dict[str, Any]:
        data = _named(change.recipe) | {"job": change.recipe.key, "batches": ended.batches}
        found = self._store.describe(change.recipe) if ended.what == "made" else None
        sidecar = found.sidecar if found else None
        data |= {"class": ended.failure.get("class"), "reason": ended.failure.get("detail")}
        data |= {"etag": found.stored.etag if found else None, "bytes": found.stored.size if found else None}
        for name in ("width", "height", "sha256", "recipe_version", "master_etag", "master_last_modified"):
            data[name] = getattr(sidecar, name, None)
        return _call(f"mezcal.job.{ended.what}", ended.at, data)


def _call(kind: str, at: float, data: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "timestamp": datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds"), "data": data}


def _named(recipe: Recipe) -> dict[str, Any]:
    """Return what names a derivative: of a thumbnail its frames, else its path and page."""
    common = {"profile": recipe.profile_name, "key": recipe.key}
    if isinstance(recipe, Mezzanine):
        return {"path": recipe.path, "page": recipe.page, "url": url_paths(recipe)[0]} | common
    return {"path": None, "page": None, "url": None, "frames": [frame.id for frame in recipe.frames]} | common
