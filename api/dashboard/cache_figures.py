"""How full the store is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from mezcal.errors import Failure

if TYPE_CHECKING:
    from api.context import ApiContext


@dataclass(frozen=True, slots=True)
class CacheFigures:
    """The number of derivatives, their bytes, the free bytes, and CACHE_MAX_BYTES as *limit*.

    A value is None if it is unknown or if there is no limit.
    """

    derivatives: int | None
    bytes: int | None
    free_bytes: int | None
    limit: int | None = None

    @classmethod
    def of(cls, context: ApiContext) -> Self:
        """Return the figures of the store. All but the limit are None if the store cannot be reached."""
        limit = context.settings.cache_max_bytes or None
        try:
            usage, free_bytes = context.store.usage(), context.store.free_bytes()
        except Failure:
            return cls(None, None, None, limit)
        return cls(usage.derivatives if usage else None, usage.bytes if usage else None, free_bytes, limit)
