"""Several origins as one: `router` sends each path to its origin, `listing` lists them together."""

from mezcal.origin.several.router import OriginRouter

__all__ = ["OriginRouter"]
