"""A frame as a file: its bytes, its compression, its headers."""
