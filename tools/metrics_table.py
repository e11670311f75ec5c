"""Write the table in docs/metrics.md anew from the metrics' definitions, so that the two cannot differ."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from mezcal.telemetry.gauges import GAUGES, Gauged
from mezcal.telemetry.metrics import Metrics

PAGE = Path("docs/metrics.md")
BEGIN, END = "<!-- metrics: made by `make docs` -->\n", "<!-- end -->\n"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric as it is defined; *name* as Prometheus shows it, less what it adds to histograms."""

    name: str
    type: str
    labels: tuple[str, ...]
    help: str


def families() -> list[Family]:
    """Every metric there is, in the order of the definitions."""
    counted = [one for one in vars(Metrics()).values() if isinstance(one, MetricWrapperBase)]
    return [*map(_defined, counted), *map(_gauged, GAUGES)]


def _defined(metric: MetricWrapperBase) -> Family:
    """Without values nothing but its insides tells of a metric's labels."""
    kind = metric._type  # noqa: SLF001
    name = metric._name + ("_total" if kind == "counter" else "")  # noqa: SLF001
    return Family(name, kind, tuple(metric._labelnames), metric._documentation)  # noqa: SLF001


def _gauged(metric: Gauged) -> Family:
    if metric.grows:
        return Family(f"{metric.name}_total", "counter", metric.labels, metric.text)
    return Family(metric.name, "gauge", metric.labels, metric.text)


def renewed(page: str) -> str:
    """*page* with the table of today between its two marks."""
    before, _, rest = page.partition(BEGIN)
    rows = [
        f"| `{family.name}` | {family.type} | {', '.join(f'`{label}`' for label in family.labels)} | {family.help} |\n"
        for family in families()
    ]
    table = "| metric | type | labels | |\n| --- | --- | --- | --- |\n" + "".join(rows)
    return f"{before}{BEGIN}{table}{END}{rest.partition(END)[2]}"


def main() -> None:
    """Write the page anew."""
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
