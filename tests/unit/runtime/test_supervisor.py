"""The supervisor over small real processes; what runs here is in up_stage.py and up_actor.py."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.proc import runs, state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
WITHIN = 20.0  # seconds; the machine may be busy
BROKER, DASHBOARD, SERVICE = 0, 1, 2


def until(look: Callable[[], Any], within: float = WITHIN) -> Any:
    """Returns what *look* returns as soon as it is true."""
    end = time.monotonic() + within
    while not (seen := look()):
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)
    return seen


class Stage:
    """A supervisor process with stand-in parts in *folder*."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[str]

    def raise_curtain(self, *parts: dict[str, Any]) -> None:
        with (self.folder / "stderr").open("w") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, HERE / "up_stage.py", self.folder, json.dumps(parts)],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                start_new_session=True,
            )

    def ready(self) -> None:
        assert self.process.stdout.readline() == "everything is ready\n", self.stderr

    @property
    def stderr(self) -> str:
        return (self.folder / "stderr").read_text()

    @property
    def events(self) -> list[str]:
        """What happened on stage, as `name event`."""
        return [line.rpartition(" ")[0] for line in self._lines()]

    def pids(self, name: str) -> list[int]:
        return [int(line.split()[2]) for line in self._lines() if line.startswith(f"{name} began ")]

    def _lines(self) -> list[str]:
        file = self.folder / "events"
        return file.read_text().splitlines() if file.exists() else []

    def all_pids(self) -> set[int]:
        return {int(line.split()[2]) for line in self._lines()}

    def stop(self, *signals: signal.Signals) -> int:
        for number in signals or (signal.SIGTERM,):
            self.process.send_signal(number)
        return self.process.wait(WITHIN)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.process.kill()
    stage.process.wait(WITHIN)
    stage.process.stdout.close()
    until(lambda: not any(runs(pid) for pid in stage.all_pids()))


def actor(name: str, *odd: str, rank: int = SERVICE, grace: float = 5.0) -> dict[str, Any]:
    argv = [sys.executable, str(HERE / "up_actor.py"), name, *odd]
    return {"name": name, "argv": argv, "rank": rank, "grace": grace}


def test_says_ready_only_when_every_part_is(stage: Stage) -> None:
    stage.raise_curtain(actor("broker", rank=BROKER), actor("worker", "late"), actor("api"))
    until(lambda: "api ready" in stage.events)
    until(lambda: "worker began" in stage.events)
    assert "worker ready" not in stage.events
    assert select.select([stage.process.stdout], [], [], 0)[0] == [], "the ready line came too early"
    (stage.folder / "go").touch()
    stage.ready()


def test_starts_the_broker_first_and_ends_it_last(stage: Stage) -> None:
    stage.raise_curtain(actor("worker"), actor("flower", rank=DASHBOARD), actor("broker", rank=BROKER))
    stage.ready()
    assert stage.stop() == 0
    began = [event for event in stage.events if "began" in event]
    ended = [event for event in stage.events if "ended" in event]
    assert began == ["broker began", "flower began", "worker began"]
    assert ended == ["worker ended", "flower ended", "broker ended"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_ends_with_0_on_request_and_leaves_nothing(stage: Stage, number: signal.Signals) -> None:
    stage.raise_curtain(actor("broker", rank=BROKER), actor("worker", "parent"))
    stage.ready()
    until(lambda: "worker-child ready" in stage.events)
    assert stage.stop(number) == 0
    assert not any(runs(pid) for pid in stage.all_pids())
    assert not list(stage.folder.glob("worker.alive"))


def test_a_stop_before_ready_is_a_stop(stage: Stage) -> None:
    stage.raise_curtain(actor("worker", "late"))
    until(lambda: "worker began" in stage.events)
    assert stage.stop() == 0
    assert stage.process.stdout.read() == ""


def test_ctrl_c_in_a_terminal_reaches_only_the_supervisor(stage: Stage) -> None:
    """The terminal signals its whole foreground group: parts that got it would not be drained in order."""
    stage.raise_curtain(actor("worker"))
    stage.ready()
    (worker,) = stage.pids("worker")
    assert os.getpgid(worker) != os.getpgid(stage.process.pid)


def test_a_part_that_outstays_its_grace_is_killed(stage: Stage) -> None:
    stage.raise_curtain(actor("worker", "stubborn", grace=0.3))
    stage.ready()
    assert stage.stop() == 0
    assert "worker asked" in stage.events
    assert not any(runs(pid) for pid in stage.all_pids())


def test_a_second_signal_hurries(stage: Stage) -> None:
    stage.raise_curtain(actor("broker", rank=BROKER), actor("worker", "stubborn", grace=600))
    stage.ready()
    stage.process.send_signal(signal.SIGINT)
    until(lambda: "worker asked" in stage.events)
    until(lambda: stage.process.send_signal(signal.SIGINT) or stage.process.poll() is not None)
    assert stage.process.returncode == 0
    assert stage.events[-1] == "broker ended", "even in a hurry the broker closes its files"


def test_a_stop_signal_sent_twice_does_not_skip_the_drain(stage: Stage) -> None:
    """`timeout` and some process managers signal the process and then its group."""
    stage.raise_curtain(actor("worker", "stubborn", grace=2.5))
    stage.ready()
    began = time.monotonic()
    assert stage.stop(signal.SIGTERM, signal.SIGTERM) == 0
    assert time.monotonic() - began > 2.4


def test_a_part_that_dies_is_started_again_later_each_time(stage: Stage) -> None:
    stage.raise_curtain(actor("worker"))
    stage.ready()
    for deaths in (1, 2, 3):
        pid = until(lambda: stage.pids("worker")[deaths - 1 :])[0]  # noqa: B023
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(stage.pids("worker")) == 4)
    delays = [float(delay) for delay in re.findall(r"SIGKILL; starting it again in ([\d.]+) s", stage.stderr)]
    assert delays == [0.5, 1, 2]
    assert stage.stop() == 0


