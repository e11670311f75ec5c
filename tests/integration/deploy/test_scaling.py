"""`promtool test rules`: how many workers KEDA gets for what Prometheus knows of the queue."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.kubernetes import FOLDER, objects, of_kind

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool: Debian's prometheus")

SCALED = of_kind(objects((FOLDER / "options/keda/workers.yaml").read_text()), "ScaledObject")
QUERIES = {made["metadata"]["name"]: made["spec"]["triggers"][0]["metadata"]["query"] for made in SCALED}


@pytest.mark.parametrize(
    ("deployment", "queued", "running", "interactive_seconds", "jobs"),
    [
        ("mezcal-bulk", 0, 1, "100x20", 0),  # a client's job that has just begun
        ("mezcal-bulk", 0, 0, "100x20", 0),
        ("mezcal-bulk", 1, 0, "100x20", 1),  # the first bulk job
        ("mezcal-bulk", 8, 6, "0+120x20", 12),  # two of the six are clients'
        ("mezcal-bulk", 8, 1, "0+120x20", 8),
        ("mezcal-interactive", 3, 1, "0+120x20", 5),
    ],
)
def test_workers_follow_the_jobs_of_their_lane(
    deployment: str, queued: int, running: int, interactive_seconds: str, jobs: int, tmp_path: Path
) -> None:
    lane = deployment.removeprefix("mezcal-")
    series = {
        f'mezcal_queued_jobs{{lane="{lane}"}}': f"{queued}x20",
        "mezcal_running_jobs": f"{running}x20",
        'mezcal_job_seconds_sum{lane="interactive"}': interactive_seconds,
    }
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {"expr": QUERIES[deployment], "eval_time": "10m", "exp_samples": [{"labels": "{}", "value": jobs}]}
        ],
    }
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump({"evaluation_interval": "1m", "tests": [test]}))
    asked = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stdout + asked.stderr
