"""Bulk requests: batches, their chunks, and following them to the end."""
