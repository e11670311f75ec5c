"""Writes the table of docs/metrics.md from the definitions of the metrics, so that the two cannot differ."""

from __future__ import annotations

from pathlib import Path

from mezcal.telemetry.gauges import GAUGES, GaugeDefinition
from mezcal.telemetry.metrics import MetricDefinition, Metrics

PAGE = Path("docs/metrics.md")
BEGIN, END = "<!-- metrics: made by `make docs` -->\n", "<!-- end -->\n"


def definitions() -> list[MetricDefinition]:
    """Returns every metric: the counted ones, then the gauges."""
    return [*Metrics().definitions, *map(_of_gauge, GAUGES)]


def _of_gauge(gauge: GaugeDefinition) -> MetricDefinition:
    if gauge.is_counter:
        return MetricDefinition(f"{gauge.name}_total", "counter", gauge.text, gauge.labels)
    return MetricDefinition(gauge.name, "gauge", gauge.text, gauge.labels)


def renewed(page: str) -> str:
    """Returns *page* with the current table between its two marks."""
    before, _, rest = page.partition(BEGIN)
    rows = [
        f"| `{metric.name}` | {metric.type} | {', '.join(f'`{label}`' for label in metric.labels)} | {metric.text} |\n"
        for metric in definitions()
    ]
    table = "| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n" + "".join(rows)
    return f"{before}{BEGIN}{table}{END}{rest.partition(END)[2]}"


def main() -> None:
    """Update the page."""
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
