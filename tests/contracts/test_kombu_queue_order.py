"""The order of queues, and messages left to others: what `celeryconfig.py` asks of kombu's Redis transport."""

from __future__ import annotations

from tests.support.waiting import until


def test_queues_are_emptied_in_strict_order_and_nothing_is_taken_while_all_processes_are_busy(celery_worker) -> None:
    with celery_worker(1) as worker:
        worker.send("first", "bulk")
        until(lambda: worker.log() == ["began first"], what="a busy process")
        for queue in ("bulk", "chores", "interactive"):
            for number in range(3):
                worker.send(f"{queue}-{number}", queue)
        reported = worker.state()
        until(lambda: worker.state() != reported or len(worker.state()["requests"]) == 1, what="a report")
        assert [worker.queued(queue) for queue in ("interactive", "chores", "bulk")] == [3, 3, 3]
        (worker.folder / "go").touch()
        until(lambda: len(worker.log()) == 10, what="all tasks")
        began = [line.removeprefix("began ") for line in worker.log()[1:]]
        assert began == [f"{queue}-{number}" for queue in ("interactive", "chores", "bulk") for number in range(3)]
