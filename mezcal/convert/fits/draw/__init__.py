"""Planes of a FITS frame as a picture: limits, colour, scale, orientation, label."""
