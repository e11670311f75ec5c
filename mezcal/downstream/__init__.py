"""Tells the caches in front of mezcal that a derivative was replaced or deleted: docs/downstream.md."""
