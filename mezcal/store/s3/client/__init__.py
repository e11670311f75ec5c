"""The client of an object store: signed requests, which of them are repeated, and what its failures mean."""

from mezcal.store.s3.client.failures import NO_S3, UNREACHABLE, S3Refused
from mezcal.store.s3.client.s3_client import ATTEMPTS, S3Client

__all__ = ["ATTEMPTS", "NO_S3", "UNREACHABLE", "S3Client", "S3Refused"]
