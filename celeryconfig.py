"""Celery's settings, each with its reason. The broker's address and time-outs come from `mezcal.settings`."""

from __future__ import annotations

from kombu.entity import Queue

# Celery is the pipe, the job table is the truth: a message is acknowledged before it is worked on, so that
# no running job is "unacked", to be handed out twice by a restart or a visibility time-out. Leases see to it.
task_acks_late = False
worker_prefetch_multiplier = 1
worker_disable_prefetch = True

# Nobody reads results through Celery: with a backend, a Redis outage would block every publisher for 19 s.
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
    # These cover only what was delivered and not yet started; the defaults took 88 s to restore it.
    "visibility_timeout": 15,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_connect_timeout": 3,
    "health_check_interval": 10,
}
broker_connection_retry_on_startup = True
broker_connection_max_retries = None  # the default gives up after 100, and the worker with it
task_publish_retry_policy = {"max_retries": 0}  # an asker is told at once; the reaper sends what was not

# Hygiene: memory is looked at after a task, in KiB.
worker_max_tasks_per_child = 1000
worker_max_memory_per_child = 600_000

# For Flower.
worker_send_task_events = True
task_send_sent_event = False  # it halves the rate at which bulk jobs are queued
event_queue_expires = 60

# Only ours: no pickle, no clock of its own, no log set-up of its own.
accept_content = ["json"]
task_serializer = "json"
enable_utc = True
worker_hijack_root_logger = False
worker_enable_remote_control = True
worker_cancel_long_running_tasks_on_connection_loss = False  # set, it loses tasks
