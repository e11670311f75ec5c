"""Pixels between a decoder and the encoder: rows, colour, orientation."""
