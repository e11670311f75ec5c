"""A bucket of an object store as origin: its objects are the masters. Imported only for one: botocore is large."""

from mezcal.origin.bucket.listing import BucketListing
from mezcal.origin.bucket.origin import BucketOrigin

__all__ = ["BucketListing", "BucketOrigin"]
