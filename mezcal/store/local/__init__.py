"""Derivatives in a folder."""
