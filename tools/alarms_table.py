"""Writes the alarms of deploy/prometheus/alarms.yaml to docs/metrics.md, and as a PrometheusRule for Kubernetes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ALARMS = Path("deploy/prometheus/alarms.yaml")
PAGE = Path("docs/metrics.md")
RULE = Path("deploy/kubernetes/options/monitoring/alarms.yaml")
BEGIN, END = "<!-- alarms: made by `make docs` -->\n", "<!-- end -->\n"
HEAD = """\
# Made by `make docs` from deploy/prometheus/alarms.yaml.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: mezcal
  labels:
    app.kubernetes.io/name: mezcal
    app.kubernetes.io/part-of: mezcal
spec:
"""


def rules() -> list[dict[str, Any]]:
    """Returns the rules in their order."""
    groups = yaml.safe_load(ALARMS.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def renewed(page: str) -> str:
    """Returns *page* with the current table between its two marks."""
    before, _, rest = page.partition(BEGIN)
    table = "| alarm | rule | when | for |\n| --- | --- | --- | --- |\n" + "".join(map(_row, rules()))
    return f"{before}{BEGIN}{table}{END}{rest.partition(END)[2]}"


def _row(rule: dict[str, Any]) -> str:
    expression = rule["expr"].replace("|", "\\|")
    return f"| {rule['labels']['alarm']} | `{rule['alert']}` | `{expression}` | {rule.get('for', 'at once')} |\n"


def prometheus_rule() -> str:
    """Returns the alarms as an object of Kubernetes."""
    text = ALARMS.read_text(encoding="utf-8")
    groups = text[text.index("groups:") :]
    return HEAD + "".join(f"  {line}\n" for line in groups.splitlines())


def main() -> None:
    """Update both files."""
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    RULE.write_text(prometheus_rule(), encoding="utf-8")


if __name__ == "__main__":
    main()
