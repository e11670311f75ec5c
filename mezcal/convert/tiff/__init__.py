"""TIFF masters: their directories, and the strips and tiles that hold a picture."""
