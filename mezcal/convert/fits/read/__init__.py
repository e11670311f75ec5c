"""Reads FITS frames as planes of rows, in bounded memory."""
