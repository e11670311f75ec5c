"""Derivatives in a bucket of any object store that speaks S3's HTTP."""

from mezcal.store.s3.store import S3Store

__all__ = ["S3Store"]
