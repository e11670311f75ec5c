"""What events, manifests and lists name, and what is done with it."""
