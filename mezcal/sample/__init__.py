"""Masters that come with mezcal, so that the first start has something to show; see make.py."""
