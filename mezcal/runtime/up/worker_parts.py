"""The Celery workers of one machine: one serves all lanes, one keeps its processes for the interactive lane.

An operator sees one worker: both share a memory budget, a folder of metrics and the time to drain. The one of all lanes
serves METRICS_PORT and records the history for both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mezcal.runtime import memory_budget, shared_files
from mezcal.runtime.memory_budget import MemoryBudget, budget
from mezcal.runtime.processes import LANES, PARTNER, worker
from mezcal.runtime.shared_files import SharedFiles
from mezcal.runtime.up.parts import CLOSING_SECONDS, Part
from mezcal.telemetry import METRICS_FOLDER_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mezcal.settings import Settings

METRICS = "metrics"  # the folder in which API and workers count together
NAMES = {"all": "worker", "interactive": "interactive"}  # of the parts, by their lanes


def split(processes: int, reserve: int) -> dict[str, int]:
    """Divide *processes* between the workers. Returns the number of each by its lanes, without those that get none.

    The interactive lane gets *reserve* (INTERACTIVE_RESERVE); at least one process serves all lanes.
    """
    reserved = min(reserve, processes - 1)
    return {"all": processes - reserved} | ({"interactive": reserved} if reserved > 0 else {})


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """What the workers have in common.

    Their nodes are named by their lanes and *suffix*. *folder*, in memory, holds their heartbeat files and their
    metrics.
    """

    settings: Settings
    folder: Path
    suffix: str
    env: Mapping[str, str]

    def of(self, processes: int) -> list[Part]:
        """Describe the workers for *processes* pool processes in all."""
        shares = split(processes, self.settings.interactive_reserve)
        memory = MemoryBudget(self.settings.worker_memory or budget(processes, workers=len(shares)))
        files = SharedFiles.create(self.settings)
        handed_on = {memory_budget.INHERITED: memory.handed_on()}
        if files is not None:
            handed_on[shared_files.INHERITED] = files.handed_on()
        inherits = (memory.fileno(), *(files.descriptors if files is not None else ()))
        return [self._part(lanes, count, handed_on, inherits) for lanes, count in shares.items()]

    def _part(self, lanes: str, processes: int, handed_on: Mapping[str, str], inherits: tuple[int, ...]) -> Part:
        """Returns one worker. It is ready when its event loop has touched its heartbeat file."""
        heartbeat = self.folder / f"{NAMES[lanes]}.alive"
        return Part(
            name=NAMES[lanes],
            argv=worker(LANES[lanes], processes, f"{lanes}{self.suffix}", self.settings.log_level),
            env={
                METRICS_FOLDER_VARIABLE: str(self.folder / METRICS),
                **self.env,
                **handed_on,
                "WORKER_HEARTBEAT": str(heartbeat),
                **({} if lanes == "all" else {PARTNER: "1"}),
            },
            cwd=self.folder,
            ready=heartbeat.exists,
            grace=self.settings.drain_seconds + CLOSING_SECONDS,
            leftovers=(heartbeat,),
            inherits=inherits,
        )
