"""How requests are made to an origin: where, with which credential, and what its responses mean."""

from mezcal.origin.access.addresses import Addresses, OriginAccess
from mezcal.origin.access.web import WebAccess

__all__ = ["Addresses", "OriginAccess", "WebAccess"]
