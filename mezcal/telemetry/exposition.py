"""All metrics as Prometheus reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from mezcal.telemetry.multiprocess import collected

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.metrics_core import Metric

    from mezcal.telemetry.gauges import Gauges

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class _All(Collector):
    """What the processes counted, and how the house is."""

    def __init__(self, house: Gauges) -> None:
        self._house = house

    def collect(self) -> Iterable[Metric]:
        """One family after the other, in the order of their names."""
        return sorted([*collected(), *self._house.collect()], key=lambda metric: metric.name)


def exposed(house: Gauges) -> bytes:
    """The text of `/metrics`."""
    return generate_latest(_All(house))
