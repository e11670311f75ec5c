"""Derivatives for the operator's page: the newest, the largest, and previews of them.

All of it is bounded and expires. Only the home page and the operator's page read it.
"""

from __future__ import annotations

import json
import logging
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any, cast

from redis import RedisError

from mezcal.jobs.outages import raises_broker_down

if TYPE_CHECKING:
    from redis import Redis

    from mezcal.jobs.state.keys import Keys
    from mezcal.recipe import Recipe

log = logging.getLogger(__name__)

LARGEST_KEPT = 100  # more than are shown: some of them are deleted or evicted
KEPT = 90 * 86_400  # seconds
PREVIEW_KEPT = 86_400  # seconds; it is made again if the page is still visited
REQUEST_KEPT = 60  # seconds after which a preview that was requested and not made is requested again
NO_PREVIEW = "none"  # stands for the preview of a derivative that cannot have one


class RecentDerivatives:
    """Every method but `add` raises `BrokerDown` if Redis cannot be reached."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis, self._keys = redis, keys

    def add(self, recipe: Recipe, size: int) -> None:
        """Record that *recipe*'s derivative was made and has *size* bytes. Does nothing while Redis is down."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.zadd(self._keys.largest, {_as_json(recipe): size})
        pipe.zremrangebyrank(self._keys.largest, 0, -LARGEST_KEPT - 1)
        pipe.expire(self._keys.largest, KEPT)
        pipe.delete(self._keys.preview(recipe.key))  # it shows the derivative that was replaced
        try:
            pipe.execute()
        except RedisError as error:
            log.debug("the size of %s is not recorded: %s", recipe.key, error)

    @raises_broker_down()
    def newest(self, most: int) -> list[dict[str, Any]]:
        """Return the recipes (JSON) made last, the newest first, each once."""
        made = cast("list[str]", self._redis.lrange(self._keys.recent, 0, -1))
        return [json.loads(recipe) for recipe in dict.fromkeys(made)][:most]

    @raises_broker_down()
    def largest(self) -> list[dict[str, Any]]:
        """Return the recipes (JSON) of the largest derivatives made, the largest first. Some may be deleted."""
        recipes = cast("list[str]", self._redis.zrange(self._keys.largest, 0, -1, desc=True))
        return [json.loads(recipe) for recipe in recipes]

    @raises_broker_down()
    def remove(self, recipes: list[Recipe]) -> None:
        """Remove *recipes*, which are no longer stored, from the newest and the largest."""
        if not recipes:
            return
        pipe = self._redis.pipeline(transaction=False)
        pipe.zrem(self._keys.largest, *map(_as_json, recipes))
        for recipe in recipes:
            pipe.lrem(self._keys.recent, 0, json.dumps(recipe.as_json()))  # as the job has it
        pipe.execute()

    @raises_broker_down()
    def previews(self, recipes: list[Recipe]) -> dict[str, str | None]:
        """Return each recipe's preview by key: Base64, `NO_PREVIEW`, "" while it is made, None if there is none."""
        if not recipes:
            return {}
        found = cast("list[str | None]", self._redis.mget([self._keys.preview(recipe.key) for recipe in recipes]))
        return {recipe.key: preview for recipe, preview in zip(recipes, found, strict=True)}

    @raises_broker_down()
    def request_preview(self, recipe: Recipe) -> bool:
        """Return True if the caller is the first to request *recipe*'s preview: it sends the task then."""
        return bool(self._redis.set(self._keys.preview(recipe.key), "", nx=True, ex=REQUEST_KEPT))

    @raises_broker_down()
    def save_preview(self, recipe: Recipe, jpeg: bytes | None) -> None:
        """Save *recipe*'s preview; None records that it cannot have one."""
        text = b64encode(jpeg).decode() if jpeg is not None else NO_PREVIEW
        self._redis.set(self._keys.preview(recipe.key), text, ex=PREVIEW_KEPT)

    @raises_broker_down()
    def preview(self, key: str) -> bytes | None:
        """Return the preview of the derivative *key* as JPEG, None if there is none."""
        text = cast("str | None", self._redis.get(self._keys.preview(key)))
        return b64decode(text) if text and text != NO_PREVIEW else None


def _as_json(recipe: Recipe) -> str:
    return json.dumps(recipe.as_json(), sort_keys=True)
