"""Keeping a store within its bounds and checking what it holds."""
