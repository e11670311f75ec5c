"""Who is notified downstream: the caches in front of mezcal."""
