"""Installing with a counter, and building a release."""
