"""TIFF masters: what the file says of itself, and which strips and tiles hold the picture."""
