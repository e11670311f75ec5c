"""gunicorn for the API."""
