"""prometheus_client's files, one for each process: `mezcal/telemetry/multiprocess.py` merges those of the dead."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:
    from pathlib import Path

COUNT = """
import sys
from pathlib import Path
from mezcal.telemetry.metrics import count_in_folder, metrics
count_in_folder(Path(sys.argv[1]))
metrics().revalidations.labels("unchanged").inc(int(sys.argv[2]))
"""


def counted(folder: Path, count: int) -> int:
    """Count in a process that imports prometheus_client before it knows the folder. Returns its pid."""
    bare = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
    process = subprocess.Popen([sys.executable, "-c", COUNT, str(folder), str(count)], env=bare)
    assert process.wait(30) == 0
    return process.pid


def test_a_process_that_is_given_a_folder_late_counts_in_a_file_of_its_own(tmp_path: Path) -> None:
    pid = counted(tmp_path, 3)
    values = {key: value for key, value, _, _ in MmapedDict.read_all_values_from_file(tmp_path / f"counter_{pid}.db")}
    assert [value for key, value in values.items() if '"unchanged"' in key] == [3.0]


def test_a_file_that_is_written_by_hand_is_summed_up_with_the_others(tmp_path: Path) -> None:
    pid = counted(tmp_path, 3)
    (key,) = (
        key for key, value, _, _ in MmapedDict.read_all_values_from_file(tmp_path / f"counter_{pid}.db") if value == 3.0
    )
    written = MmapedDict(str(tmp_path / "counter_0.db"))
    written.write_value(key, 4.0, 0.0)
    written.close()
    found = {metric.name: metric for metric in MultiProcessCollector(None, str(tmp_path)).collect()}
    assert [sample.value for sample in found["mezcal_revalidations"].samples if sample.value] == [7.0]
