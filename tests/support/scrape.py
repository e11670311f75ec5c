"""What `/metrics` says, by name and labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from tests.support.installation import Installation

Samples = list[tuple[str, dict[str, str], float]]


def samples(text: str) -> Samples:
    """Parse *text* as Prometheus does. Returns all samples."""
    return [
        (one.name, one.labels, one.value) for family in text_string_to_metric_families(text) for one in family.samples
    ]


def scraped(installation: Installation) -> Samples:
    """Returns the samples of *installation* at this moment."""
    answer = installation.request("/metrics")
    assert answer.status_code == 200, answer.text
    return samples(answer.text)


def total(found: Samples, name: str, **labels: str) -> float:
    """Returns the sum of all samples of *name* that have *labels*."""
    return sum(value for one, has, value in found if one == name and labels.items() <= has.items())