def test_children_of_a_dead_part_end_before_its_successor_starts(stage: Stage) -> None:
    stage.raise_curtain(actor("worker", "parent"))
    stage.ready()
    (child,) = until(lambda: stage.pids("worker-child"))
    os.kill(stage.pids("worker")[0], signal.SIGKILL)
    until(lambda: len(stage.pids("worker")) == 2)
    assert not runs(child)


def test_a_part_that_cannot_come_up_ends_the_start_with_its_last_words(stage: Stage) -> None:
    stage.raise_curtain(actor("broker", rank=BROKER), actor("worker", "doomed"), actor("api"))
    assert stage.process.wait(WITHIN) == 1
    assert stage.process.stdout.read() == ""
    last_lines = stage.stderr.partition("worker ended 3 times; its last lines:")[2]
    assert "no such setting: FOO" in last_lines
    assert stage.events[-1] == "broker ended"
    assert not any(runs(pid) for pid in stage.all_pids())


def test_a_missing_program_is_reported(stage: Stage) -> None:
    stage.raise_curtain({**actor("worker"), "argv": ["/no/such/program"]})
    assert stage.process.wait(WITHIN) == 1
    assert "worker cannot be started" in stage.stderr
    assert "Traceback" not in stage.stderr


def test_kill_9_of_the_supervisor_ends_the_parts(stage: Stage) -> None:
    stage.raise_curtain(actor("broker", rank=BROKER), actor("worker", "stubborn"))
    stage.ready()
    stage.process.kill()
    until(lambda: not any(runs(pid) for pid in stage.all_pids()), within=5)


def test_lines_of_parts_come_whole_under_their_names(stage: Stage) -> None:
    stage.raise_curtain(actor("broker", rank=BROKER), actor("api"))
    stage.ready()
    assert {"broker      | broker says hello", "api         | api says hello"} <= set(stage.stderr.splitlines())


def test_a_reader_of_logs_that_leaves_stops_nothing(tmp_path: Path, stage: Stage) -> None:
    reader, writer = os.pipe()
    stage.process = subprocess.Popen(
        [sys.executable, HERE / "up_stage.py", tmp_path, json.dumps([actor("worker")])],
        stdout=subprocess.PIPE,
        stderr=writer,
        text=True,
    )
    os.close(reader)
    os.close(writer)
    stage.ready()
    os.kill(stage.pids("worker")[0], signal.SIGKILL)
    until(lambda: len(stage.pids("worker")) == 2)
    assert stage.stop() == 0


def test_waiting_costs_no_processor_time(stage: Stage) -> None:
    """Once everything is ready, nothing wakes the supervisor."""
    stage.raise_curtain(actor("worker"))
    stage.ready()

    def switches() -> int:
        status = Path(f"/proc/{stage.process.pid}/status").read_text()
        return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.MULTILINE)[1])

    until(lambda: state(stage.process.pid) == "S")
    before = switches()
    time.sleep(1)  # the span that is measured
    assert switches() - before <= 2
