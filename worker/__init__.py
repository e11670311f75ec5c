"""The worker: Celery processes that claim jobs and make derivatives."""
