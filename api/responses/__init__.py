"""Values to HTTP responses."""
