"""The decoders: libvips, Pillow, tifffile. All of them return `Decoded`."""
