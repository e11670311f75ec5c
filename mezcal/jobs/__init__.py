"""Jobs: the making of derivatives, shared by the clients that ask for them and the workers that make them.

`Jobs` is what the API and the commands use; no other package reads or writes Redis. The job table itself,
`mezcal.jobs.state`, is for workers.
"""

from __future__ import annotations

from mezcal.jobs.bulk.batches import Batch, Note, Posted
from mezcal.jobs.facade import Jobs
from mezcal.jobs.former_queue import FormerQueue
from mezcal.jobs.job import Job
from mezcal.jobs.notices import NoticeState
from mezcal.jobs.outages import persist
from mezcal.jobs.queue_status import QueueStatus
from mezcal.jobs.state.days import DayCounts
from mezcal.jobs.state.keys import JobState, Lane
from mezcal.jobs.state.minutes import MinuteCounts
from mezcal.jobs.state.records import Claim, LostAttempt, Message, QueueRequest, QueueResult, Record, Verdict
from mezcal.jobs.transport.probe import BrokerProbe
from mezcal.jobs.workers import Worker, WorkerRegistry, WorkerStatus

__all__ = [
    "Batch",
    "BrokerProbe",
    "Claim",
    "DayCounts",
    "FormerQueue",
    "Job",
    "JobState",
    "Jobs",
    "Lane",
    "LostAttempt",
    "Message",
    "MinuteCounts",
    "Note",
    "NoticeState",
    "Posted",
    "QueueRequest",
    "QueueResult",
    "QueueStatus",
    "Record",
    "Verdict",
    "Worker",
    "WorkerRegistry",
    "WorkerStatus",
    "persist",
]
