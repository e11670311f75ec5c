"""Celery's settings, each with its reason. `mezcal.jobs.transport.celery_pipe` adds the broker's address."""

from __future__ import annotations

from kombu.entity import Queue

# Celery is the pipe, the job table is the truth. A message is acknowledged before its job begins: an unacknowledged one
# would be delivered twice after a restart or a visibility time-out. Leases keep running jobs from being lost.
task_acks_late = False
worker_prefetch_multiplier = 1
worker_disable_prefetch = True

# No result is read through Celery. With a result backend, a Redis outage would block every publisher for 19 s.
result_backend = None
task_ignore_result = True

# Explicit routing keys, or both queues would bind to the default one.
# "chores" holds tasks that make no derivative.
task_queues = [Queue(name, routing_key=name) for name in ("interactive", "chores", "bulk")]
task_default_queue = "bulk"
task_create_missing_queues = False

broker_transport_options = {
    # Strictly one queue after the other, in the order of `--queues`. Redis priorities would split each queue's key.
    "queue_order_strategy": "priority",
    "priority_steps": [0],  # one key for each queue: no message has a priority
    # These matter only for messages that were delivered and not started. The defaults took 88 s to restore them.
    "visibility_timeout": 15,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_connect_timeout": 3,
    "health_check_interval": 10,
}
broker_connection_retry_on_startup = True
broker_connection_max_retries = None  # the default ends the worker after 100 attempts
# A broker whose disk is full, that loads its state or became a replica answers with an error. The worker reconnects.
broker_channel_error_retry = True
task_publish_retry_policy = {"max_retries": 0}  # a client gets the error at once; housekeeping sends the message later

# A process is replaced after so many tasks, or after a task with which it holds more memory than this, in KiB.
worker_max_tasks_per_child = 1000
worker_max_memory_per_child = 600_000

# For Flower.
worker_send_task_events = True
task_send_sent_event = False  # it halves the rate at which bulk jobs are queued
event_queue_expires = 60

# JSON only, no pickle; mezcal sets up the logs itself.
accept_content = ["json"]
task_serializer = "json"
enable_utc = True
worker_hijack_root_logger = False
worker_enable_remote_control = True
worker_cancel_long_running_tasks_on_connection_loss = False  # set, it loses tasks
