"""What a job takes, from the metrics of a running installation."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mezcal.capacity.values import Work

DOWNLOAD_BOUND = 0.8  # a download that takes this part of the conversion's time held it up
BETWEEN_JOBS = 0.05  # seconds of a process that no metric has: the end of a message, the next one, its claim
PHASES = ("download", "convert", "store")


def work_of(text: str, default: Work) -> Work:
    """Returns the means of the jobs that the metrics *text* counts. What it does not tell is taken from *default*.

    The metrics have no processor time. The time of the conversion is taken for it, unless the conversion waited for the
    download most of the time. The text may have several targets, one after the other.
    """
    sums = _sums(text)
    jobs = sums["mezcal_job_seconds_count"]
    if jobs == 0:
        return default
    phases = {phase: _mean(sums, phase) for phase in PHASES}
    longest = max(phases["download"], phases["convert"])
    held_up = phases["download"] > DOWNLOAD_BOUND * phases["convert"]
    return replace(
        default,
        master=sums["mezcal_master_bytes_total"] / jobs or default.master,
        derivative=sums["mezcal_derivative_bytes_total"] / jobs or default.derivative,
        cpu=default.cpu if held_up else phases["convert"],
        overhead=max(sums["mezcal_job_seconds_sum"] / jobs - longest, 0.0) + BETWEEN_JOBS,
    )


def _sums(text: str) -> Mapping[str, float]:
    """Returns each sample added up over its labels; the phases by their names, too."""
    sums: dict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            sums[sample.name] += sample.value
            if "phase" in sample.labels and not sample.name.endswith("_bucket"):
                sums[f"{sample.labels['phase']}{sample.name.rpartition('_')[2]}"] += sample.value
    return sums


def _mean(sums: Mapping[str, float], phase: str) -> float:
    return sums[f"{phase}sum"] / count if (count := sums[f"{phase}count"]) else 0.0
