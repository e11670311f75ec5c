"""Celery's pipe, the Redis connection and the listener for ended jobs."""
