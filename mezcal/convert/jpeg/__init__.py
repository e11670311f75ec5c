"""The JPEG file: its encoder and its metadata."""
