"""Authorization, sessions, signatures and limits."""
