"""Cutouts: a rectangle of a frame, found by its position on the sky or in pixels, and drawn as a frame of its own."""
