"""Draws the masters of `mezcal/sample` from numbers alone; see `make.py`."""
