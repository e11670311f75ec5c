"""Reads compressed frames: the table of their tiles, and the streams in it."""
