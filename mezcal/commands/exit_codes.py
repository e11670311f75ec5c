"""The exit codes of every command but `up`, for scripts."""

WELL = 0  # done, and all is well
UNWELL = 1  # done, and something of what was asked for is not well
UNDONE = 2  # could not be done: a wrong option or setting, the broker or the store out of reach
STOPPED = 130  # ended by Ctrl-C or SIGTERM, as shells have it for SIGINT
