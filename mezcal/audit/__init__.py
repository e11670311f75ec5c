"""Audits a store: is each derivative the one that was made, and its master the one that it was made from?

Read `run.py` for the walk, `masters.py` for how a master is compared, `premis.py` for the events that are written.
"""

from __future__ import annotations

from mezcal.audit.masters import MasterAudit
from mezcal.audit.run import Audit, AuditCounts

__all__ = ["Audit", "AuditCounts", "MasterAudit"]
