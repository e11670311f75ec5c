"""Every seam into Celery, kombu and Flower."""
