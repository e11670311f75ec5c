"""Output on a terminal: progress bar, interrupts."""
