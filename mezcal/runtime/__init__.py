"""Processes on one machine: what runs, with which resources, behind which nginx."""
