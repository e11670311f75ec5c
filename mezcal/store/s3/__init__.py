"""Derivatives in a bucket of any object store that speaks S3's HTTP."""

from mezcal.store.s3.remote_file import Distant, Replaced
from mezcal.store.s3.store import S3Store

__all__ = ["Distant", "Replaced", "S3Store"]
