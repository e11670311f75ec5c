"""The job table in Redis: every key, script and record."""
