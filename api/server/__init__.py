"""The API under gunicorn."""
