"""What mezcal says of itself: every metric (`metrics`), the last hour (`hour`), the form of its logs (`logs`)."""

from __future__ import annotations

from mezcal.telemetry.logs import set_up_logs
from mezcal.telemetry.metrics import Metrics, metrics

__all__ = ["Metrics", "metrics", "set_up_logs"]
