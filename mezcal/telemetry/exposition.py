"""All metrics in the text format of Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from mezcal.telemetry.multiprocess import collect_all

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.metrics_core import Metric

    from mezcal.telemetry.gauges import Gauges

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class _AllMetrics(Collector):
    """What the processes have counted, and the gauges."""

    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges

    def collect(self) -> Iterable[Metric]:
        """Returns the metrics, sorted by name."""
        return sorted([*collect_all(), *self._gauges.collect()], key=lambda metric: metric.name)


def metrics_text(gauges: Gauges) -> bytes:
    """Returns the text of `/metrics`."""
    return generate_latest(_AllMetrics(gauges))
