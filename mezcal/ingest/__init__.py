"""Reads events, manifests and lists of masters, and does what follows from them."""
