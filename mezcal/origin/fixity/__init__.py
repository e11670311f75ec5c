"""Compares masters with the digests that their origin declares: in HTTP fields, as S3 checksums, or in files.

Read `digest.py` for the values, `headers.py` and `digest_files.py` for where they come from, `check.py` for how
they are compared, `trailing_hash.py` for how a master is hashed while it arrives.
"""

from __future__ import annotations

from mezcal.origin.fixity.check import FixityCheck, LateDigest
from mezcal.origin.fixity.digest import ALGORITHMS, Digest, RunningDigest, digest_of_file, preferred

__all__ = ["ALGORITHMS", "Digest", "FixityCheck", "LateDigest", "RunningDigest", "digest_of_file", "preferred"]
