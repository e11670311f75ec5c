"""Photoshop files, PSD and PSB: their header, and the flattened composite a few rows at a time."""
