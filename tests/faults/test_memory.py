"""Large masters at once: the memory of all conversions stays within WORKER_MEMORY, also if processes are killed."""

from __future__ import annotations

import io
import resource
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from mezcal.runtime.memory_budget import MIB, ROW, ClaimStage, Row
from tests.support.proc import open_files
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests

    from tests.faults.support.environment import FaultEnvironment

LIMIT = 200
EDGE = 4000  # a progressive JPEG of so many pixels a side is held whole, in 120 MB


def progressive() -> bytes:
    out = io.BytesIO()
    shades = np.linspace(0, 255, EDGE, dtype=np.uint8)
    pixels = np.broadcast_to(shades[:, None, None], (EDGE, EDGE, 3))
    Image.fromarray(np.ascontiguousarray(pixels)).save(out, "JPEG", progressive=True, quality=60)
    return out.getvalue()


def table(worker: int) -> list[Row]:
    """Returns the rows of a worker's memory budget, read through the descriptor of its unnamed file."""
    for descriptor, file in open_files(worker).items():
        if "mezcal-memory" in str(file):
            with suppress(FileNotFoundError):  # closed since it was listed
                return [Row(*fields) for fields in ROW.iter_unpack(descriptor.read_bytes())]
    return []


def of(rows: list[Row], stage: ClaimStage) -> list[int]:
    return [row.size for row in rows if row.stage == stage]


@pytest.fixture(scope="module")
def given() -> dict[str, str]:
    """Two processes, in two workers, which have room for one such master together."""
    return {"WORKER_MEMORY": f"{LIMIT}m"}


def test_large_masters_are_converted_one_after_the_other(environment: FaultEnvironment) -> None:
    body = progressive()
    paths = [environment.master(body)[0] for _ in range(4)]
    asked = [environment.request_in_background(path) for path in paths]
    seen: list[list[Row]] = []

    def watched() -> bool:
        seen.append(table(environment.workers()[0]))
        return all(future.done() for future in asked)

    until(watched, 90, "the images")
    assert [future.result().status_code for future in asked] == [200] * 4
    together = [sum(of(rows, ClaimStage.HOLDS)) for rows in seen]
    assert max(together) <= LIMIT * MIB
    assert max(together) > 100 * MIB, "these are large"
    assert any(of(rows, ClaimStage.WAITS) for rows in seen), "somebody had to wait"
    assert sum(of(table(environment.workers()[0]), ClaimStage.HOLDS)) == 0
    environment.assert_clean()


def test_a_killed_conversion_gives_its_memory_back(environment: FaultEnvironment) -> None:
    body = progressive()
    first, script = environment.master(body, hold_at=len(body) - 1000)
    asked = environment.request_in_background(first)
    job = environment.wait_for_attempt(first)
    until(lambda: of(table(environment.workers()[0]), ClaimStage.HOLDS), what="a conversion that holds what it needs")
    second, _ = environment.master(body)
    waiting = environment.request_in_background(second)
    until(lambda: of(table(environment.workers()[0]), ClaimStage.WAITS), what="another that has to wait")
    assert job.worker is not None
    environment.kill(int(job.worker.rpartition(":")[2]))
    assert waiting.result().status_code == 200
    script.go.set()
    environment.assert_recovered(first, asked.result(), most=2)


def saved(kind: str, edge: int, **options: object) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (edge, edge), "teal").save(out, kind, **options)
    return out.getvalue()


def leave(size: int, *pids: int) -> None:
    """Limit the address space of *pids* to *size* bytes more than they have, as `ulimit -v` does."""
    for pid in pids:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + size
        resource.prlimit(pid, resource.RLIMIT_AS, (most, most))


def warm_pool(environment: FaultEnvironment) -> list[int]:
    """Replace the pool processes: those that have converted large masters have free memory. Returns the new ones.

    Each has converted a small master, so that its libraries are loaded.
    """
    for pid in environment.pool():
        environment.kill(pid)
    found = until(lambda: len(now := environment.pool()) == 2 and now, what="two new processes")
    held = [environment.slow_master() for _ in found]
    asked = [environment.request_in_background(path) for path, _ in held]
    for path, _ in held:
        environment.wait_for_attempt(path)
    for _, script in held:
        script.go.set()
    assert [future.result().status_code for future in asked] == [200] * len(found)
    return found


def test_want_of_memory_is_not_the_masters_fault_and_the_process_is_replaced(environment: FaultEnvironment) -> None:
    bodies = [saved("WEBP", 3300, method=0), saved("JPEG2000", 2300)]  # less than WORKER_MEMORY
    paths = [environment.master(body)[0] for body in bodies]
    for path in paths:
        short = warm_pool(environment)
        leave(60 * MIB, *short)
        refused = environment.installation.ask(path)
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/out-of-memory"), refused.text
        assert "Retry-After" in refused.headers
        until(lambda gone=short: set(gone) - set(environment.pool()), what="the end of the process")
    warm_pool(environment)

    def made(path: str) -> requests.Response | None:
        answer = environment.installation.ask(path)
        return answer if answer.status_code == 200 else None

    assert all(until(lambda path=path: made(path), what="memory is back") for path in paths)
    environment.assert_clean()


def test_a_master_that_never_fits_the_budget_is_refused_with_the_reason(
    install: Callable[..., FaultEnvironment],
) -> None:
    small = install(WORKER_MEMORY="100m")
    path, _ = small.master(progressive())
    answer = small.installation.ask(path)
    assert (answer.status_code, answer.json()["type"]) == (413, "/problems/too-large")
    assert "WORKER_MEMORY" in answer.json()["detail"]
    other, _ = small.master()
    assert small.installation.ask(other).status_code == 200
    assert len(small.pool()) == 2, "no process ended"
